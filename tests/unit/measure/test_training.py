"""Training: the same bits in every process, written whole or not at all, and described as it was run."""

from __future__ import annotations

import base64
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lamslsa
from lamslsa import predicates, statement
from lamslsa.artifact import hash_artifact
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Job
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.environment import code_identity
from lamslsa.measure.models import encode as encoding
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.encode import encode, learn
from lamslsa.measure.models.features import CategoryFeature, NumberFeature
from lamslsa.measure.models.mlp import parse_description
from lamslsa.predicates import Provenance
from lamslsa.testing.measuring import measure_training

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]

SCRIPT = """
import sys
from pathlib import Path
from lamslsa.artifact.reader import read_verified
from lamslsa.measure import load_job
from lamslsa.testing.measuring import measure_training
data, job, out = map(Path, sys.argv[1:])
with read_verified(data, "dataset") as artifact:
    trained = measure_training(artifact, job=load_job(job.read_bytes(), "job.yaml"))
trained.write(out)
sys.stdout.buffer.write(trained.payload)
"""


def parsed(payload: bytes) -> Provenance:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Provenance)
    return predicate


@pytest.mark.slow
def test_two_processes_make_the_same_model(tmp_path: Path, train_set: VerifiedArtifact, job_text: str) -> None:
    (tmp_path / "data").write_bytes(train_set.only().bytes())
    (tmp_path / "job.yaml").write_text(job_text)
    payloads: list[bytes] = []
    for name in ("one", "two"):
        arguments = [str(tmp_path / "data"), str(tmp_path / "job.yaml"), str(tmp_path / name)]
        process = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, check=True)
        payloads.append(process.stdout)
    assert payloads[0] == payloads[1]
    one, two = (hash_artifact(tmp_path / name, "model") for name in ("one", "two"))
    assert one.sha256 == two.sha256 == statement.parse(payloads[0]).subjects[0].sha256


def test_statement_says_what_was_run(tmp_path: Path, job: Job, train_set: VerifiedArtifact) -> None:
    out = tmp_path / "model"
    stages: list[tuple[str, int, int]] = []
    trained = measure_training(train_set, job=job, progress=lambda *step: stages.append(step))
    trained.write(out)
    payload = trained.payload
    provenance = parsed(payload)
    (subject,) = statement.parse(payload).subjects
    written = hash_artifact(out, "model")
    assert (subject.name, subject.sha256) == ("people-mlp", written.sha256)
    external = provenance.build_definition.external_parameters
    assert str(external.trainer) == "tabular-mlp/1"
    assert external.datasets == {"train": "people-train"}
    assert external.configuration == {
        "hidden": [8, 4],
        "epochs": 3,
        "batchSize": 32,
        "learningRate": 0.01,
        "weightDecay": 0.0,
        "optimizer": "adam",
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "schedule": "constant",
        "augmentation": "none",
        "seed": 7,
        "privacy": None,
        "drop": ["score"],
    }
    dataset, code, *packages = provenance.build_definition.resolved_dependencies
    assert (dataset.name, dataset.annotations.kind, dataset.annotations.role) == ("people-train", "dataset", "train")
    assert dataset.digest.sha256 == train_set.manifest.sha256
    assert dataset.annotations.schema_digest is not None
    assert dataset.annotations.schema_digest.sha256 == job.dataset("people-train").table.sha256
    assert (code.name, code.annotations.kind) == ("lamslsa", "code")
    assert code.digest.sha256 == code_identity().sha256
    assert {package.annotations.kind for package in packages} == {"package"}
    assert {"torch", "safetensors", "duckdb", "numpy"} <= {package.name for package in packages}
    assert provenance.run_details.builder.id == f"https://lamslsa.dev/enclave/{lamslsa.__version__}"
    environment = provenance.build_definition.internal_parameters.environment
    assert environment.machine["threads"] == 1
    assert environment.machine["capability"]
    *files, chain, order, loss = provenance.run_details.byproducts
    assert (chain.name, order.name) == ("checkpoint-chain", "order-of-rows")
    assert {item.name: item.digest.sha256 for item in files if item.digest} == {
        entry.path: entry.sha256 for entry in written.files
    }
    assert all(item.annotations == {"kind": "file"} for item in files)
    assert loss.content is not None
    losses = json.loads(base64.b64decode(loss.content))
    assert len(losses) == 3
    assert losses[0] > losses[-1] > 0
    assert [step for step in stages if step[0] == "training epochs"][-1] == ("training epochs", 3, 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: 8"),
        ("epochs: 3", "epochs: 2"),
        ("batchSize: 32", "batchSize: 31"),
        ("learningRate: 1e-2", "learningRate: 2e-2"),
        ("weightDecay: 0", "weightDecay: 1e-1"),
        ("drop: [score]", "drop: [score, race]"),
        ("hidden: [8, 4]", "hidden: []"),
    ],
)
def test_every_hyperparameter_is_used(
    make_job: MakeJob, train_set: VerifiedArtifact, model_files: dict[str, bytes], old: str, new: str
) -> None:
    trained = measure_training(train_set, job=make_job((old, new)))
    assert trained.files["model.safetensors"] != model_files["model.safetensors"]


def test_training_leaves_the_process_as_it_was(job: Job, train_set: VerifiedArtifact) -> None:
    import torch

    torch.manual_seed(1)
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = measure_training(train_set, job=job)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before, torch.get_rng_state())
    assert measure_training(train_set, job=job).files == first.files


def test_one_thread_is_put_back_after_an_error() -> None:
    import torch

    threads = torch.get_num_threads()

    def interrupted() -> None:
        with one_thread():
            assert torch.get_num_threads() == 1
            assert torch.are_deterministic_algorithms_enabled()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_features_are_learned_from_the_values_that_are_there(
    job: Job, train_set: VerifiedArtifact, train_rows: list[list[str]]
) -> None:
    schema = job.dataset("people-train").table
    names = ("age", "work class", "score", "member")
    with open_tables({"t": Source(file=train_set.only(), schema=schema)}) as tables:
        age, work, score, member = learn(tables["t"], names)
        inputs = encode(tables["t"], (age, work, score, member))
    ages = [int(row[0]) for row in train_rows]
    scores = [float(row[2]) for row in train_rows if row[2] != "?"]
    assert isinstance(age, NumberFeature)
    assert age.mean == pytest.approx(statistics.mean(ages), rel=1e-14)
    assert age.deviation == pytest.approx(statistics.pstdev(ages), rel=1e-13)
    assert isinstance(score, NumberFeature)
    assert score.deviation == pytest.approx(statistics.pstdev(scores), rel=1e-13)
    assert work == CategoryFeature(name="work class", categories=("Private", "Self-emp", "State-gov"))
    assert isinstance(member, NumberFeature)
    for row, found in zip(train_rows, inputs.tolist(), strict=True):
        expected = [
            (int(row[0]) - age.mean) / age.deviation,
            *(float(row[1] == category) for category in ("Private", "Self-emp", "State-gov")),
            0.0 if row[2] == "?" else (float(row[2]) - score.mean) / score.deviation,
            ((row[3] == "true") - member.mean) / member.deviation,
        ]
        assert found == [np.float32(value) for value in expected]


def test_constant_and_missing_columns(make_job: MakeJob, read: Read) -> None:
    schema = make_job().dataset("people-train").table
    artifact = read({"a": b"5,?,?,?,x,y,>50K\n5,?,?,?,x,y,<=50K\n"})
    with open_tables({"t": Source(file=artifact.only(), schema=schema)}) as tables:
        features = learn(tables["t"], ("age", "score", "work class", "sex"))
        assert features == (
            NumberFeature(name="age", mean=5.0, deviation=1.0),
            NumberFeature(name="score", mean=0.0, deviation=1.0),
            CategoryFeature(name="work class", categories=()),
            CategoryFeature(name="sex", categories=("x",)),
        )
        assert encode(tables["t"], features).tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("numbers", [("1e308", "1.7e308"), ("1e200", "-1e200")])
def test_numbers_that_cannot_be_standardised_are_refused(
    make_job: MakeJob, read: Read, numbers: tuple[str, str]
) -> None:
    data = "".join(f"1,x,{number},true,x,y,{label}\n" for number, label in zip(numbers, [">50K", "<=50K"], strict=True))
    with pytest.raises(FormatError) as caught:
        measure_training(read({"a": data.encode()}), job=make_job(("drop: [score]", "drop: []")))
    assert caught.value.reason == "feature-range"


def test_inputs_beyond_float32_are_refused(job: Job, read: Read) -> None:
    schema = job.dataset("people-train").table
    artifact = read({"a": b"1,x,1e300,true,x,y,>50K\n"})
    with (
        open_tables({"t": Source(file=artifact.only(), schema=schema)}) as tables,
        pytest.raises(FormatError) as caught,
    ):
        encode(tables["t"], (NumberFeature(name="score", mean=0.0, deviation=1.0),))
    assert caught.value.reason == "feature-range"


def test_training_that_diverges_is_an_error(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    job = make_job(
        ("learningRate: 1e-2", "learningRate: 1000"), ("epochs: 3", "epochs: 30"), ("[8, 4]", str([64] * 20))
    )
    with pytest.raises(FormatError) as caught:
        measure_training(train_set, job=job)
    assert caught.value.reason == "training-diverged"


def test_description_is_declarative(model_files: dict[str, bytes]) -> None:
    description = parse_description(model_files["model.json"])
    assert description.hidden == (8, 4)
    assert description.label == "income"
    assert [feature.name for feature in description.features] == ["age", "work class", "member", "sex", "race"]
    assert json.loads(model_files["model.json"]).keys() == {"architecture", "features", "hidden", "label"}


def test_network_that_is_too_large_is_refused_before_it_is_built(model_files: dict[str, bytes]) -> None:
    value = json.loads(model_files["model.json"])
    value["hidden"] = [8192] * 6
    with pytest.raises(FormatError) as caught:
        parse_description(json.dumps(value).encode())
    assert caught.value.reason == "model-size"
    value["features"] = [{"type": "category", "name": "empty", "categories": []}]
    value["hidden"] = [1]
    with pytest.raises(FormatError) as empty:
        parse_description(json.dumps(value).encode())
    assert empty.value.reason == "model-size"


def test_digest_is_of_the_bytes_in_memory(tmp_path: Path, job: Job, train_set: VerifiedArtifact) -> None:
    trained = measure_training(train_set, job=job)
    trained.write(tmp_path / "model")
    (tmp_path / "model" / "model.json").write_bytes(b"changed by the host")
    assert statement.parse(trained.payload).subjects[0].sha256 == trained.manifest.sha256
    assert hash_artifact(tmp_path / "model", "model").sha256 != trained.manifest.sha256


def test_loss_is_the_mean_over_rows(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    job = make_job(("learningRate: 1e-2", "learningRate: 0"), ("epochs: 3", "epochs: 2"))
    *_, loss = parsed(measure_training(train_set, job=job).payload).run_details.byproducts
    assert loss.content is not None
    first, second = json.loads(base64.b64decode(loss.content))
    assert math.isclose(first, second, rel_tol=1e-6)


def test_inputs_are_bounded_before_memory_is_taken(
    job: Job, train_set: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_MAX_BYTES", 4 * 500)
    with pytest.raises(FormatError) as caught:
        measure_training(train_set, job=job)
    assert caught.value.reason == "feature-size"


def test_job_for_too_large_a_network_is_refused(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    with pytest.raises(FormatError) as caught:
        measure_training(train_set, job=make_job(("hidden: [8, 4]", f"hidden: {[8192] * 6}")))
    assert caught.value.reason == "model-size"
