"""An overlap is about the columns that the model's trainings read; whoever adds a row number hides nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest

from lamslsa.policy import Appraisal, Policy
from lamslsa.policy._columns import features, seen, views
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

Judge = Callable[..., Appraisal]
COLUMNS = ("row", "age", "sex")
WIDE: Mapping[str, Any] = {
    **chain.SCHEMA,
    "columns": [{"name": name, "type": "string"} for name in (*COLUMNS, "income")],
}
DIGEST = chain.schema_digest(WIDE)
OVERLAP = "    overlap: census-train\n"


def wide(
    entries: Mapping[str, Entry],
    *compared: Sequence[str],
    rows: Sequence[int] = (),
    configuration: Mapping[str, Any] | None = None,
    test_columns: Mapping[str, Any] = WIDE,
) -> dict[str, Entry]:
    """The chain under a schema of three features, with one overlap for each of ``compared``."""
    manifest = chain.model()
    counts = rows or [0] * len(compared)
    test = chain.datasheet(
        "census-test",
        chain.TEST,
        rows=9,
        schema=test_columns,
        overlaps=[(chain.TRAIN, DIGEST, count) for count in counts],
    )
    for index, columns in enumerate(compared):
        test = chain.edited(test, ["predicate", "overlaps", index, "columns"], list(columns))
    payloads = {
        "train": chain.datasheet("census-train", chain.TRAIN, rows=9, schema=WIDE),
        "test": test,
        "training": chain.trained(
            manifest,
            datasets=[("census-train", chain.TRAIN, DIGEST)],
            configuration={"epochs": 1, **(configuration or {})},
        ),
        "evaluation": chain.evaluated(manifest, dataset=("census-test", chain.TEST, DIGEST)),
    }
    return {name: dataclasses.replace(entries[name], payload=payload) for name, payload in payloads.items()}


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [each for size in range(len(names) + 1) for each in combinations(names, size)]


@pytest.mark.parametrize("dropped", subsets(COLUMNS)[:-1])
@pytest.mark.parametrize("compared", subsets(COLUMNS)[1:])
def test_exactly_what_training_read_counts(
    entries: dict[str, Entry], judge: Judge, dropped: tuple[str, ...], compared: tuple[str, ...]
) -> None:
    made = wide(entries, compared, configuration={"drop": list(dropped)})
    assert judge(made.values()).accepted == (set(compared) == set(COLUMNS) - set(dropped))


@pytest.mark.parametrize("named", subsets(COLUMNS)[1:])
@pytest.mark.parametrize("dropped", subsets(COLUMNS)[:-1])
def test_the_policy_may_name_some_of_them(
    entries: dict[str, Entry],
    judge: Judge,
    load: Callable[[str], Policy],
    policy_text: str,
    named: tuple[str, ...],
    dropped: tuple[str, ...],
) -> None:
    policy = load(policy_text.replace(OVERLAP, f"{OVERLAP}    columns: [{', '.join(named)}]\n"))
    for compared in subsets(COLUMNS)[1:]:
        found = judge(wide(entries, compared, configuration={"drop": list(dropped)}).values(), policy=policy)
        assert found.accepted == (set(named) == set(compared) and not set(named) & set(dropped))
        assert found.accepted or [rule.reason for rule in found.rules if rule.reason] == ["overlap-columns"]


def test_a_row_number_hides_nothing(entries: dict[str, Entry], judge: Judge) -> None:
    """With the row number the overlap is 0, though all rows are shared: that counts for nothing, alone or not."""
    drop = {"drop": ["row"]}
    alone = judge(wide(entries, COLUMNS, rows=[0], configuration=drop).values())
    assert [rule.reason for rule in alone.rules if rule.reason] == ["overlap-columns"]
    beside = judge(wide(entries, COLUMNS, ("age", "sex"), rows=[0, 31], configuration=drop).values())
    assert [rule.reason for rule in beside.rules if rule.reason] == ["overlap-too-large"]
    assert judge(wide(entries, COLUMNS, ("age", "sex"), rows=[31, 30], configuration=drop).values()).accepted


def test_two_overlaps_over_the_same_columns_contradict_each_other(entries: dict[str, Entry], judge: Judge) -> None:
    made = wide(entries, COLUMNS, ("sex", "age", "row"), rows=[0, 9])
    assert [rule.reason for rule in judge(made.values()).rules if rule.reason] == ["overlap-ambiguous"]


def test_every_way_of_training_is_looked_at(entries: dict[str, Entry], judge: Judge) -> None:
    """Another genuine training that dropped a column takes nothing from the one that did not, and adds nothing."""
    for compared in (("age", "sex"), COLUMNS):
        made = wide(entries, compared)
        both = [*made.values(), wide(entries, compared, configuration={"drop": ["row"]})["training"]]
        assert judge(both).accepted
        assert judge(reversed(both)).accepted
        neither = wide(entries, ("age",))["test"]
        assert not judge([neither if item is made["test"] else item for item in both]).accepted


def _merged(made: Mapping[str, Entry], second: Mapping[str, Any]) -> list[Entry]:
    """The model as the average of two, of which the second was trained with another configuration."""
    parents = [("one", "a" * 64), ("two", "b" * 64)]
    datasets = [("census-train", chain.TRAIN, DIGEST)]
    other = chain.trained(chain.model(), datasets=datasets, configuration={"epochs": 1, **second})
    trainings = [
        dataclasses.replace(made["training"], payload=chain.edited(payload, ["subject", 0, "digest", "sha256"], sha256))
        for payload, (_, sha256) in zip((made["training"].payload, other), parents, strict=True)
    ]
    merged = chain.transformed(chain.model(), parents=parents, datasets=datasets, by="average/1")
    step = dataclasses.replace(made["training"], payload=merged)
    return [*(entry for name, entry in made.items() if name != "training"), *trainings, step]


def test_of_several_trainings_what_all_of_them_read(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    allowed = "\ntransforms: {signedBy: trainer, platform: rehearsal, allow: [average/1]}\n\nrequire:\n"
    policy = load(policy_text.replace("\nrequire:\n", allowed))
    for compared in subsets(COLUMNS)[1:]:
        made = wide(entries, compared, configuration={"drop": ["row"]})
        assert judge(_merged(made, {"drop": ["sex"]}), policy=policy).accepted == (compared == ("age",))


def test_a_dataset_that_no_training_read_has_no_columns_to_be_read(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    """Only then any overlap will do, the largest of them."""
    more = "d" * 64
    line = f"    - {{name: more, digest: sha256:{more}, datasheet: {{signedBy: data-owner, platform: rehearsal}}}}\n"
    policy = load(policy_text.replace("\n\ntraining:", f"\n{line}\ntraining:").replace(OVERLAP, "    overlap: more\n"))
    for rows, accepted in (([30, 2], True), ([31, 2], False), ([2, 31], False)):
        made = wide(entries, ("age",), ("age", "sex"), rows=rows)
        test = made["test"].payload
        for index in (0, 1):
            test = chain.edited(test, ["predicate", "overlaps", index, "dataset", "digest", "sha256"], more)
        made["test"] = dataclasses.replace(made["test"], payload=test)
        made["more"] = dataclasses.replace(made["train"], payload=chain.datasheet("more", more, rows=9, schema=WIDE))
        assert judge(made.values(), policy=policy).accepted == accepted


@pytest.mark.parametrize(
    ("configuration", "read"),
    [
        ({}, COLUMNS),
        ({"drop": []}, COLUMNS),
        ({"drop": ["row", "nowhere"]}, ("age", "sex")),
        ({"drop": 0.5}, COLUMNS),
        ({"drop": "row"}, COLUMNS),
        ({"drop": [["row"], None, 3]}, COLUMNS),
        ({"textColumn": "sex"}, ("sex",)),
        ({"textColumn": "sex", "drop": ["sex"]}, ("sex",)),
        ({"textColumn": "nowhere"}, ()),
    ],
)
def test_what_a_training_of_ours_read(
    entries: dict[str, Entry], judge: Judge, configuration: dict[str, Any], read: tuple[str, ...]
) -> None:
    for compared in subsets(COLUMNS)[1:]:
        made = wide(entries, compared, configuration=configuration)
        assert judge(made.values()).accepted == (set(compared) == set(read))


def test_code_that_is_not_ours_counts_as_having_read_everything(entries: dict[str, Entry], judge: Judge) -> None:
    made = wide(entries, COLUMNS, configuration={"drop": ["row"]})
    path = ["predicate", "buildDefinition", "externalParameters", "trainer", "distribution"]
    theirs = chain.edited(made["training"].payload, path, {"uri": "pkg:pypi/acme@1.0", "digest": {"sha256": "a" * 64}})
    made["training"] = dataclasses.replace(made["training"], payload=theirs)
    assert judge(made.values()).accepted


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (WIDE, set(COLUMNS)),
        ({**WIDE, "label": None}, {*COLUMNS, "income"}),
        ({"format": "images", "columns": [{"name": "a"}]}, {"pixels"}),
        ({"format": "text"}, {"text"}),
        ({}, set()),
        ({"format": ["images"], "columns": {"name": "a"}}, set()),
        ({"columns": [None, "a", {"name": 3}, {"name": "b"}], "label": "b"}, {"b"}),
        ({"columns": [{"name": ["x"]}, {"name": {}}, {"name": "age"}], "label": {"column": ["x"]}}, {"age"}),
    ],
)
def test_features_of_a_schema(schema: dict[str, Any], expected: set[str]) -> None:
    assert features(schema) == expected


def test_without_trainings_every_feature_counts() -> None:
    assert seen(frozenset(COLUMNS), views([], "0" * 64)) == set(COLUMNS)
