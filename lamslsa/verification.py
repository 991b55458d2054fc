"""From bundles to verified attestations: the only place that builds them.

A bundle that is not authentic is set aside with its reason and raises nothing: hostile bytes beside a model must not
be able to stop the verification of the rest. What remains is authentic, which is not yet acceptable: whether a signer,
a root or a measurement is good enough is for the policy.

Time is only what third parties have signed: evidence is judged as of the earliest trusted time of its bundles, and as
of the time that the caller gives where there is none.

No I/O, clock or environment: bundles, keys, collateral and the time are arguments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.verify import EvidenceTrust, VerifiedEvidence, verify_evidence
from lamslsa.predicates import (
    Dataset,
    Evaluation,
    EvaluationPlan,
    Inference,
    Model,
    ModelSignature,
    Predicate,
    Provenance,
    TeeEvidence,
    VerificationSummary,
)
from lamslsa.predicates import parse as parse_predicate
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import BundleVerifier, Envelope, Signature, most_telling
from lamslsa.statement import Statement
from lamslsa.store.interface import StoredBundle

__all__ = [
    "MAX_BUNDLES",
    "SetAside",
    "TrustMaterial",
    "Verification",
    "VerifiedAttestation",
    "VerifiedEvidence",
    "VerifiedModelSignature",
    "VerifiedPlan",
    "VerifiedSignature",
    "verify_bundles",
]

MAX_BUNDLES: Final = 50_000
_SEAL: Final = object()
_NEVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)
_SHOWN_IDENTITIES: Final = 8


def earliest(_: str, signature: Signature) -> dt.datetime | None:
    """The earliest trusted time of a signature, whoever signed."""
    return min((time.at for time in signature.witnessed.times), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMaterial(EvidenceTrust):
    """What verification needs of a policy: who may sign, by the policy's names, and what evidence is judged with.

    Roots of trust are no part of it. A quote is verified up to the root that it presents, the root's fingerprint is one
    of the claims, and the policy's platforms decide: so a refusal can say "simulated" instead of "unknown".

    Attributes:
        identities: by the policy's names.
        dates: the earliest trusted time that a signature of an identity gives its evidence; None where it gives none,
            as a signature that would not count for a rule.
        denied_keys: evidence that nobody else signed is set aside.
    """

    identities: Mapping[str, BundleVerifier]
    dates: Callable[[str, Signature], dt.datetime | None] = earliest
    denied_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSignature:
    """One bundle over a statement, authentic under one identity.

    Attributes:
        identity: the policy's name of who signed.
        source: where the bundle was found.
        bundle: SHA-256 of the bundle's bytes.
    """

    identity: str
    signature: Signature
    source: str
    bundle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A statement with an authentic signature under an identity of the policy, and the evidence that covers it.

    Attributes:
        signatures: of every identity of the policy that signed these very payload bytes. Whether one was good for the
            time at which it was made is the policy's decision.
        evidence: every authentic quote that covers it; empty when no TEE vouches for it. Which platform a quote belongs
            to, and whether its root is acceptable, is the policy's decision.
    """

    statement: Statement
    predicate: Dataset | Evaluation | Inference | Model | Provenance | VerificationSummary
    signatures: tuple[VerifiedSignature, ...]
    evidence: tuple[VerifiedEvidence, ...]
    seal: object = field(repr=False, compare=False)

    @property
    def signers(self) -> frozenset[str]:
        """The policy's names of all identities that signed."""
        return frozenset(item.identity for item in self.signatures)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the bundles were found."""
        return tuple(sorted({item.source for item in self.signatures}))

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("expected a VerifiedAttestation made by lamslsa.verification, got one made elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedModelSignature:
    """An authentic signature of a list of files by OpenSSF model signing.

    Its subject is no artifact: which one the list is about is for `lamslsa.model_signature.covers`.
    """

    statement: Statement
    predicate: ModelSignature
    signatures: tuple[VerifiedSignature, ...]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("expected a VerifiedModelSignature made by lamslsa.verification, got one made elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPlan:
    """A plan of an evaluation with an authentic signature; no TEE vouches for one."""

    statement: Statement
    predicate: EvaluationPlan
    signatures: tuple[VerifiedSignature, ...]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("expected a VerifiedPlan made by lamslsa.verification, got one made elsewhere")


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
    model_signatures: tuple[VerifiedModelSignature, ...] = ()
    plans: tuple[VerifiedPlan, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Signed:
    """One payload, whoever signed it: bundles over the same bytes are one attestation."""

    statement: Statement
    predicate: Predicate
    signatures: list[VerifiedSignature]

    @property
    def sources(self) -> list[str]:
        """Where the bundles were found."""
        return sorted({item.source for item in self.signatures})

    def sorted_signatures(self) -> tuple[VerifiedSignature, ...]:
        """In an order that does not depend on that of the bundles."""
        return tuple(sorted(self.signatures, key=lambda item: (item.identity, item.source)))

    def dated(self, trust: TrustMaterial) -> dict[str, dt.datetime]:
        """The earliest time by which a third party has seen a signature, by the identity that signed."""
        found: dict[str, dt.datetime] = {}
        for item in self.signatures:
            at = trust.dates(item.identity, item.signature)
            if at is not None and at < found.get(item.identity, _NEVER):
                found[item.identity] = at
        return found


def verify_bundles(bundles: Iterable[StoredBundle], trust: TrustMaterial) -> Verification:
    """Verify every bundle and tie the evidence to the statements that it covers.

    1. Parse the bundle: one DSSE envelope, one signature, payload type in-toto (Sigstore bundle v0.3, DSSE v1).
    2. Verify the signature under an identity of the policy; no identity, no attestation. What timestamp authorities
       and logs of the identity's trusted root say of the signature comes with it.
    3. Parse the statement and its predicate (in-toto Statement v1, predicates/*/v1).
    4. Join bundles over the same payload bytes: their signers add up.
    5. Verify each piece of evidence: the quote up to its root, the binding to exactly these statements, and how the
       platform stands now (`lamslsa.evidence.verify`, predicates/tee-evidence/v1). For an identity whose signature a
       third party has dated, the quote is judged as of that time, by which it existed; for others as of ``trust.at``.
       So nobody dates evidence for somebody else.
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
            verified, refusal = _verify_evidence(item, item.predicate, signed, trust)  # (5)
            for found in verified:
                for covered in found.covers:
                    evidence.setdefault(covered, []).append(found)
            if refusal is not None and not verified:
                set_aside.extend(_aside(source, refusal) for source in item.sources)

    attestations = tuple(
        VerifiedAttestation(
            statement=item.statement,
            predicate=item.predicate,
            signatures=item.sorted_signatures(),
            evidence=tuple(evidence.get(digest, ())),  # (6)
            seal=_SEAL,
        )
        for digest, item in sorted(signed.items())
        if isinstance(item.predicate, Dataset | Evaluation | Inference | Model | Provenance | VerificationSummary)
    )
    model_signatures = tuple(
        VerifiedModelSignature(
            statement=item.statement, predicate=item.predicate, signatures=item.sorted_signatures(), seal=_SEAL
        )
        for _, item in sorted(signed.items())
        if isinstance(item.predicate, ModelSignature)
    )
    plans = tuple(
        VerifiedPlan(
            statement=item.statement, predicate=item.predicate, signatures=item.sorted_signatures(), seal=_SEAL
        )
        for _, item in sorted(signed.items())
        if isinstance(item.predicate, EvaluationPlan)
    )
    return Verification(
        trust=trust,
        attestations=attestations,
        model_signatures=model_signatures,
        plans=plans,
        set_aside=tuple(sorted(set_aside, key=lambda item: item.source)),
    )


def _verify_evidence(
    item: _Signed, predicate: TeeEvidence, signed: Mapping[str, _Signed], trust: TrustMaterial
) -> tuple[list[VerifiedEvidence], LamslsaError | None]:
    """The evidence as of each identity's time, and as of the verifier's for the rest; and the last refusal."""
    if all(one.signature.made_by(trust.denied_keys) for one in item.signatures):
        return [], VerificationError(
            "expected evidence signed with a key that is not denied, got none such", reason="signer-denied"
        )
    own, covers = item.statement.sha256, tuple(subject.sha256 for subject in item.statement.subjects)
    times: dict[str | None, dt.datetime] = dict(item.dated(trust).items())
    others = {one.identity for digest in covers if digest in signed for one in signed[digest].signatures}
    if not times or others - times.keys():
        times[None] = trust.at
    verified: list[VerifiedEvidence] = []
    refusal: LamslsaError | None = None
    for name, at in sorted(times.items(), key=lambda item: item[0] or ""):
        try:
            found = verify_evidence(predicate, statement=own, covers=covers, trust=replace(trust, at=at))
            since = found.freshness.not_before
            if name is not None and since is not None and since > at:
                raise VerificationError(
                    f"expected evidence that existed at {at.isoformat()}, when its signature did, "
                    f"got a quote made after {since.isoformat()}",
                    reason="evidence-time-contradiction",
                )
        except LamslsaError as err:
            refusal = err
        else:
            verified.append(replace(found, dated_by=name))
    return verified, refusal


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
    signatures = _verify_signature(source, outcome, trust)
    digest = _codec.sha256_hex(outcome.payload)
    known = signed.get(digest)
    if known is None:
        parsed = statement.parse(outcome.payload)
        known = signed[digest] = _Signed(statement=parsed, predicate=parse_predicate(parsed), signatures=[])
    known.signatures += signatures


def _verify_signature(source: str, envelope: Envelope, trust: TrustMaterial) -> list[VerifiedSignature]:
    found: dict[str, Signature] = {}
    errors: dict[str, LamslsaError] = {}
    for name, identity in trust.identities.items():
        try:
            found[name] = identity.verify(envelope)
        except (FormatError, VerificationError) as err:
            errors[name] = err
    if not found:
        _refuse_nobody(errors)
    bundle = _codec.sha256_hex(envelope.raw)
    return [
        VerifiedSignature(identity=name, signature=signature, source=source, bundle=bundle)
        for name, signature in found.items()
    ]


def _refuse_nobody(errors: Mapping[str, LamslsaError]) -> NoReturn:
    """Refuse a bundle that no identity signed, with the reason that says most."""
    if not errors:
        raise VerificationError("expected an identity in the policy, got none", reason="signature-key")
    telling = most_telling(list(errors.values()))
    others = {name: err for name, err in errors.items() if err.reason == telling.reason}
    if telling.reason != "signature-identity" or len(others) == 1:
        raise telling
    differences = "; ".join(f"as {name}, {err}" for name, err in list(others.items())[:_SHOWN_IDENTITIES])
    raise VerificationError(
        f"expected a certificate of an identity in the policy, got another: {differences}", reason=telling.reason
    )
