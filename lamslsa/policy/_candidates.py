"""Candidates of a rule, what each of them lacks, and which one came nearest.

Rules:
- A candidate satisfies a rule when it misses nothing; more candidates can only help.
- A signature alone makes no authentic candidate: every rule names a platform, so a quote must cover the statement.
- The nearest miss is found by weight: what lies further from acceptance weighs more. Ties go to the smaller digest, so
  the order in which attestations come decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa.evidence.appraise import Refusal, appraise
from lamslsa.policy.appraisal import RuleKind, RuleResult
from lamslsa.policy.model import Policy, Witness
from lamslsa.verify import VerifiedAttestation, VerifiedEvidence

__all__ = ["Candidate", "Finding", "Head", "Miss", "Qualifier", "conclude", "not_evaluated"]

_WEIGHTS: Final = {
    "threshold-missed": 1,
    "overlap-too-large": 1,
    "parameter-out-of-range": 1,
    "parameter-other": 1,
    "parameter-not-a-number": 2,
    "parameter-absent": 2,
    "samples-too-few": 2,
    "interval-level": 3,
    "interval-missing": 3,
    "metric-undefined": 3,
    "metric-ambiguous": 4,
    "metric-missing": 4,
    "overlap-ambiguous": 4,
    "overlap-missing": 4,
    "configuration-other": 6,
    "measurer-other": 8,
    "builder-other": 8,
    "schema-other": 9,
    "schema-absent": 9,
    "schema-digest": 9,
    "datasheet-refused": 10,
    "signer-other": 12,
    "platform-tcb": 13,
    "platform-measurement": 14,
    "dataset-other": 30,
    "evaluated-on-training-data": 40,
}
_WEIGHT_OF_OTHERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One thing that a candidate lacks.

    Attributes:
        authentic: false where nothing authentic is there to be refused: exit code 4 instead of 5.
    """

    reason: str
    message: str
    mend: str
    authentic: bool = True

    @property
    def weight(self) -> int:
        """How far from acceptance this is; what is not authentic outweighs everything else."""
        return _WEIGHTS.get(self.reason, _WEIGHT_OF_OTHERS) if self.authentic else 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An attestation that a rule looked at.

    Attributes:
        gap: how far the value is from the threshold, to compare candidates that miss nothing else.
        relied: further attestations without which this one would not count, such as a datasheet.
    """

    attestation: VerifiedAttestation
    misses: tuple[Miss, ...]
    observed: str | None = None
    value: float | None = None
    gap: float = 0.0
    relied: tuple[VerifiedAttestation, ...] = ()

    @property
    def authentic(self) -> bool:
        """Whether it is authentic, acceptable or not."""
        return all(miss.authentic for miss in self.misses)

    def distance(self) -> tuple[bool, int, float, str]:
        """How far from acceptance this is: the smallest is the nearest miss."""
        weight = sum(miss.weight for miss in self.misses)
        gap = self.gap if math.isfinite(self.gap) else math.inf
        return not self.authentic, weight, gap, self.attestation.statement.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a rule asks for, before anything was looked at."""

    name: str
    kind: RuleKind
    subject: str
    threshold: str
    witness: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A result, and the attestations it relies on when it is satisfied."""

    result: RuleResult
    relied: tuple[VerifiedAttestation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualifier:
    """Whether an attestation has the witness that a rule names; each question is answered once.

    The memory goes by object: it lives as long as one appraisal, which holds the attestations.
    """

    policy: Policy
    _misses: dict[tuple[int, Witness], tuple[Miss, ...]] = field(default_factory=dict)
    _appraised: dict[tuple[int, str], tuple[Refusal, ...]] = field(default_factory=dict)

    def misses(self, item: VerifiedAttestation, witness: Witness) -> tuple[Miss, ...]:
        """What the attestation lacks of the witness; empty when it qualifies."""
        key = (id(item), witness)
        if key not in self._misses:
            self._misses[key] = tuple(self._look(item, witness))
        return self._misses[key]

    def evidence(self, item: VerifiedAttestation, platform: str) -> tuple[VerifiedEvidence | None, tuple[Refusal, ...]]:
        """The evidence that covers the statement and comes nearest to the platform's terms, and what it lacks."""
        best: tuple[VerifiedEvidence | None, tuple[Refusal, ...]] = (None, ())
        for evidence in sorted(item.evidence, key=lambda evidence: evidence.statement):
            # verify attached it for covering the statement; what everything rests on is looked at once more
            if item.statement.sha256 not in evidence.covers:
                continue
            refusals = self._appraise(evidence, platform)
            if best[0] is None or len(refusals) < len(best[1]):
                best = (evidence, refusals)
        return best

    def _appraise(self, evidence: VerifiedEvidence, platform: str) -> tuple[Refusal, ...]:
        key = (id(evidence), platform)
        if key not in self._appraised:
            self._appraised[key] = appraise(evidence.claims, self.policy.platforms[platform])
        return self._appraised[key]

    def _look(self, item: VerifiedAttestation, witness: Witness) -> list[Miss]:
        found: list[Miss] = []
        evidence, refusals = self.evidence(item, witness.platform)
        if evidence is None:
            found.append(
                Miss(
                    reason="evidence-missing",
                    message="expected a quote that covers these very bytes, got none",
                    mend="publish the run with its quote; bytes that were changed after the run have none, attest anew",
                    authentic=False,
                )
            )
        if witness.signed_by not in item.signers:
            signers = ", ".join(sorted(item.signers)) or "nobody whom the policy names"
            found.append(
                Miss(
                    reason="signer-other",
                    message=f"expected a signature of {witness.signed_by}, got one of {signers}",
                    mend=f"have {witness.signed_by} publish the run with its own key",
                )
            )
        found += [Miss(reason=item.reason, message=item.message, mend=item.mend) for item in refusals]
        return found


def conclude(
    head: Head, candidates: Sequence[Candidate], *, absent: Miss, near: VerifiedAttestation | None, qualifier: Qualifier
) -> Finding:
    """The result of a rule: satisfied when some candidate misses nothing, else refused with the nearest miss.

    Without any candidate ``absent`` says so, and ``near`` is the attestation to show.
    """
    if not candidates:
        return _refused(
            head, None if near is None else Candidate(attestation=near, misses=(absent,)), absent, qualifier
        )
    best = min(candidates, key=Candidate.distance)
    if best.misses:
        return _refused(head, best, max(best.misses, key=lambda miss: miss.weight), qualifier)
    evidence, _ = qualifier.evidence(best.attestation, head.witness.platform)
    result = RuleResult(
        name=head.name,
        kind=head.kind,
        subject=head.subject,
        outcome="satisfied",
        threshold=head.threshold,
        observed=best.observed,
        value=best.value,
        attestation=best.attestation,
        signer=head.witness.signed_by,
        platform=head.witness.platform,
        tee=_tee(evidence),
        simulated=None if evidence is None else evidence.claims.simulated,
        authentic=True,
    )
    return Finding(result=result, relied=(best.attestation, *best.relied))


def not_evaluated(head: Head, *, message: str, mend: str) -> Finding:
    """A rule that rests on a provenance, and there is none that qualifies."""
    return Finding(
        result=RuleResult(
            name=head.name,
            kind=head.kind,
            subject=head.subject,
            outcome="not-evaluated",
            threshold=head.threshold,
            reason="training-unknown",
            message=message,
            mend=mend,
        )
    )


def _refused(head: Head, best: Candidate | None, main: Miss, qualifier: Qualifier) -> Finding:
    others = [miss for miss in best.misses if miss is not main] if best else []
    item = best.attestation if best else None
    evidence, refusals = qualifier.evidence(item, head.witness.platform) if item else (None, ())
    return Finding(
        result=RuleResult(
            name=head.name,
            kind=head.kind,
            subject=head.subject,
            outcome="refused",
            threshold=head.threshold,
            observed=best.observed if best else None,
            value=best.value if best else None,
            attestation=item,
            signer=", ".join(sorted(item.signers)) if item else None,
            platform=head.witness.platform if evidence and not refusals else None,
            tee=_tee(evidence),
            simulated=evidence.claims.simulated if evidence else None,
            reason=main.reason,
            message="; also ".join(miss.message for miss in (main, *others)),
            mend="; ".join(dict.fromkeys(miss.mend for miss in (main, *others))),
            authentic=best is not None and best.authentic,
        )
    )


def _tee(evidence: VerifiedEvidence | None) -> str | None:
    if evidence is None:
        return None
    return f"{evidence.claims.tee}, SIMULATED" if evidence.claims.simulated else evidence.claims.tee
