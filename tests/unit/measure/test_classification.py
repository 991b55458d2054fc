"""``classification/1``: every metric against other libraries and the definitions, and no value where there is none."""

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
from lamslsa.measure.evaluation import calibration, multiclass
from lamslsa.measure.evaluation.confusion import FORMULAS, by_sklearn
from lamslsa.measure.evaluation.multiclass import Classification
from lamslsa.measure.evaluation.report import Report
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS, Evaluation, Metric
from lamslsa.testing.measuring import measure_evaluation

Read = Callable[..., VerifiedArtifact]
Key = tuple[Any, ...]
SEED = bytes(range(32))


def key(metric: Metric) -> Key:
    parts = (metric.parameters or {}, metric.slice or {})
    return (metric.name, *metric.groups, *(item for part in parts for item in part.items()))


def by_key(metrics: Any) -> dict[Key, Metric]:
    found = {key(item): item for item in metrics}
    assert len(found) == len(metrics)
    return found


def measure(
    labels: list[int] | Any,
    shares: Any,
    *,
    groups: dict[str, list[str]] | None = None,
    resamples: int = 50,
    top: tuple[int, ...] = (),
    bins: int = 5,
    level: float = 0.95,
) -> dict[Key, Metric]:
    report = Report(level=level, resamples=resamples)
    columns = tuple((name,) for name in groups or {})
    of = Classification(
        labels=np.array(labels, np.int64),
        shares=np.array(shares, np.float64),
        groups=groups or {},
        report=report,
        seed=SEED,
    )
    of.measure(bins=bins, top=top, groups=columns, slices=columns, progress=lambda *_: None)
    return by_key(report.metrics)


def drawn(rows: int, classes: int, seed: int) -> tuple[Any, Any]:
    """Labels, and probabilities of few different values, so that there are ties."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    raw = random.integers(1, 6, (rows, classes)).astype(float)
    raw[np.arange(rows), labels] += random.integers(0, 5, rows)
    raw = raw**0.9  # so that no probability lies on the edge of a bin
    return labels, raw / raw.sum(1, keepdims=True)


def order(row: list[float]) -> list[int]:
    """Classes from the most to the least probable, of equal ones the lowest first."""
    return sorted(range(len(row)), key=lambda number: (-row[number], number))


def plain(labels: Any, shares: Any, bins: int) -> dict[Key, float]:
    """Every value in plain Python, from the definitions."""
    rows = [(int(label), [float(p) for p in row]) for label, row in zip(labels, shares, strict=True)]
    n, classes = len(rows), len(rows[0][1])
    facts = [(label, int(row[1] >= 0.5) if classes == 2 else order(row)[0], row) for label, row in rows]
    l, p, d = ([0] * classes for _ in range(3))  # noqa: E741
    for label, prediction, _ in facts:
        l[label] += 1
        p[prediction] += 1
        d[label] += label == prediction
    f1 = [2 * d[c] / (l[c] + p[c]) for c in range(classes)]
    chance = sum(l[c] * p[c] for c in range(classes))
    values: dict[Key, float] = {
        ("accuracy",): sum(d) / n,
        ("balanced_accuracy",): sum(d[c] / l[c] for c in range(classes)) / classes,
        ("macro_f1",): sum(f1) / classes,
        ("micro_f1",): sum(d) / n,
        ("weighted_f1",): sum(l[c] * f1[c] for c in range(classes)) / n,
        ("matthews_correlation",): (n * sum(d) - chance)
        / math.sqrt((n * n - sum(x * x for x in p)) * (n * n - sum(x * x for x in l))),
        ("cohen_kappa",): (sum(d) / n - chance / n**2) / (1 - chance / n**2),
        ("log_loss",): -math.fsum(math.log(row[label]) for label, _, row in facts) / n,
        ("brier_score",): math.fsum((row[c] - (c == label)) ** 2 for label, _, row in facts for c in range(classes))
        / n,
    }
    for c in range(classes):
        values["precision", ("class", c)] = d[c] / p[c]
        values["recall", ("class", c)] = d[c] / l[c]
        values["f1", ("class", c)] = f1[c]
        for other in range(classes):
            count = sum((label, prediction) == (c, other) for label, prediction, _ in facts)
            values["confusion", ("label", c), ("prediction", other)] = count / l[c]
    pairs = [
        sum((a[c] > b[c]) + (a[c] == b[c]) / 2 for x, a in rows if x == c for y, b in rows if y != c)
        / (l[c] * (n - l[c]))
        for c in range(classes)
    ]
    values["macro_auroc",] = sum(pairs) / classes

    def error(members: dict[int, list[float]]) -> float:
        return sum(abs(math.fsum(gaps)) for gaps in members.values()) / n

    wide: dict[int, list[float]] = {}
    massed: dict[int, list[float]] = {}
    for label, prediction, row in facts:
        top = max(row)
        wide.setdefault(math.floor(top * bins), []).append((label == prediction) - top)
        smaller = sum(max(other) < top for _, _, other in facts)
        massed.setdefault(bins * smaller // n, []).append((label == prediction) - top)
    values["expected_calibration_error",] = error(wide)
    values["adaptive_calibration_error",] = error(massed)
    by_class = []
    for c in range(classes):
        cells: dict[int, list[float]] = {}
        for label, row in rows:
            cells.setdefault(math.floor(row[c] * bins), []).append((label == c) - row[c])
        by_class.append(error(cells))
    values["classwise_calibration_error",] = sum(by_class) / classes
    for k in range(1, classes):
        right = sum(order(row).index(label) < k for label, row in rows)
        values["top_k_accuracy", ("k", k)] = right / n
    return values


@pytest.mark.parametrize(("classes", "rows", "seed"), [(2, 60, 1), (3, 80, 2), (5, 120, 3), (7, 150, 4)])
def test_values_are_those_of_the_definitions(classes: int, rows: int, seed: int) -> None:
    labels, shares = drawn(rows, classes, seed)
    found = measure(labels, shares, top=tuple(range(1, classes)), bins=7, resamples=3)
    expected = plain(labels, shares, 7)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("classes", [3, 6])
def test_values_are_those_of_torchmetrics(classes: int) -> None:
    import torch
    from torchmetrics.functional import classification as tm

    labels, shares = drawn(300, classes, 9)
    shares = shares + np.random.default_rng(1).uniform(0, 1e-3, shares.shape)
    shares /= shares.sum(1, keepdims=True)
    found = measure(labels, shares, resamples=2, top=(2,), bins=15)
    p, y = torch.tensor(shares), torch.tensor(labels)
    theirs = {
        ("accuracy",): tm.multiclass_accuracy(p, y, classes, average="micro"),
        ("balanced_accuracy",): tm.multiclass_accuracy(p, y, classes, average="macro"),
        ("macro_f1",): tm.multiclass_f1_score(p, y, classes, average="macro"),
        ("weighted_f1",): tm.multiclass_f1_score(p, y, classes, average="weighted"),
        ("matthews_correlation",): tm.multiclass_matthews_corrcoef(p, y, classes),
        ("cohen_kappa",): tm.multiclass_cohen_kappa(p, y, classes),
        ("macro_auroc",): tm.multiclass_auroc(p, y, classes, average="macro"),
        ("expected_calibration_error",): tm.multiclass_calibration_error(p, y, classes, n_bins=15),
        ("top_k_accuracy", ("k", 2)): tm.multiclass_accuracy(p, y, classes, average="micro", top_k=2),
    }
    for name, value in theirs.items():
        assert found[name].value == pytest.approx(float(value), abs=1e-5), name
    recalls = tm.multiclass_recall(p, y, classes, average=None)
    assert [found["recall", ("class", c)].value for c in range(classes)] == pytest.approx(recalls.tolist(), abs=1e-6)


def test_samples_and_intervals() -> None:
    labels, shares = drawn(200, 3, 5)
    predictions = shares.argmax(1)
    group = ["a" if number % 3 else "b" for number in range(200)]
    found = measure(labels, shares, groups={"g": group}, resamples=200, top=(2,), level=0.9)
    assert found["precision", ("class", 1)].samples == int((predictions == 1).sum())
    assert found["recall", ("class", 1)].samples == int((labels == 1).sum())
    assert found["accuracy", ("g", "b")].samples == group.count("b")
    wilson = ("accuracy", "micro_f1", "precision", "recall", "confusion", "top_k_accuracy")
    for name, metric in found.items():
        assert metric.interval is not None, name
        assert metric.interval.level == 0.9
        spread = name[0].endswith(("_calibration_error", "accuracy_difference"))
        bootstrap = "hull-bootstrap" if spread else "percentile-bootstrap"
        assert metric.interval.method == ("wilson" if name[0] in wilson else bootstrap), name
        assert metric.interval.resamples == (None if name[0] in wilson else 200)
        assert metric.value is not None
        assert metric.interval.lower < metric.interval.upper
        if "calibration" not in name[0] and "difference" not in name[0]:  # these two are biased upwards in resamples
            assert metric.interval.lower <= metric.value <= metric.interval.upper, name


def test_bootstrap_is_that_of_rows() -> None:
    """Resampling rows and scoring each with scikit-learn gives the same intervals, up to chance."""
    from sklearn import metrics

    labels, shares = drawn(250, 3, 6)
    predictions = shares.argmax(1)
    random = np.random.default_rng(7)
    libraries: dict[Key, Callable[[Any], float]] = {
        ("macro_f1",): lambda rows: metrics.f1_score(labels[rows], predictions[rows], average="macro"),
        ("cohen_kappa",): lambda rows: metrics.cohen_kappa_score(labels[rows], predictions[rows]),
        ("matthews_correlation",): lambda rows: metrics.matthews_corrcoef(labels[rows], predictions[rows]),
        ("macro_auroc",): lambda rows: metrics.roc_auc_score(labels[rows], shares[rows], multi_class="ovr"),
        ("log_loss",): lambda rows: metrics.log_loss(labels[rows], shares[rows]),
        ("f1", ("class", 2)): lambda rows: metrics.f1_score(labels[rows] == 2, predictions[rows] == 2),
    }
    draws = [random.integers(0, 250, 250) for _ in range(200)]
    found = measure(labels, shares, resamples=600)
    for name, library in libraries.items():
        low, high = np.quantile([library(rows) for rows in draws], [0.025, 0.975])
        interval = found[name].interval
        assert interval is not None
        assert interval.lower == pytest.approx(low, abs=0.3 * (high - low)), name
        assert interval.upper == pytest.approx(high, abs=0.3 * (high - low)), name


def test_a_value_does_not_depend_on_what_else_was_asked_for() -> None:
    labels, shares = drawn(150, 3, 8)
    groups = {"g": ["a" if number % 3 else "b" for number in range(150)], "h": ["c"] * 75 + ["d"] * 75}
    everything = measure(labels, shares, groups=groups, top=(1, 2))
    fewer = measure(labels, shares, groups={"h": groups["h"]})
    shared = everything.keys() & fewer.keys()
    assert shared == fewer.keys()
    assert all(everything[name] == fewer[name] for name in shared)


def test_constant_scores_are_no_skill() -> None:
    labels = [0, 1, 2, 1, 2, 2]
    found = measure(labels, np.full((6, 3), 1 / 3), top=(1, 2))
    assert found["accuracy",].value == pytest.approx(1 / 6)
    assert found["top_k_accuracy", ("k", 2)].value == pytest.approx(3 / 6)
    assert found["macro_auroc",].value == 0.5
    assert found["matthews_correlation",].undefined == "the predictions hold one class only"
    assert found["cohen_kappa",].value == 0.0
    assert found["precision", ("class", 1)].undefined == "no row is predicted as the class"
    assert found["precision", ("class", 1)].samples == 0
    assert found["f1", ("class", 1)].value == 0.0
    assert found["f1", ("class", 1)].interval is None, "a resample has no row of the class"


def test_one_class_has_no_value() -> None:
    found = measure([1, 1, 1], [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    expected = {
        "balanced_accuracy": "no row is of class 0",
        "matthews_correlation": "the labels hold one class only",
        "macro_auroc": "no row is of class 0",
    }
    for name, reason in expected.items():
        assert found[name,] == Metric(name=name, samples=3, undefined=reason)
    assert found["recall", ("class", 0)] == Metric(
        name="recall", samples=0, undefined="no row is of the class", parameters={"class": 0}
    )
    assert found["confusion", ("label", 0), ("prediction", 0)].undefined == "no row is of the class"
    perfect = measure([1, 1], [[0.2, 0.8], [0.1, 0.9]])
    assert perfect["cohen_kappa",].undefined == "labels and predictions are one and the same class"
    assert perfect["matthews_correlation",].undefined == "the labels hold one class only"
    assert perfect["macro_f1",].undefined == "no row is of class 0 or predicted as such"
    assert perfect["f1", ("class", 0)].undefined == "no row is of the class or predicted as such"
    assert perfect["f1", ("class", 0)].samples == 2
    assert perfect["accuracy",].value == 1.0


def test_probability_0_of_a_label_is_an_infinite_loss() -> None:
    found = measure([0, 1, 1], [[1, 0], [1, 0], [0, 1]])
    assert found["log_loss",] == Metric(
        name="log_loss", samples=3, undefined="the model gave the label of 1 rows the probability 0"
    )
    assert found["brier_score",].value == pytest.approx(2 / 3)


def test_groups_and_slices() -> None:
    labels, shares = [0, 1, 0, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.8, 0.2]]
    found = measure(labels, shares, groups={"g": list("aabbc"), "one": list("xxxxx")})
    assert found["accuracy_difference", "g"].value == 0.5
    assert found["accuracy_difference", "g"].interval is None, "a resample has no row of a group"
    assert found["accuracy_difference", "one"].undefined == "there is one group only"
    assert found["accuracy", ("g", "b")].value == 0.5
    assert found["balanced_accuracy", ("g", "a")].value == 1.0
    assert found["balanced_accuracy", ("g", "c")] == Metric(
        name="balanced_accuracy", samples=1, undefined="no row is of class 1", slice={"g": "c"}
    )


def test_intersection_without_rows_is_undefined() -> None:
    report = Report(level=0.95, resamples=5)
    of = Classification(
        labels=np.array([0, 1, 1]),
        shares=np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]),
        groups={"g": ["a", "b", "b"], "h": ["x", "x", "y"]},
        report=report,
        seed=SEED,
    )
    of.measure(bins=3, top=(), groups=(), slices=(("g", "h"),), progress=lambda *_: None)
    found = by_key(report.metrics)
    for name in ("accuracy", "balanced_accuracy"):
        assert found[name, ("g", "a"), ("h", "y")] == Metric(
            name=name, samples=0, undefined="the slice has no rows", slice={"g": "a", "h": "y"}
        )


def test_order_of_the_columns_of_a_slice_changes_nothing() -> None:
    """A slice is the same rows in whatever order its columns are named, so a prover has one interval and no choice."""
    labels, shares = drawn(200, 2, 4)
    groups = {"g": [str(row % 2) for row in range(200)], "h": [str(row % 3) for row in range(200)]}
    found = []
    for columns in (("g", "h"), ("h", "g")):
        report = Report(level=0.95, resamples=20)
        of = Classification(labels=np.array(labels), shares=np.array(shares), groups=groups, report=report, seed=SEED)
        of.measure(bins=3, top=(), groups=(), slices=(columns,), progress=lambda *_: None)
        found.append({(item.name, *sorted(item.slice.items())): item for item in report.metrics if item.slice})
    assert len(found[0]) == 12
    assert found[0] == found[1]


def test_confusion_of_many_classes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, shares = drawn(40, 3, 1)
    assert ("confusion", ("label", 0), ("prediction", 0)) in measure(labels, shares)
    monkeypatch.setattr(multiclass, "MAX_CONFUSION", 2)
    assert not [name for name in measure(labels, shares) if name[0] == "confusion"]


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_disagreement_is_not_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    labels, shares = drawn(60, 3, 2)
    theirs = by_sklearn
    monkeypatch.setattr(multiclass, "by_sklearn", lambda asked, *rows: theirs(asked, *rows) + (asked == name) / 1e6)
    with pytest.raises(LamslsaError) as caught:
        measure(labels, shares)
    assert caught.value.reason == "metric-disagreement"
    assert name in str(caught.value)


def test_calibration_that_disagrees_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, shares = drawn(60, 3, 2)
    monkeypatch.setattr(calibration, "by_torchmetrics", lambda *_, **__: 0.5)
    with pytest.raises(LamslsaError) as caught:
        measure(labels, shares)
    assert caught.value.reason == "metric-disagreement"


JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  digits:
    format: csv
    delimiter: ","
    header: false
    trim: false
    nullToken: null
    columns:
{columns}
      - {{name: paper, type: string}}
      - {{name: digit, type: string}}
    label: {{column: digit, classes: {{{classes}}}}}
datasets:
  digits: {{schema: digits, skipLines: 0, groups: [], overlap: []}}
evaluation: {{measurer: classification/1, dataset: digits, rows: all, confidenceLevel: 0.95, resamples: 20,
  calibrationBins: 15, topK: [1, 3], groups: [[paper]], slices: [[paper]]}}
"""


def digits_job(*changes: tuple[str, str], classes: int = 10) -> Job:
    columns = "\n".join(f"      - {{name: p{number}, type: integer}}" for number in range(64))
    text = JOB.format(columns=columns, classes=", ".join(f'"{number}": {number}' for number in range(classes)))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_job(text.encode(), "job.yaml")


def test_digits_from_bytes_to_statement(read: Read, linear_model: Callable[..., dict[str, bytes]]) -> None:
    """scikit-learn's own model of its own digits; the statement says of it what scikit-learn says."""
    from sklearn import metrics
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    pixels, labels = load_digits(return_X_y=True)
    theirs = LogisticRegression(C=0.05, max_iter=300).fit(pixels[:500] / 16, labels[:500])
    test, truth = pixels[500:1000], labels[500:1000]
    papers = ["Ä" if number % 3 else "b\U0001f600" for number in range(500)]
    lines = [
        ",".join([*(str(int(value)) for value in row), paper, str(label)])
        for row, paper, label in zip(test, papers, truth, strict=True)
    ]
    features = [{"type": "number", "name": f"p{number}", "mean": 0.0, "deviation": 16.0} for number in range(64)]
    files = linear_model(
        features, theirs.coef_, theirs.intercept_, label="digit", says={"type": "classes", "classes": 10}
    )
    model, dataset = read(files, "model"), read({"digits.csv": ("\n".join(lines) + "\n").encode()})
    job = digits_job()
    payload = measure_evaluation(model, dataset, name="digits", job=job)
    assert payload == measure_evaluation(model, dataset, name="digits", job=job)
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, Evaluation)
    assert str(found.measurer) == "classification/1"
    assert found.configuration == {"rows": "all", "confidenceLevel": 0.95, "resamples": 20, "calibrationBins": 15}
    assert found.groups == (("paper",),)
    names = {package.name for package in found.environment.packages}
    assert {"scikit-learn", "torchmetrics", "torch", "scipy", "numpy"} <= names
    values = by_key(found.metrics)
    shares = theirs.predict_proba(test / 16)
    said = shares.argmax(1)
    expected: dict[Key, float] = {
        ("accuracy",): theirs.score(test / 16, truth),
        ("macro_f1",): metrics.f1_score(truth, said, average="macro"),
        ("log_loss",): metrics.log_loss(truth, shares),
        ("macro_auroc",): metrics.roc_auc_score(truth, shares, multi_class="ovr"),
        ("top_k_accuracy", ("k", 3)): metrics.top_k_accuracy_score(truth, shares, k=3),
        ("accuracy", ("paper", "Ä")): float(
            np.mean([a == b for a, b, c in zip(truth, said, papers, strict=True) if c == "Ä"])
        ),
    }
    for name, value in expected.items():
        assert values[name].value == pytest.approx(value, abs=1e-5), name
    assert values["accuracy",].samples == 500
    assert float(expected["accuracy",]) > 0.8


def test_default_configuration() -> None:
    job = digits_job(("resamples: 20", "resamples: 1000"))
    plan: Any = job.require_evaluations()["evaluation"]
    assert plan.configuration() == dict(DEFAULT_CONFIGURATIONS["classification/1"])
    assert plan.steps()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("topK: [1, 3]", "topK: [3, 3]", "evaluation-top-k"),
        ("topK: [1, 3]", "topK: [10]", "yaml-range"),
        ("topK: [1, 3]", "topK: [0]", "yaml-range"),
        ("groups: [[paper]]", "groups: [[paper], [paper]]", "job-groups"),
        ("groups: [[paper]]", "groups: [[paper, p1], [p1, paper]]", "evaluation-groups"),
        ("groups: [[paper]]", "groups: [[digit]]", "yaml-choice"),
        ("rows: all", "rows: some", "yaml-choice"),
        ("confidenceLevel: 0.95", "confidenceLevel: 1", "yaml-range"),
        ("resamples: 20", "resamples: 0", "yaml-range"),
        ("calibrationBins: 15", "calibrationBins: 0", "yaml-range"),
        ("label: {column: digit, classes:", "label: {column: p3, type: number}\n    x: {y:", "yaml-unknown-key"),
    ],
)
def test_mistakes_are_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        digits_job((old, new))
    assert caught.value.reason == reason


def test_too_many_classes_are_refused() -> None:
    digits_job(classes=1000)
    with pytest.raises(FormatError) as caught:
        digits_job(classes=1001)
    assert caught.value.reason == "evaluation-classes"


def test_label_of_numbers_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        digits_job((JOB_LABEL, "label: {column: p3, type: number}"))
    assert caught.value.reason == "evaluation-task"


JOB_LABEL = "label: {column: digit, classes: {" + ", ".join(f'"{number}": {number}' for number in range(10)) + "}}"


def test_a_tie_of_two_classes_is_class_1_as_everywhere() -> None:
    from lamslsa.measure.evaluation.shares import predicted

    assert predicted(np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])).tolist() == [1, 1, 0]
    assert predicted(np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])).tolist() == [0, 1]
