"""Measurers of third parties: taken only from the distribution that was asked for, and never under another name."""

from __future__ import annotations

import importlib
import json
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
