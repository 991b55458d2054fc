"""``conflicts: refuse``: what is a warning without it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.policy import Policy
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation
from tests.unit.policy.deciding import decide, measured, outcome, rule

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]


@pytest.fixture(scope="module")
def warn(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture(scope="module")
def refuse(warn: Policy) -> Policy:
    return dataclasses.replace(warn, refuse_conflicts=True)


def test_no_conflict(entries: dict[str, Entry], sealed: Sealed, refuse: Policy, warn: Policy) -> None:
    appraisal = decide(refuse, sealed(entries.values()))
    assert appraisal.accepted
    assert (rule(appraisal, "conflicts").observed, rule(appraisal, "conflicts").kind) == ("none", "conflicts")
    assert "conflicts" not in {item.name for item in decide(warn, sealed(entries.values())).rules}


@pytest.mark.parametrize(
    "story",
    [
        # all of these satisfy every rule, so the first story that is looked at would hide the second
        {"configuration": {"epochs": 11}},
        {"datasets": [("census-train", chain.TRAIN, "")], "configuration": {"epochs": 10, "drop": ["age"]}},
    ],
)
def test_two_stories_of_one_model(
    entries: dict[str, Entry],
    sealed: Sealed,
    refuse: Policy,
    warn: Policy,
    story: dict[str, object],
) -> None:
    second = dataclasses.replace(
        entries["training"],
        payload=chain.trained(chain.model(), **story),  # type: ignore[arg-type]
    )
    attestations = sealed([*entries.values(), second])
    (warning,) = decide(warn, attestations).warnings
    assert decide(warn, attestations).accepted
    appraisal = decide(refuse, attestations)
    assert outcome(appraisal, "conflicts") == ("refused", "conflicting-provenance")
    assert (appraisal.exit_code, appraisal.warnings) == (5, ())
    assert warning in rule(appraisal, "conflicts").message
    assert all(f"sha256:{item.statement.sha256}" in warning for item in attestations if item.signers == {"trainer"})


def test_one_story_told_twice(entries: dict[str, Entry], sealed: Sealed, refuse: Policy) -> None:
    again = dataclasses.replace(entries["training"], payload=entries["training"].payload + b" ")
    assert decide(refuse, sealed([*entries.values(), again])).accepted


@pytest.mark.parametrize("weak", [{"signers": frozenset({"auditor"})}, {"claims": ()}])
def test_a_story_that_does_not_count(
    entries: dict[str, Entry], sealed: Sealed, refuse: Policy, weak: dict[str, object]
) -> None:
    second = dataclasses.replace(
        entries["training"],
        payload=chain.trained(chain.model(), configuration={"epochs": 11}),
        **weak,  # type: ignore[arg-type]
    )
    assert decide(refuse, sealed([*entries.values(), second])).accepted


def test_two_stories_of_a_parent(
    entries: dict[str, Entry],
    sealed: Sealed,
    load: Callable[[str], Policy],
    policy_text: str,
) -> None:
    terms = "transforms: {signedBy: trainer, platform: rehearsal, allow: [quantize-int8/1]}\n\nrequire:"
    policy = dataclasses.replace(load(policy_text.replace("require:", terms, 1)), refuse_conflicts=True)
    subject = ("subject", 0, "digest", "sha256")
    entries["transform"] = dataclasses.replace(entries["training"], payload=chain.transformed(chain.model()))
    payload = chain.edited(entries["training"].payload, subject, chain.PARENT)
    entries["training"] = dataclasses.replace(entries["training"], payload=payload)
    assert decide(policy, sealed(entries.values())).accepted
    other = chain.edited(chain.trained(chain.model(), configuration={"epochs": 12}), subject, chain.PARENT)
    entries["again"] = dataclasses.replace(entries["training"], payload=other)
    assert outcome(decide(policy, sealed(entries.values())), "conflicts") == ("refused", "conflicting-provenance")


def test_an_evaluation_that_misses(entries: dict[str, Entry], sealed: Sealed, refuse: Policy, warn: Policy) -> None:
    attestations = sealed([*entries.values(), measured(entries["evaluation"], 0.1)])
    assert decide(warn, attestations).accepted
    assert len(decide(warn, attestations).warnings) == 1
    appraisal = decide(refuse, attestations)
    assert outcome(appraisal, "conflicts") == ("refused", "conflicting-evaluation")
    assert "accurate: satisfied, and missed by another" in rule(appraisal, "conflicts").message


@pytest.fixture(scope="module")
def universe(sealed: Sealed, root: str) -> tuple[VerifiedAttestation, ...]:
    good = chain.entries(root=root)
    stories = [chain.trained(chain.model(), configuration={"epochs": epochs}) for epochs in (11, 12, 99)]
    made = [dataclasses.replace(good["training"], payload=payload) for payload in stories]
    made += [measured(good["evaluation"], value) for value in (0.1, 0.86)]
    made.append(dataclasses.replace(made[0], payload=made[0].payload + b" ", claims=()))
    return sealed([*good.values(), *made])


@settings(max_examples=40, deadline=None)
@given(chosen=st.sets(st.integers(0, 9)), seed=st.integers())
def test_order_decides_nothing_and_it_only_ever_refuses_more(
    chosen: set[int], seed: int, universe: tuple[VerifiedAttestation, ...], refuse: Policy, warn: Policy
) -> None:
    items = [universe[index] for index in sorted(chosen | {0, 1})]
    appraisal = decide(refuse, items)
    assert appraisal == decide(refuse, random.Random(seed).sample(items, len(items)))
    lenient = decide(warn, items)
    assert lenient.accepted >= appraisal.accepted
    assert (rule(appraisal, "conflicts").outcome == "refused") == bool(lenient.warnings)
