"""The entry point, with a folder in place of the enclave's file system and the simulated platform in place of SGX."""

from __future__ import annotations

import ast
import datetime as dt
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa import statement
from lamslsa.artifact import hash_artifact
from lamslsa.artifact.spool import Spool, SpoolFile
from lamslsa.enclave import inside
from lamslsa.enclave.job import Job
from lamslsa.enclave.made import read_made
from lamslsa.enclave.manifest import ENTRIES
from lamslsa.errors import FormatError
from lamslsa.evidence.run import read_run
from lamslsa.evidence.sgx.parse import parse as parse_quote
from lamslsa.evidence.simulated.platform import SimulatedPlatform
from lamslsa.measure import Context
from lamslsa.measure.plugins import find_only
from lamslsa.publish import evidence_statement
from lamslsa.testing.table import JOB, ROWS

ENCLAVE = Path(inside.__file__).parent
DATASET: dict[str, Any] = {
    "kind": "dataset",
    "tee": "simulated",
    "name": "train",
    "inputs": {"dataset": "people.csv"},
    "nonce": None,
    "beacon": False,
    "gpu": False,
    "device": "cpu",
    "checkpoints": False,
    "memoryLimit": 2**33,
    "spool": False,
    "arguments": [],
    "plan": None,
}
OWN = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: people}
models: {}
configuration: {times: 2}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("job", "data/inputs/0", "data/inputs/1", "out", "run/lamslsa"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data" / "inputs" / "0" / "people.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "job" / "config.yaml").write_text(JOB, encoding="utf-8")
    return tmp_path


def put(root: Path, **change: Any) -> None:
    (root / "job" / "job.json").write_text(json.dumps(DATASET | change), encoding="utf-8")


def failed(root: Path, exit_code: int, measure: Any = None) -> dict[str, Any]:
    assert inside.main(root, measure) == exit_code
    assert [path.name for path in (root / "out").iterdir()] == ["error.json"]
    document: dict[str, Any] = json.loads((root / "out" / "error.json").read_bytes())
    assert set(document) == {"class", "reason", "message", "hint"}
    return document


def test_a_dataset(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, nonce="AAAAAAAAAAAAAAAAAAAAAA==")
    assert inside.main(root) == 0
    run = read_run(root / "out" / "run")
    assert [item.name for item in run.statements] == ["01-dataset"]
    assert run.nonce.value == bytes(16)
    evidence_statement(run)
    assert "reading people.csv (bytes)" in capsys.readouterr().err


def test_a_table_larger_than_the_memory_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root)
    assert inside.main(root) == 0
    expected = read_run(root / "out" / "run").statements[0].payload
    (root / "out").rename(root / "before")
    (root / "run" / "lamslsa" / "run").rename(root / "run" / "before")
    (root / "out" / "spool").mkdir(parents=True)
    put(root, memoryLimit=700, spool=True)
    folders: list[Path] = []
    create = Spool.create

    def recorded(self: Spool) -> SpoolFile:
        folders.append(self._folder)
        return create(self)

    monkeypatch.setattr(Spool, "create", recorded)
    assert inside.main(root) == 0
    assert read_run(root / "out" / "run").statements[0].payload == expected
    assert folders == [root / "out" / "spool"]
    assert not list((root / "out" / "spool").iterdir())


def test_a_table_larger_than_the_memory_limit_without_a_spool(root: Path) -> None:
    put(root, memoryLimit=700)
    told = failed(root, 3)
    assert (told["reason"], "--spool DIR" in told["hint"]) == ("artifact-size", True)


def test_a_guest_spools_to_the_disk_that_it_formatted(root: Path) -> None:
    places = {}
    for tee in ("sgx", "tdx", "snp"):
        put(root, tee=tee, spool=True)
        spool = inside._spool(root, Job.parse((root / "job" / "job.json").read_bytes()))
        assert spool is not None
        places[tee] = spool._folder.relative_to(root).as_posix()
    assert places == {"sgx": "out/spool", "tdx": "out", "snp": "out"}


def test_a_beacon(root: Path) -> None:
    put(root, beacon=True)
    (root / "job" / "beacon").write_bytes(b"log\n1\n")
    assert inside.main(root) == 0
    run = read_run(root / "out" / "run")
    assert run.nonce.beacon is not None
    assert run.nonce.beacon.data == b"log\n1\n"


def test_other_datasets_are_found_in_their_places(root: Path) -> None:
    two = JOB.replace("overlap: []}", "overlap: [a/b]}\n  a/b: {schema: people, skipLines: 0, groups: [], overlap: []}")
    (root / "job" / "config.yaml").write_text(two, encoding="utf-8")
    (root / "data" / "inputs" / "1" / "people.csv").write_text(ROWS, encoding="utf-8")
    (root / "data" / "inputs" / "0" / "more.csv").write_text(ROWS, encoding="utf-8")
    put(root, inputs={"dataset": "people.csv", "a/b": "more.csv"})
    assert inside.main(root) == 0
    predicate = statement.parse(read_run(root / "out" / "run").statements[0].payload).predicate
    assert "a/b" in json.dumps(predicate)


@pytest.mark.slow
def test_a_training_and_its_evaluation(root: Path) -> None:
    put(root, kind="training", name=None, inputs={"train": "people.csv"})
    assert inside.main(root) == 0
    subject = statement.parse(read_run(root / "out" / "run").statements[0].payload).subjects[0]
    made, private = read_made(root)
    assert (made.outputs, private) == ({"people-mlp": "model"}, {})
    assert hash_artifact(root / "out" / "outputs" / "0", "model").sha256 == subject.sha256
    (root / "out" / "outputs" / "0").rename(root / "data" / "inputs" / "1" / "people-mlp")
    (root / "out").rename(root / "training")
    (root / "out").mkdir()
    put(root, kind="evaluation", name=None, inputs={"dataset": "people.csv", "model": "people-mlp"}, plan="e" * 64)
    (root / "run" / "lamslsa" / "run").rename(root / "run" / "before")
    assert inside.main(root) == 0
    evaluated = statement.parse(read_run(root / "out" / "run").statements[0].payload)
    assert evaluated.subjects == (subject.__class__(name="people-mlp", sha256=subject.sha256),)
    assert evaluated.predicate["plan"] == {"digest": {"sha256": "e" * 64}}


@pytest.mark.parametrize("plan", [None, "e" * 64])
def test_the_plan_that_an_evaluation_carries_out(root: Path, monkeypatch: pytest.MonkeyPatch, plan: str | None) -> None:
    def attest(planned: Any, *, context: Context, **_: Any) -> Any:
        raise FormatError(f"plan {context.plan}", reason="enough")

    monkeypatch.setattr(inside, "attest", attest)
    put(root, kind="evaluation", name=None, inputs={"dataset": "people.csv", "model": "people-mlp"}, plan=plan)
    assert failed(root, 3)["message"] == f"plan {plan}"


@pytest.mark.parametrize("tee", ["sgx", "tdx", "snp"])
def test_no_tee_is_no_reason_to_simulate(root: Path, tee: str) -> None:
    put(root, tee=tee)
    assert failed(root, 6)["class"] == "UnavailableError"


def test_a_gpu_is_asked_for_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def attester_for(tee: str, **kwargs: Any) -> Any:
        asked.append((tee, kwargs["gpu"]))
        raise FormatError("enough", reason="enough")

    monkeypatch.setattr(inside, "attester_for", attester_for)
    put(root, tee="snp", gpu=True)
    assert failed(root, 3)["reason"] == "enough"
    (root / "out" / "error.json").unlink()
    put(root, tee="snp")
    assert failed(root, 3)["reason"] == "enough"
    assert asked == [("snp", "nvidia"), ("snp", None)]


def test_what_the_host_gets_wrong_is_told(root: Path) -> None:
    error = root / "out" / "error.json"
    document = failed(root, 6)
    assert document["reason"] == "enclave-file"
    assert "job.json" in document["message"]
    error.unlink()
    put(root, kind="other")
    assert failed(root, 3) == {
        "class": "FormatError",
        "reason": "enclave-job",
        "message": "expected one of dataset, training, transform, evaluation, inference, model as kind in the job of "
        "an enclave, got 'other'",
        "hint": None,
    }
    error.unlink()
    put(root)
    (root / "job" / "config.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    assert failed(root, 3)["reason"] == "enclave-job-size"
    error.unlink()
    put(root, inputs={"dataset": "none.csv"})
    (root / "job" / "config.yaml").write_text(JOB, encoding="utf-8")
    assert failed(root, 3)["reason"] == "artifact-missing"


def test_an_output_that_is_there_already_is_not_replaced(root: Path) -> None:
    put(root)
    (root / "out" / "run").mkdir()
    assert inside.main(root) == 6
    assert json.loads((root / "out" / "error.json").read_bytes())["reason"] == "enclave-file"
    assert inside.main(root) != 0, "it cannot be told again, and fails all the same"


def test_a_bug_is_no_refusal(root: Path) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("x")

    put(root)
    with pytest.raises(KeyError):
        inside.main(root, inside.Build(measure=broken))
    assert not list((root / "out").iterdir())


@pytest.mark.slow
def test_own_code(root: Path, code: Path) -> None:
    (root / "job" / "config.yaml").write_text(OWN, encoding="utf-8")
    put(root, kind="training", name=None, inputs={"train": "people.csv"}, arguments=["--more"])
    assert inside.main(root, inside.TRAIN_OWN) == 0
    parsed = statement.parse(read_run(root / "out" / "run").statements[0].payload)
    assert hash_artifact(root / "out" / "outputs" / "0", "model").sha256 == parsed.subjects[0].sha256
    assert len((root / "out" / "outputs" / "0" / "weights.safetensors").read_bytes()) == 32 * 2 * 3
    assert parsed.predicate["buildDefinition"]["externalParameters"]["trainer"] == {"name": "own", "version": "2"}
    assert parsed.predicate["buildDefinition"]["externalParameters"]["configuration"]["arguments"] == ["--more"]


@pytest.mark.parametrize("kind", ["dataset", "evaluation"])
def test_the_build_for_own_code_measures_nothing_else(root: Path, code: Path, kind: str) -> None:
    inputs = {"dataset": "people.csv"} | ({"model": "m"} if kind == "evaluation" else {})
    put(root, kind=kind, name="train" if kind == "dataset" else None, inputs=inputs)
    assert failed(root, 3, inside.TRAIN_OWN)["reason"] == "enclave-job"


@pytest.mark.parametrize("build", ENTRIES)
def test_an_entry_takes_no_arguments_and_imports_nothing_of_ours_before_its_path_is_set(build: str) -> None:
    path = ENCLAVE / ENTRIES[build].rpartition("/")[2]  # type: ignore[index]  # the keys are the builds
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [node for node in imported if "lamslsa" in ast.dump(node)]
    assert "argv" not in ast.dump(tree)
    assert "environ" not in ast.dump(tree)
    assert runpy.run_path(str(path))["__all__"] == []


@pytest.mark.parametrize("build", ENTRIES)
def test_an_entry_starts_alone(build: str, tmp_path: Path) -> None:
    """Isolated, without site packages: it finds lamslsa beside itself, and then no job below ``/``."""
    path = ENCLAVE / ENTRIES[build].rpartition("/")[2]  # type: ignore[index]  # the keys are the builds
    code = (
        "import sys, runpy\n"
        f"sys.path += {[entry for entry in sys.path if 'site-packages' in entry]!r}\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6, done.stderr
    assert done.stderr == "error[enclave-file]\n"


def test_it_reaches_no_network_key_or_store() -> None:
    code = (
        "import sys\nimport lamslsa.enclave.inside\n"
        "print([name for name in sys.modules if name.startswith(('lamslsa.sign', 'lamslsa.store', 'lamslsa.policy',"
        " 'lamslsa.cards', 'lamslsa.fetch', 'lamslsa.publish', 'lamslsa._cli', 'urllib3', 'requests', 'httpx'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


PLUGIN = runpy.run_path(str(Path(__file__).parents[1] / "measure" / "plugin.py"))
WITH = JOB[: JOB.index("evaluation: {")] + "evaluation: {measurer: acme-length/1, dataset: train, factor: 3}\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    PLUGIN["install"](tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    sys.modules.pop("acme_length", None)


def test_a_third_party_measures_in_its_own_build(root: Path, plugin: None) -> None:
    (root / "data" / "inputs" / "1" / "m").mkdir()
    (root / "data" / "inputs" / "1" / "m" / "w").write_bytes(b"1234")
    (root / "job" / "config.yaml").write_text(WITH, encoding="utf-8")
    evaluation = {"kind": "evaluation", "name": None, "inputs": {"dataset": "people.csv", "model": "m"}}
    put(root, **evaluation)
    assert failed(root, 3)["reason"] == "yaml-choice", "the build without them knows nothing of it"
    (root / "out" / "error.json").unlink()
    assert inside.main(root, inside.MEASURE_WITH) == 0
    run = read_run(root / "out" / "run")
    measurer = statement.parse(run.statements[0].payload).predicate["measurer"]
    assert measurer["distribution"]["uri"] == "pkg:pypi/acme-length@2.0"
    quoted = Path(root / "job" / "platform")
    platform = SimulatedPlatform.open(quoted, now=dt.datetime.now(dt.UTC))
    expected = platform.measurement(beside=find_only().digest).parts["mrEnclave"]
    assert parse_quote(run.evidence.quote).report.measurement["mrEnclave"] == expected
    assert expected != platform.measurement().parts["mrEnclave"]


def test_the_build_with_a_third_party_measures_nothing_of_ours(root: Path, plugin: None) -> None:
    put(root)
    assert failed(root, 3, inside.MEASURE_WITH)["reason"] == "plugin-job"


@pytest.mark.parametrize("build", [None, inside.MEASURE_WITH])
def test_arguments_are_for_own_code(root: Path, plugin: None, build: Any) -> None:
    put(root, kind="training", name=None, inputs={"train": "people.csv"}, arguments=["-x"])
    assert failed(root, 3, build)["reason"] == "enclave-job"
