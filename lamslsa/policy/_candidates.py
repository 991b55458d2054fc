"""Candidates of a rule, what each of them lacks, and which one came nearest.

Rules:
- A candidate satisfies a rule when it misses nothing; more candidates can only help.
- A signature alone makes no authentic candidate: every rule names a platform, so a quote must cover the statement. Only
  where that platform is ``unsafeNoEvidence`` the signature is enough, and then no quote is looked at.
- One quote has to meet everything that the witness asks: platform and age are never taken from two.
- The nearest miss is found by weight: what lies further from acceptance weighs more. Ties go to the smaller digest, so
  the order in which attestations come decides nothing.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from lamslsa.evidence.appraise import PlatformTerms, Refusal
from lamslsa.policy._signers import refusals_of_signature
from lamslsa.policy._witness import Backing, refusals_of_age, refusals_of_platform
from lamslsa.policy.appraisal import RuleKind, RuleResult
from lamslsa.policy.model import Policy, Witness
from lamslsa.verification import VerifiedAttestation

__all__ = [
    "Candidate",
    "Finding",
    "Head",
    "Miss",
    "Qualifier",
    "Seen",
    "conclude",
    "not_evaluated",
    "numbered",
    "weight_of",
]

_WEIGHTS: Final = {
    "threshold-missed": 1,
    "worse-than": 1,
    "overlap-too-large": 1,
    "parameter-out-of-range": 1,
    "parameter-other": 1,
    "parameter-not-a-number": 2,
    "parameter-absent": 2,
    "samples-too-few": 2,
    "license-unknown": 2,
    "license-not-allowed": 2,
    "license-other": 2,
    "ingredient-code": 3,
    "ingredient-package": 3,
    "interval-level": 3,
    "interval-missing": 3,
    "metric-undefined": 3,
    "metric-ambiguous": 4,
    "metric-missing": 4,
    "overlap-ambiguous": 4,
    "overlap-missing": 4,
    "configuration-other": 6,
    "measurer-other": 8,
    "reference-other": 8,
    "reference-not-trained-on": 8,
    "builder-other": 8,
    "build-type-other": 9,
    "training-code-other": 9,
    "transform-other": 9,
    "transform-not-allowed": 15,
    "schema-other": 9,
    "schema-absent": 9,
    "schema-digest": 9,
    "datasheet-refused": 10,
    "comparison-refused": 10,
    "plan-late": 7,
    "plan-untimed": 7,
    "plan-other": 8,
    "plan-missing": 8,
    "latest-superseded": 5,
    "latest-untimed": 7,
    "signature-timestamp": 7,
    "signature-unlogged": 7,
    "signer-undated": 7,
    "signer-ambiguous": 11,
    "signer-not-yet": 11,
    "signer-expired": 11,
    "signer-other": 12,
    "signer-revoked": 13,
    "signer-denied": 17,
    "policy-refused": 9,
    "summary-policy": 9,
    "summary-verifier": 10,
    "summary-failed": 11,
    "summary-undated": 12,
    "age-exceeded": 12,
    "age-unknown": 12,
    "age-future": 12,
    "platform-standing": 13,
    "platform-tcb": 13,
    "platform-tcb-number": 13,
    "platform-svn": 13,
    "platform-advisory": 13,
    "platform-advisory-denied": 14,
    "platform-id": 14,
    "platform-product": 14,
    "platform-key": 14,
    "platform-measurement": 14,
    "platform-release": 14,
    "platform-vouches": 16,
    "platform-vmpl": 16,
    "platform-revoked": 18,
    "platform-denied": 18,
    "gpu-golden-values": 13,
    "gpu-driver": 13,
    "gpu-vbios": 13,
    "gpu-device": 14,
    "gpu-architecture": 15,
    "gpu-missing": 15,
    "dataset-other": 30,
    "evaluated-on-training-data": 40,
}
_WEIGHT_OF_OTHERS: Final = 20


def weight_of(reason: str) -> int:
    """How far from acceptance what lacks this is."""
    return _WEIGHTS.get(reason, _WEIGHT_OF_OTHERS)


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
        return weight_of(self.reason) if self.authentic else 1000


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


def numbered(head: Head, number: int) -> Head:
    """The head of the rule's n-th application, counted from 0: ``training``, ``training 2``."""
    return head if number == 0 else replace(head, name=f"{head.name} {number + 1}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A result, and the attestations it relies on when it is satisfied.

    Attributes:
        head: what was asked for, where candidates were weighed.
        candidates: all that were weighed, or what is there instead of one.
    """

    result: RuleResult
    relied: tuple[VerifiedAttestation, ...] = ()
    head: Head | None = None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualifier:
    """Whether an attestation has the witness that a rule names; each question is answered once.

    The memory goes by object: it lives as long as one appraisal, which holds the attestations.
    """

    policy: Policy
    now: dt.datetime
    _misses: dict[tuple[int, Witness], tuple[Miss, ...]] = field(default_factory=dict)
    _backing: dict[tuple[int, Witness], Backing | None] = field(default_factory=dict)

    def misses(self, item: VerifiedAttestation, witness: Witness) -> tuple[Miss, ...]:
        """What the attestation lacks of the witness; empty when it qualifies."""
        key = (id(item), witness)
        if key not in self._misses:
            self._misses[key] = tuple(self._look(item, witness))
        return self._misses[key]

    def backing(self, item: VerifiedAttestation, witness: Witness) -> Backing | None:
        """The evidence that covers the statement and comes nearest to what the witness asks, and what it lacks.

        None where there is none, and where the witness asks for none.
        """
        if self.needs_no_evidence(witness):
            return None
        key = (id(item), witness)
        if key not in self._backing:
            terms = self._terms(witness.platform)
            options = [
                Backing(
                    evidence=evidence,
                    platform=refusals_of_platform(item, evidence, terms, now=self.now),
                    age=refusals_of_age(evidence, witness.max_age, now=self.now),
                )
                for evidence in sorted(item.evidence, key=lambda evidence: evidence.statement)
                # verify attached it for covering the statement; what everything rests on is looked at once more
                if item.statement.sha256 in evidence.covers
                # what dates a quote for one identity says nothing to a rule about another, if that one has signed
                and (evidence.dated_by in (None, witness.signed_by) or witness.signed_by not in item.signers)
            ]
            self._backing[key] = min(options, key=lambda option: len(option.refusals), default=None)
        return self._backing[key]

    def needs_no_evidence(self, witness: Witness) -> bool:
        """Whether the witness names the explicit way out, where a signature is enough."""
        return self.policy.platforms[witness.platform].unsafe_no_evidence

    def by_signature_alone(self, items: Iterable[VerifiedAttestation]) -> frozenset[str]:
        """Digests of the statements that count without a TEE, whatever quotes came with them.

        A statement that has some witness with a TEE as well is none of them: its quote was judged, and found good.
        """
        bare = {witness for witness in self.policy.witnesses if self.needs_no_evidence(witness)}
        others = self.policy.witnesses - bare
        return frozenset(
            item.statement.sha256
            for item in (items if bare else ())
            if any(not self.misses(item, witness) for witness in bare)
            and all(self.misses(item, witness) for witness in others)
        )

    def _terms(self, name: str) -> PlatformTerms:
        """A platform's terms, with what the policy denies on every platform."""
        terms, denied = self.policy.platforms[name], self.policy.deny.measurements
        if not denied:
            return terms
        return replace(terms, denied=replace(terms.denied, measurements=terms.denied.measurements | denied))

    def _look(self, item: VerifiedAttestation, witness: Witness) -> list[Miss]:
        found: list[Miss] = []
        backing = self.backing(item, witness)
        if backing is None and not self.needs_no_evidence(witness):
            found.append(
                Miss(
                    reason="evidence-missing",
                    message="expected a quote that covers these very bytes, got none",
                    mend="publish the run with its quote, or see why that was set aside; bytes changed since have none",
                    authentic=False,
                )
            )
        refusals = (*self._refusals_of_signer(item, witness.signed_by), *(() if backing is None else backing.refusals))
        found += [Miss(reason=refusal.reason, message=refusal.message, mend=refusal.mend) for refusal in refusals]
        return found

    def _refusals_of_signer(self, item: VerifiedAttestation, name: str) -> tuple[Refusal, ...]:
        """Why none of the signatures is one of this identity that counts; of several, the one that lacks least."""
        options = [
            refusals_of_signature(self.policy, signed, item.signatures)
            for signed in item.signatures
            if signed.identity == name
        ]
        if options:
            return min(options, key=len)
        signers = ", ".join(sorted(item.signers)) or "nobody whom the policy names"
        return (
            Refusal(
                reason="signer-other",
                message=f"expected a signature of {name}, got one of {signers}",
                mend=f"have {name} publish the run with its own credential",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a quote is from, in words, and whether any of what was judged is simulated; None where there is no quote.

    Where none is asked for the word is ``none``, whatever quotes are there: nobody looked at them.

    Devices count where the platform has terms for them; elsewhere nobody asked whether they are what they say.
    """

    tee: str | None = None
    simulated: bool | None = None
    without_tee: bool = False

    @classmethod
    def of(cls, head: Head, backing: Backing | None, qualifier: Qualifier) -> Seen:
        """What there is to see of the backing of a candidate."""
        if qualifier.needs_no_evidence(head.witness):
            return cls(tee="none", without_tee=True)
        if backing is None:
            return cls()
        claims = backing.evidence.claims
        judged = qualifier.policy.platforms[head.witness.platform].gpu is not None
        simulated = claims.simulated or (judged and any(device.simulated for device in claims.devices))
        gpus = f"{len(claims.devices)} GPU" if judged else f"{len(claims.devices)} GPU not judged"
        words = [claims.tee, *([gpus] if claims.devices else []), *(["SIMULATED"] if simulated else [])]
        return cls(tee=", ".join(words), simulated=simulated)


def conclude(
    head: Head, candidates: Sequence[Candidate], *, absent: Miss, near: VerifiedAttestation | None, qualifier: Qualifier
) -> Finding:
    """The result of a rule: satisfied when some candidate misses nothing, else refused with the nearest miss.

    Without any candidate ``absent`` says so, and ``near`` is the attestation to show.
    """
    if not candidates:
        instead = None if near is None else Candidate(attestation=near, misses=(absent,))
        return replace(_refused(head, instead, absent, qualifier), candidates=() if instead is None else (instead,))
    best = min(candidates, key=Candidate.distance)
    if best.misses:
        refused = _refused(head, best, max(best.misses, key=lambda miss: miss.weight), qualifier)
        return replace(refused, candidates=tuple(candidates))
    seen = Seen.of(head, qualifier.backing(best.attestation, head.witness), qualifier)
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
        tee=seen.tee,
        simulated=seen.simulated,
        without_tee=seen.without_tee,
        authentic=True,
    )
    return Finding(result=result, relied=(best.attestation, *best.relied), head=head, candidates=tuple(candidates))


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
    backing = qualifier.backing(item, head.witness) if item else None
    seen = Seen.of(head, backing, qualifier)
    return Finding(
        head=head,
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
            platform=head.witness.platform if backing is not None and not backing.platform else None,
            tee=seen.tee,
            simulated=seen.simulated,
            without_tee=seen.without_tee,
            reason=main.reason,
            message="; also ".join(miss.message for miss in (main, *others)),
            mend="; ".join(dict.fromkeys(miss.mend for miss in (main, *others))),
            authentic=best is not None and best.authentic,
        ),
    )
