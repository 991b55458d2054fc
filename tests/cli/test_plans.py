"""``lamslsa plan``, and the evaluation that names the plan: out of one job file, before and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import predicates, statement
from lamslsa._codec import sha256_hex
from lamslsa.artifact import hash_artifact
from lamslsa.evidence.run import read_run
from lamslsa.predicates import Evaluation, EvaluationPlan
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.testing import chain
from lamslsa.testing.table import JOB, ROWS

Cli = Callable[..., tuple[int, Any, str]]
COMMON = ("--config", "job.yaml", "--tee", "simulated", "--quiet")
EVALUATE = ("attest", "evaluation", "model", "--dataset", "train=people.csv", *COMMON, "--out", "run")
TWO = (
    JOB.replace("\nevaluation: {", "\nevaluations:\n  plain: {")
    + "  strict: {measurer: tabular-evaluation/1, dataset: train, rows: all, threshold: 0.9, confidenceLevel: 0.95,\n"
    + ("             resamples: 50, calibrationBins: 5, groups: [], slices: []}\n")
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(TWO)
    (tmp_path / "auditor.key").write_bytes(generate(None))
    (tmp_path / "auditor.key").chmod(0o600)
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(cli: Cli, *more: str, name: str = "strict", out: str = "plan.json") -> tuple[int, Any, str]:
    return cli("plan", "people.csv", "--config", "job.yaml", "--evaluation", name, "--out", out, *more, "--quiet")


def test_an_evaluation_carries_out_its_signed_plan(place: Path, cli: Cli) -> None:
    code, document, said = plan(
        cli, "--key", "auditor.key", "--hypothesis", "it is good", "--thresholds", "0.5", out="plan.sigstore.json"
    )
    assert code == 0, said
    envelope = parse_bundle(Path("plan.sigstore.json").read_bytes())
    KeySigner.load(Path("auditor.key").read_bytes(), None).verifier().verify(envelope)
    stated = predicates.parse(statement.parse(envelope.payload))
    assert isinstance(stated, EvaluationPlan)
    assert (stated.hypothesis, stated.thresholds) == ("it is good", "0.5")
    assert document["plan"] == sha256_hex(envelope.payload)

    trained = ("--model-out", "model", "--out", "trained")
    code, _, said = cli("attest", "training", "--dataset", "train=people.csv", *trained, *COMMON)
    assert code == 0, said
    code, _, said = cli(*EVALUATE, "--evaluation", "strict", "--plan", "plan.sigstore.json")
    assert code == 0, said
    (measured,) = read_run(Path("run")).statements
    evaluation = predicates.parse(statement.parse(measured.payload))
    assert isinstance(evaluation, Evaluation)
    assert evaluation.plan is not None
    assert evaluation.plan.digest.sha256 == document["plan"]
    # what a policy compares
    assert stated.dataset == evaluation.dataset
    assert (stated.measurer, stated.configuration) == (evaluation.measurer, evaluation.configuration)
    assert stated.configuration_digest == evaluation.configuration_digest


def test_without_a_signer_it_is_the_bare_statement(place: Path, cli: Cli) -> None:
    code, document, said = plan(cli)
    assert code == 0, said
    data = Path("plan.json").read_bytes()
    assert document["plan"] == sha256_hex(data)
    assert "signer" not in document
    assert json.loads(data)["predicate"]["configuration"]["threshold"] == 0.9
    assert plan(cli)[0] == 3, "it is not written over"


def test_a_plan_of_one_model(place: Path, cli: Cli) -> None:
    Path("weights").mkdir()
    Path("weights/model.json").write_text("{}")
    code, document, said = plan(cli, "--model", "weights")
    assert code == 0, said
    sha256 = hash_artifact(Path("weights"), "model").sha256
    stated = predicates.parse(statement.parse(Path("plan.json").read_bytes()))
    assert isinstance(stated, EvaluationPlan)
    assert stated.model is not None
    assert (stated.model.name, stated.model.digest.sha256) == ("weights", sha256)
    assert document["model"] == sha256
    code, document, _ = plan(cli, out="any.json")
    assert (code, document["model"]) == (0, None)
    assert "model" not in json.loads(Path("any.json").read_bytes())["predicate"]
    code, document, _ = plan(cli, "--model", "nothing", out="none.json")
    assert (code, document["error"]["reason"], Path("none.json").exists()) == (3, "artifact-missing", False)


def test_one_of_several_evaluations_is_planned(place: Path, cli: Cli) -> None:
    code, _, said = cli("plan", "people.csv", "--config", "job.yaml", "--out", "plan.json")
    assert (code, "--evaluation NAME, one of plain, strict" in said) == (2, True)
    assert not Path("plan.json").exists()
    code, _, said = plan(cli, "--hypothesis", "")
    assert (code, "predicate-schema" in said) == (3, True)


@pytest.mark.parametrize(
    ("name", "more", "code", "words"),
    [
        ("plain", ("--evaluation", "strict"), 3, "plan-job"),
        ("strict", (), 2, "one evaluation with --plan"),
    ],
)
def test_a_plan_that_is_not_of_this_evaluation(
    place: Path, cli: Cli, name: str, more: tuple[str, ...], code: int, words: str
) -> None:
    assert plan(cli, name=name)[0] == 0
    Path("model").mkdir()
    done = cli(*EVALUATE, "--plan", "plan.json", *more)
    assert (done[0], words in done[2]) == (code, True), done[2]
    assert not Path("run").exists()


def test_a_file_without_a_plan(place: Path, cli: Cli) -> None:
    Path("model").mkdir()
    words = (*EVALUATE, "--evaluation", "strict", "--plan", "plan.json")
    Path("plan.json").write_bytes(chain.census()["evaluation"])
    done = cli(*words)
    assert (done[0], "plan-kind" in done[2]) == (3, True), done[2]
    Path("plan.json").write_bytes(b"")
    assert cli(*words)[0] == 3
    assert plan(cli, "--key", "auditor.key", out="one.sigstore.json")[0] == 0
    assert plan(cli, "--key", "auditor.key", "--hypothesis", "other", out="two.sigstore.json")[0] == 0
    lines = [Path(f"{name}.sigstore.json").read_bytes().replace(b"\n", b"") for name in ("one", "two")]
    Path("plans.intoto.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    done = cli(*words[:-1], "plans.intoto.jsonl")
    assert (done[0], "plan-file" in done[2]) == (3, True), done[2]
