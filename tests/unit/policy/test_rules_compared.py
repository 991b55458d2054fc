"""``noWorseThan``: our value against another model's, which has to be there and to qualify as ours would."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.policy import Policy
from lamslsa.policy.model import Comparison
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation
from tests.unit.policy.deciding import OTHER, SCHEMA2, decide, measured, outcome, rule, ruled

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
HIGHER = Comparison(sha256=OTHER.sha256, margin=0.01, higher_is_better=True)
LOWER = dataclasses.replace(HIGHER, higher_is_better=False)


@pytest.fixture(scope="module")
def policy(load: Callable[[str], Policy], policy_text: str) -> Policy:
    """Accuracy by its value, 0.855, against that of another model, and by nothing else."""
    return ruled(load(policy_text), minimum=None, use="value", no_worse_than=HIGHER)


@pytest.fixture
def theirs(entries: dict[str, Entry]) -> Callable[..., Entry]:
    """An evaluation of the other model."""
    return lambda value=0.86, **options: measured(entries["evaluation"], value, **{"model": OTHER, **options})


def test_within_the_margin(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    appraisal = decide(policy, sealed([*entries.values(), theirs(0.865)]))
    assert appraisal.accepted
    found = rule(appraisal)
    assert (
        found.threshold == f"no worse than sha256:{OTHER.sha256[:12]} by more than 0.01 (higher is better), n >= 10000"
    )
    digests = {item.statement.subjects[0].sha256 for item in appraisal.qualifying}
    assert OTHER.sha256 in digests, "what the rule rests on is part of the verdict"


@pytest.mark.parametrize(
    ("terms", "use", "value", "expected"),
    [
        (HIGHER, "value", 0.8651, "worse-than"),
        (HIGHER, "value", 0.1, None),
        (HIGHER, "lowerBound", 0.86, None),
        (HIGHER, "lowerBound", 0.8601, "worse-than"),
        (LOWER, "value", 0.845, None),
        (LOWER, "value", 0.8449, "worse-than"),
        (LOWER, "upperBound", 0.8499, "worse-than"),
    ],
)
def test_which_way_is_worse(
    entries: dict[str, Entry],
    theirs: Callable[..., Entry],
    sealed: Sealed,
    policy: Policy,
    terms: Comparison,
    use: Any,
    value: float,
    expected: str | None,
) -> None:
    asked = ruled(policy, no_worse_than=terms, use=use)
    appraisal = decide(asked, sealed([*entries.values(), theirs(value)]))
    assert outcome(appraisal) == ("satisfied" if expected is None else "refused", expected)
    assert appraisal.exit_code == (0 if expected is None else 5)


def test_beside_a_minimum(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    appraisal = decide(ruled(policy, minimum=0.9), sealed([*entries.values(), theirs(0.1)]))
    assert outcome(appraisal) == ("refused", "threshold-missed")


def test_without_the_other_model(entries: dict[str, Entry], sealed: Sealed, policy: Policy) -> None:
    appraisal = decide(policy, sealed(entries.values()))
    assert outcome(appraisal) == ("refused", "comparison-missing")
    assert appraisal.exit_code == 4


def test_an_unquoted_evaluation_of_it_is_none(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    bare = dataclasses.replace(theirs(0.1), claims=())
    appraisal = decide(policy, sealed([*entries.values(), bare]))
    assert (outcome(appraisal), appraisal.exit_code) == (("refused", "comparison-missing"), 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": ("census-train", chain.TRAIN, "")}, "expected an evaluation on census-test"),
        ({"dataset": ("census-test", chain.TEST, "f" * 64)}, "under schema"),
        ({"configuration": {"rows": 10}}, "under configuration"),
        ({"metrics": []}, "expected one value of accuracy in the evaluation, got none"),
        ({"metrics": [chain.metric("accuracy", 0.1)] * 2}, "got 2"),
        ({"metrics": [{"name": "accuracy", "samples": 20000, "undefined": "one class"}]}, "got 1 that is undefined"),
        ({"metrics": [chain.metric("accuracy", 0.1, rows={"sex": "Female"})]}, "expected one value of accuracy"),
        ({"samples": 9999}, "over at least 10000 rows, got 9999"),
    ],
)
def test_an_evaluation_of_it_that_would_not_do_for_ours(
    entries: dict[str, Entry],
    theirs: Callable[..., Entry],
    sealed: Sealed,
    policy: Policy,
    options: dict[str, Any],
    words: str,
) -> None:
    appraisal = decide(policy, sealed([*entries.values(), theirs(0.1, **options)]))
    assert (outcome(appraisal), appraisal.exit_code) == (("refused", "comparison-refused"), 5)
    assert words in rule(appraisal).message


def test_an_evaluation_of_it_by_another_signer(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    by_trainer = dataclasses.replace(theirs(0.1), signers=frozenset({"trainer"}))
    assert outcome(decide(policy, sealed([*entries.values(), by_trainer]))) == ("refused", "comparison-refused")


def test_an_evaluation_of_it_with_a_seed_that_was_chosen(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    path = ("predicate", "seed", "value", "sha256")
    chosen = dataclasses.replace(theirs(0.1), payload=chain.edited(theirs(0.1).payload, path, "0" * 64))
    appraisal = decide(policy, sealed([*entries.values(), chosen]))
    assert outcome(appraisal) == ("refused", "comparison-refused")
    assert "seed" in rule(appraisal).message


def test_of_several_one_is_enough_and_that_they_differ_is_said(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    """With the best of them, leaving that one out would accept."""
    items = [*entries.values(), theirs(0.86), theirs(0.99)]
    appraisal = decide(policy, sealed(items))
    assert outcome(appraisal) == ("satisfied", None)
    (warning,) = appraisal.warnings
    assert warning == f"accurate: qualifying evaluations of sha256:{OTHER.sha256[:12]} differ: 0.8600, 0.9900"
    refused = decide(dataclasses.replace(policy, refuse_conflicts=True), sealed(items))
    assert outcome(refused, "conflicts") == ("refused", "conflicting-evaluation")
    assert outcome(decide(ruled(policy, every=True), sealed(items))) == ("refused", "worse-than")
    assert decide(ruled(policy, every=True), sealed(items[:-1])).accepted


def test_both_are_read_under_one_schema(
    entries: dict[str, Entry], theirs: Callable[..., Entry], sealed: Sealed, policy: Policy
) -> None:
    """The data owner allows two readings; ours under one of them and theirs under the other are no comparison."""
    other = chain.schema_digest(SCHEMA2)
    sheet = chain.datasheet(
        "census-test", chain.TEST, rows=9, schema=SCHEMA2, overlaps=[(chain.TRAIN, chain.schema_digest(), 0)]
    )
    entries["second"] = dataclasses.replace(entries["test"], payload=sheet)
    reading: dict[str, Any] = {"dataset": ("census-test", chain.TEST, other)}
    appraisal = decide(policy, sealed([*entries.values(), theirs(0.1, **reading)]))
    assert rule(appraisal).reason == "comparison-refused"
    both = [*entries.values(), theirs(0.1, **reading), measured(entries["evaluation"], 0.855, **reading)]
    assert decide(policy, sealed(both)).accepted


@pytest.fixture(scope="module")
def universe(sealed: Sealed, root: str) -> tuple[VerifiedAttestation, ...]:
    good = chain.entries(root=root)
    made = [measured(good["evaluation"], value, model=OTHER) for value in (0.85, 0.864, 0.9)]
    made += [measured(good["evaluation"], value) for value in (0.7, 0.88)]
    made.append(dataclasses.replace(measured(good["evaluation"], 0.2, model=OTHER), claims=()))
    made.append(dataclasses.replace(measured(good["evaluation"], 0.3, model=OTHER), signers=frozenset({"trainer"})))
    return sealed([*good.values(), *made])


@settings(max_examples=60, deadline=None)
@given(chosen=st.sets(st.integers(0, 10)), good=st.booleans(), seed=st.integers())
def test_leaving_out_never_accepts_and_order_decides_nothing(
    chosen: set[int], good: bool, seed: int, universe: tuple[VerifiedAttestation, ...], policy: Policy
) -> None:
    indices = sorted(chosen | (set(range(4)) if good else set()))
    items = [universe[index] for index in indices]
    whole = decide(policy, items)
    assert whole == decide(policy, random.Random(seed).sample(items, len(items)))
    for left_out in itertools.combinations(items, max(0, len(items) - 1)):
        assert whole.accepted >= decide(policy, left_out).accepted
