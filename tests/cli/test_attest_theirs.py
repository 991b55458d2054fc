"""``lamslsa attest`` with code that is not ours: a third party's measurers, a user's own training loop."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import hash_artifact
from lamslsa.evidence.run import read_run
from lamslsa.evidence.sgx.parse import parse as parse_quote
from lamslsa.publish import evidence_statement
from lamslsa.testing.table import JOB, ROWS

Cli = Callable[..., tuple[int, Any, str]]
PLUGIN = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "measure" / "plugin.py"))
WITH = JOB[: JOB.index("evaluation: {")] + "evaluation: {measurer: acme-length/1, dataset: train, factor: 3}\n"
OWN = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: people}
models: {}
configuration: {times: 2}
"""
LOOP = (
    "import sys\nfrom pathlib import Path\nfrom lamslsa import own\nassert sys.argv[1:] == ['--epochs', '3']\n"
    "(own.model_dir() / 'w').write_bytes(Path(own.inputs()['train']).read_bytes() * own.configuration()['times'])\n"
)
SIMULATED = ("--tee", "simulated", "--quiet")
COMMAND = ("--", "python", "train.py", "--epochs", "3")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(WITH)
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(LOOP)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_bytes(b"1234")
    PLUGIN["install"](tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("acme_length", None)


def enclave_of(folder: str) -> str:
    return parse_quote(read_run(Path(folder)).evidence.quote).report.measurement["mrEnclave"]


EVALUATION = ("attest", "evaluation", "model", "--dataset", "people.csv", "--config", "job.yaml", *SIMULATED)


def test_measurers_of_a_distribution(place: Path, cli: Cli) -> None:
    code, _, said = cli(*EVALUATION, "--measurers", "acme-length", "--out", "run")
    assert code == 0, said
    predicate = json.loads(read_run(Path("run")).statements[0].payload)["predicate"]
    assert predicate["measurer"]["distribution"]["uri"] == "pkg:pypi/acme-length@2.0"
    code, document, said = cli("enclave", "measurement", "--tee", "simulated", "--measurers", "acme-length")
    assert code == 0, said
    assert document["measurement"]["mrEnclave"] == enclave_of("run")
    assert cli("enclave", "measurement", "--tee", "simulated")[1]["measurement"]["mrEnclave"] != enclave_of("run")


@pytest.mark.parametrize("tee", ["auto", "sgx", "tdx", "snp", "nitro"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_measurers_run_only_where_they_are_measured(
    place: Path, capsys: pytest.CaptureFixture[str], tee: str, more: tuple[str, ...]
) -> None:
    words = [word for word in EVALUATION if word not in SIMULATED]
    code, said = main([*words, "--tee", tee, "--measurers", "acme-length", "--out", "run", *more], capsys)
    assert (code, "plugin-tee" in said) == (6, True), said
    assert "acme_length" not in sys.modules
    assert not Path("run").exists()


def test_nothing_of_ours_is_measured_beside_them(place: Path, cli: Cli) -> None:
    Path("ours.yaml").write_text(JOB)
    words = ("attest", "dataset", "people.csv", "--name", "train", "--config", "ours.yaml", *SIMULATED)
    code, _, said = cli(*words, "--measurers", "acme-length", "--out", "run")
    assert (code, "plugin-job" in said) == (3, True), said
    assert not Path("run").exists()


def test_measurers_are_asked_for_by_name(place: Path, cli: Cli) -> None:
    code, _, said = cli(*EVALUATION, "--out", "run")
    assert (code, "yaml-choice" in said) == (3, True)
    code, _, said = cli(*EVALUATION, "--measurers", "acme-other", "--out", "run")
    assert (code, "plugin-missing" in said) == (6, True)
    assert not Path("run").exists()


def own(*more: str, config: str = "own.yaml", out: str = "run") -> list[str]:
    words = ["attest", "training", "--own", "--dataset", "train=people.csv", "--config", config, "--model-out", "m"]
    return [*words, "--out", out, *more]


def main(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    from lamslsa._cli.main import main as entry

    capsys.readouterr()
    code = entry(words)
    return code, capsys.readouterr().err


def test_a_loop_of_ones_own(place: Path, capsys: pytest.CaptureFixture[str], cli: Cli) -> None:
    code, said = main(own("--code", "code", *SIMULATED, *COMMAND), capsys)
    assert code == 0, said
    run_ = read_run(Path("run"))
    evidence_statement(run_)
    document = json.loads(run_.statements[0].payload)
    assert document["predicate"]["buildDefinition"]["externalParameters"]["configuration"] == {
        "times": 2,
        "arguments": ["--epochs", "3"],
    }
    assert document["subject"][0]["digest"]["sha256"] == hash_artifact(Path("m"), "model").sha256
    measured = cli("enclave", "measurement", "--tee", "simulated", "--code", "code")[1]["measurement"]
    assert measured["mrEnclave"] == enclave_of("run"), "the measurement covers the code"
    Path("code/train.py").write_text(LOOP + "#")
    changed = cli("enclave", "measurement", "--tee", "simulated", "--code", "code")[1]["measurement"]
    assert changed != measured


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--code", "code", *SIMULATED), 2, "python train.py"),
        (("--code", "code", *SIMULATED, "--", "python", "other.py"), 2, "python train.py"),
        (("--code", "code", *SIMULATED, "--", "sh", "train.py"), 2, "python train.py"),
        ((*SIMULATED, *COMMAND), 2, "--code DIR"),
        (("--code", "code", "--enclave", "build", "--tee", "gramine-direct", *COMMAND), 2, "--code DIR"),
        (("--code", "code", "--measurers", "acme-length", *SIMULATED, *COMMAND), 2, "--own or --measurers"),
        (("--code", "model", *SIMULATED, *COMMAND), 3, "own-training-code"),
        (("--code", "code", "--tee", "tdx", *COMMAND), 6, "own-training-tee"),
        (("--code", "code", *COMMAND), 6, "own-training-tee"),
    ],
)
def test_own_code_runs_only_where_it_is_measured(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    done = main(own(*words), capsys)
    assert (done[0], said in done[1]) == (code, True), done[1]
    assert not Path("run").exists()
    assert not Path("m").exists()


def test_code_without_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in own("--code", "code", *SIMULATED, *COMMAND) if word != "--own"]
    assert main(words, capsys)[0] == 2


def test_a_dry_run_of_ones_own_loop_runs_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lamslsa._cli.main import main as entry

    words = ["attest", "training", "--own", "--dataset", "train=people.csv", "--config", "own.yaml", "--code", "code"]
    assert entry([*words, "--dry-run", *COMMAND]) == 0
    said = capsys.readouterr().out
    assert "python train.py --epochs 3" in said
    assert "makes mine" in said
    assert not Path("m").exists()


def test_measurements_with_other_code_are_simulated(place: Path, cli: Cli) -> None:
    code, _, said = cli("enclave", "measurement", "--tee", "simulated", "--code", "code", "--measurers", "acme-length")
    assert (code, "both" in said) == (2, True)
    code, _, said = cli("enclave", "measurement", "--sigstruct", "x.sig", "--code", "code")
    assert (code, "simulated" in said) == (2, True)
