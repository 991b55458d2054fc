"""From bundles to verified attestations: the only place that builds them.

STEPS and code to come with the publisher.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa.evidence.interface import Claims, Root
from lamslsa.predicates import Dataset, Evaluation, Provenance
from lamslsa.sign.interface import BundleVerifier
from lamslsa.statement import Statement

__all__ = ["SetAside", "TrustMaterial", "Verification", "VerifiedAttestation", "VerifiedEvidence"]

_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMaterial:
    """What a policy trusts, as verification needs it: keys by the policy's names, and pinned roots.

    Attributes:
        collateral: endorsements that the verifier holds; they replace the snapshot that travels with the evidence.
    """

    identities: Mapping[str, BundleVerifier]
    roots: Sequence[Root]
    at: dt.datetime
    collateral: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """Authentic evidence that covers a statement.

    Attributes:
        statement: SHA-256 of the evidence statement's payload.
        covers: SHA-256 of every statement payload that this quote vouches for, in the order of the quote.
    """

    claims: Claims
    statement: str
    covers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A statement with an authentic signature under an identity of the policy, and the evidence that covers it.

    Attributes:
        signers: the policy's names of all identities that signed these very payload bytes.
        evidence: every authentic quote that covers it; empty when no TEE vouches for it. Which platform a quote belongs
            to, and whether a root is acceptable, is the policy's decision.
        sources: where the bundles were found.
    """

    statement: Statement
    predicate: Dataset | Evaluation | Provenance
    signers: frozenset[str]
    evidence: tuple[VerifiedEvidence, ...]
    sources: tuple[str, ...]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("expected a VerifiedAttestation made by lamslsa.verify, got one made elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A bundle that is not authentic: kept out, with its reason."""

    source: str
    reason: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of verifying a set of bundles."""

    attestations: tuple[VerifiedAttestation, ...]
    set_aside: tuple[SetAside, ...]
