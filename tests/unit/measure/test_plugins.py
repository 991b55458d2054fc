"""Measurers of third parties: taken only from the distribution that was asked for, and never under another name."""

from __future__ import annotations

import importlib
import json
import py_compile
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import read_verified
from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
from lamslsa.measure import Context, load_job
from lamslsa.measure.interface import Given
from lamslsa.measure.plugins import find, find_only
from lamslsa.measure.registry import BUILT_IN, Catalogue
from lamslsa.testing.table import JOB, ROWS

PLUGIN = runpy.run_path(str(Path(__file__).with_name("plugin.py")))
SOURCE: str = PLUGIN["SOURCE"]
Install = Callable[..., Path]
WITH = JOB[: JOB.index("evaluation: {")] + "evaluation: {measurer: acme-length/1, dataset: train, factor: 3}\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_length"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def install(site: Path) -> Install:
    def installing(**kwargs: Any) -> Path:
        package: Path = PLUGIN["install"](site, **kwargs)
        importlib.invalidate_caches()
        return package

    return installing


def catalogue() -> Catalogue:
    return BUILT_IN.with_more(find("acme-length").load(BUILT_IN.reserved()))


def measured(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_bytes(b"1234")
    (plan,) = load_job(WITH.encode(), source="job.yaml", catalogue=catalogue()).require_evaluations().values()
    assert str(plan.measurer) == "acme-length/1 of pkg:pypi/acme-length"
    assert plan.steps() == ("bytes of the model times 3",)
    with (
        read_verified(tmp_path / "model", "model") as model,
        read_verified(tmp_path / "people.csv", "dataset") as data,
    ):
        inputs = {"model": Given(artifact=model, name="m"), "dataset": Given(artifact=data, name="train")}
        outcome = plan.measure(inputs, Context())
    (payload,) = outcome.statements
    document: dict[str, Any] = json.loads(payload.data)["predicate"]
    return document


def refused(error: type[LamslsaError], reason: str, action: Callable[[], Any] = catalogue) -> None:
    with pytest.raises(error) as caught:
        action()
    assert caught.value.reason == reason


def test_the_statement_says_whose_code_measured(install: Install, tmp_path: Path, site: Path) -> None:
    install()
    predicate = measured(tmp_path)
    assert [metric["value"] for metric in predicate["metrics"]] == [12.0]
    import hashlib

    recorded = (site / "acme_length-2.0.dist-info" / "RECORD").read_bytes()
    assert predicate["measurer"] == {
        "name": "acme-length",
        "version": "1",
        "distribution": {
            "name": "acme-length",
            "uri": "pkg:pypi/acme-length@2.0",
            "digest": {"sha256": hashlib.sha256(recorded).hexdigest()},
        },
    }


def test_none_is_loaded_by_itself(install: Install) -> None:
    install()
    assert "acme-length/1" not in BUILT_IN.names("evaluation")
    find("acme-length")
    assert "acme_length" not in sys.modules, "looking at a distribution runs nothing of it"
    refused(FormatError, "yaml-choice", lambda: load_job(WITH.encode(), source="job.yaml"))


def test_what_is_measured_is_every_file(install: Install) -> None:
    install()
    first = find("acme-length").digest
    assert find("Acme_Length").digest == first
    install(source=SOURCE + "\n")
    assert find("acme-length").digest != first
    install(more={"acme_length/data.txt": "x"})
    assert find("acme-length").digest != first


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('version="1"', 'version="2"', "plugin-statement"),
        ("measurer=self.measurer", 'measurer=MeasurerName(name="tabular-evaluation", version="1")', "plugin-statement"),
        (
            "model=model, ",
            'model=__import__("dataclasses").replace(model, artifact=inputs["dataset"].artifact), ',
            None,
        ),
    ],
)
def test_a_statement_that_claims_something_else_is_refused(
    install: Install, tmp_path: Path, old: str, new: str, reason: str | None
) -> None:
    if reason == "plugin-statement" and "version" in old:
        source = SOURCE.replace("measurer = NAME", 'measurer = MeasurerName(name="acme-length", version="2")')
    else:
        source = SOURCE.replace(old, new)
    assert source != SOURCE
    install(source=source)
    refused(FormatError, "plugin-statement", lambda: measured(tmp_path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="acme-length"', 'name="tabular-evaluation"'),
        ('name="acme-length", version="1"', 'name="own", version="1"'),
        ('name="acme-length"', 'name="tabular-dataset"'),
        ('name="acme-length"', 'name="Acme Length"'),
        ('name="acme-length", version="1"', 'name="a", version="1 of pkg:pypi/other"'),
        ('stage = NAME, "evaluation"', 'stage = NAME, "training"'),
        ('stage = NAME, "evaluation"', 'stage = NAME, "transform"'),
        ("name, stage = NAME", "name, stage = 'acme-length/1'"),
    ],
)
def test_a_measurer_that_could_pass_for_another_is_refused(install: Install, old: str, new: str) -> None:
    source = SOURCE.replace(old, new)
    assert source != SOURCE
    install(source=source)
    refused(FormatError, "plugin")


def test_a_distribution_does_not_speak_for_another(install: Install) -> None:
    source = SOURCE.replace(
        'version="1")',
        'version="1", distribution=__import__("lamslsa.predicates._common", fromlist=["x"])'
        '.ResourceDescriptor(uri="pkg:pypi/honest"))',
        1,
    )
    install(source=source)
    refused(FormatError, "plugin")


@pytest.mark.parametrize(
    "source", ["raise OSError('x')", "Measurer = None", "class Measurer: pass", "import nothing_here"]
)
def test_code_that_gives_no_measurer(install: Install, source: str) -> None:
    install(source=source)
    refused(FormatError, "plugin-failed")


def test_an_error_in_it_is_no_bug_of_ours(install: Install, tmp_path: Path) -> None:
    install(source=SOURCE.replace("size = sum(", "size = 1 / 0 * sum("))
    refused(FormatError, "plugin-failed", lambda: measured(tmp_path))


@pytest.mark.parametrize(
    "points",
    [
        "",
        "[other.group]\nx = acme_length:Measurer\n",
        "[lamslsa.measurers]\nx = json:loads\n",
        "[lamslsa.measurers]\nx = nothing_here:Measurer\n",
        "[lamslsa.measurers]\na = acme_length:Measurer\nb = acme_length:Measurer\n",
        "[lamslsa.measurers]\n" + "".join(f"x{n} = acme_length:Measurer\n" for n in range(65)),
    ],
    ids=["none", "other-group", "elsewhere", "nowhere", "twice", "many"],
)
def test_entry_points_that_lead_nowhere_or_elsewhere(install: Install, points: str) -> None:
    install(points=points)
    refused(FormatError, "plugin")


def test_files_are_those_of_record(install: Install) -> None:
    package = install()
    (package / "extra.py").write_text("")
    refused(VerificationError, "plugin-record", lambda: find("acme-length"))
    (package / "extra.py").unlink()
    (package / "__init__.py").write_text(SOURCE + "#")
    refused(VerificationError, "plugin-record", lambda: find("acme-length"))


EVIL = SOURCE.replace("size * self.factor", "1000000")


def test_byte_code_is_refused(install: Install, tmp_path: Path) -> None:
    package = install()
    (tmp_path / "evil.py").write_text(EVIL)
    for place in (f"__pycache__/__init__.{sys.implementation.cache_tag}.pyc", "extra.pyc", "more/__init__.pyc"):
        target = package / place
        target.parent.mkdir(exist_ok=True)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(tmp_path / "evil.py"), cfile=str(target), invalidation_mode=mode)
        refused(VerificationError, "plugin-record", lambda: find("acme-length"))
        target.unlink()
        if target.parent != package:
            target.parent.rmdir()
    assert find("acme-length")


def test_byte_code_in_record_is_refused(install: Install, site: Path) -> None:
    install()
    record = site / "acme_length-2.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "acme_length/__pycache__/x.cpython-311.pyc,,\n")
    refused(VerificationError, "plugin-record", lambda: find("acme-length"))


def test_links_are_refused(install: Install, site: Path, tmp_path: Path) -> None:
    package = install()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.py").write_text("V = 99.0\n")
    for target in ("lib", "lib.txt"):
        (package / target).symlink_to(tmp_path / "outside")
        refused(VerificationError, "plugin-record", lambda: find("acme-length"))
        (package / target).unlink()
    assert find("acme-length")
    package.rename(tmp_path / "moved")
    package.symlink_to(tmp_path / "moved")
    refused(VerificationError, "plugin-record", lambda: find("acme-length"))
    package.unlink()
    (tmp_path / "moved").rename(package)
    (package / "__init__.py").rename(tmp_path / "init.py")
    (package / "__init__.py").symlink_to(tmp_path / "init.py")
    refused(VerificationError, "plugin-record", lambda: find("acme-length"))


def test_it_is_imported_from_its_sources(install: Install, tmp_path: Path) -> None:
    before = sys.dont_write_bytecode, sys.pycache_prefix
    late = SOURCE.replace('model = inputs["model"]', 'import acme_length.late\n        model = inputs["model"]', 1)
    lines = "import sys\nassert sys.dont_write_bytecode\nassert sys.pycache_prefix\n"
    package = install(source=f"{lines}{late}", more={"acme_length/late.py": lines})
    measured(tmp_path)
    assert sorted(path.name for path in package.rglob("*")) == ["__init__.py", "late.py"]
    assert (sys.dont_write_bytecode, sys.pycache_prefix) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Name: acme-length", "Name: acme-toxicity"),
        ("Name: acme-length", "Name: acme-toxicity@evil of pkg:pypi"),
        ("Name: acme-length\n", ""),
        ("Version: 2.0", "Version: 2.0 of pkg:pypi/other"),
        ("Version: 2.0", "Version: 2.0?x=1"),
    ],
)
def test_the_name_in_its_metadata_is_the_one_asked_for(install: Install, site: Path, old: str, new: str) -> None:
    install()
    info = site / "acme_length-2.0.dist-info"
    changed = (info / "METADATA").read_text().replace(old, new)
    (info / "METADATA").write_text(changed)
    files = [path for path in site.rglob("*") if path.is_file() and path.name != "RECORD"]
    (info / "RECORD").write_text(PLUGIN["record"](site, files) + f"{info.name}/RECORD,,\n")
    refused(FormatError, "plugin", lambda: find("acme-length"))


@pytest.mark.parametrize("label", ["x/../../pwned", "Not A Label", "", "a" * 65, "1a", "evaluation\n"])
def test_a_label_is_that_of_a_file_of_a_run(install: Install, tmp_path: Path, label: str) -> None:
    o = "__import__('types').SimpleNamespace"
    made = f"{o}(label={label!r}, data=o.statements[0].data)"
    install(source=returning("", f"{o}(statements=[{made}], outputs={{}}, private={{}})"))
    refused(FormatError, "payload-label", lambda: measured(tmp_path))


@pytest.mark.parametrize("name", ["../../pwned", "/pwned", "a/b", "..", ".hidden", "", "a\n", "a" * 129])
def test_private_files_have_base_names(install: Install, tmp_path: Path, name: str) -> None:
    install(source=returning("", f"__import__('dataclasses').replace(o, private={{{name!r}: b''}})"))
    refused(FormatError, "private-name", lambda: measured(tmp_path))


def test_only_plans_of_the_distribution_run_beside_it(install: Install) -> None:
    install()
    third = find("acme-length")
    third.refuse_others(
        load_job(WITH.encode(), source="job.yaml", catalogue=catalogue()).require_evaluations().values()
    )
    ours = load_job(JOB.encode(), source="job.yaml", catalogue=catalogue()).plans("dataset", "train").values()
    refused(FormatError, "plugin-job", lambda: third.refuse_others(ours))


def returning(before: str, value: str) -> str:
    """The measurer, with something else coming of it."""
    source = SOURCE.replace("return evaluation_statement(", "o = evaluation_statement(")
    end = "samples=1),),\n        )\n"
    assert source.count(end) == 1
    return source.replace(end, f"{end}        {before or 'pass'}\n        return {value}\n")


def test_what_is_not_there_or_has_no_files(install: Install, site: Path) -> None:
    refused(UnavailableError, "plugin-missing", lambda: find("acme-length"))
    for name in ("", "../x", "a b", "a" * 200):
        with pytest.raises(FormatError) as error:
            find(name)
        assert error.value.reason == "plugin"
    install()
    info = site / "acme_length-2.0.dist-info"
    (info / "RECORD").write_text(f"{info.name}/RECORD,,\n")
    refused(FormatError, "plugin", lambda: find("acme-length"))
    (info / "RECORD").unlink()
    refused(FormatError, "plugin", lambda: find("acme-length"))


def test_an_enclave_takes_the_only_one(install: Install, site: Path) -> None:
    refused(FormatError, "plugin", find_only)
    install()
    assert find_only().descriptor.uri == "pkg:pypi/acme-length@2.0"
    install(name="other")
    importlib.invalidate_caches()
    refused(FormatError, "plugin", find_only)
