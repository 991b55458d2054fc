"""``counterfactual-fairness/1``: rows asked again with another value, against a computation by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Job, load_job
from lamslsa.measure.evaluation import counterfactual
from lamslsa.measure.models.interface import ImageInputs
from lamslsa.measure.models.loading import load_model
from lamslsa.predicates.evaluation import Evaluation, Metric
from lamslsa.testing.measuring import measure_evaluation

Read = Callable[..., VerifiedArtifact]
Build = Callable[..., dict[str, bytes]]
Key = tuple[Any, ...]

JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  people:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: "?"
    columns: [{name: age, type: integer}, {name: member, type: boolean}, {name: sex, type: string},
      {name: role, type: string}, {name: income, type: string}]
    label: {column: income, classes: {low: 0, high: 1}}
datasets:
  people: {schema: people, skipLines: 0, groups: [], overlap: []}
evaluation:
  measurer: counterfactual-fairness/1
  dataset: people
  rows: all
  confidenceLevel: 0.95
  resamples: 50
  threshold: 0.5
  attributes: [{column: sex, values: [m, f]}]
  coChanges: []
"""
CHANGES = (
    "coChanges: []",
    """coChanges: [{attribute: sex, from: m, to: f, column: role, values: {husband: wife}},
    {attribute: sex, from: f, to: m, column: role, values: {wife: husband}}]""",
)
WEIGHTS = {"age": 0.5, "member": 1.5, "sex=f": -1.0, "sex=m": 1.0, "sex=x": 3.0, "role=husband": 0.8, "role=wife": -0.8}
FEATURES: list[dict[str, Any]] = [
    {"type": "number", "name": "age", "mean": 40.0, "deviation": 10.0},
    {"type": "number", "name": "member", "mean": 0.0, "deviation": 1.0},
    {"type": "category", "name": "sex", "categories": ["f", "m", "x"]},
    {"type": "category", "name": "role", "categories": ["husband", "wife"]},
]


def make_job(*changes: tuple[str, str]) -> Job:
    text = JOB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_job(text.encode(), "job.yaml")


def draw(count: int) -> list[list[str]]:
    random = np.random.default_rng(3)
    return [
        [
            str(random.integers(20, 70)),
            str(random.choice(["true", "false", "?"], p=[0.3, 0.6, 0.1])),
            str(random.choice(["m", "f", "x", "?"], p=[0.4, 0.4, 0.1, 0.1])),
            str(random.choice(["husband", "wife", "?", "other"])),
            str(random.choice(["low", "high"])),
        ]
        for _ in range(count)
    ]


def score(row: list[str]) -> float:
    """The model by hand."""
    age, member, sex, role = row[:4]
    logit = 0.5 * (float(age) - 40) / 10 - 0.3
    logit += {"true": 1.5}.get(member, 0.0) + WEIGHTS.get(f"sex={sex}", 0.0) + WEIGHTS.get(f"role={role}", 0.0)
    return float(1 / (1 + np.exp(-logit)))


def by_key(payload: bytes) -> dict[Key, Metric]:
    parsed = predicates.parse(statement.parse(payload))
    assert isinstance(parsed, Evaluation)
    found = {(item.name, *item.groups, *(item.parameters or {}).values()): item for item in parsed.metrics}
    assert len(found) == len(parsed.metrics)
    return found


@pytest.fixture
def model(read: Read, linear_model: Build) -> VerifiedArtifact:
    return read(linear_model(FEATURES, [list(WEIGHTS.values())], [-0.3], label="income"), "model")


def table(read: Read, rows: list[list[str]]) -> VerifiedArtifact:
    return read({"people.csv": "".join(", ".join(row) + "\n" for row in rows).encode()})


def flipped(rows: list[list[str]], source: str, target: str, roles: dict[str, str]) -> list[tuple[float, float]]:
    """Before and after, of every row of the source."""
    return [
        (score(row), score([row[0], row[1], target, roles.get(row[3], row[3]), row[4]]))
        for row in rows
        if row[2] == source
    ]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_values_are_those_by_hand(read: Read, model: VerifiedArtifact, together: bool, threshold: float) -> None:
    rows = draw(200)
    changes = [("threshold: 0.5", f"threshold: {threshold}"), *([CHANGES] if together else [])]
    found = by_key(measure_evaluation(model, table(read, rows), name="m", job=make_job(*changes)))
    pairs = {
        ("m", "f"): flipped(rows, "m", "f", {"husband": "wife"} if together else {}),
        ("f", "m"): flipped(rows, "f", "m", {"wife": "husband"} if together else {}),
    }
    both = [*pairs["m", "f"], *pairs["f", "m"]]

    def changed(of: list[tuple[float, float]]) -> float:
        return sum((a >= threshold) != (b >= threshold) for a, b in of) / len(of)

    values = '["f","m"]'
    expected: dict[Key, tuple[float, int]] = {
        ("attribute_missing", "sex"): (sum(row[2] == "?" for row in rows) / 200, 200),
        ("attribute_undeclared", "sex", values): (sum(row[2] == "x" for row in rows) / 200, 200),
        ("decision_change", "sex", values): (changed(both), len(both)),
        ("mean_absolute_probability_change", "sex", values): (float(np.mean([abs(a - b) for a, b in both])), len(both)),
        ("max_absolute_probability_change", "sex", values): (max(abs(a - b) for a, b in both), len(both)),
    }
    for names, of in pairs.items():
        size = len(of)
        gained = sum(a < threshold <= b for a, b in of) / size
        lost = sum(b < threshold <= a for a, b in of) / size
        expected["decision_change", "sex", *names] = (changed(of), size)
        expected["decision_gain", "sex", *names] = (gained, size)
        expected["decision_loss", "sex", *names] = (lost, size)
        expected["mean_probability_change", "sex", *names] = (float(np.mean([b - a for a, b in of])), size)
        expected["mean_absolute_probability_change", "sex", *names] = (
            float(np.mean([abs(b - a) for a, b in of])),
            size,
        )
        expected["max_absolute_probability_change", "sex", *names] = (max(abs(b - a) for a, b in of), size)
    assert found.keys() == expected.keys()
    for name, (value, samples) in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name
        assert found[name].samples == samples, name
        interval = found[name].interval
        if name[0] == "max_absolute_probability_change":
            assert interval is None
            continue
        assert interval is not None
        wilson = name[0].startswith(("decision", "attribute"))
        assert interval.method == ("wilson" if wilson else "percentile-bootstrap")
    assert expected["decision_change", "sex", values][0] > 0.1


def test_direction_is_that_of_the_weights(read: Read, model: VerifiedArtifact) -> None:
    found = by_key(measure_evaluation(model, table(read, draw(100)), name="m", job=make_job()))
    assert found["decision_gain", "sex", "m", "f"].value == 0.0
    assert found["decision_loss", "sex", "f", "m"].value == 0.0
    assert found["mean_probability_change", "sex", "m", "f"].value < 0  # type: ignore[operator]


def test_three_values_and_truth_values(read: Read, model: VerifiedArtifact) -> None:
    rows = draw(150)
    attributes = "attributes: [{column: sex, values: [m, f, x]}, {column: member, values: ['true', 'false']}]"
    job = make_job(("attributes: [{column: sex, values: [m, f]}]", attributes))
    found = by_key(measure_evaluation(model, table(read, rows), name="m", job=job))
    moved = [
        max(abs(score([*row[:2], value, *row[3:]]) - score(row)) for value in "mfx") for row in rows if row[2] != "?"
    ]
    values = '["f","m","x"]'
    assert found["mean_absolute_probability_change", "sex", values].value == pytest.approx(np.mean(moved), abs=1e-6)
    away = [score([row[0], "false", *row[2:]]) - score(row) for row in rows if row[1] == "true"]
    assert found["mean_probability_change", "member", "true", "false"].value == pytest.approx(np.mean(away), abs=1e-6)
    assert found["attribute_missing", "member"].value == sum(row[1] == "?" for row in rows) / 150
    assert len([name for name in found if name[0] == "decision_gain"]) == 3 * 2 + 2


def test_rows_of_other_values_are_told_apart_by_the_declared_ones(read: Read, model: VerifiedArtifact) -> None:
    """One configuration, two lists of values: a share under one name must not have two values."""
    data, declared = table(read, draw(100)), (("[m, f]", "[m, f]"), ("[m, f]", "[m, f, x]"))
    two, three = (by_key(measure_evaluation(model, data, name="m", job=make_job(change))) for change in declared)
    assert two["attribute_undeclared", "sex", '["f","m"]'].value
    assert three["attribute_undeclared", "sex", '["f","m","x"]'].value == 0
    assert all(two[name] == three[name] for name in two.keys() & three.keys())


def test_order_of_values_and_bytes_do_not_change_the_whole(read: Read, model: VerifiedArtifact) -> None:
    data = table(read, draw(80))
    one = measure_evaluation(model, data, name="m", job=make_job())
    assert one == measure_evaluation(model, data, name="m", job=make_job())
    other = by_key(measure_evaluation(model, data, name="m", job=make_job(("[m, f]", "[f, m]"))))
    assert other == by_key(one)


def test_what_changes_with_it_stands_in_the_configuration(read: Read, model: VerifiedArtifact) -> None:
    parsed = predicates.parse(
        statement.parse(measure_evaluation(model, table(read, draw(20)), name="m", job=make_job(CHANGES)))
    )
    assert isinstance(parsed, Evaluation)
    assert parsed.groups == (("sex",),)
    assert parsed.configuration["coChanges"][0] == {
        "attribute": "sex",
        "from": "m",
        "to": "f",
        "column": "role",
        "values": {"husband": "wife"},
    }


def test_model_that_does_not_read_the_attribute_has_no_value(read: Read, linear_model: Build) -> None:
    """Nothing was tried: a 0 here would be had by dropping the column, whatever stands in for it."""
    files = linear_model([FEATURES[0], FEATURES[3]], [[0.5, 0.8, -0.8]], [0.0], label="income")
    model, data = read(files, "model"), table(read, draw(50))
    found = by_key(measure_evaluation(model, data, name="m", job=make_job()))
    tried = [item for name, item in found.items() if not name[0].startswith("attribute")]
    assert tried
    assert {item.undefined for item in tried} == {
        "the model reads neither the attribute nor a column that changes with it"
    }
    together = by_key(measure_evaluation(model, data, name="m", job=make_job(CHANGES)))
    assert together["max_absolute_probability_change", "sex", "m", "f"].value > 0.1  # type: ignore[operator]


def test_model_that_reads_it_without_effect_does_not_change(read: Read, linear_model: Build) -> None:
    files = linear_model(FEATURES, [[0.5, 1.5, 0.2, 0.2, 0.2, 0.0, 0.0]], [0.0], label="income")
    found = by_key(measure_evaluation(read(files, "model"), table(read, draw(50)), name="m", job=make_job()))
    assert found["max_absolute_probability_change", "sex", '["f","m"]'].value == 0.0
    assert found["decision_change", "sex", "m", "f"].value == 0.0


def test_value_of_no_row_is_undefined(read: Read, model: VerifiedArtifact) -> None:
    rows = [row for row in draw(100) if row[2] != "f"]
    found = by_key(measure_evaluation(model, table(read, rows), name="m", job=make_job()))
    for name in ("decision_change", "decision_gain", "mean_probability_change", "max_absolute_probability_change"):
        metric = found[name, "sex", "f", "m"]
        assert (metric.value, metric.samples, metric.undefined) == (None, 0, "no row has the value")
    assert found["decision_change", "sex", "m", "f"].value is not None


def test_value_that_the_model_never_saw_is_refused(read: Read, model: VerifiedArtifact) -> None:
    for change in (
        ("values: [m, f]", "values: [m, woman]"),
        ("coChanges: []", "coChanges: [{attribute: sex, from: m, to: f, column: role, values: {husband: partner}}]"),
    ):
        with pytest.raises(FormatError) as caught:
            measure_evaluation(model, table(read, draw(10)), name="m", job=make_job(change))
        assert caught.value.reason == "counterfactual-value"


def test_model_of_another_label_is_refused(read: Read, linear_model: Build) -> None:
    model = read(linear_model(FEATURES, [list(WEIGHTS.values())], [0.0], label="wage"), "model")
    with pytest.raises(FormatError) as caught:
        measure_evaluation(model, table(read, draw(10)), name="m", job=make_job())
    assert caught.value.reason == "evaluation-label"


def test_model_of_numbers_is_refused(read: Read, linear_model: Build) -> None:
    says = {"type": "number", "mean": 0.0, "deviation": 1.0}
    model = read(linear_model(FEATURES, [list(WEIGHTS.values())], [0.0], label="income", says=says), "model")
    with pytest.raises(FormatError) as caught:
        measure_evaluation(model, table(read, draw(10)), name="m", job=make_job())
    assert caught.value.reason == "evaluation-task"


def test_model_that_reads_no_table_is_refused(
    read: Read, model: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_model(model)
    other: Any = SimpleNamespace(
        inputs=ImageInputs(channels=1, height=2, width=2), label="income", task=loaded.task, architecture="other/1"
    )
    monkeypatch.setattr(counterfactual, "load_model", lambda *_, **__: replace(loaded, description=other))
    with pytest.raises(FormatError) as caught:
        measure_evaluation(model, table(read, draw(10)), name="m", job=make_job())
    assert caught.value.reason == "counterfactual-inputs"


def test_adult(read: Read, linear_model: Build, adult: Path) -> None:
    """scikit-learn's logistic regression on UCI Adult, flipped by hand and by the measurer."""
    from sklearn.linear_model import LogisticRegression

    with (adult / "adult.data").open() as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if len(row) == 15][:6000]
    roles = sorted({row[7] for row in rows})

    def encoded(row: list[str], sex: str) -> list[float]:
        numbers = [(float(row[0]) - 38) / 13, (float(row[4]) - 10) / 3]
        return [*numbers, *(float(row[7] == role) for role in roles), float(sex == "Female"), float(sex == "Male")]

    plain = np.array([encoded(row, row[9]) for row in rows])
    other = np.array([encoded(row, {"Male": "Female", "Female": "Male"}[row[9]]) for row in rows])
    theirs = LogisticRegression(max_iter=200).fit(plain[:3000], [row[14] == ">50K" for row in rows[:3000]])
    before, after = theirs.predict(plain), theirs.predict(other)
    features = [
        {"type": "number", "name": "age", "mean": 38.0, "deviation": 13.0},
        {"type": "number", "name": "education", "mean": 10.0, "deviation": 3.0},
        {"type": "category", "name": "relationship", "categories": roles},
        {"type": "category", "name": "sex", "categories": ["Female", "Male"]},
    ]
    names = ["age", "w", "f", "e", "education", "m", "o", "relationship", "race", "sex", "g", "l", "h", "c", "income"]
    columns = ", ".join(
        f"{{name: {name}, type: {'integer' if name in ('age', 'education') else 'string'}}}" for name in names
    )
    start, end = JOB.index("    columns:"), JOB.index("datasets:")
    label = '    label: {column: income, classes: {"<=50K": 0, ">50K": 1}}\n'
    text = JOB[:start] + f"    columns: [{columns}]\n{label}" + JOB[end:].replace("[m, f]", "[Male, Female]")
    model = read(linear_model(features, theirs.coef_, theirs.intercept_, label="income"), "model")
    data = read({"adult.csv": "".join(",".join(row) + "\n" for row in rows).encode()})
    found = by_key(measure_evaluation(model, data, name="m", job=load_job(text.encode(), "job.yaml")))
    metric = found["decision_change", "sex", '["Female","Male"]']
    assert metric.samples == 6000
    assert metric.value == pytest.approx(float((before != after).mean()), abs=2 / 6000)
    males = np.array([row[9] == "Male" for row in rows])
    lost = float((before & ~after)[males].mean())
    assert found["decision_loss", "sex", "Male", "Female"].value == pytest.approx(lost, abs=2 / males.sum())
