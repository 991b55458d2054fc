"""``plan``: signed in trusted time, of this very evaluation, and not later than it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa import predicates, statement, verification
from lamslsa._codec import dumps, loads, sha256_hex
from lamslsa.policy import Policy
from lamslsa.policy.model import Comparison, Deny
from lamslsa.predicates import EvaluationPlan, configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS
from lamslsa.predicates.evaluation_plan import PREDICATE_TYPE
from lamslsa.sign.interface import Witnessed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation, VerifiedPlan, VerifiedSignature
from tests.unit.policy.deciding import AT, DAY, OTHER, dated, decide, measured, outcome, rule, ruled, seen

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
Signed = Callable[..., VerifiedSignature]
SETTINGS = dict(DEFAULT_CONFIGURATIONS["tabular-evaluation/1"])
PLAN: dict[str, Any] = {
    "kind": "dataset",
    "dataset": {
        "name": "census-test",
        "digest": {"sha256": chain.TEST},
        "schemaDigest": {"sha256": chain.schema_digest()},
    },
    "measurer": {"name": "tabular-evaluation", "version": "1"},
    "configuration": SETTINGS,
    "configurationDigest": {"sha256": configuration_digest(SETTINGS)},
    "hypothesis": "it is good enough",
}


def payload(subject: str = chain.TEST, **changes: Any) -> bytes:
    return statement.make([statement.Subject(name="census-test", sha256=subject)], PREDICATE_TYPE, PLAN | changes)


EARLY, MADE, TEXT = seen(-10), seen(-5), payload()


@pytest.fixture(scope="module")
def policy(load: Callable[[str], Policy], policy_text: str) -> Policy:
    """The evaluation of accuracy has to follow a plan of the data owner."""
    return ruled(load(policy_text), plan_signed_by="data-owner")


@pytest.fixture(scope="module")
def plan(signed: Signed) -> Callable[..., VerifiedPlan]:
    """A plan that the data owner signed ten days ago."""

    def made(*, by: str = "data-owner", witnessed: Witnessed = EARLY, text: bytes = TEXT) -> VerifiedPlan:
        parsed = statement.parse(text)
        predicate = predicates.parse(parsed)
        assert isinstance(predicate, EvaluationPlan)
        return VerifiedPlan(
            statement=parsed, predicate=predicate, signatures=(signed(by, witnessed),), seal=verification._SEAL
        )

    return made


def by_plan(entry: Entry, plan: VerifiedPlan) -> Entry:
    """The evaluation, naming the plan."""
    document = loads(entry.payload)
    document["predicate"]["plan"] = {"digest": {"sha256": plan.statement.sha256}}
    return dataclasses.replace(entry, payload=dumps(document))


def appraised(
    policy: Policy,
    entries: dict[str, Entry],
    sealed: Sealed,
    plan: VerifiedPlan,
    *,
    evaluated: Witnessed = MADE,
) -> Any:
    named = by_plan(entries["evaluation"], plan)
    rest = [entry for name, entry in entries.items() if name != "evaluation"]
    evaluation = dated(sealed([named])[0], [evaluated])
    return decide(policy, [*sealed(rest), evaluation], plans=[plan])


def test_planned(entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]) -> None:
    appraisal = appraised(policy, entries, sealed, plan())
    assert appraisal.accepted
    assert rule(appraisal).threshold.endswith(", planned by data-owner")
    own = payload(model={"name": "m", "digest": {"sha256": chain.model().sha256}})
    assert appraised(policy, entries, sealed, plan(text=own)).accepted


def test_an_appraisal_says_which_plan_counted(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    made, other = plan(), plan(by="trainer", text=payload(hypothesis="of somebody else"))
    named = by_plan(entries["evaluation"], made)
    foreign = by_plan(entries["evaluation"], other)
    rest = [entry for name, entry in entries.items() if name != "evaluation"]
    items = sealed([*rest, named, foreign])
    appraisal = decide(policy, items, plans=[made, other])
    (planned,) = appraisal.planned.values()
    assert appraisal.accepted
    assert [*appraisal.planned] == [sha256_hex(named.payload)]
    assert (planned.plan, planned.at) == (made, AT - 10 * DAY)
    assert {item.statement.sha256 for item in appraisal.plans} == {made.statement.sha256, other.statement.sha256}
    unasked = decide(ruled(policy, plan_signed_by=None), items, plans=[made])
    assert (unasked.accepted, unasked.planned, unasked.plans) == (True, {}, (made,))
    refused = decide(ruled(policy, minimum=0.99), sealed([*rest, named]), plans=[made])
    assert (refused.accepted, refused.planned) == (False, {})


def test_without_a_plan(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    appraisal = decide(policy, sealed(entries.values()), plans=[plan()])
    assert outcome(appraisal) == ("refused", "plan-missing")
    assert appraisal.exit_code == 5, "the evaluation is there, and by no plan"


def test_a_plan_that_is_named_and_not_there(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    entries["evaluation"] = by_plan(entries["evaluation"], plan())
    another = plan(text=payload(hypothesis="something else"))
    appraisal = decide(policy, sealed(entries.values()), plans=[another])
    assert outcome(appraisal) == ("refused", "plan-missing")
    assert appraisal.exit_code == 4
    denying = dataclasses.replace(policy, deny=Deny(attestations=frozenset({plan().statement.sha256})))
    denied = decide(denying, sealed(entries.values()), plans=[plan()])
    assert outcome(denied) == ("refused", "plan-missing")
    assert len(denied.warnings) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": chain.TRAIN}, "dataset"),
        ({"dataset": PLAN["dataset"] | {"digest": {"sha256": chain.TRAIN}}}, "dataset sha256:"),
        ({"dataset": PLAN["dataset"] | {"schemaDigest": {"sha256": "f" * 64}}}, "schema sha256:ffffffffffff"),
        ({"measurer": {"name": "tabular-evaluation", "version": "2"}}, "measurer 'tabular-evaluation/2'"),
        (
            {"measurer": PLAN["measurer"] | {"distribution": {"uri": "pkg:pypi/acme@2.0"}}},
            "measurer 'tabular-evaluation/1 of pkg:pypi/acme'",
        ),
        ({"configurationDigest": {"sha256": "f" * 64}}, "configuration sha256:ffffffffffff"),
        ({"configuration": SETTINGS | {"rows": 10}}, "a configuration whose digest is not its own"),
        ({"model": {"name": "m", "digest": {"sha256": "f" * 64}}}, "model sha256:ffffffffffff"),
    ],
)
def test_a_plan_of_another_evaluation(
    entries: dict[str, Entry],
    sealed: Sealed,
    policy: Policy,
    plan: Callable[..., VerifiedPlan],
    changes: dict[str, Any],
    words: str,
) -> None:
    appraisal = appraised(policy, entries, sealed, plan(text=payload(**changes)))
    assert outcome(appraisal) == ("refused", "plan-other")
    assert f"got one that has {words}" in rule(appraisal).message
    assert appraisal.exit_code == 5


def test_a_plan_of_another_signer(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    appraisal = appraised(policy, entries, sealed, plan(by="trainer"))
    assert outcome(appraisal) == ("refused", "signer-other")
    assert rule(appraisal).message.endswith("got one of trainer, on the plan")


def test_a_plan_signed_with_a_denied_key(
    entries: dict[str, Entry],
    sealed: Sealed,
    policy: Policy,
    plan: Callable[..., VerifiedPlan],
    signed: Signed,
) -> None:
    made = plan()
    signature = dataclasses.replace(made.signatures[0].signature, key_sha256="9" * 64)
    other = dataclasses.replace(
        made, signatures=(dataclasses.replace(made.signatures[0], signature=signature),), seal=verification._SEAL
    )
    denying = dataclasses.replace(policy, deny=Deny(keys=frozenset({"9" * 64})))
    assert outcome(appraised(denying, entries, sealed, other)) == ("refused", "signer-denied")
    both = dataclasses.replace(other, signatures=(*other.signatures, signed("data-owner", seen(-8))))
    assert appraised(denying, entries, sealed, both).accepted


def test_a_plan_that_nothing_dates(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    appraisal = appraised(policy, entries, sealed, plan(witnessed=seen()))
    assert outcome(appraisal) == ("refused", "plan-untimed")


def test_a_plan_from_after_the_evaluation(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    late = appraised(policy, entries, sealed, plan(witnessed=seen(-4)))
    assert outcome(late) == ("refused", "plan-late")
    assert appraised(policy, entries, sealed, plan(witnessed=seen(-5))).accepted
    assert appraised(policy, entries, sealed, plan(witnessed=seen(-4, -6))).accepted, "it was seen before that already"
    unknown = appraised(policy, entries, sealed, plan(witnessed=seen(-4)), evaluated=seen())
    assert unknown.accepted, "nothing says when the evaluation was made"


def test_a_plan_from_after_the_evidence(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    made = plan()
    entries["evaluation"] = by_plan(entries["evaluation"], made)
    for day, dated_by, expected in ((-11, "auditor", "plan-late"), (-9, "auditor", None), (-11, None, None)):
        items = [
            dataclasses.replace(
                item,
                evidence=tuple(
                    dataclasses.replace(evidence, as_of=AT + day * DAY, dated_by=dated_by) for evidence in item.evidence
                ),
            )
            if item.signers == {"auditor"}
            else item
            for item in sealed(entries.values())
        ]
        assert rule(decide(policy, items, plans=[made])).reason == expected


def test_the_other_model_of_a_comparison_needs_no_plan(
    entries: dict[str, Entry], sealed: Sealed, policy: Policy, plan: Callable[..., VerifiedPlan]
) -> None:
    terms = Comparison(sha256=OTHER.sha256, margin=0.1, higher_is_better=True)
    entries["other"] = measured(entries["evaluation"], 0.86, model=OTHER)
    assert appraised(ruled(policy, no_worse_than=terms), entries, sealed, plan()).accepted


def test_a_verified_plan_is_made_by_verification(plan: Callable[..., VerifiedPlan]) -> None:
    made = plan()
    with pytest.raises(TypeError, match="made elsewhere"):
        VerifiedPlan(statement=made.statement, predicate=made.predicate, signatures=made.signatures, seal=None)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(), kept=st.sets(st.integers(0, 3)), late=st.booleans())
def test_order_decides_nothing_and_leaving_out_a_plan_never_accepts(
    seed: int,
    kept: set[int],
    late: bool,
    root: str,
    sealed: Sealed,
    policy: Policy,
    plan: Callable[..., VerifiedPlan],
) -> None:
    entries = chain.entries(root=root)
    plans = [plan(witnessed=seen(-4 if late else -10)), *(plan(text=payload(hypothesis=f"{n}")) for n in range(3))]
    attestations = [
        dated(item, [seen(-5)]) if item.signers == {"auditor"} else item
        for item in sealed(
            [
                *(entry for name, entry in entries.items() if name != "evaluation"),
                *(by_plan(entries["evaluation"], item) for item in plans),
            ]
        )
    ]
    whole = decide(policy, attestations, plans=plans)
    chosen = [plans[index] for index in sorted(kept)]
    part = decide(policy, attestations, plans=chosen)
    assert part == decide(policy, attestations, plans=random.Random(seed).sample(chosen, len(chosen)))
    assert whole.accepted >= part.accepted
    assert part.accepted == bool(kept - ({0} if late else set()))
