"""Nothing of an evaluation is implied: leaving out any key of any measurer's part of a job file is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lamslsa import predicates
from lamslsa.errors import FormatError
from lamslsa.measure import Job, load_job
from lamslsa.measure.evaluation import MEASURERS
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

BASE: Final = """
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
      {name: role, type: string}, {name: score, type: number}, {name: income, type: string}]
    label: {column: income, classes: {low: 0, high: 1}}
  sizes:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: "?"
    columns: [{name: age, type: integer}, {name: sex, type: string}, {name: size, type: number}]
    label: {column: size, type: number}
datasets:
  people: {schema: people, skipLines: 0, groups: [], overlap: []}
  sizes: {schema: sizes, skipLines: 0, groups: [], overlap: []}
"""

COMMON: Final = {"dataset": "people", "rows": "all", "confidenceLevel": 0.95, "resamples": 1000}
EVALUATIONS: Final[dict[str, dict[str, Any]]] = {
    "tabular-evaluation/1": {**COMMON, "threshold": 0.5, "calibrationBins": 15, "groups": [["sex"]], "slices": []},
    "classification/1": {
        **COMMON,
        "calibrationBins": 15,
        "topK": [1],
        "groups": [["sex"]],
        "slices": [["sex", "role"]],
    },
    "regression/1": {**COMMON, "dataset": "sizes", "groups": [["sex"]], "slices": []},
    "group-fairness/1": {**COMMON, "threshold": 0.5, "minimumGroupSize": 30, "groups": [["sex"], ["sex", "role"]]},
    "counterfactual-fairness/1": {
        **COMMON,
        "threshold": 0.5,
        "attributes": [{"column": "sex", "values": ["m", "f"]}, {"column": "member", "values": ["true", "false"]}],
        "coChanges": [],
    },
    "baseline-comparison/1": {**COMMON, "threshold": 0.5},
}
CHANGE: Final = {"attribute": "sex", "from": "m", "to": "f", "column": "role", "values": {"husband": "wife"}}


def job(measurer: str, fields: dict[str, Any]) -> Job:
    text = BASE + "evaluation: " + json.dumps({"measurer": measurer, **fields})
    return load_job(text.encode(), "job.yaml")


def refused(measurer: str, fields: dict[str, Any]) -> str:
    with pytest.raises(FormatError) as caught:
        job(measurer, fields)
    return caught.value.reason


@pytest.mark.parametrize("measurer", EVALUATIONS)
def test_the_whole_block_is_read(measurer: str) -> None:
    (plan,) = job(measurer, EVALUATIONS[measurer]).require_evaluations().values()
    assert str(plan.measurer) == measurer
    assert plan.inputs[0].role == "model"
    assert all(item.required for item in plan.inputs)
    assert plan.steps()


@pytest.mark.parametrize("measurer", EVALUATIONS)
def test_written_defaults_are_the_default_configuration(measurer: str) -> None:
    (plan,) = job(measurer, EVALUATIONS[measurer]).require_evaluations().values()
    configuration = plan.configuration()  # type: ignore[attr-defined]
    default = dict(DEFAULT_CONFIGURATIONS[measurer])
    assert configuration.keys() == default.keys()
    assert predicates.configuration_digest(configuration) == predicates.configuration_digest(default)


@pytest.mark.parametrize(("measurer", "key"), [(name, key) for name, fields in EVALUATIONS.items() for key in fields])
def test_no_key_can_be_left_out(measurer: str, key: str) -> None:
    fields = {name: value for name, value in EVALUATIONS[measurer].items() if name != key}
    assert refused(measurer, fields) == "yaml-missing-key"


@pytest.mark.parametrize("measurer", EVALUATIONS)
def test_no_key_can_be_added(measurer: str) -> None:
    assert refused(measurer, {**EVALUATIONS[measurer], "seed": 7}) == "yaml-unknown-key"


@pytest.mark.parametrize("key", ["column", "values"])
def test_no_key_of_an_attribute_can_be_left_out(key: str) -> None:
    fields = EVALUATIONS["counterfactual-fairness/1"]
    attribute = {name: value for name, value in fields["attributes"][0].items() if name != key}
    assert refused("counterfactual-fairness/1", {**fields, "attributes": [attribute]}) == "yaml-missing-key"


@pytest.mark.parametrize("key", CHANGE)
def test_no_key_of_a_change_can_be_left_out(key: str) -> None:
    fields = EVALUATIONS["counterfactual-fairness/1"]
    job("counterfactual-fairness/1", {**fields, "coChanges": [CHANGE]})
    change = {name: value for name, value in CHANGE.items() if name != key}
    assert refused("counterfactual-fairness/1", {**fields, "coChanges": [change]}) == "yaml-missing-key"


def test_every_measurer_of_this_area_is_here() -> None:
    """Attacks have keys and tests of their own."""
    attacks = {"pgd", "autoattack", "corruption", "corruptions", "membership", "lira"}
    ours = {str(item.name) for item in MEASURERS if not any(part in item.name.name for part in attacks)}
    assert ours == set(EVALUATIONS)


@pytest.mark.parametrize(
    "measurer", ["tabular-evaluation/1", "group-fairness/1", "counterfactual-fairness/1", "classification/1"]
)
def test_numbers_are_no_classes(measurer: str) -> None:
    reason = refused(measurer, {**EVALUATIONS[measurer], "dataset": "sizes"})
    assert reason in ("evaluation-task", "yaml-choice")


VALUE_MISTAKES: Final[list[tuple[str, Any, str]]] = [
    ("attributes", [], "yaml-empty"),
    ("attributes", [{"column": "age", "values": ["1", "2"]}], "yaml-choice"),
    ("attributes", [{"column": "income", "values": ["low", "high"]}], "yaml-choice"),
    ("attributes", [{"column": "sex", "values": ["m"]}], "counterfactual-values"),
    ("attributes", [{"column": "sex", "values": ["m", "m"]}], "counterfactual-values"),
    ("attributes", [{"column": "sex", "values": ["m", "?"]}], "counterfactual-values"),
    ("attributes", [{"column": "member", "values": ["true", "yes"]}], "counterfactual-values"),
    ("attributes", [{"column": "sex", "values": [str(number) for number in range(17)]}], "counterfactual-values"),
    ("attributes", [{"column": "sex", "values": ["m", "f"]}] * 2, "counterfactual-attributes"),
    ("coChanges", [CHANGE, CHANGE], "counterfactual-changes"),
    ("coChanges", [{**CHANGE, "to": "m"}], "counterfactual-changes"),
    ("coChanges", [{**CHANGE, "values": {}}], "counterfactual-changes"),
    ("coChanges", [{**CHANGE, "to": "x"}], "yaml-choice"),
    ("coChanges", [{**CHANGE, "attribute": "role"}], "yaml-choice"),
    ("coChanges", [{**CHANGE, "column": "sex"}], "yaml-choice"),
    ("coChanges", [{**CHANGE, "values": {"husband": "?"}}], "counterfactual-values"),
    ("threshold", 1.5, "yaml-range"),
]


@pytest.mark.parametrize(("key", "value", "reason"), VALUE_MISTAKES)
def test_mistakes_in_flips_are_refused(key: str, value: Any, reason: str) -> None:
    assert refused("counterfactual-fairness/1", {**EVALUATIONS["counterfactual-fairness/1"], key: value}) == reason


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("groups", [], "yaml-empty"), ("minimumGroupSize", 0, "yaml-range"), ("groups", [["score"]], "yaml-choice")],
)
def test_mistakes_in_groups_are_refused(key: str, value: Any, reason: str) -> None:
    assert refused("group-fairness/1", {**EVALUATIONS["group-fairness/1"], key: value}) == reason


SPECIFICATION: Final = Path(__file__).parents[3] / "predicates" / "evaluation" / "v1" / "README.md"


@pytest.mark.parametrize("measurer", EVALUATIONS)
def test_the_specification_has_every_key_and_the_digest(measurer: str) -> None:
    section = SPECIFICATION.read_text(encoding="utf-8").split(f"## Measurer `{measurer}`\n")[1].split("\n## ")[0]
    default = dict(DEFAULT_CONFIGURATIONS[measurer])
    for key, value in default.items():
        shown = f"`{json.dumps(value)}`" if isinstance(value, (str, tuple)) else value
        assert f"| `{key}` | {shown} |" in section, key
    assert f"`{predicates.configuration_digest(default)}`" in section
