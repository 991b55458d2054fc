"""Whether one quote meets what a witness asks: the platform, what its code may vouch for, and its age."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lamslsa.evidence.appraise import PlatformTerms, Refusal, Vouched, appraise
from lamslsa.policy import _words
from lamslsa.predicates import Provenance, VerificationSummary
from lamslsa.verification import VerifiedAttestation, VerifiedEvidence

__all__ = ["Backing", "refusals_of_age", "refusals_of_platform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """One quote that covers a statement, and what it lacks."""

    evidence: VerifiedEvidence
    platform: tuple[Refusal, ...]
    age: tuple[Refusal, ...]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Everything that it lacks."""
        return (*self.platform, *self.age)


def refusals_of_platform(
    item: VerifiedAttestation, evidence: VerifiedEvidence, terms: PlatformTerms, *, now: dt.datetime
) -> tuple[Refusal, ...]:
    """Why the platform of a quote is not one that may vouch for this statement."""
    return appraise(evidence, terms, now=now, statement=_vouched(item))


def _vouched(item: VerifiedAttestation) -> Vouched:
    predicate, predicate_type = item.predicate, item.statement.predicate_type
    if isinstance(predicate, Provenance):
        return Vouched(
            predicate_type=predicate_type,
            build_type=predicate.build_definition.build_type,
            builder=predicate.run_details.builder.id,
            own_code=tuple(
                item.digest.sha256
                for item in predicate.build_definition.resolved_dependencies
                if item.annotations.own_code
            ),
        )
    if isinstance(predicate, VerificationSummary):
        return Vouched(predicate_type=predicate_type)  # a verifier's word, and no code's
    return Vouched(predicate_type=predicate_type, measurer=str(predicate.measurer))


def refusals_of_age(
    evidence: VerifiedEvidence, max_age: dt.timedelta | None, *, now: dt.datetime
) -> tuple[Refusal, ...]:
    """Why a quote may be older than it may be: age counts from the time before which it cannot have existed.

    A time that lies ahead says that a clock was set back, the verifier's or that of the source, and so says nothing.
    """
    if max_age is None:
        return ()
    since, asked = evidence.freshness.not_before, f"expected a quote of at most {_words.age(max_age)}"
    if since is None:
        return (
            Refusal(
                reason="age-unknown",
                message=f"{asked}, got one that may be of any age: {evidence.freshness.message}",
                mend="attest anew with --nonce of a challenge, or with --beacon of a source that the policy names",
            ),
        )
    if since > now:
        return (
            Refusal(
                reason="age-future",
                message=f"{asked}, got one made after {since.isoformat()}, which lies ahead",
                mend="set the clock of this machine, or ask the source of the beacon",
            ),
        )
    if now - since > max_age:
        return (
            Refusal(
                reason="age-exceeded",
                message=f"{asked}, got one that may be {_words.age(now - since)} old",
                mend="attest anew with --nonce of a challenge, or with --beacon",
            ),
        )
    return ()
