"""``baseline-comparison/1``: two models on the same rows, against other libraries and the definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.measure import Job, load_job
from lamslsa.measure.evaluation import paired
from lamslsa.measure.evaluation.paired import compare_classes, compare_numbers, compare_shares
from lamslsa.measure.evaluation.report import Report
from lamslsa.predicates.evaluation import Evaluation, Metric
from lamslsa.testing.measuring import run_plan

Read = Callable[..., VerifiedArtifact]
Build = Callable[..., dict[str, bytes]]
SEED = bytes(range(32))


def by_name(report: Report) -> dict[str, Metric]:
    found = {f"{item.name}{(item.parameters or {}).get('of', '')}": item for item in report.metrics}
    assert len(found) == len(report.metrics)
    return found


def classes(labels: Any, model: Any, baseline: Any, *, count: int, resamples: int = 100) -> dict[str, Metric]:
    report = Report(level=0.95, resamples=resamples)
    said = np.array(model), np.array(baseline)
    compare_classes(labels=np.array(labels), said=said, classes=count, report=report, seed=SEED)
    return by_name(report)


def shares(labels: Any, model: Any, baseline: Any, *, resamples: int = 100) -> dict[str, Metric]:
    report = Report(level=0.95, resamples=resamples)
    both = tuple(np.stack([1 - np.array(side), np.array(side)], axis=1) for side in (model, baseline))
    compare_shares(labels=np.array(labels), shares=(both[0], both[1]), report=report, seed=SEED)
    return by_name(report)


def numbers(labels: Any, model: Any, baseline: Any, *, resamples: int = 100) -> dict[str, Metric]:
    report = Report(level=0.95, resamples=resamples)
    both = np.array(model, np.float64), np.array(baseline, np.float64)
    compare_numbers(labels=np.array(labels, np.float64), numbers=both, report=report, seed=SEED)
    return by_name(report)


@pytest.mark.parametrize("count", [2, 4])
def test_differences_and_their_intervals_are_those_of_scikit_learn(count: int) -> None:
    from sklearn import metrics

    random = np.random.default_rng(count)
    labels = random.integers(0, count, 300)
    model = np.where(random.random(300) < 0.8, labels, random.integers(0, count, 300))
    baseline = np.where(random.random(300) < 0.7, labels, random.integers(0, count, 300))
    found = classes(labels, model, baseline, count=count, resamples=500)
    libraries: dict[str, Callable[[Any, Any], Any]] = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "macro_f1": lambda label, said: metrics.f1_score(label, said, average="macro"),
    }
    if count == 2:
        libraries["f1"] = metrics.f1_score
    draws = [random.integers(0, 300, 300) for _ in range(150)]
    for name, library in libraries.items():
        metric = found[f"{name}_difference"]
        assert metric.value == pytest.approx(library(labels, model) - library(labels, baseline), abs=1e-12)
        paired_values = [library(labels[rows], model[rows]) - library(labels[rows], baseline[rows]) for rows in draws]
        low, high = np.quantile(paired_values, [0.025, 0.975])
        assert metric.interval is not None
        assert metric.interval.lower == pytest.approx(low, abs=0.3 * (high - low)), name
        assert metric.interval.upper == pytest.approx(high, abs=0.3 * (high - low)), name
        assert found[f"{name}_noninferiority"].value == metric.interval.lower
    assert ("f1_difference" in found) == (count == 2)
    assert found["accuracymodel"].value == metrics.accuracy_score(labels, model)
    assert found["accuracybaseline"].value == metrics.accuracy_score(labels, baseline)


def test_intervals_are_paired() -> None:
    """Two models that differ in one row of a thousand differ by little, however uncertain each is by itself."""
    labels = np.arange(1000) % 2
    baseline = np.where(np.arange(1000) % 3, labels, 1 - labels)
    model = baseline.copy()
    model[0] = labels[0]
    found = classes(labels, model, baseline, count=2, resamples=500)
    interval = found["accuracy_difference"].interval
    alone = found["accuracymodel"].interval
    assert interval is not None
    assert alone is not None
    assert interval.upper - interval.lower < 0.005 < alone.upper - alone.lower


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 9), (10, 10), (40, 12), (7, 0)])
def test_mcnemar_is_the_exact_binomial(b: int, c: int) -> None:
    """The sum of the binomial's tail, doubled, by hand."""
    labels = [1] * (b + c + 5) + [0] * 3
    model = [1] * b + [0] * c + [1] * 5 + [0] * 3
    baseline = [0] * b + [1] * c + [1] * 5 + [0] * 3
    found = classes(labels, model, baseline, count=2)
    assert (found["only_model_right"].value, found["only_baseline_right"].value) == (b, c)
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert found["mcnemar_p_value"].value == pytest.approx(min(1.0, 2 * tail), rel=1e-12)


def test_right_on_the_same_rows_has_no_p_value() -> None:
    found = classes([0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0], count=2)
    assert found["mcnemar_p_value"] == Metric(
        name="mcnemar_p_value", samples=4, undefined="both are right on the same rows"
    )


def test_probabilities_are_compared() -> None:
    from sklearn import metrics

    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 200)
    model = np.clip(0.25 + 0.5 * labels + random.normal(0, 0.3, 200), 0.01, 0.99)
    baseline = np.clip(0.35 + 0.3 * labels + random.normal(0, 0.3, 200), 0.01, 0.99)
    found = shares(labels, model, baseline)
    expected = {
        "macro_auroc": metrics.roc_auc_score(labels, model) - metrics.roc_auc_score(labels, baseline),
        "log_loss": metrics.log_loss(labels, model) - metrics.log_loss(labels, baseline),
        "brier_score": 2 * (np.mean((labels - model) ** 2) - np.mean((labels - baseline) ** 2)),
    }
    for name, value in expected.items():
        metric = found[f"{name}_difference"]
        assert metric.value == pytest.approx(float(value), abs=1e-9), name
        assert metric.interval is not None
        bound = metric.interval.lower if name == "macro_auroc" else -metric.interval.upper
        assert found[f"{name}_noninferiority"].value == bound


def test_numbers_are_compared() -> None:
    from sklearn import metrics

    random = np.random.default_rng(2)
    labels = random.normal(10, 5, 150)
    model, baseline = labels + random.normal(0, 1, 150), labels + random.normal(1, 2, 150)
    found = numbers(labels, model, baseline)
    libraries: dict[str, Callable[[Any, Any], Any]] = {
        "mean_absolute_error": metrics.mean_absolute_error,
        "root_mean_squared_error": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "median_absolute_error": metrics.median_absolute_error,
    }
    for name, library in libraries.items():
        metric = found[f"{name}_difference"]
        assert metric.value == pytest.approx(library(labels, model) - library(labels, baseline), abs=1e-12)
        assert metric.interval is not None
        bound = metric.interval.lower if name == "r2" else -metric.interval.upper
        assert found[f"{name}_noninferiority"].value == bound
        assert bound > 0, "the model is better, whichever way the metric points"
    assert "mean_error_difference" not in found


def test_what_has_no_value_has_no_difference() -> None:
    found = classes([1, 1, 1], [1, 0, 1], [1, 1, 0], count=2)
    for name in ("balanced_accuracy_difference", "balanced_accuracy_noninferiority"):
        assert found[name].undefined == "a class has no rows, or none are predicted as such"
    assert found["accuracy_difference"].value == 0.0
    ranked = shares([1, 1], [0.7, 0.8], [1.0, 0.0])
    assert ranked["macro_auroc_difference"].undefined == "no row is of class 0"
    assert ranked["log_loss_difference"].undefined == "the model gave the label of 1 rows the probability 0"
    constant = numbers([5, 5, 0], [5, 4, 1], [5, 5, 2])
    assert constant["mean_absolute_percentage_error_difference"].undefined == "the label of 1 rows is 0"


def test_difference_without_an_interval_has_no_bound() -> None:
    found = numbers([1, 2], [1, 3], [2, 2])
    assert found["r2_difference"].value is not None
    assert found["r2_difference"].interval is None
    assert found["r2_noninferiority"] == Metric(
        name="r2_noninferiority", samples=2, undefined="the difference has no interval"
    )


def test_disagreement_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "by_sklearn", lambda *_: 0.25)
    with pytest.raises(LamslsaError) as caught:
        classes([0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0], count=2)
    assert caught.value.reason == "metric-disagreement"


JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  cells:
    format: csv
    delimiter: ","
    header: false
    trim: false
    nullToken: null
    columns: [{columns}{{name: kind, type: string}}]
    label: {{column: kind, classes: {{malignant: 0, benign: 1}}}}
datasets:
  cells: {{schema: cells, skipLines: 0, groups: [], overlap: []}}
evaluation: {{measurer: baseline-comparison/1, dataset: cells, rows: all, confidenceLevel: 0.95, resamples: 50,
  threshold: 0.5}}
"""


@pytest.fixture
def cancer(read: Read, linear_model: Build) -> tuple[Job, dict[str, VerifiedArtifact], Any, Any, Any]:
    """Two of scikit-learn's models of its breast cancer data, on rows that neither saw."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    inputs, labels = load_breast_cancer(return_X_y=True)
    inputs = inputs[:, :8]
    mean, deviation = inputs[:300].mean(0), inputs[:300].std(0)
    scaled = (inputs - mean) / deviation
    features = [
        {"type": "number", "name": f"x{number}", "mean": float(mean[number]), "deviation": float(deviation[number])}
        for number in range(8)
    ]
    files, said = {}, []
    for role, width in (("model", 8), ("baseline", 1)):
        theirs = LogisticRegression().fit(scaled[:300, :width], labels[:300])
        said.append(theirs.predict_proba(scaled[300:, :width])[:, 1])
        built = linear_model(features[:width], theirs.coef_, theirs.intercept_, label="kind")
        files[role] = read(built, "model")
    lines = [
        ",".join([*map(repr, row.tolist()), ("malignant", "benign")[label]])
        for row, label in zip(inputs[300:], labels[300:], strict=True)
    ]
    files["dataset"] = read({"cells.csv": ("\n".join(lines) + "\n").encode()})
    columns = "".join(f"{{name: x{number}, type: number}}, " for number in range(8))
    return load_job(JOB.format(columns=columns).encode(), "job.yaml"), files, labels[300:], said[0], said[1]


def test_breast_cancer_from_bytes_to_statement(cancer: tuple[Job, dict[str, VerifiedArtifact], Any, Any, Any]) -> None:
    from sklearn import metrics

    job, files, labels, model, baseline = cancer
    plan = job.require_evaluations()["evaluation"]
    payload, _ = run_plan(plan, files, name="cells")
    assert payload == run_plan(plan, files, name="cells")[0]
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, Evaluation)
    assert statement.parse(payload).subjects[0].sha256 == files["model"].manifest.sha256
    (reference,) = found.references
    assert (reference.role, reference.kind) == ("baseline", "model")
    assert reference.digest.sha256 == files["baseline"].manifest.sha256
    values = {item.name: item.value for item in found.metrics if item.parameters is None}
    expected = {
        "accuracy_difference": np.mean((model >= 0.5) == labels) - np.mean((baseline >= 0.5) == labels),
        "f1_difference": metrics.f1_score(labels, model >= 0.5) - metrics.f1_score(labels, baseline >= 0.5),
        "macro_auroc_difference": metrics.roc_auc_score(labels, model) - metrics.roc_auc_score(labels, baseline),
        "log_loss_difference": metrics.log_loss(labels, model) - metrics.log_loss(labels, baseline),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(float(value), abs=1e-5), name
    assert values["macro_auroc_noninferiority"] is not None


def test_model_is_no_baseline_of_itself(cancer: tuple[Job, dict[str, VerifiedArtifact], Any, Any, Any]) -> None:
    job, files, *_ = cancer
    with pytest.raises(FormatError) as caught:
        run_plan(job.require_evaluations()["evaluation"], {**files, "baseline": files["model"]}, name="m")
    assert caught.value.reason == "baseline-same"


@pytest.mark.parametrize("role", ["model", "baseline", "dataset"])
def test_no_input_can_be_left_out(cancer: tuple[Job, dict[str, VerifiedArtifact], Any, Any, Any], role: str) -> None:
    job, files, *_ = cancer
    with pytest.raises(FormatError) as caught:
        run_plan(job.require_evaluations()["evaluation"], {n: f for n, f in files.items() if n != role}, name="m")
    assert caught.value.reason == "measure-input"
