"""``deny``: what is refused whatever else accepts it.

Rules:
- It stands outside the monotonic core: who withholds the one attestation that names a denied dataset is not found out.
- A denied statement is as if it were not there, and so is evidence in a denied one; a warning says so.
- Denied measurements are denied on every platform of the policy (`Qualifier`), denied keys for every identity
  (`Policy.refusals_of`); evidence that nobody else signed is set aside in verification.
- What a policy denies, every policy within it denies as well (`Policy.within`): a base model that a policy of its own
  accepts is no way around the list. A verifier's summary says nothing of what it was made of.
- Denied artifacts are looked for in everything that qualifying provenance says of the model's making, in whatever way,
  and in what the policy's own rules evaluate or compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from lamslsa.policy import _words
from lamslsa.policy._candidates import Finding
from lamslsa.policy._context import Context
from lamslsa.policy._reach import reached
from lamslsa.policy.appraisal import RuleResult
from lamslsa.policy.model import Deny, MetricRule, OverlapRule, Policy
from lamslsa.verification import Verification, VerifiedAttestation

__all__ = ["deny_rule", "without_denied"]

_MEND: Final = "make the model without it, or take it off the list after review"


def without_denied(deny: Deny, verification: Verification) -> tuple[Verification, tuple[str, ...]]:
    """What was verified without the statements that are denied, and a warning for each of these that was there."""
    denied = deny.attestations
    if not denied:
        return verification, ()
    statements = [item.statement.sha256 for item in verification.attestations]
    statements += [item.statement.sha256 for item in verification.model_signatures]
    statements += [item.statement.sha256 for item in verification.plans]
    statements += [evidence.statement for item in verification.attestations for evidence in item.evidence]
    left = replace(
        verification,
        attestations=tuple(
            _without_evidence(item, denied) for item in verification.attestations if item.statement.sha256 not in denied
        ),
        model_signatures=tuple(item for item in verification.model_signatures if item.statement.sha256 not in denied),
    )
    left = replace(left, plans=tuple(item for item in verification.plans if item.statement.sha256 not in denied))
    return left, tuple(
        f"the policy denies attestation sha256:{sha256}: it counts for nothing"
        for sha256 in sorted(denied.intersection(statements))
    )


def _without_evidence(item: VerifiedAttestation, denied: frozenset[str]) -> VerifiedAttestation:
    kept = tuple(evidence for evidence in item.evidence if evidence.statement not in denied)
    return item if len(kept) == len(item.evidence) else replace(item, evidence=kept)


def deny_rule(context: Context, *, known: bool) -> Iterator[Finding]:
    """One rule where the policy denies artifacts: none of them is in the making of the model, nor in a rule.

    Args:
        context: of the appraisal.
        known: whether some provenance of the model qualifies; without one nothing says what it was made of.
    """
    denied = context.policy.deny.artifacts
    if not denied:
        return
    found = {
        item.sha256: f"{item.kind} {_words.short(item.sha256)}"
        for item in sorted(reached(context))
        if item.sha256 in denied
    }
    for sha256 in sorted(_named(context.policy) & denied):
        found.setdefault(sha256, f"{_words.short(sha256)}, which a rule of the policy names")
    result = RuleResult(
        name="deny",
        kind="deny",
        subject="what the model was made of",
        outcome="satisfied",
        threshold=f"none of {len(denied)} artifacts that are denied",
        observed=f"{len(found) or 'none'} of them",
        authentic=True,
    )
    if found:
        message = f"expected nothing that the policy denies, got {', '.join(found.values())}"
        result = replace(result, outcome="refused", reason="artifact-denied", message=message, mend=_MEND)
    elif not known:
        result = replace(
            result,
            outcome="not-evaluated",
            observed=None,
            reason="training-unknown",
            message="expected a qualifying provenance that names what this model was made of, got none",
            mend="mend the rule training first",
            authentic=False,
        )
    yield Finding(result=result)


def _named(policy: Policy) -> frozenset[str]:
    """Every artifact that a rule of the policy has evaluated, compared or read."""
    named: set[str] = set()
    for rule in policy.require:
        match rule:
            case MetricRule():
                named |= {rule.dataset.sha256, *(terms.sha256 for terms in rule.references.values())}
                named |= set() if rule.no_worse_than is None else {rule.no_worse_than.sha256}
            case OverlapRule():
                named |= {rule.dataset.sha256, rule.training.sha256}
    return frozenset(named)
