"""``group-fairness/1``: groups and intersections against plain Python and on UCI Adult; nothing is left out quietly."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import LamslsaError
from lamslsa.measure import load_job
from lamslsa.measure.evaluation import fairness
from lamslsa.measure.evaluation.disparities import FORMULAS, by_fairlearn
from lamslsa.measure.evaluation.fairness import measure_fairness
from lamslsa.measure.evaluation.groupings import number_groups
from lamslsa.measure.evaluation.report import Report
from lamslsa.predicates.evaluation import Evaluation, Metric
from lamslsa.testing.measuring import measure_evaluation

Key = tuple[Any, ...]
SEED = bytes(range(32))


def by_key(metrics: Any) -> dict[Key, Metric]:
    found = {(item.name, *(item.slice or {}).values()): item for item in metrics}
    assert len(found) == len(metrics)
    return found


def measure(
    labels: list[int], predictions: list[int], *columns: list[str], minimum: int = 1, resamples: int = 50
) -> dict[Key, Metric]:
    report = Report(level=0.95, resamples=resamples)
    values = {f"g{number}": column for number, column in enumerate(columns)}
    measure_fairness(
        labels=np.array(labels),
        predictions=np.array(predictions),
        grouping=number_groups(tuple(values), values),
        minimum=minimum,
        report=report,
        seed=SEED,
    )
    return by_key(report.metrics)


def drawn(rows: int, seed: int) -> tuple[list[int], list[int], list[str], list[str]]:
    random = np.random.default_rng(seed)
    sex, race = random.choice(["f", "m"], rows), random.choice(["x", "y", "z"], rows)
    labels = (random.random(rows) < 0.3 + 0.3 * (sex == "m")).astype(int)
    predictions = np.where(random.random(rows) < 0.75, labels, random.integers(0, 2, rows))
    return labels.tolist(), predictions.tolist(), sex.tolist(), race.tolist()


def rates(facts: list[tuple[int, int]]) -> dict[str, float]:
    """The rates of one group, of (label, prediction)."""

    def share(of: list[tuple[int, int]], place: int) -> float:
        return sum(fact[place] for fact in of) / len(of)

    return {
        "selection_rate": share(facts, 1),
        "true_positive_rate": share([fact for fact in facts if fact[0]], 1),
        "false_positive_rate": share([fact for fact in facts if not fact[0]], 1),
        "positive_predictive_value": share([fact for fact in facts if fact[1]], 0),
    }


def comparisons(groups: list[dict[str, float]]) -> dict[str, float]:
    def difference(rate: str) -> float:
        return max(group[rate] for group in groups) - min(group[rate] for group in groups)

    def ratio(rate: str) -> float:
        return min(group[rate] for group in groups) / max(group[rate] for group in groups)

    odds = ("true_positive_rate", "false_positive_rate")
    return {
        "demographic_parity_difference": difference("selection_rate"),
        "demographic_parity_ratio": ratio("selection_rate"),
        "equalized_odds_difference": max(map(difference, odds)),
        "equalized_odds_ratio": min(map(ratio, odds)),
        "equal_opportunity_difference": difference("true_positive_rate"),
        "predictive_parity_difference": difference("positive_predictive_value"),
    }


def test_intersections_are_those_of_the_definitions() -> None:
    labels, predictions, sex, race = drawn(400, 1)
    found = measure(labels, predictions, sex, race)
    cells: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for label, prediction, one, other in zip(labels, predictions, sex, race, strict=True):
        cells.setdefault((one, other), []).append((label, prediction))
    groups = {cell: rates(facts) for cell, facts in cells.items()}
    assert len(groups) == 6
    for cell, expected in groups.items():
        for name, value in expected.items():
            assert found[name, *cell].value == pytest.approx(value, abs=1e-12), (name, cell)
            assert found[name, *cell].interval is not None
        assert found["selection_rate", *cell].samples == len(cells[cell])
        assert found["true_positive_rate", *cell].samples == sum(label for label, _ in cells[cell])
        assert found["positive_predictive_value", *cell].samples == sum(said for _, said in cells[cell])
    for name, value in comparisons(list(groups.values())).items():
        assert found[name,].value == pytest.approx(value, abs=1e-12), name
        assert found[name,].samples == 400
    assert found["groups_left_out",].value == 0.0
    assert found["rows_left_out",].value == 0.0


def test_bootstrap_is_that_of_rows() -> None:
    labels, predictions, sex, _ = drawn(500, 2)
    found = measure(labels, predictions, sex, resamples=1000)
    random = np.random.default_rng(3)
    resampled: dict[str, list[float]] = {}
    for _ in range(400):
        rows = random.integers(0, 500, 500).tolist()
        groups = [rates([(labels[row], predictions[row]) for row in rows if sex[row] == name]) for name in "fm"]
        for name, value in comparisons(groups).items():
            resampled.setdefault(name, []).append(value)
    for name, values in resampled.items():
        low, high = np.quantile(values, [0.025, 0.975])
        interval = found[name,].interval
        assert interval is not None
        assert interval.lower == pytest.approx(low, abs=0.25 * (high - low)), name
        assert interval.upper == pytest.approx(high, abs=0.25 * (high - low)), name


def test_small_groups_are_not_compared_and_that_is_said() -> None:
    labels, predictions, groups = [1, 0, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 0, 0], list("aaabbbc")
    whole, found = measure(labels, predictions, groups), measure(labels, predictions, groups, minimum=2)
    assert whole["demographic_parity_difference",].value == pytest.approx(2 / 3)
    assert found["demographic_parity_difference",].value == pytest.approx(1 / 3)
    assert found["demographic_parity_difference",].samples == 6
    assert (found["groups_left_out",].value, found["groups_left_out",].samples) == (1.0, 7)
    assert found["rows_left_out",].value == pytest.approx(1 / 7)
    assert found["selection_rate", "c"].undefined == "the group has fewer than 2 rows"
    alone = measure(labels, predictions, groups, minimum=4)
    assert {alone[name,].undefined for name in FORMULAS} == {"fewer than two groups have enough rows"}
    assert alone["rows_left_out",].value == 1.0


def test_rates_over_no_rows_leave_no_group_out() -> None:
    found = measure([1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 0, 0], list("aabbcc"))
    assert found["equalized_odds_difference",].undefined == "b: no row of the group is of class 1"
    assert found["equal_opportunity_difference",].undefined == "b: no row of the group is of class 1"
    assert found["predictive_parity_difference",].undefined == "c: no row of the group is predicted as class 1"
    assert found["true_positive_rate", "b"].undefined == "no row of the group is of class 1"
    assert found["positive_predictive_value", "c"] == Metric(
        name="positive_predictive_value",
        samples=0,
        undefined="no row of the group is predicted as class 1",
        slice={"g0": "c"},
    )
    assert found["demographic_parity_ratio",].value == 0.0
    assert found["demographic_parity_difference",].value == 0.5


def test_nobody_selected_has_no_ratio() -> None:
    """Zero of zero is no parity; libraries say 0, 1 or NaN."""
    found = measure([1, 0, 1, 0], [0, 0, 0, 0], list("aabb"))
    assert found["demographic_parity_ratio",].undefined == "the selection rate of every group is 0"
    assert found["equalized_odds_ratio",].undefined == "the true positive rate of every group is 0"
    assert found["demographic_parity_difference",].value == 0.0


def test_one_group_is_no_comparison() -> None:
    found = measure([1, 0], [1, 0], ["a", "a"])
    assert {found[name,].undefined for name in FORMULAS} == {"fewer than two groups have enough rows"}


def test_intersection_without_rows_is_reported() -> None:
    found = measure([1, 0, 1], [1, 0, 1], ["a", "b", "b"], ["x", "x", "y"])
    for name in ("selection_rate", "true_positive_rate", "false_positive_rate", "positive_predictive_value"):
        metric = found[name, "a", "y"]
        assert (metric.samples, metric.undefined) == (0, "the group has no rows")


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_disagreement_is_not_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(
        fairness, "by_fairlearn", lambda asked, *rows: by_fairlearn(asked, *rows) + (asked == name) / 1e6
    )
    labels, predictions, sex, _ = drawn(100, 1)
    with pytest.raises(LamslsaError) as caught:
        measure(labels, predictions, sex)
    assert caught.value.reason == "metric-disagreement"
    assert name in str(caught.value)


JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  adult:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: "?"
    columns: [{columns}]
    label: {{column: income, classes: {{"<=50K": 0, ">50K": 1}}}}
datasets:
  adult: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
evaluation: {{measurer: group-fairness/1, dataset: adult, rows: all, confidenceLevel: 0.95, resamples: 100,
  threshold: 0.5, minimumGroupSize: 30, groups: [[sex], [sex, race]]}}
"""


def test_adult(
    read: Callable[..., VerifiedArtifact], linear_model: Callable[..., dict[str, bytes]], adult: Path
) -> None:
    """scikit-learn's logistic regression on UCI Adult; the groups as plain Python finds them."""
    from sklearn.linear_model import LogisticRegression

    with (adult / "adult.data").open() as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if len(row) == 15][:8000]
    inputs = np.array([[(float(row[0]) - 38) / 13, (float(row[4]) - 10) / 3, float(row[9] == "Male")] for row in rows])
    labels = [int(row[14] == ">50K") for row in rows]
    theirs = LogisticRegression().fit(inputs[:2000], labels[:2000])
    features = [
        {"type": "number", "name": "age", "mean": 38.0, "deviation": 13.0},
        {"type": "number", "name": "education", "mean": 10.0, "deviation": 3.0},
        {"type": "category", "name": "sex", "categories": ["Male"]},
    ]
    names = ["age", "w", "f", "e", "education", "m", "o", "relationship", "race", "sex", "g", "l", "h", "c", "income"]
    columns = ", ".join(
        f"{{name: {name}, type: {'integer' if name in ('age', 'education') else 'string'}}}" for name in names
    )
    model = read(linear_model(features, theirs.coef_, theirs.intercept_, label="income"), "model")
    data = read({"adult.csv": "".join(",".join(row) + "\n" for row in rows).encode()})
    payload = measure_evaluation(model, data, name="m", job=load_job(JOB.format(columns=columns).encode(), "job.yaml"))
    parsed = predicates.parse(statement.parse(payload))
    assert isinstance(parsed, Evaluation)
    assert parsed.groups == (("sex",), ("sex", "race"))
    said = theirs.predict(inputs).tolist()
    for columns_ in ((9,), (9, 8)):
        cells: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for row, label, prediction in zip(rows, labels, said, strict=True):
            cells.setdefault(tuple(row[place] for place in columns_), []).append((label, prediction))
        large = [facts for facts in cells.values() if len(facts) >= 30]
        mine = {item.name: item for item in parsed.metrics if len(item.groups) == len(columns_)}
        assert mine["groups_left_out"].value == len(cells) - len(large)
        assert all(any(prediction for _, prediction in facts) for facts in large) == (len(columns_) == 1)
        rows_of = [(sum(p for _, p in facts), len(facts)) for facts in large]
        selection = [positives / size for positives, size in rows_of]
        assert mine["demographic_parity_difference"].value == pytest.approx(max(selection) - min(selection), abs=1e-12)
        if len(columns_) == 1:
            for name, value in comparisons([rates(facts) for facts in large]).items():
                assert mine[name].value == pytest.approx(value, abs=1e-12), name
        else:
            assert "predicted as class 1" in str(mine["predictive_parity_difference"].undefined)
        found = {tuple((item.slice or {}).values()): item for item in parsed.metrics if item.name == "selection_rate"}
        for cell, facts in cells.items():
            if len(facts) >= 30:
                assert found[cell].value == pytest.approx(sum(p for _, p in facts) / len(facts), abs=1e-12)
                assert found[cell].samples == len(facts)
