"""From bundles to verified attestations: the only place that builds them.

A bundle that is not authentic is set aside with its reason and raises nothing: hostile bytes beside a model must not
be able to stop the verification of the rest. What remains is authentic, which is not yet acceptable: whether a signer,
a root or a measurement is good enough is for the policy.

No I/O, clock or environment: bundles, keys, collateral and the time are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.verify import EvidenceTrust, VerifiedEvidence, verify_evidence
from lamslsa.predicates import Dataset, Evaluation, Predicate, Provenance, TeeEvidence
from lamslsa.predicates import parse as parse_predicate
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import BundleVerifier, Envelope
from lamslsa.statement import Statement
from lamslsa.store.interface import StoredBundle

__all__ = [
    "MAX_BUNDLES",
    "SetAside",
    "TrustMaterial",
    "Verification",
    "VerifiedAttestation",
    "VerifiedEvidence",
    "verify_bundles",
]

MAX_BUNDLES: Final = 50_000
_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMaterial(EvidenceTrust):
    """What verification needs of a policy: who may sign, by the policy's names, and what evidence is judged with.

    Roots of trust are no part of it. A quote is verified up to the root that it presents, the root's fingerprint is one
    of the claims, and the policy's platforms decide: so a refusal can say "simulated" instead of "unknown".
    """

    identities: Mapping[str, BundleVerifier]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A statement with an authentic signature under an identity of the policy, and the evidence that covers it.

    Attributes:
        signers: the policy's names of all identities that signed these very payload bytes.
        evidence: every authentic quote that covers it; empty when no TEE vouches for it. Which platform a quote belongs
            to, and whether its root is acceptable, is the policy's decision.
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
    """The outcome of verifying a set of bundles.

    Attributes:
        trust: what it was verified under; the names of signers mean something under these identities only.
    """

    trust: TrustMaterial
    attestations: tuple[VerifiedAttestation, ...]
    set_aside: tuple[SetAside, ...]


@dataclass(slots=True, kw_only=True)
class _Signed:
    """One payload, whoever signed it: bundles over the same bytes are one attestation."""

    statement: Statement
    predicate: Predicate
    signers: set[str]
    sources: list[str]


def verify_bundles(bundles: Iterable[StoredBundle], trust: TrustMaterial) -> Verification:
    """Verify every bundle and tie the evidence to the statements that it covers.

    1. Parse the bundle: one DSSE envelope, one signature, payload type in-toto (Sigstore bundle v0.3, DSSE v1).
    2. Verify the signature under an identity of the policy; no identity, no attestation.
    3. Parse the statement and its predicate (in-toto Statement v1, predicates/*/v1).
    4. Join bundles over the same payload bytes: their signers add up.
    5. Verify each piece of evidence: the quote up to its root as of ``trust.at``, the binding to exactly these
       statements, and how the platform stands now (`lamslsa.evidence.verify`, predicates/tee-evidence/v1).
    6. Attach evidence to the statements whose payload digest it covers. A statement without evidence stays, bare.
       Reference values among the bundles are nobody's property of a model: the policy names its own.

    Bundles come in any order; the result is sorted by statement digest.
    """
    set_aside: list[SetAside] = []
    signed: dict[str, _Signed] = {}
    for source, outcome in _outcomes(bundles):  # (1)
        try:
            _join(signed, source, outcome, trust)  # (2) (3) (4)
        except LamslsaError as err:
            set_aside.append(_aside(source, err))

    evidence: dict[str, list[VerifiedEvidence]] = {}
    for _, item in sorted(signed.items()):
        if isinstance(item.predicate, TeeEvidence):
            try:
                covers = tuple(subject.sha256 for subject in item.statement.subjects)
                own = item.statement.sha256
                verified = verify_evidence(item.predicate, statement=own, covers=covers, trust=trust)  # (5)
            except LamslsaError as err:
                set_aside.extend(_aside(source, err) for source in item.sources)
                continue
            for covered in verified.covers:
                evidence.setdefault(covered, []).append(verified)

    attestations = tuple(
        VerifiedAttestation(
            statement=item.statement,
            predicate=item.predicate,
            signers=frozenset(item.signers),
            evidence=tuple(evidence.get(digest, ())),  # (6)
            sources=tuple(sorted(item.sources)),
            seal=_SEAL,
        )
        for digest, item in sorted(signed.items())
        if isinstance(item.predicate, Dataset | Evaluation | Provenance)
    )
    return Verification(
        trust=trust,
        attestations=attestations,
        set_aside=tuple(sorted(set_aside, key=lambda item: item.source)),
    )


def _outcomes(bundles: Iterable[StoredBundle]) -> Iterator[tuple[str, Envelope | LamslsaError]]:
    """What each bundle is, up to a limit: past it nothing more is read, which can only refuse."""
    number = 0
    for bundle in bundles:
        for source, outcome in _parse(bundle):
            number += 1
            if number > MAX_BUNDLES:
                too_many = f"expected at most {MAX_BUNDLES} bundles, got more: this one and what follows was not read"
                yield source, FormatError(too_many, reason="bundles-too-many")
                return
            yield source, outcome


def _parse(bundle: StoredBundle) -> Sequence[tuple[str, Envelope | LamslsaError]]:
    if isinstance(bundle.data, LamslsaError):
        return ((bundle.source, bundle.data),)
    try:
        return parse_bundles(bundle.source, bundle.data)
    except FormatError as err:
        return ((bundle.source, err),)


def _aside(source: str, err: LamslsaError) -> SetAside:
    return SetAside(source=source, reason=err.reason, message=str(err), hint=err.hint)


def _join(signed: dict[str, _Signed], source: str, outcome: Envelope | LamslsaError, trust: TrustMaterial) -> None:
    if isinstance(outcome, LamslsaError):
        raise outcome
    signers = _verify_signature(outcome, trust)
    digest = _codec.sha256_hex(outcome.payload)
    known = signed.get(digest)
    if known is None:
        parsed = statement.parse(outcome.payload)
        predicate = parse_predicate(parsed)
        known = signed[digest] = _Signed(statement=parsed, predicate=predicate, signers=set(), sources=[])
    known.signers |= signers
    known.sources.append(source)


def _verify_signature(envelope: Envelope, trust: TrustMaterial) -> set[str]:
    signers: set[str] = set()
    last: VerificationError | None = None
    for name, identity in trust.identities.items():
        try:
            identity.verify(envelope)
        except VerificationError as err:
            last = err if last is None or err.reason != "signature-key" else last
        else:
            signers.add(name)
    if not signers:
        if last is not None:
            raise last
        raise VerificationError("expected an identity in the policy, got none", reason="signature-key")
    return signers
