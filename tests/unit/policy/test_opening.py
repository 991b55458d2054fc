"""Policies with all that they name: from files, from elsewhere, within each other."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.policy.opening import open_policy
from lamslsa.policy.sources import Pinned
from lamslsa.sign import KeySigner, generate

BASE = Path(__file__).parents[2] / "vectors" / "policy" / "base"


class Elsewhere:
    """Serves the files of a folder, whoever asks."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked = 0

    def __call__(self, _: Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        self.asked += 1
        if path.as_posix() not in self.files:
            raise FileNotFoundError(path)
        assert len(self.files[path.as_posix()]) <= limit
        return self.files[path.as_posix()]


@pytest.fixture
def files(policy_text: str) -> dict[str, bytes]:
    """The base policy and the files that it names."""
    found = open_policy(str(BASE / "policy.yaml"))
    return {"policy.yaml": policy_text.encode(), **found.files}


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def other_key() -> bytes:
    return KeySigner.load(generate(None), None).public_pem


def extending(text: str, *others: str) -> bytes:
    listed = ", ".join(f'"{other}"' for other in others)
    return text.replace("\ntrust:", f"\nextends: [{listed}]\n\ntrust:", 1).encode()


def test_a_file_with_what_it_names(policy_text: str) -> None:
    found = open_policy(str(BASE / "policy.yaml"))
    assert found.data == policy_text.encode()
    assert found.files
    assert all((BASE / name).read_bytes() == data for name, data in found.files.items())


def test_policies_within_a_policy(folder: Path, policy_text: str) -> None:
    (folder / "more").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        shutil.copy(path, folder / "more" / path.name.replace("policy", "base"))
    (folder / "policy.yaml").write_bytes(extending(policy_text, "more/base.yaml"))
    found = open_policy(str(folder / "policy.yaml"))
    (base,) = found.policy.extends
    assert base.closure == open_policy(str(folder / "more" / "base.yaml")).policy.closure
    assert "more/base.yaml" in found.files
    again = open_policy(str(folder / "policy.yaml")).policy.closure
    name = next(name for name in found.files if name.startswith("more/") and name.endswith(".pub"))
    (folder / name).write_bytes(other_key())
    assert again == found.policy.closure != open_policy(str(folder / "policy.yaml")).policy.closure


def test_a_policy_within_itself_is_refused(folder: Path, policy_text: str) -> None:
    (folder / "policy.yaml").write_bytes(extending(policy_text, "other.yaml"))
    (folder / "other.yaml").write_bytes(extending(policy_text, "policy.yaml"))
    with pytest.raises(FormatError) as caught:
        open_policy(str(folder / "policy.yaml"))
    assert caught.value.reason == "policy-cycle"


def test_there_are_only_so_many(folder: Path, policy_text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamslsa.policy.opening._MAX_POLICIES", 3)
    for name in "abcd":
        (folder / f"{name}.yaml").write_text(policy_text + f"# {name}\n")
    (folder / "policy.yaml").write_bytes(extending(policy_text, "a.yaml", "b.yaml", "c.yaml"))
    assert len(open_policy(str(folder / "policy.yaml")).policy.extends) == 3
    (folder / "policy.yaml").write_bytes(extending(policy_text, "a.yaml", "b.yaml", "c.yaml", "d.yaml"))
    with pytest.raises(FormatError) as caught:
        open_policy(str(folder / "policy.yaml"))
    assert caught.value.reason == "policy-nesting"


def test_only_so_many_files_are_fetched(files: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamslsa.policy.opening._MAX_FETCHED", 2)
    closure = open_policy(str(folder / "policy.yaml")).policy.closure
    elsewhere = Elsewhere(files)
    with pytest.raises(FormatError) as caught:
        open_policy(f"https://policies.example/policy.yaml@sha256:{closure}", fetch=elsewhere)
    assert caught.value.reason == "policy-nesting"
    assert elsewhere.asked == 2


def test_by_https(files: dict[str, bytes], folder: Path) -> None:
    closure = open_policy(str(folder / "policy.yaml")).policy.closure
    text = f"https://policies.example/a/policy.yaml@sha256:{closure}"
    found = open_policy(text, fetch=Elsewhere(files))
    assert found.policy.closure == closure
    assert {"policy.yaml": found.data, **found.files} == files


@pytest.mark.parametrize("what", ["another key", "another policy", "the file alone"])
def test_another_policy_than_the_pinned_one_is_refused(files: dict[str, bytes], folder: Path, what: str) -> None:
    pinned = open_policy(str(folder / "policy.yaml")).policy.closure
    match what:
        case "another key":
            files[next(name for name in files if name.endswith(".pub"))] = other_key()
        case "another policy":
            files["policy.yaml"] += b"# and more\n"
        case _:  # whoever serves it could give other keys
            pinned = _codec.sha256_hex(files["policy.yaml"])
    with pytest.raises(LamslsaError) as caught:
        open_policy(f"https://policies.example/policy.yaml@sha256:{pinned}", fetch=Elsewhere(files))
    assert caught.value.reason == "policy-source-digest"


class Turncoat(Elsewhere):
    """Serves one file otherwise the first time that it is asked for."""

    def __init__(self, files: dict[str, bytes], name: str, first: bytes) -> None:
        super().__init__(files)
        self.name, self.first = name, [first]

    def __call__(self, source: Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        data = super().__call__(source, path, limit)
        return self.first.pop() if path.as_posix() == self.name and self.first else data


def test_a_file_that_is_named_twice_has_the_same_bytes_twice(
    files: dict[str, bytes], folder: Path, policy_text: str
) -> None:
    """The closure would have the second ones, and the policy the first."""
    name = next(name for name in files if name.endswith(".pub"))
    (folder / "policy.yaml").write_text(policy_text.replace("\ntrust:", f"\ndeny: {{keys: [{name}]}}\n\ntrust:", 1))
    files["policy.yaml"] = (folder / "policy.yaml").read_bytes()
    text = f"https://p.example/policy.yaml@sha256:{open_policy(str(folder / 'policy.yaml')).policy.closure}"
    assert open_policy(text, fetch=Elsewhere(files)).policy.deny.keys
    with pytest.raises(FormatError) as caught:
        open_policy(text, fetch=Turncoat(files, name, other_key()))
    assert caught.value.reason == "policy-file"
    assert "policy.yaml@sha256" in str(caught.value)


def test_a_policy_that_is_named_twice_is_the_same_twice(
    files: dict[str, bytes], folder: Path, policy_text: str
) -> None:
    base = f'  models: [{{name: base, digest: "sha256:{"5a" * 32}", policy: inner.yaml}}]\n\ntraining:'
    (folder / "inner.yaml").write_text(policy_text)
    outer = extending(policy_text, "inner.yaml").replace(b"\ntraining:", base.encode(), 1)
    (folder / "policy.yaml").write_bytes(outer)
    files |= {"policy.yaml": outer, "inner.yaml": policy_text.encode()}
    text = f"https://p.example/policy.yaml@sha256:{open_policy(str(folder / 'policy.yaml')).policy.closure}"
    assert len(open_policy(text, fetch=Elsewhere(files)).policy.within) == 1
    weak = policy_text.replace("min: 0.84", "min: 0.1", 1).encode()
    assert weak != files["inner.yaml"]
    with pytest.raises(FormatError) as caught:
        open_policy(text, fetch=Turncoat(files, "inner.yaml", weak))
    assert caught.value.reason == "policy-file"


def test_within_a_policy_by_https_and_by_oci(files: dict[str, bytes], folder: Path, policy_text: str) -> None:
    closure = open_policy(str(folder / "policy.yaml")).policy.closure
    manifest = Manifest.of(
        "model",
        [FileEntry(path=name, sha256=_codec.sha256_hex(data), size=len(data)) for name, data in files.items()],
    )
    web, registry = f"https://p.example/p.yaml@sha256:{closure}", f"oci://r.example/p@sha256:{manifest.sha256}"
    (folder / "policy.yaml").write_bytes(extending(policy_text, web, registry))
    elsewhere = Elsewhere({**files, "manifest.json": manifest.canonical})
    found = open_policy(str(folder / "policy.yaml"), fetch=elsewhere)
    assert [one.closure for one in found.policy.extends] == [closure, closure]
    asked = elsewhere.asked

    offline = {Path(name): data for name, data in found.files.items()}  # as an audit archive has them

    def read(path: Path, limit: int, /) -> bytes:
        data = found.data if path == Path("policy.yaml") else offline.get(path)
        if data is None or len(data) > limit:
            raise FileNotFoundError(path)
        return data

    again = open_policy("policy.yaml", read=read)
    assert again.policy.closure == found.policy.closure
    assert elsewhere.asked == asked
    offline[Path(f"pinned-{manifest.sha256}/policy.yaml")] += b"# and more\n"
    with pytest.raises(LamslsaError) as caught:
        open_policy("policy.yaml", read=read)
    assert caught.value.reason == "policy-source-digest"


def test_nobody_is_asked_unasked(folder: Path, policy_text: str) -> None:
    (folder / "policy.yaml").write_bytes(extending(policy_text, f"https://p.example/p.yaml@sha256:{'5a' * 32}"))
    with pytest.raises(FormatError) as caught:
        open_policy(str(folder / "policy.yaml"))
    assert caught.value.reason == "policy-source"
    assert "policy.yaml:" in str(caught.value)
