"""An evaluation from verified bytes to the statement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context, Job
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.evaluation import tabular
from lamslsa.measure.evaluation.metrics import compute_metrics
from lamslsa.measure.models import predict as predicting
from lamslsa.measure.models.encode import encode
from lamslsa.measure.models.features import input_width
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.mlp import parse_description
from lamslsa.measure.models.predict import predict
from lamslsa.predicates import Evaluation
from lamslsa.testing.measuring import measure_evaluation

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]


def parsed(payload: bytes) -> Evaluation:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Evaluation)
    return predicate


def plain_scores(model_files: dict[str, bytes], rows: list[list[str]]) -> list[float]:
    """The network by hand, in float64, from the files alone."""
    import safetensors.numpy

    description = json.loads(model_files["model.json"])
    weights = safetensors.numpy.load(model_files["model.safetensors"])
    position = {"age": 0, "work class": 1, "score": 2, "member": 3, "sex": 4, "race": 5}
    scores = []
    for row in rows:
        inputs: list[float] = []
        for feature in description["features"]:
            text = row[position[feature["name"]]]
            if feature["type"] == "category":
                inputs += [float(text == category) for category in feature["categories"]]
            else:
                value = {"true": 1.0, "false": 0.0}.get(text) if feature["name"] == "member" else float(text)
                assert value is not None
                inputs.append((value - feature["mean"]) / feature["deviation"])
        layer = np.array(inputs)
        for index in (0, 2, 4):
            layer = weights[f"{index}.weight"].astype(np.float64) @ layer + weights[f"{index}.bias"]
            layer = np.maximum(layer, 0) if index < 4 else layer
        scores.append(float(1 / (1 + np.exp(-layer[0]))))
    return scores


@pytest.fixture
def model(read: Read, model_files: dict[str, bytes]) -> VerifiedArtifact:
    return read(model_files, "model")


def test_statement_says_what_was_measured(
    job: Job,
    model: VerifiedArtifact,
    test_set: VerifiedArtifact,
    model_files: dict[str, bytes],
    test_rows: list[list[str]],
) -> None:
    stages: list[tuple[str, int, int]] = []
    payload = measure_evaluation(
        model, test_set, name="people-mlp", job=job, progress=lambda *step: stages.append(step)
    )
    found = parsed(payload)
    assert [(item.name, item.sha256) for item in statement.parse(payload).subjects] == [
        ("people-mlp", model.manifest.sha256)
    ]
    assert str(found.measurer) == "tabular-evaluation/1"
    assert found.model.architecture == "tabular-mlp/1"
    assert {item.path: item.digest.sha256 for item in found.model.files} == {
        path: hashlib.sha256(data).hexdigest() for path, data in model_files.items()
    }
    assert found.dataset.name == "people-test"
    assert found.dataset.digest.sha256 == test_set.manifest.sha256
    assert found.dataset.schema_digest.sha256 == job.dataset("people-test").table.sha256
    assert found.configuration == {
        "rows": "all",
        "threshold": 0.5,
        "confidenceLevel": 0.95,
        "resamples": 200,
        "calibrationBins": 10,
    }
    assert found.configuration_digest.sha256 == predicates.configuration_digest(found.configuration)
    assert found.groups == (("sex",), ("race",), ("sex", "race"))
    digests = (model.manifest.sha256, test_set.manifest.sha256, found.configuration_digest.sha256)
    assert found.seed.value.sha256 == hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
    assert found.environment.machine["threads"] == 1
    names = {package.name for package in found.environment.packages}
    assert {"torch", "torchmetrics", "scikit-learn", "scipy", "fairlearn", "numpy", "lamslsa"} <= names
    scores = plain_scores(model_files, test_rows)
    right = sum((score >= 0.5) == (row[-1] == ">50K") for score, row in zip(scores, test_rows, strict=True))
    assert found.metrics[0].name == "accuracy"
    assert found.metrics[0].value == right / len(test_rows)
    assert found.metrics[0].samples == len(test_rows)
    assert stages[-1][1] == stages[-1][2]


def test_probabilities_are_those_of_the_weights(
    job: Job,
    model: VerifiedArtifact,
    test_set: VerifiedArtifact,
    model_files: dict[str, bytes],
    test_rows: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def spy(outcome: Any, **rest: Any) -> Any:
        seen.append(outcome)
        return compute_metrics(outcome, **rest)

    monkeypatch.setattr(tabular, "compute_metrics", spy)
    measure_evaluation(model, test_set, name="m", job=job)
    assert seen[0].scores.dtype == np.float32
    assert seen[0].scores.tolist() == pytest.approx(plain_scores(model_files, test_rows), abs=1e-5)
    assert seen[0].labels.tolist() == [int(row[-1] == ">50K") for row in test_rows]
    assert seen[0].groups == {"sex": [row[4] for row in test_rows], "race": [row[5] for row in test_rows]}


def test_bytes_do_not_change_from_run_to_run(job: Job, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    first, second = (measure_evaluation(model, test_set, name="m", job=job) for _ in range(2))
    assert first == second


def test_rows_go_through_in_batches(model: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(model)
    width = input_width(parse_description(model.file("model.json").bytes()).features)
    inputs = np.random.default_rng(0).normal(size=(10, width)).astype(np.float32)
    whole = predict(loaded, inputs, Context())
    monkeypatch.setattr(predicting, "BATCH_ROWS", 4)
    steps: list[int] = []
    assert predict(
        loaded, inputs, Context(progress=lambda _stage, done, _total: steps.append(done))
    ).tolist() == pytest.approx(whole.tolist(), abs=1e-6)
    assert steps == [0, 4, 8, 10]
    assert loaded.network is not None
    assert not loaded.network.training


def test_probability_that_is_no_number_is_refused(model: VerifiedArtifact) -> None:
    loaded = load_model(model)
    inputs = np.ones((2, input_width(parse_description(model.file("model.json").bytes()).features)), dtype=np.float32)
    inputs[1, 0] = np.nan
    with pytest.raises(FormatError) as caught:
        predict(loaded, inputs, Context())
    assert caught.value.reason == "evaluation-not-finite"


def test_category_that_the_model_never_saw_is_zero_everywhere(job: Job, model: VerifiedArtifact, read: Read) -> None:
    lines = ["30,{},1,true,Male,White,<=50K.\n", "60,{},1,true,Female,Black,>50K.\n"]
    payloads = []
    for value in ("?", "Astronaut"):
        data = "junk\n" + "".join(line.format(value) for line in lines)
        payloads.append(parsed(measure_evaluation(model, read({"t": data.encode()}), name="m", job=job)))
    assert [metric.value for metric in payloads[0].metrics] == [metric.value for metric in payloads[1].metrics]


def test_missing_group_is_a_group_of_its_own(make_job: MakeJob, model: VerifiedArtifact, read: Read) -> None:
    job = make_job(("groups: [[sex], [race]], slices: [[sex, race]]", "groups: [], slices: [[sex], [age], [member]]"))
    data = b"junk\n30,x,1,true,?,White,<=50K.\n?,x,1,?,Male,White,>50K.\n30,x,1,false,Male,White,>50K.\n"
    found = parsed(measure_evaluation(model, read({"t": data}), name="m", job=job))
    slices = [(metric.slice, metric.samples) for metric in found.metrics if metric.slice and metric.name == "accuracy"]
    assert slices == [
        ({"sex": "(missing)"}, 1),
        ({"sex": "Male"}, 2),
        ({"age": "(missing)"}, 1),
        ({"age": "30"}, 2),
        ({"member": "(missing)"}, 1),
        ({"member": "false"}, 1),
        ({"member": "true"}, 1),
    ]


def test_group_that_calls_itself_missing_is_refused(job: Job, model: VerifiedArtifact, read: Read) -> None:
    data = b"junk\n30,x,1,true,?,White,<=50K.\n30,x,1,true,(missing),White,>50K.\n"
    with pytest.raises(FormatError) as caught:
        measure_evaluation(model, read({"t": data}), name="m", job=job)
    assert caught.value.reason == "evaluation-group-name"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.update(label="wage"), "evaluation-label"),
        (lambda d: d["features"][0].update(name="height"), "feature-column"),
        (
            lambda d: d["features"].__setitem__(0, {"type": "category", "name": "age", "categories": ["1"]}),
            "feature-column",
        ),
        (
            lambda d: d["features"].__setitem__(0, {"type": "number", "name": "work class", "mean": 0, "deviation": 1}),
            None,
        ),
    ],
)
def test_model_of_other_columns_is_refused(
    job: Job,
    read: Read,
    test_set: VerifiedArtifact,
    model_files: dict[str, bytes],
    change: Callable[[Any], Any],
    reason: str | None,
) -> None:
    document = json.loads(model_files["model.json"])
    change(document)
    altered = read({**model_files, "model.json": json.dumps(document).encode()}, "model")
    with pytest.raises(FormatError) as caught:
        measure_evaluation(altered, test_set, name="m", job=job)
    assert caught.value.reason == (reason or "model-description")


def test_number_feature_over_texts_is_refused(
    make_job: MakeJob, read: Read, test_set: VerifiedArtifact, model_files: dict[str, bytes]
) -> None:
    document = json.loads(model_files["model.json"])
    document["features"][1:2] = [{"type": "number", "name": "work class", "mean": 0, "deviation": 1}]

    description = parse_description(json.dumps(document).encode())
    schema = make_job().dataset("people-test").table
    source = Source(file=test_set.only(), schema=schema)
    with open_tables({"t": source}) as tables, pytest.raises(FormatError) as caught:
        encode(tables["t"], description.features)
    assert caught.value.reason == "feature-column"


def test_roles_are_not_interchangeable(job: Job, model: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    with pytest.raises(FormatError) as swapped:
        measure_evaluation(test_set, model, name="m", job=job)
    with pytest.raises(FormatError) as no_dataset:
        measure_evaluation(model, model, name="m", job=job)
    assert (swapped.value.reason, no_dataset.value.reason) == ("model-kind", "dataset-kind")
