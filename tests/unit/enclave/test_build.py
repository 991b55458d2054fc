from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from lamslsa.enclave.build import build, find_build, read_final, sign
from lamslsa.enclave.files import Interpreter
from lamslsa.enclave.manifest import Build
from lamslsa.errors import FormatError, LamslsaError, UnavailableError


@pytest.fixture
def built(gramine: Path, tiny: Interpreter, tmp_path: Path) -> Path:
    return build("measure", tmp_path / "build", interpreter=tiny).folder


def refused(error: type[LamslsaError], reason: str, folder: Path, key: Path) -> None:
    with pytest.raises(error) as caught:
        sign(folder, key)
    assert caught.value.reason == reason


def test_build_and_sign(built: Path, key: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == ["measure.manifest", "measure.manifest.template"]
    final = sign(built, key)
    assert final == read_final(built)
    assert final.build == "measure"
    assert any(uri.endswith("/runtime/libc.so.6") for uri in final.trusted)
    assert {path.name for path in built.iterdir()} == {
        "measure.manifest",
        "measure.manifest.sgx",
        "measure.manifest.template",
        "measure.sig",
    }


def test_own_code(gramine: Path, tiny: Interpreter, tmp_path: Path, code: Path, key: Path) -> None:
    done = build("train-own", tmp_path / "build", interpreter=tiny, code=code)
    assert done.complete
    final = sign(done.folder, key)
    assert (final.build, final.code) == ("train-own", f"file:{code}")
    with pytest.raises(FormatError) as error:
        build("measure", tmp_path / "other", interpreter=tiny, code=code)
    assert error.value.reason == "enclave-code"
    assert not (tmp_path / "other").exists()


def test_changed_code_is_another_build(gramine: Path, tiny: Interpreter, tmp_path: Path, code: Path) -> None:
    build("train-own", tmp_path / "one", interpreter=tiny, code=code)
    (code / "parts" / "__init__.py").write_text("SIZE = 4\n", encoding="utf-8")
    build("train-own", tmp_path / "two", interpreter=tiny, code=code)
    name = "train-own.manifest.template"
    assert (tmp_path / "one" / name).read_bytes() != (tmp_path / "two" / name).read_bytes()


def test_without_gramine_there_is_a_template_for_who_asks(
    tiny: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError) as error:
        build("measure", tmp_path / "build", interpreter=tiny)
    assert error.value.reason == "enclave-program"
    assert error.value.hint is not None
    assert "enclave/README.md" in error.value.hint
    assert not (tmp_path / "build").exists()
    done = build("measure", tmp_path / "build", interpreter=tiny, template_only=True)
    assert not done.complete
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["measure.manifest.template"]


def test_nothing_is_overwritten(built: Path, tiny: Interpreter, key: Path) -> None:
    with pytest.raises(FormatError) as error:
        build("measure", built, interpreter=tiny)
    assert error.value.reason == "output-exists"
    sign(built, key)
    refused(FormatError, "output-exists", built, key)
    (built / "measure.manifest.sgx").unlink()
    refused(FormatError, "output-exists", built, key)


def test_a_manifest_that_is_refused_is_not_kept(built: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GRAMINE_WEAKEN", "1")
    before = sorted(built.iterdir())
    refused(FormatError, "enclave-manifest-value", built, key)
    assert sorted(built.iterdir()) == before


def test_a_signature_has_its_size(built: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GRAMINE_SIG", "1807")
    before = sorted(built.iterdir())
    refused(FormatError, "enclave-signature", built, key)
    assert sorted(built.iterdir()) == before


def test_a_program_that_fails_is_told(built: Path, key: Path, gramine: Path, tiny: Interpreter, tmp_path: Path) -> None:
    (gramine / "bin" / "gramine-sgx-sign").write_text("#!/bin/sh\necho no key >&2; exit 1\n", encoding="utf-8")
    with pytest.raises(UnavailableError) as error:
        sign(built, key)
    assert error.value.reason == "enclave-program-failed"
    assert "no key" in str(error.value)
    for name in ("gramine-sgx-sign", "gramine-manifest"):
        (gramine / "bin" / name).write_text("#!/bin/sh\n", encoding="utf-8")
    refused(UnavailableError, "enclave-program-failed", built, key)
    with pytest.raises(UnavailableError) as error:
        build("measure", tmp_path / "silent", interpreter=tiny)
    assert error.value.reason == "enclave-program-failed"
    assert not (tmp_path / "silent").exists()
    (gramine / "bin" / "gramine-sgx-sign").unlink()
    refused(UnavailableError, "enclave-program", built, key)


def test_no_build_or_several(built: Path, key: Path, tmp_path: Path) -> None:
    refused(FormatError, "enclave-build", tmp_path, key)
    with pytest.raises(FormatError) as error:
        read_final(built)
    assert error.value.reason == "enclave-build"
    (built / "train-own.manifest").write_text("", encoding="utf-8")
    with pytest.raises(FormatError) as error:
        find_build(built)
    assert error.value.reason == "enclave-build"


def test_a_build_is_what_its_name_says(built: Path, key: Path) -> None:
    sign(built, key)
    (built / "measure.sig").rename(built / "train-own.sig")
    with pytest.raises(FormatError) as error:
        read_final(built)
    assert error.value.reason == "enclave-build"
    (built / "measure.manifest.sgx").rename(built / "train-own.manifest.sgx")
    with pytest.raises(FormatError) as error:
        read_final(built)
    assert error.value.reason == "enclave-build"
    assert "train-own" in str(error.value)


PLUGIN = runpy.run_path(str(Path(__file__).parents[1] / "measure" / "plugin.py"))


@pytest.fixture
def with_measurers(tiny: Interpreter, tmp_path: Path) -> Interpreter:
    """The tiny installation with a third party's measurers in it."""
    packages = tmp_path / "packages"
    shutil.copytree(tiny.packages, packages, symlinks=True)
    PLUGIN["install"](packages)
    return Interpreter(executable=tiny.executable, stdlib=tiny.stdlib, packages=packages)


def test_measurers_of_a_third_party(gramine: Path, with_measurers: Interpreter, tmp_path: Path, key: Path) -> None:
    done = build("measure-with", tmp_path / "build", interpreter=with_measurers, measurers="Acme_Length")
    final = sign(done.folder, key)
    assert (final.build, final.code) == ("measure-with", None)
    theirs = {uri for uri in final.trusted if "acme_length" in uri}
    names = {uri.rpartition("/")[2] for uri in theirs}
    assert names == {"__init__.py", "METADATA", "RECORD", "entry_points.txt"}
    plain = build("measure", tmp_path / "plain", interpreter=with_measurers)
    assert not [uri for uri in sign(plain.folder, key).trusted if "acme_length" in uri]


@pytest.mark.parametrize(
    ("which", "measurers"), [("measure", "acme-length"), ("measure-with", None), ("train-own", "acme-length")]
)
def test_measurers_go_with_their_build(
    gramine: Path, with_measurers: Interpreter, tmp_path: Path, code: Path, which: Build, measurers: str | None
) -> None:
    own = code if which == "train-own" else None
    with pytest.raises(FormatError) as error:
        build(which, tmp_path / "build", interpreter=with_measurers, measurers=measurers, code=own)
    assert error.value.reason == "enclave-measurers"


def test_no_other_measurers_come_along(gramine: Path, with_measurers: Interpreter, tmp_path: Path) -> None:
    PLUGIN["install"](with_measurers.packages, name="other", requires=("acme-length",))
    for name, reason in (("other", "enclave-measurers"), ("safetensors", "enclave-measurers")):
        with pytest.raises(FormatError) as error:
            build("measure-with", tmp_path / "build", interpreter=with_measurers, measurers=name)
        assert error.value.reason == reason
    with pytest.raises(UnavailableError):
        build("measure-with", tmp_path / "build", interpreter=with_measurers, measurers="missing")
    assert not (tmp_path / "build").exists()
