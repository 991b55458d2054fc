"""The result of appraising a model: a value, so that a card can show a refusal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from lamslsa.verification import SetAside, VerifiedAttestation, VerifiedPlan

__all__ = ["Appraisal", "Considered", "Lack", "Outcome", "Planned", "RuleKind", "RuleResult"]

Outcome = Literal["satisfied", "refused", "not-evaluated"]
RuleKind = Literal[
    "training",
    "transform",
    "ingredient",
    "metric",
    "overlap",
    "lineage",
    "signature",
    "expression",
    "policy",
    "deny",
    "conflicts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What one rule came to.

    Attributes:
        name: the rule's name in the policy, or ``training``, ``ingredient: <name>``, ``preparation: <name>``, ``base
            model: <name>``, ``lineage``, ``code``, ``packages``, ``model signature``, ``signature: <name>``, ``extends:
            <policy>``, ``deny``, ``conflicts``.
        subject: what was looked at, in words: ``accuracy``, ``demographic_parity_difference by sex``.
        observed: the value that was compared, with its interval and samples, in words; None when there is none.
        value: the number that was compared; None when there is none.
        threshold: what the policy asks for, in words.
        attestation: the attestation that satisfied the rule, or came nearest to it.
        signer: who signed it, by the policy's names; None when nothing did.
        tee: the TEE, in words, simulation in plain sight: ``sgx, SIMULATED``; None when there is none. GPUs are ``not
            judged`` where the platform has no terms for them.
        simulated: whether anything that was judged is simulated, the TEE or a GPU; None when there is none.
        without_tee: whether this is somebody's signature alone, with no TEE behind it, or a verdict that rests on one.
        reason: stable kebab-case word; None when satisfied.
        message: why it was refused, in words; empty when satisfied.
        mend: what would mend it; empty when satisfied.
        authentic: whether some authentic candidate existed; a refusal without one is exit code 4, else 5.
    """

    name: str
    kind: RuleKind
    subject: str
    outcome: Outcome
    threshold: str
    observed: str | None = None
    value: float | None = None
    attestation: VerifiedAttestation | None = None
    signer: str | None = None
    platform: str | None = None
    tee: str | None = None
    simulated: bool | None = None
    without_tee: bool = False
    reason: str | None = None
    message: str = ""
    mend: str = ""
    authentic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that an attestation lacks to satisfy a rule: a stable word, why, and what would mend it."""

    reason: str
    message: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """An attestation that a rule looked at.

    Attributes:
        counted: whether it is the one that satisfied the rule.
        lacks: why it does not count; empty where it could.
        observed: the value that was compared, in words; None when there is none.
        platform: the policy's platform that its evidence is of; None when it is of none that the rule asks for.
        tee: the TEE, in words, simulation in plain sight; None when there is none.
    """

    attestation: VerifiedAttestation
    counted: bool
    lacks: tuple[Lack, ...]
    observed: str | None = None
    platform: str | None = None
    tee: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan that an evaluation carries out, as some satisfied rule asks.

    Attributes:
        at: the earliest trusted time of the plan's signature, by which the plan existed.
    """

    plan: VerifiedPlan
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """The verdict of one policy over one model, and how it came about.

    Attributes:
        model: manifest digest of the model, hexadecimal.
        policy_sha256: SHA-256 of the policy file's bytes.
        policy_closure: the digest of the policy with every file that it names; see `Policy.closure`.
        at: the time as of which certificates and collateral were judged.
        now: the time as of which revocation, advisories and age were judged.
        qualifying: attestations that some rule relied on; cards render these as verified.
        attestations: all that are authentic, qualifying or not.
        warnings: what deserves a look and refuses nothing, such as conflicting provenance.
        bases: of base models, under the policies that their terms name, whatever they came to.
        extended: of this very model, under the policies that this one extends.
        by_signature_alone: digests of statements that count without a TEE, as the policy says; no quote of theirs does.
        considered: by the names of the rules that were to be explained, every attestation that they looked at, the
            nearest first.
        plans: all that are authentic, whether or not some evaluation carries them out.
        planned: by the digest of an evaluation's statement, the plan that counted for it.
    """

    model_name: str
    model: str
    policy_name: str
    policy_sha256: str
    policy_closure: str
    at: dt.datetime
    now: dt.datetime
    rules: tuple[RuleResult, ...]
    attestations: tuple[VerifiedAttestation, ...]
    qualifying: tuple[VerifiedAttestation, ...]
    set_aside: tuple[SetAside, ...]
    warnings: tuple[str, ...] = ()
    bases: tuple[Appraisal, ...] = ()
    extended: tuple[Appraisal, ...] = ()
    by_signature_alone: frozenset[str] = frozenset()
    considered: Mapping[str, tuple[Considered, ...]] = field(default_factory=dict)
    plans: tuple[VerifiedPlan, ...] = ()
    planned: Mapping[str, Planned] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """True when there is a rule and every rule is satisfied."""
        return bool(self.rules) and all(rule.outcome == "satisfied" for rule in self.rules)

    @property
    def without_tee(self) -> bool:
        """Whether the verdict rests on a signature alone anywhere, here or in the verdicts within."""
        return bool(self.by_signature_alone) or any(rule.without_tee for rule in self.rules)

    @property
    def exit_code(self) -> Literal[0, 4, 5]:
        """0 accepted; 4 when a refused rule had no authentic candidate; else 5."""
        if self.accepted:
            return 0
        lacking = any(rule.outcome == "refused" and not rule.authentic for rule in self.rules)
        return 4 if lacking or not self.rules else 5

    def __bool__(self) -> NoReturn:
        """An appraisal has no truth value: ``if appraisal:`` would accept a refusal that is not None."""
        raise TypeError("expected .accepted, got an Appraisal used as a truth value")
