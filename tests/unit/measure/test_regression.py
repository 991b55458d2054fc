"""``regression/1``: errors of numbers against other libraries and the definitions, and no value where there is none."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.measure import Job, load_job
from lamslsa.measure.evaluation import deviations, regression
from lamslsa.measure.evaluation.regression import Deviations
from lamslsa.measure.evaluation.report import Report
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS, Evaluation, Metric
from lamslsa.testing.measuring import measure_evaluation

Read = Callable[..., VerifiedArtifact]
Key = tuple[Any, ...]
SEED = bytes(range(32))
NAMES = tuple(deviations.FORMULAS)


def by_key(metrics: Any) -> dict[Key, Metric]:
    found = {(item.name, *item.groups, *(item.slice or {}).items()): item for item in metrics}
    assert len(found) == len(metrics)
    return found


def measure(
    labels: Any, numbers: Any, *, groups: dict[str, list[str]] | None = None, resamples: int = 50
) -> dict[Key, Metric]:
    report = Report(level=0.95, resamples=resamples)
    columns = tuple((name,) for name in groups or {})
    of = Deviations(
        labels=np.array(labels, np.float64),
        numbers=np.array(numbers, np.float32),
        groups=groups or {},
        report=report,
        seed=SEED,
    )
    of.measure(groups=columns, slices=columns, progress=lambda *_: None)
    return by_key(report.metrics)


def drawn(rows: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = random.normal(50, 20, rows)
    return labels, (labels + random.normal(3, 8, rows)).astype(np.float32)


def plain(labels: list[float], numbers: list[float]) -> dict[str, float]:
    errors = [number - label for label, number in zip(labels, numbers, strict=True)]
    mean = math.fsum(labels) / len(labels)
    squares = math.fsum(error**2 for error in errors)
    return {
        "mean_absolute_error": math.fsum(map(abs, errors)) / len(errors),
        "root_mean_squared_error": math.sqrt(squares / len(errors)),
        "r2": 1 - squares / math.fsum((label - mean) ** 2 for label in labels),
        "median_absolute_error": statistics.median(map(abs, errors)),
        "mean_absolute_percentage_error": statistics.fmean(
            abs(error / label) for label, error in zip(labels, errors, strict=True)
        ),
        "mean_error": math.fsum(errors) / len(errors),
    }


@pytest.mark.parametrize("rows", [2, 7, 200])
def test_values_are_those_of_the_definitions(rows: int) -> None:
    labels, numbers = drawn(rows, rows)
    found = measure(labels, numbers)
    for name, value in plain(labels.tolist(), numbers.astype(float).tolist()).items():
        assert found[name,].value == pytest.approx(value, rel=1e-12), name
        assert found[name,].samples == rows


def test_groups_and_slices_are_those_of_the_definitions() -> None:
    labels, numbers = drawn(120, 4)
    groups = [["a", "b", "c"][number % 3] for number in range(120)]
    found = measure(labels, numbers, groups={"g": groups}, resamples=100)
    by_group = {
        name: plain(
            [x for x, g in zip(labels.tolist(), groups, strict=True) if g == name],
            [x for x, g in zip(numbers.astype(float).tolist(), groups, strict=True) if g == name],
        )
        for name in "abc"
    }
    for name in ("mean_absolute_error", "root_mean_squared_error", "mean_error"):
        values = [by_group[group][name] for group in "abc"]
        difference = found[f"{name}_difference", "g"]
        assert difference.value == pytest.approx(max(values) - min(values), rel=1e-9)
        assert difference.samples == 120
        assert difference.interval is not None
        for group, value in zip("abc", values, strict=True):
            metric = found[name, ("g", group)]
            assert metric.value == pytest.approx(value, rel=1e-12)
            assert metric.samples == 40
            assert metric.interval is not None
            assert metric.interval.lower < metric.value < metric.interval.upper  # type: ignore[operator]


def test_bootstrap_is_that_of_rows() -> None:
    from sklearn import metrics

    labels, numbers = drawn(300, 5)
    random = np.random.default_rng(6)
    draws = [random.integers(0, 300, 300) for _ in range(400)]
    libraries: dict[str, Callable[[Any, Any], Any]] = {
        "mean_absolute_error": metrics.mean_absolute_error,
        "root_mean_squared_error": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "median_absolute_error": metrics.median_absolute_error,
    }
    found = measure(labels, numbers, resamples=1000)
    for name, library in libraries.items():
        low, high = np.quantile([library(labels[rows], numbers[rows]) for rows in draws], [0.025, 0.975])
        interval = found[name,].interval
        assert interval is not None
        assert interval.method == "percentile-bootstrap"
        assert interval.resamples == 1000
        assert interval.lower == pytest.approx(low, abs=0.25 * (high - low)), name
        assert interval.upper == pytest.approx(high, abs=0.25 * (high - low)), name


def test_difference_of_groups_is_resampled_as_rows() -> None:
    labels, numbers = drawn(300, 5)
    groups = np.array(["a", "b"])[np.random.default_rng(1).integers(0, 2, 300)]
    random = np.random.default_rng(2)
    errors = np.abs(numbers - labels)

    def spread(rows: Any) -> float:
        means = [errors[rows][groups[rows] == name].mean() for name in "ab"]
        return float(max(means) - min(means))

    low, high = np.quantile([spread(random.integers(0, 300, 300)) for _ in range(400)], [0.025, 0.975])
    interval = measure(labels, numbers, groups={"g": groups.tolist()}, resamples=1000)[
        "mean_absolute_error_difference", "g"
    ].interval
    assert interval is not None
    assert interval.lower == pytest.approx(low, abs=0.25 * (high - low))
    assert interval.upper == pytest.approx(high, abs=0.25 * (high - low))


def test_labels_that_are_all_the_same_have_no_r2() -> None:
    """scikit-learn says 1 or 0."""
    for numbers in ([5, 5, 5], [4, 5, 6]):
        found = measure([5, 5, 5], numbers)
        assert found["r2",] == Metric(name="r2", samples=3, undefined="all labels are the same number")
        assert found["mean_absolute_error",].value is not None


def test_one_row_has_no_r2() -> None:
    found = measure([3.0], [4.0])
    assert found["r2",].undefined == "all labels are the same number"
    assert found["mean_error",].value == 1.0


def test_label_0_has_no_percentage() -> None:
    """scikit-learn divides by its smallest number instead."""
    found = measure([0, 1, 0, 2], [1, 1, 1, 1])
    assert found["mean_absolute_percentage_error",] == Metric(
        name="mean_absolute_percentage_error", samples=4, undefined="the label of 2 rows is 0"
    )


def test_percentage_of_tiny_labels_is_the_definition() -> None:
    found = measure([1e-20, 2e-20], [0, 0])
    assert found["mean_absolute_percentage_error",].value == pytest.approx(1.0)


def test_numbers_beyond_float64_have_no_value() -> None:
    found = measure([1e300, -1e300], [0, 0])
    for name in ("root_mean_squared_error", "r2"):
        assert found[name,].undefined == "the value is beyond what a float64 can hold"
    assert found["mean_absolute_error",].value == 1e300


def test_interval_is_left_out_where_a_resample_has_no_value() -> None:
    found = measure([1, 2], [1, 3], groups={"g": ["a", "b"]})
    assert found["r2",].value is not None
    assert found["r2",].interval is None, "a resample of one row twice is constant"
    assert found["mean_absolute_error_difference", "g"].interval is None


def test_one_group_has_no_difference() -> None:
    found = measure([1, 2], [1, 3], groups={"g": ["a", "a"]})
    assert found["mean_error_difference", "g"] == Metric(
        name="mean_error_difference", samples=2, undefined="there is one group only", groups=("g",)
    )


def test_intersection_without_rows_is_undefined() -> None:
    report = Report(level=0.95, resamples=5)
    of = Deviations(
        labels=np.array([1.0, 2, 3]),
        numbers=np.ones(3, np.float32),
        groups={"g": ["a", "b", "b"], "h": ["x", "x", "y"]},
        report=report,
        seed=SEED,
    )
    of.measure(groups=(), slices=(("g", "h"),), progress=lambda *_: None)
    found = by_key(report.metrics)
    assert found["mean_absolute_error", ("g", "a"), ("h", "y")] == Metric(
        name="mean_absolute_error", samples=0, undefined="the slice has no rows", slice={"g": "a", "h": "y"}
    )


def test_order_of_the_columns_of_a_slice_changes_nothing() -> None:
    labels, numbers = drawn(200, 4)
    groups = {"g": [str(row % 2) for row in range(200)], "h": [str(row % 3) for row in range(200)]}
    found = []
    for columns in (("g", "h"), ("h", "g")):
        report = Report(level=0.95, resamples=20)
        of = Deviations(
            labels=np.array(labels, np.float64),
            numbers=np.array(numbers, np.float32),
            groups=groups,
            report=report,
            seed=SEED,
        )
        of.measure(groups=(), slices=(columns,), progress=lambda *_: None)
        found.append({(item.name, *sorted(item.slice.items())): item for item in report.metrics if item.slice})
    assert len(found[0]) == 18
    assert found[0] == found[1]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mean_error"])
def test_disagreement_is_not_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    labels, numbers = drawn(50, 3)
    theirs = deviations.by_sklearn

    def off(asked: str, *rows: Any) -> float | None:
        value = theirs(asked, *rows)
        return value if value is None or asked != name else value * (1 + 1e-6)

    monkeypatch.setattr(regression, "by_sklearn", off)
    with pytest.raises(LamslsaError) as caught:
        measure(labels, numbers)
    assert caught.value.reason == "metric-disagreement"


JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  diabetes:
    format: csv
    delimiter: ","
    header: false
    trim: false
    nullToken: ""
    columns: [{columns}{{name: sex, type: string}}, {{name: progression, type: number}}]
    label: {{column: progression, type: number}}
datasets:
  diabetes: {{schema: diabetes, skipLines: 0, groups: [], overlap: []}}
evaluation: {{measurer: regression/1, dataset: diabetes, rows: all, confidenceLevel: 0.95, resamples: 100,
  groups: [[sex]], slices: [[sex]]}}
"""


def diabetes_job(*changes: tuple[str, str]) -> Job:
    text = JOB.format(columns="".join(f"{{name: x{number}, type: number}}, " for number in range(9)))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_job(text.encode(), "job.yaml")


def test_diabetes_from_bytes_to_statement(read: Read, linear_model: Callable[..., dict[str, bytes]]) -> None:
    """scikit-learn's own model of its own data; the statement says of it what scikit-learn says."""
    from sklearn import metrics
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression

    inputs, labels = load_diabetes(return_X_y=True)
    sexes = np.where(inputs[:, 1] > 0, "Weib", "Männer")
    inputs = np.delete(inputs, 1, axis=1)
    theirs = LinearRegression().fit(inputs[:200], labels[:200])
    lines = [
        ",".join([*map(repr, row.tolist()), sex, repr(float(label))])
        for row, sex, label in zip(inputs[200:], sexes[200:], labels[200:], strict=True)
    ]
    features = [{"type": "number", "name": f"x{number}", "mean": 0.0, "deviation": 1.0} for number in range(9)]
    says = {"type": "number", "mean": 0.0, "deviation": 1.0}
    files = linear_model(features, theirs.coef_, theirs.intercept_, label="progression", says=says)
    model, dataset = read(files, "model"), read({"diabetes.csv": ("\n".join(lines) + "\n").encode()})
    job = diabetes_job()
    payload = measure_evaluation(model, dataset, name="diabetes", job=job)
    assert payload == measure_evaluation(model, dataset, name="diabetes", job=job)
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, Evaluation)
    assert str(found.measurer) == "regression/1"
    assert found.configuration == {"rows": "all", "confidenceLevel": 0.95, "resamples": 100}
    values = by_key(found.metrics)
    said, truth = theirs.predict(inputs[200:]), labels[200:]
    male = sexes[200:] == "Männer"
    expected = {
        ("mean_absolute_error",): metrics.mean_absolute_error(truth, said),
        ("r2",): metrics.r2_score(truth, said),
        ("median_absolute_error",): metrics.median_absolute_error(truth, said),
        ("mean_error",): float((said - truth).mean()),
        ("mean_absolute_error", ("sex", "Männer")): metrics.mean_absolute_error(truth[male], said[male]),
    }
    for name, value in expected.items():
        assert values[name].value == pytest.approx(float(value), rel=1e-4), name
    assert values["mean_absolute_error", ("sex", "Weib")].samples == int((~male).sum())


def test_default_configuration() -> None:
    plan: Any = diabetes_job(("resamples: 100", "resamples: 1000")).require_evaluations()["evaluation"]
    assert plan.configuration() == dict(DEFAULT_CONFIGURATIONS["regression/1"])
    assert len(plan.steps()) == 3


def test_label_that_is_no_number_is_refused(read: Read, linear_model: Callable[..., dict[str, bytes]]) -> None:
    says = {"type": "number", "mean": 0.0, "deviation": 1.0}
    feature = {"type": "number", "name": "x0", "mean": 0.0, "deviation": 1.0}
    model = read(linear_model([feature], [[1.0]], [0.0], label="progression", says=says), "model")
    for text in ("nan", "NaN", "inf", "", "1e999"):
        dataset = read({"d.csv": f"{'1,' * 9}m,2\n{'1,' * 9}m,{text}\n".encode()})
        with pytest.raises(FormatError) as caught:
            measure_evaluation(model, dataset, name="m", job=diabetes_job())
        assert caught.value.reason in ("table-type", "table-label"), text


def test_label_of_classes_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        diabetes_job(("column: progression, type: number}", "column: sex, classes: {a: 0, b: 1}}"))
    assert caught.value.reason == "evaluation-task"
