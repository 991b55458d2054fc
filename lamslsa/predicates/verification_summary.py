"""Predicate ``https://slsa.dev/verification_summary/v1``: the verdict of a policy over a model (SLSA VSA).

Normative text: predicates/verification-summary/v1/README.md, a subset of https://slsa.dev/spec/v1.1/verification_summary.
Only what lamslsa writes is read: a summary that claims a SLSA level, or no digest of its policy, is refused.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec

from lamslsa.predicates._common import Digest, Name, WireModel

__all__ = [
    "FAILED",
    "INGREDIENTS",
    "INGREDIENTS_SIMULATED",
    "INGREDIENTS_WITHOUT_TEE",
    "MAX_INPUTS",
    "PREDICATE_TYPE",
    "InputAttestation",
    "SummarisedPolicy",
    "VerificationSummary",
    "VerifiedLevel",
    "Verifier",
]

PREDICATE_TYPE: Final = "https://slsa.dev/verification_summary/v1"

INGREDIENTS: Final = "LAMSLSA_INGREDIENTS"
INGREDIENTS_SIMULATED: Final = "LAMSLSA_INGREDIENTS_SIMULATED"
INGREDIENTS_WITHOUT_TEE: Final = "LAMSLSA_INGREDIENTS_WITHOUT_TEE"
FAILED: Final = "FAILED"
MAX_INPUTS: Final = 4096

VerifiedLevel = Literal[
    "LAMSLSA_INGREDIENTS", "LAMSLSA_INGREDIENTS_SIMULATED", "LAMSLSA_INGREDIENTS_WITHOUT_TEE", "FAILED"
]
Uri = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z", max_length=2048)]
_Time = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]


class Verifier(WireModel, frozen=True, kw_only=True):
    """Who verified.

    Attributes:
        id: URI of the verifier, as its operator calls it; it means something beside a signature only.
        version: name of a tool to its version; informative.
    """

    id: Uri
    version: Annotated[dict[Name, Name], msgspec.Meta(max_length=16)] = msgspec.field(default_factory=dict)


class SummarisedPolicy(WireModel, frozen=True, kw_only=True):
    """What was verified against.

    Attributes:
        digest: of the policy with every file that it names (`lamslsa.policy.Policy.closure`).
        name: the policy's own; a label.
    """

    uri: Uri
    digest: Digest
    name: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class InputAttestation(WireModel, frozen=True, kw_only=True):
    """A statement that the verdict rests on; ``digest`` is that of its payload, so signing it again changes nothing."""

    digest: Digest


class VerificationSummary(WireModel, frozen=True, kw_only=True):
    """That the subject, a model, passed or failed a policy.

    Attributes:
        time_verified: by the verifier's own clock; a trusted time is what a timestamp over the bundle gives.
        resource_uri: what the verifier calls the model; the subject's digest says what it is.
        verified_levels: exactly one.
        input_attestations: all of those that the verdict rests on, or none.

    Raises:
        ValueError: result and level contradict each other, or the time is none. msgspec makes a validation error of it.
    """

    verifier: Verifier
    time_verified: _Time
    resource_uri: Uri
    policy: SummarisedPolicy
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: Annotated[tuple[VerifiedLevel, ...], msgspec.Meta(min_length=1, max_length=1)]
    input_attestations: Annotated[tuple[InputAttestation, ...], msgspec.Meta(max_length=MAX_INPUTS)] = ()

    def __post_init__(self) -> None:
        if (self.verified_levels == (FAILED,)) != (self.verification_result == "FAILED"):
            raise ValueError("expected the level FAILED with the result FAILED and with no other, got a contradiction")
        dt.datetime.fromisoformat(self.time_verified)

    @property
    def passed(self) -> bool:
        """Whether the policy accepted the model."""
        return self.verification_result == "PASSED"

    @property
    def simulated(self) -> bool:
        """Whether something that the verdict rests on was measured in a simulated TEE."""
        return self.verified_levels == (INGREDIENTS_SIMULATED,)

    @property
    def without_tee(self) -> bool:
        """Whether the verdict rests on a signature alone somewhere, and maybe on simulated TEEs beside."""
        return self.verified_levels == (INGREDIENTS_WITHOUT_TEE,)

    @property
    def verified_at(self) -> dt.datetime:
        """``time_verified``, timezone-aware."""
        return dt.datetime.fromisoformat(self.time_verified)
