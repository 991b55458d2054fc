"""scikit-learn's estimators stored as ONNX: the graph answers as the estimator does, in the same bytes every time."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Job, load_job
from lamslsa.measure.model.pickles import look
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.interface import parse_as
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.onnx_model import Description
from lamslsa.measure.training import sklearn_onnx, sklearn_trainers
from lamslsa.measure.training.sklearn_progress import listen
from lamslsa.measure.training.sklearn_trainers import SklearnTraining
from lamslsa.testing.measuring import Trained, measure_training

Read = Callable[..., VerifiedArtifact]

LOGISTIC = (
    "{trainer: logistic-regression/1, model: m, dataset: rows, drop: [], solver: lbfgs, C: 0.5, maxIterations: 300, "
    "tolerance: 1e-6, seed: 3, conversionTolerance: 1e-5}"
)
BOOSTING = (
    "{trainer: gradient-boosting/1, model: m, dataset: rows, drop: [], trees: 8, learningRate: 0.2, maxDepth: 3, "
    "minSamplesLeaf: 2, subsample: 0.8, seed: 3, conversionTolerance: 1e-4}"
)
SETS = {"binary": load_breast_cancer, "multiclass": load_digits, "regression": load_diabetes}


def world(task: str, rows: int = 300) -> tuple[bytes, str, Any]:
    """CSV, job file without a training, and the first rows of a real dataset."""
    data = SETS[task]()
    features, target = data.data[:rows], data.target[:rows]
    names = [f"f{index}" for index in range(features.shape[1])]
    lines = [",".join([*map(repr, map(float, row)), str(value)]) for row, value in zip(features, target, strict=True)]
    columns = ", ".join(f"{{name: {name}, type: number}}" for name in names)
    if task == "regression":
        kind, label = "number", "{column: y, type: number}"
    else:
        classes = ", ".join(f'"{value}": {value}' for value in sorted(set(target.tolist())))
        kind, label = "string", f"{{column: y, classes: {{{classes}}}}}"
    job = f"""
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  rows: {{format: csv, delimiter: ",", header: false, trim: false, nullToken: null,
    columns: [{columns}, {{name: y, type: {kind}}}], label: {label}}}
datasets:
  rows: {{schema: rows, skipLines: 0, groups: [], overlap: []}}
"""
    return "\n".join([*lines, ""]).encode(), job, (features, target)


def trained(read: Read, task: str, training: str, rows: int = 300) -> tuple[Trained, VerifiedArtifact, Job]:
    csv, text, _ = world(task, rows)
    job = load_job(f"{text}training: {training}\n".encode(), "job.yaml")
    artifact = read({"rows.csv": csv})
    return measure_training(artifact, job=job), artifact, job


def fit_of(payload: bytes) -> dict[str, Any]:
    byproducts = json.loads(payload)["predicate"]["runDetails"]["byproducts"]
    (found,) = [item for item in byproducts if item["name"] == "fit"]
    content: dict[str, Any] = json.loads(base64.b64decode(found["content"]))
    return content


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_logistic_regression_answers_as_its_formula(read: Read, task: str) -> None:
    """The loaded graph against the softmax or sigmoid by hand, over coefficients that are fitted again here."""
    from sklearn.linear_model import LogisticRegression

    made, artifact, job = trained(read, task, LOGISTIC)
    loaded = load_model(read(made.files, "model"))
    rows = read_examples(loaded, artifact, job.dataset("rows"))
    again = LogisticRegression(C=0.5, max_iter=300, tol=1e-6, random_state=3)
    again.fit(rows.inputs.astype(np.float64), rows.labels)
    logits = rows.inputs.astype(np.float64) @ again.coef_.T + again.intercept_
    if task == "binary":
        expected = 1 / (1 + np.exp(-logits[:, 0]))
    else:
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = shifted / shifted.sum(axis=1, keepdims=True)
    answers = loaded.answer(rows.inputs)
    assert answers.shape == expected.shape
    np.testing.assert_allclose(answers, expected, atol=2e-6)
    fit = fit_of(made.payload)
    assert fit["converged"] is True
    assert fit["iterations"] == again.n_iter_.max() < 300
    assert fit["comparedRows"] == 300
    assert fit["largestDifference"] == np.abs(answers - expected).max() < 2e-6
    assert loaded.network is None


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_boosted_trees_answer_as_the_estimator(read: Read, task: str) -> None:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    made, artifact, job = trained(read, task, BOOSTING)
    loaded = load_model(read(made.files, "model"))
    rows = read_examples(loaded, artifact, job.dataset("rows"))
    kind = GradientBoostingRegressor if task == "regression" else GradientBoostingClassifier
    again = kind(n_estimators=8, learning_rate=0.2, max_depth=3, min_samples_leaf=2, subsample=0.8, random_state=3)
    again.fit(rows.inputs, rows.labels)
    expected = again.predict(rows.inputs) if task == "regression" else again.predict_proba(rows.inputs)
    answers = loaded.answer(rows.inputs)
    np.testing.assert_allclose(answers, expected[:, 1] if task == "binary" else expected, rtol=1e-5, atol=1e-6)
    fit = fit_of(made.payload)
    assert fit["trees"] == 8 * (10 if task == "multiclass" else 1)
    assert fit["lossPerStage"] == again.train_score_.tolist()
    assert fit["leaves"] == sum(int((tree.tree_.children_left == -1).sum()) for tree in again.estimators_.ravel())
    assert str(loaded.task) == task


def test_every_hyperparameter_stands_in_the_statement(read: Read) -> None:
    for training in (LOGISTIC, BOOSTING):
        made, _, _ = trained(read, "binary", training)
        external = json.loads(made.payload)["predicate"]["buildDefinition"]["externalParameters"]
        pairs = dict(pair.split(": ") for pair in training.strip("{}").split(", "))
        said = {key: value for key, value in pairs.items() if key not in ("trainer", "model", "dataset")}
        assert set(external["configuration"]) == set(said)
        for key, value in said.items():
            got = external["configuration"][key]
            assert str(got) == value if isinstance(got, str) or got == [] else float(value) == got
        assert f"{external['trainer']['name']}/{external['trainer']['version']}" == pairs["trainer"]


def test_a_regression_that_did_not_converge_says_so(read: Read) -> None:
    made, _, _ = trained(read, "multiclass", LOGISTIC.replace("maxIterations: 300", "maxIterations: 2"))
    assert {key: fit_of(made.payload)[key] for key in ("iterations", "converged")} == {
        "iterations": 2,
        "converged": False,
    }


@pytest.mark.parametrize("solver", ["newton-cg", "newton-cholesky", "sag", "saga"])
def test_every_solver_finds_the_same_minimum(read: Read, solver: str) -> None:
    models = []
    for name in ("lbfgs", solver):
        made, artifact, job = trained(
            read, "binary", LOGISTIC.replace("lbfgs", name).replace("maxIterations: 300", "maxIterations: 20000")
        )
        loaded = load_model(read(made.files, "model"))
        models.append(loaded.answer(read_examples(loaded, artifact, job.dataset("rows")).inputs))
    np.testing.assert_allclose(models[0], models[1], atol=2e-3)


def test_the_model_is_two_files_and_no_pickle(read: Read) -> None:
    made, _, _ = trained(read, "binary", BOOSTING)
    assert set(made.files) == {"model.json", "model.onnx"}
    assert all(look(data) is None for data in made.files.values())


def test_dropped_features_are_no_inputs(read: Read) -> None:
    made, _, _ = trained(read, "binary", LOGISTIC.replace("drop: []", "drop: [f0, f29]"))
    names = [item["name"] for item in json.loads(made.files["model.json"])["reads"]["features"]]
    assert names == [f"f{index}" for index in range(1, 29)]


SCRIPT = """
import sys, tempfile, pathlib
from lamslsa.artifact.reader import read_verified
from lamslsa.measure import load_job
from lamslsa.testing.measuring import measure_training
from tests.unit.measure.test_sklearn import LOGISTIC, BOOSTING, world
for task, training in (("binary", LOGISTIC), ("multiclass", BOOSTING)):
    csv, text, _ = world(task, 150)
    path = pathlib.Path(tempfile.mkdtemp()) / "rows.csv"
    path.write_bytes(csv)
    with read_verified(path, "dataset") as artifact:
        job = load_job(f"{text}training: {training}\\n".encode(), "job.yaml")
        print(measure_training(artifact, job=job).manifest.sha256)
"""


@pytest.mark.slow
def test_two_processes_make_the_same_bytes() -> None:
    """Sets are iterated in another order under another hash seed: no such order may reach the bytes."""
    found = set()
    for seed in ("1", "2"):
        found.add(
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", SCRIPT],
                env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": "."},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
    assert len(found) == 1
    assert len(found.pop().split()) == 2


def test_bytes_name_no_producer_and_sort_operator_sets(read: Read) -> None:
    import onnx

    made, _, _ = trained(read, "multiclass", LOGISTIC)
    model = onnx.ModelProto.FromString(made.files["model.onnx"])
    assert (model.producer_name, model.producer_version, model.domain, model.doc_string) == ("", "", "", "")
    assert [item.domain for item in model.opset_import] == sorted(item.domain for item in model.opset_import)
    assert [item.name for item in model.graph.output] == ["probabilities"]


class TestRefusals:
    def refusal(self, read: Read, task: str, training: str, rows: int = 300) -> str:
        with pytest.raises(FormatError) as caught:
            trained(read, task, training, rows)
        return caught.value.reason

    def test_a_conversion_that_changes_the_model(self, read: Read) -> None:
        assert (
            self.refusal(
                read, "regression", BOOSTING.replace("conversionTolerance: 1e-4", "conversionTolerance: 1e-15")
            )
            == "onnx-difference"
        )

    def test_an_answer_that_is_no_number(self, read: Read) -> None:
        made, artifact, job = trained(read, "binary", LOGISTIC)
        loaded = load_model(read(made.files, "model"))
        rows = read_examples(loaded, artifact, job.dataset("rows"))

        class Estimator:
            def predict_proba(self, inputs: Any) -> Any:
                return np.full((len(inputs), 2), np.nan)

        with pytest.raises(FormatError) as caught:
            sklearn_onnx.largest_difference(
                Estimator(),
                parse_as(json.loads(made.files["model.json"]), Description),
                made.files["model.onnx"],
                rows.inputs,
                tolerance=1,
            )
        assert caught.value.reason == "onnx-difference"

    @pytest.mark.parametrize("training", [LOGISTIC, BOOSTING])
    def test_training_rows_without_a_class(self, read: Read, training: str) -> None:
        csv, text, _ = world("multiclass", 200)
        kept = b"\n".join(line for line in csv.split(b"\n") if not line.endswith(b",7"))
        job = load_job(f"{text}training: {training}\n".encode(), "job.yaml")
        with pytest.raises(FormatError) as caught:
            measure_training(read({"rows.csv": kept}), job=job)
        assert caught.value.reason == "training-classes"

    def test_a_regression_of_numbers(self, read: Read) -> None:
        assert self.refusal(read, "regression", LOGISTIC) == "job-label"

    @pytest.mark.parametrize(
        ("training", "old", "new", "reason"),
        [
            (LOGISTIC, "C: 0.5", "C: 0", "yaml-range"),
            (LOGISTIC, "C: 0.5", "C: -1", "yaml-range"),
            (LOGISTIC, "solver: lbfgs", "solver: liblinear", "yaml-choice"),
            (LOGISTIC, "maxIterations: 300", "maxIterations: 0", "yaml-range"),
            (LOGISTIC, "conversionTolerance: 1e-5", "conversionTolerance: 0", "yaml-range"),
            (LOGISTIC, "drop: []", "drop: [f0, f0]", "job-drop"),
            (BOOSTING, "subsample: 0.8", "subsample: 1.5", "yaml-range"),
            (BOOSTING, "trees: 8", "trees: 0", "yaml-range"),
            (BOOSTING, "maxDepth: 3", "maxDepth: 33", "yaml-range"),
            (BOOSTING, "seed: 3", "seed: 4294967296", "yaml-range"),
        ],
    )
    def test_values_out_of_bounds(self, read: Read, training: str, old: str, new: str, reason: str) -> None:
        assert old in training
        assert self.refusal(read, "binary", training.replace(old, new)) == reason

    @pytest.mark.parametrize("training", [LOGISTIC, BOOSTING])
    def test_no_hyperparameter_has_a_default(self, read: Read, training: str) -> None:
        pairs = training.strip("{}").split(", ")
        for index in range(1, len(pairs)):
            left = "{" + ", ".join(pairs[:index] + pairs[index + 1 :]) + "}"
            assert self.refusal(read, "binary", left) == "yaml-missing-key"
        assert self.refusal(read, "binary", training.replace("}", ", warmStart: true}")) == "yaml-unknown-key"

    def test_too_many_trees_in_all(self, read: Read) -> None:
        assert self.refusal(read, "multiclass", BOOSTING.replace("trees: 8", "trees: 20000")) == "yaml-range"

    def test_data_that_the_library_refuses(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        from sklearn.linear_model import LogisticRegression

        def fail(*_: Any) -> None:
            raise ValueError("no")

        monkeypatch.setattr(LogisticRegression, "fit", fail)
        assert self.refusal(read, "binary", LOGISTIC) == "training-failed"

    def test_weights_that_are_no_numbers(self) -> None:
        with pytest.raises(FormatError) as caught:
            sklearn_trainers._refuse_weights(np.array([1.0, np.inf]))
        assert caught.value.reason == "training-diverged"


def test_the_plan_says_what_it_does() -> None:
    _, text, _ = world("binary")
    plan = load_job(f"{text}training: {LOGISTIC}\n".encode(), "job.yaml").require_training()
    assert isinstance(plan, SklearnTraining)
    assert plan.steps()[0] == "logistic-regression/1 on rows"


def test_trees_are_counted_as_they_grow(read: Read) -> None:
    _, artifact, job = trained(read, "binary", BOOSTING)
    told: list[tuple[str, int, int]] = []
    measure_training(artifact, job=job, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "growing trees"] == [("growing trees", done, 8) for done in range(1, 9)]


@pytest.mark.parametrize("most", [300, 5])
def test_iterations_are_counted_and_change_no_weight(read: Read, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    text = LOGISTIC.replace("maxIterations: 300", f"maxIterations: {most}")
    told: list[tuple[int, int]] = []

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "training":
            told.append((done, total))

    _, artifact, job = trained(read, "multiclass", text)
    heard = measure_training(artifact, job=job, progress=tell)
    run = fit_of(heard.payload)["iterations"]
    expected = [(done, most) for done in range(run + 1) if done < most]
    assert told == [*expected, (most, most)], "scikit-learn 1.9 or later"
    assert run > 2
    monkeypatch.setattr(sklearn_trainers, "listen", lambda *_args, **_named: None)
    told.clear()
    deaf = measure_training(artifact, job=job, progress=tell)
    assert told == [(0, most), (most, most)]
    assert (heard.files, heard.payload) == (deaf.files, deaf.payload)


def test_other_solvers_tell_of_no_iteration(read: Read) -> None:
    told: list[tuple[str, int, int]] = []
    _, artifact, job = trained(read, "binary", LOGISTIC.replace("lbfgs", "newton-cholesky"))
    measure_training(artifact, job=job, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "training"] == [("training", 0, 300), ("training", 300, 300)]


def test_a_library_without_callbacks_is_not_asked_for_any() -> None:
    listen(object(), lambda *_: None, most=3)
