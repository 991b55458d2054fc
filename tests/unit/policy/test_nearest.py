"""The evaluation that decides a metric rule is the one that looking at every evaluation comes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.policy import Policy, _metrics, _nearest
from lamslsa.policy._candidates import Candidate
from lamslsa.policy._context import Context
from lamslsa.policy.model import Comparison, MetricRule
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation
from tests.unit.policy.deciding import AT, OTHER

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
_VALUES = ("threshold-missed", "worse-than", "samples-too-few", "metric-undefined", "interval-missing")


def _metric(value: float | None, samples: int, level: float | None) -> dict[str, Any]:
    found = chain.metric("accuracy", 0.0 if value is None else value, samples=samples)
    if value is None:
        found = {"name": "accuracy", "value": None, "undefined": "no rows", "samples": samples}
    elif level is None:
        del found["interval"]
    else:
        found["interval"]["level"] = level
    return found


_METRICS = st.lists(
    st.builds(
        _metric,
        st.sampled_from([None, 0.5, 0.83, 0.84, 0.85, 0.9]),
        st.sampled_from([0, 9, 10, 20000]),
        st.sampled_from([None, 0.95, 0.95, 0.9]),
    ),
    max_size=2,
)
_EVALUATIONS = st.lists(
    st.tuples(
        st.sampled_from(["ours", "ours", "other"]),
        st.sampled_from(["auditor", "auditor", "trainer"]),
        st.sampled_from([chain.TEST, chain.TEST, chain.TRAIN]),
        st.booleans(),
        _METRICS,
    ),
    max_size=9,
)
_RULES = st.fixed_dictionaries(
    {
        "minimum": st.sampled_from([None, 0.84, 0.85]),
        "maximum": st.sampled_from([None, 0.85, 0.9]),
        "samples": st.sampled_from([0, 10]),
        "use": st.sampled_from(["value", "lowerBound", "upperBound"]),
        "no_worse_than": st.sampled_from(
            [
                None,
                Comparison(sha256=OTHER.sha256, margin=0.01, higher_is_better=True),
                Comparison(sha256=OTHER.sha256, margin=0.0, higher_is_better=False),
            ]
        ),
    }
)


@pytest.fixture(scope="module")
def base(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture(scope="module")
def chain_entries(root: str) -> dict[str, Entry]:
    return chain.entries(root=root)


@settings(max_examples=150, deadline=None)
@given(evaluations=_EVALUATIONS, changes=_RULES, with_sheets=st.booleans())
def test_the_nearest_is_the_smallest_of_all(
    evaluations: list[Any],
    changes: dict[str, Any],
    with_sheets: bool,
    base: Policy,
    chain_entries: dict[str, Entry],
    sealed: Sealed,
) -> None:
    entry = chain_entries["evaluation"]
    models = {"ours": chain.model(), "other": OTHER}
    items = [chain_entries["train"], chain_entries["test"]] if with_sheets else []
    items += [
        dataclasses.replace(
            entry,
            payload=chain.evaluated(models[model], dataset=("data", data, ""), metrics=metrics) + b" " * number,
            signers=frozenset({signer}),
            claims=entry.claims if quoted else (),
        )
        for number, (model, signer, data, quoted, metrics) in enumerate(evaluations)
    ]
    rule = next(item for item in base.require if isinstance(item, MetricRule))
    rule = dataclasses.replace(rule, **changes)
    verification = Verification(trust=base.trust_material(at=AT, now=AT), attestations=sealed(items), set_aside=())
    context = Context.of(base, chain.model(), verification)
    readings: list[str | None] = [*sorted(context.sheets(rule.dataset).schemas)]
    for schema in readings or [None]:
        every = _metrics.metric_candidates(context, rule, schema, frozenset())
        found = _nearest.nearest(context, rule, schema, frozenset(), every=False)
        assert found.candidates == ((min(every, key=Candidate.distance),) if every else ())
        missed = [item for item in every if item.misses and {miss.reason for miss in item.misses} <= set(_VALUES)]
        assert (found.contradicting, found.contradictions) == (tuple(missed), len(missed))
        assert _nearest.nearest(context, rule, schema, frozenset(), every=True).candidates == every


def test_more_contradictions_than_are_shown_are_counted(
    base: Policy, entries: dict[str, Entry], judge: Callable[..., Any]
) -> None:
    worse = [chain.metric("accuracy", 0.5)]
    for number in range(40):
        payload = chain.evaluated(chain.model(), metrics=worse) + b" " * number
        entries[f"worse {number}"] = dataclasses.replace(entries["evaluation"], payload=payload)
    appraisal = judge(entries.values())
    assert appraisal.accepted
    about = [words for words in appraisal.warnings if words.startswith("accurate: ")]
    assert len(about) == 17
    assert sum("24 further qualifying evaluations" in words for words in about) == 1
