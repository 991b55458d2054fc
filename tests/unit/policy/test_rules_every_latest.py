"""``every`` and ``latest``: which of several evaluations decide."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.policy import Policy
from lamslsa.sign.interface import Witnessed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation
from tests.unit.policy.deciding import AT, DAY, SCHEMA2, dated, decide, measured, outcome, rule, ruled, seen

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]


@pytest.fixture(scope="module")
def base(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture(scope="module")
def every(base: Policy) -> Policy:
    return ruled(base, every=True)


@pytest.fixture(scope="module")
def latest(base: Policy) -> Policy:
    """The two other metric rules may be satisfied by any evaluation."""
    return ruled(base, latest=True)


def second_reading(entries: dict[str, Entry]) -> None:
    sheet = chain.datasheet(
        "census-test", chain.TEST, rows=9, schema=SCHEMA2, overlaps=[(chain.TRAIN, chain.schema_digest(), 0)]
    )
    entries["second"] = dataclasses.replace(entries["test"], payload=sheet)


# every


def test_every_one_satisfies(entries: dict[str, Entry], sealed: Sealed, every: Policy) -> None:
    items = [*entries.values(), measured(entries["evaluation"], 0.86)]
    appraisal = decide(every, sealed(items))
    assert appraisal.accepted
    assert rule(appraisal).threshold == ">= 0.84 (lower bound), n >= 10000, every evaluation"


def test_every_needs_one(entries: dict[str, Entry], sealed: Sealed, every: Policy) -> None:
    del entries["evaluation"]
    appraisal = decide(every, sealed(entries.values()))
    assert (rule(appraisal).reason, appraisal.exit_code) == ("evaluation-missing", 4)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([chain.metric("accuracy", 0.1)], "threshold-missed"),
        ([chain.metric("accuracy", 0.9, samples=9)], "samples-too-few"),
        ([{"name": "accuracy", "samples": 20000, "undefined": "one class"}], "metric-undefined"),
        ([{"name": "accuracy", "samples": 20000, "value": 0.9}], "interval-missing"),
        ([chain.metric("accuracy", 0.9)] * 2, "metric-ambiguous"),
    ],
)
def test_every_refuses_for_one_that_misses(
    entries: dict[str, Entry],
    sealed: Sealed,
    base: Policy,
    every: Policy,
    metrics: list[dict[str, Any]],
    reason: str,
) -> None:
    bad = measured(entries["evaluation"], 0, metrics=metrics)
    attestations = sealed([*entries.values(), bad])
    assert decide(base, attestations).accepted
    appraisal = decide(every, attestations)
    assert outcome(appraisal) == ("refused", reason)
    shown = rule(appraisal).attestation
    assert shown is not None
    assert shown.statement.payload == bad.payload, "the one that misses is what a refusal has to show"


@pytest.mark.parametrize(
    "options",
    [
        {"metrics": [chain.metric("accuracy", 0.1, rows={"sex": "Female"})]},
        {"configuration": {"rows": 10}},
        {"dataset": ("census-train", chain.TRAIN, "")},
        {"dataset": ("census-test", chain.TEST, "f" * 64)},
    ],
)
def test_every_is_about_this_metric_dataset_and_configuration(
    entries: dict[str, Entry], sealed: Sealed, every: Policy, options: dict[str, Any]
) -> None:
    assert decide(every, sealed([*entries.values(), measured(entries["evaluation"], 0.1, **options)])).accepted


@pytest.mark.parametrize("weak", [{"signers": frozenset({"trainer"})}, {"claims": ()}])
def test_every_leaves_out_what_does_not_have_the_witness(
    entries: dict[str, Entry], sealed: Sealed, every: Policy, weak: dict[str, Any]
) -> None:
    bad = dataclasses.replace(measured(entries["evaluation"], 0.1), **weak)
    assert decide(every, sealed([*entries.values(), bad])).accepted


def test_every_looks_at_each_reading_that_is_allowed(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, every: Policy
) -> None:
    second_reading(entries)
    reading: dict[str, Any] = {"dataset": ("census-test", chain.TEST, chain.schema_digest(SCHEMA2))}
    bad = measured(entries["evaluation"], 0.1, **reading)
    attestations = sealed([*entries.values(), bad])
    assert decide(base, attestations).accepted
    assert rule(decide(every, attestations)).outcome == "refused"
    good = measured(entries["evaluation"], 0.87, **reading)
    assert decide(every, sealed([*entries.values(), good])).accepted


# latest


def timed(sealed: Sealed, entries: dict[str, Entry], **values: tuple[float, list[Witnessed]]) -> list[Any]:
    """The chain without its evaluation, and evaluations of one accuracy each, with what has seen their signatures."""
    rest = [entry for name, entry in entries.items() if name != "evaluation"]
    made = [
        dated(sealed([measured(entries["evaluation"], value)])[0], witnessed) for value, witnessed in values.values()
    ]
    return [*sealed(rest), *made]


def test_only_the_latest_counts(entries: dict[str, Entry], sealed: Sealed, base: Policy, latest: Policy) -> None:
    good_since = timed(sealed, entries, old=(0.1, [seen(-9)]), new=(0.86, [seen(-2)]))
    appraisal = decide(latest, good_since)
    assert appraisal.accepted
    assert rule(appraisal).threshold == ">= 0.84 (lower bound), n >= 10000, latest evaluation"
    bad_since = timed(sealed, entries, old=(0.86, [seen(-9)]), new=(0.1, [seen(-2)]))
    assert decide(base, bad_since).accepted
    refused = decide(latest, bad_since)
    assert outcome(refused) == ("refused", "threshold-missed")
    assert refused.exit_code == 5


def test_a_superseded_one_is_named_so(entries: dict[str, Entry], sealed: Sealed, latest: Policy) -> None:
    """The later one lies far from the rule, so the earlier one is the nearest."""
    broken = measured(entries["evaluation"], 0, metrics=[chain.metric("accuracy", 0.1, samples=1)] * 2)
    items = timed(sealed, entries, old=(0.86, [seen(-9)]))
    appraisal = decide(latest, [*items, dated(sealed([broken])[0], [seen(-1)])])
    assert rule(appraisal).reason in {"metric-ambiguous", "latest-superseded"}
    assert not appraisal.accepted
    unrelated = measured(entries["evaluation"], 0.1, configuration={"rows": 10})
    assert decide(latest, [*items, dated(sealed([unrelated])[0], [seen(-1)])]).accepted


def test_what_is_not_dated_does_not_count(entries: dict[str, Entry], sealed: Sealed, latest: Policy) -> None:
    appraisal = decide(latest, sealed(entries.values()))
    assert outcome(appraisal) == ("refused", "latest-untimed")
    assert appraisal.exit_code == 5
    items = timed(sealed, entries, untimed=(0.1, [seen()]), new=(0.86, [seen(-2)]))
    assert decide(latest, items).accepted
    items = timed(sealed, entries, untimed=(0.86, [seen()]), new=(0.1, [seen(-2)]))
    assert rule(decide(latest, items)).outcome == "refused"


def test_of_several_signatures_the_earliest_time_counts(
    entries: dict[str, Entry], sealed: Sealed, latest: Policy
) -> None:
    """Stamped again, an old evaluation is no younger while its first timestamp is there."""
    items = timed(sealed, entries, old=(0.86, [seen(-9), seen(-1)]), new=(0.1, [seen(-2)]))
    assert outcome(decide(latest, items)) == ("refused", "threshold-missed")
    assert decide(latest, timed(sealed, entries, old=(0.86, [seen(-1)]), new=(0.1, [seen(-2)]))).accepted


def test_a_time_of_another_signer_does_not_count(
    entries: dict[str, Entry], sealed: Sealed, latest: Policy, signed: Callable[..., Any]
) -> None:
    items = timed(sealed, entries, old=(0.86, [seen(-3)]), new=(0.1, [seen(-2)]))
    for index, day in ((-2, -1), (-1, -9)):  # makes the old one no later, and the new one no earlier
        stranger = dataclasses.replace(signed("data-owner", seen(day)), bundle="f" * 64)
        changed = list(items)
        changed[index] = dataclasses.replace(items[index], signatures=(*items[index].signatures, stranger))
        assert outcome(decide(latest, changed)) == ("refused", "threshold-missed")


def test_of_those_at_the_same_time_all_have_to_satisfy(
    entries: dict[str, Entry], sealed: Sealed, latest: Policy
) -> None:
    tied = timed(sealed, entries, one=(0.86, [seen(-2)]), other=(0.1, [seen(-2)]))
    assert outcome(decide(latest, tied)) == ("refused", "threshold-missed")
    tied = timed(sealed, entries, one=(0.86, [seen(-2)]), other=(0.87, [seen(-2)]), old=(0.1, [seen(-3)]))
    assert decide(latest, tied).accepted
    assert not decide(ruled(latest, every=True), tied[:-2] + timed(sealed, entries, bad=(0.1, [seen(-2)]))).accepted


def test_a_later_one_under_another_reading_supersedes(
    entries: dict[str, Entry], sealed: Sealed, latest: Policy
) -> None:
    second_reading(entries)
    reading: dict[str, Any] = {"dataset": ("census-test", chain.TEST, chain.schema_digest(SCHEMA2))}
    items = timed(sealed, entries, old=(0.86, [seen(-9)]))
    bad = dated(sealed([measured(entries["evaluation"], 0.1, **reading)])[0], [seen(-1)])
    assert rule(decide(latest, [*items, bad])).outcome == "refused"


# order


@pytest.fixture(scope="module")
def universe(sealed: Sealed, root: str) -> list[VerifiedAttestation]:
    good = chain.entries(root=root)
    rest = sealed(entry for name, entry in good.items() if name != "evaluation")
    evaluations = [
        dated(sealed([measured(good["evaluation"], value, note=note)])[0], witnessed)
        for value, note, witnessed in (
            (0.855, "", [seen(-5)]),
            (0.9, "", [seen(-5)]),
            (0.1, "", [seen(-7)]),
            (0.2, "", [seen(-5)]),
            (0.86, "", [seen()]),
            (0.86, " ", [seen(-3), seen(-8)]),
            (0.87, "", [seen(-1)]),
        )
    ]
    return [*rest, *evaluations]


@settings(max_examples=60, deadline=None)
@given(chosen=st.sets(st.integers(3, 9)), seed=st.integers(), flags=st.tuples(st.booleans(), st.booleans()))
def test_order_decides_nothing(
    chosen: set[int], seed: int, flags: tuple[bool, bool], universe: list[VerifiedAttestation], base: Policy
) -> None:
    policy = ruled(base, every=flags[0], latest=flags[1])
    items = [universe[index] for index in (0, 1, 2, *sorted(chosen))]
    appraisal = decide(policy, items)
    assert appraisal == decide(policy, random.Random(seed).sample(items, len(items)))
    assert decide(base, items).accepted >= appraisal.accepted, "both only ever refuse more"


def test_times_lie_before_the_appraisal() -> None:
    """The helper that dates signatures; else the tests above would date nothing."""
    assert [time.at for time in seen(-1, -3).times] == [AT - 3 * DAY, AT - DAY]
    assert isinstance(AT, dt.datetime)
