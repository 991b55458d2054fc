"""Attestations and policies for tests of single rules: changed values, trusted times, and the appraisal of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from lamslsa.artifact.manifest import Manifest
from lamslsa.policy import Appraisal, Policy, RuleResult, appraise
from lamslsa.policy.model import MetricRule
from lamslsa.sign.interface import TrustedTime, Witnessed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation, VerifiedPlan

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
OTHER = chain.model({"model.json": "{}", "model.safetensors": "other weights"})
SCHEMA2 = {**chain.SCHEMA, "skipLines": 9}


def seen(*days: int) -> Witnessed:
    """What a timestamp authority has seen, in days from `AT`."""
    return Witnessed(times=tuple(TrustedTime(at=AT + day * DAY, source="timestamp") for day in sorted(days)))


def ruled(policy: Policy, name: str = "accurate", **changes: Any) -> Policy:
    """The policy with one metric rule changed."""
    rules = [
        dataclasses.replace(rule, **changes) if rule.name == name and isinstance(rule, MetricRule) else rule
        for rule in policy.require
    ]
    return dataclasses.replace(policy, require=tuple(rules))


def measured(entry: Entry, value: float, *, model: Manifest | None = None, note: str = "", **options: Any) -> Entry:
    """An evaluation like this entry with another accuracy; the metrics of the other rules stay; a note is one space."""
    samples = options.pop("samples", 16281)
    metrics = [
        chain.metric("accuracy", value, samples=samples),
        chain.metric("demographic_parity_difference", 0.15, groups=["sex"]),
        chain.metric("accuracy", 0.9, rows={"sex": "Female", "race": "Black"}, samples=2000),
    ]
    payload = chain.evaluated(model or chain.model(), **{"metrics": metrics, **options})
    return dataclasses.replace(entry, payload=payload + note.encode())


def decide(
    policy: Policy,
    attestations: Iterable[VerifiedAttestation],
    *,
    plans: Iterable[VerifiedPlan] = (),
    at: dt.datetime = AT,
) -> Appraisal:
    """The appraisal of the model of the test chain."""
    verification = Verification(
        trust=policy.trust_material(at=at, now=at),
        attestations=tuple(attestations),
        set_aside=(),
        plans=tuple(plans),
    )
    return appraise(policy, model=chain.model(), model_name="m", verification=verification, at=at)


def rule(appraisal: Appraisal, name: str = "accurate") -> RuleResult:
    """The result of one rule."""
    (found,) = [item for item in appraisal.rules if item.name == name]
    assert found.outcome == "satisfied" or (found.message.startswith("expected ") and found.mend)
    return found


def outcome(appraisal: Appraisal, name: str = "accurate") -> tuple[str, str | None]:
    """Outcome and reason of one rule; nothing else may refuse."""
    others = [item.name for item in appraisal.rules if item.outcome != "satisfied" and item.name != name]
    assert others == []
    found = rule(appraisal, name)
    return found.outcome, found.reason


def dated(item: VerifiedAttestation, witnessed: Sequence[Witnessed]) -> VerifiedAttestation:
    """The attestation with as many signatures of its signer, each seen at another time."""
    (signed,) = item.signatures
    return dataclasses.replace(
        item,
        signatures=tuple(
            dataclasses.replace(
                signed,
                signature=dataclasses.replace(signed.signature, witnessed=one),
                bundle=f"{number}" * 64,
            )
            for number, one in enumerate(witnessed)
        ),
    )
