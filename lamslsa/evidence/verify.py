"""From an evidence statement to claims: the quote, what it binds, and how its platform stands today.

Rules:
- No clock, network or environment: times, endorsements, beacons and manifests are arguments (`EvidenceTrust`).
- Authentic as of one time and acceptable now are two questions. What is asked of now is only what can have become known
  since: revocation, advisories, the number of the endorsements.
- Which root is trusted is no question of this module: evidence is verified up to the root that it presents, and the
  root is one of the claims.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lamslsa import _codec
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import binding, device_verifier_for, verifier_for
from lamslsa.evidence.interface import Claims, DeviceClaims, EvidenceVerifier, Root, Standing
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Beacon
from lamslsa.evidence.revocation import is_revoked, revocation_lists
from lamslsa.predicates.tee_evidence import CCEL_MEDIA_TYPE, Content, TeeEvidence

__all__ = ["BeaconVerifier", "Challenge", "EvidenceTrust", "Freshness", "VerifiedEvidence", "verify_evidence"]

_WITH_DEVICES: Final = frozenset({"tdx", "snp"})
# Endorsements that say nothing about the time in question, or not everything: the next ones may.
_OF_ANOTHER_TIME: Final = frozenset(
    {"evidence-collateral-window", "evidence-certificate-window", "evidence-collateral-missing"}
)


class BeaconVerifier(Protocol):
    """Knows one source of beacons."""

    def time(self, beacon: Beacon) -> dt.datetime:
        """When the beacon was made, at the earliest; timezone-aware.

        Raises:
            FormatError: not a beacon.
            VerificationError: not one of this source.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A nonce that the relying party made, and when it did."""

    nonce: bytes
    issued_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTrust:
    """What verifying evidence needs of its surroundings.

    Attributes:
        at: expiry is judged as of this time; timezone-aware.
        now: how platforms stand is judged as of this time; timezone-aware.
        held: endorsements that the verifier holds, in any of the formats that travel with evidence.
        carried: endorsements that came with the attestations, of no higher rank than the snapshot in the evidence.
        manifests: reference integrity manifests of devices that the verifier holds.
        beacons: whose beacons count, by the policy's names.
        challenge: the nonce that evidence has to answer to be as young as the challenge.
    """

    at: dt.datetime
    now: dt.datetime
    held: tuple[bytes, ...] = ()
    carried: tuple[bytes, ...] = ()
    manifests: tuple[bytes, ...] = ()
    beacons: tuple[BeaconVerifier, ...] = ()
    challenge: Challenge | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Since when evidence can exist, at the earliest.

    Attributes:
        not_before: a lower bound of the time of the quote; None where nothing gives one.
        message: why there is none.
    """

    not_before: dt.datetime | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """Authentic evidence that covers a statement.

    Attributes:
        statement: SHA-256 of the evidence statement's payload.
        covers: SHA-256 of every statement payload that this quote vouches for, in the order of the quote.
        as_of: the time as of which the quote is authentic.
        dated_by: the policy's name of the identity whose signature a third party dated so; None for the verifier's own
            time.
        standing: how the platform stands now; None where no endorsements say.
        standing_message: why nothing says.
    """

    claims: Claims
    statement: str
    covers: tuple[str, ...]
    as_of: dt.datetime
    standing: Standing | None
    standing_message: str = ""
    freshness: Freshness = Freshness()
    dated_by: str | None = None


def verify_evidence(
    predicate: TeeEvidence, *, statement: str, covers: tuple[str, ...], trust: EvidenceTrust
) -> VerifiedEvidence:
    """Verify one evidence statement, whose signature is authentic (predicates/tee-evidence/v1, "How it is verified").

    1. The quote is of a known format, and its bytes have the digest that stands beside them.
    2. Device evidence comes only with a guest that can vouch for its collection: with SGX and Nitro the host could
       relay the answer of any device.
    3. The report data follows from the nonce, the digests of the device evidence and those of the subjects, in their
       order, and from nothing else.
    4. The quote is authentic as of ``trust.at`` up to the root that it presents, whichever that is: with endorsements
       that the verifier holds and that were valid then, or else with the snapshot that travels.
    5. The report data in the quote is the expected one, over all 64 bytes.
    6. An event log replays to the registers of the quote.
    7. Each device's report is authentic over the nonce that follows from this run, and no device answers twice.
    8. A beacon is the preimage of the nonce; its time counts if a source that ``trust`` names has signed it, and no
       challenge asks for an answer instead.
    9. How the platform stands now, by the endorsements that the verifier holds, or else by the snapshot if that is
       still valid now. Any revocation list that the verifier holds counts, whichever platform it came with.

    Args:
        predicate: what the statement says.
        statement: SHA-256 of its payload.
        covers: SHA-256 of its subjects, in their order.
        trust: the verifier's surroundings.

    Raises:
        FormatError: the evidence is not what it claims to be.
        VerificationError: the quote is not authentic, or is a quote over something else.
    """
    verifier = verifier_for(predicate.quote.media_type)  # (1)
    quote = _decode(predicate.quote, verifier.media_type, what="quote")
    devices = _decode_devices(predicate, verifier)  # (2)
    nonce = _codec.decode_base64(predicate.nonce, what="nonce", max_bytes=binding.MAX_NONCE_BYTES)
    digests = [_codec.sha256_hex(data) for _, data in devices]
    expected = binding.report_data(nonce, device_evidence=digests, statements=covers)  # (3)
    snapshot = _snapshot(predicate, verifier)
    claims, root, collateral = _verify_quote(verifier, quote, snapshot, trust)  # (4)
    if not hmac.compare_digest(claims.report_data, expected):  # (5)
        raise VerificationError(
            "expected a quote over the nonce and statements of this evidence, got a quote over something else",
            reason="evidence-binding",
            hint="the quote was made for other statements: publish the run that it belongs to",
        )
    _verify_event_log(predicate, claims)  # (6)
    asked = binding.device_nonce(nonce, statements=covers)
    attached = _verify_devices(devices, asked, trust)  # (7)
    freshness = _freshness(predicate, nonce, trust)  # (8)
    standing, message = _standing(verifier, quote, snapshot, root, trust)  # (9)
    lists = [item for held in trust.held for item in revocation_lists(held)]
    if lists and is_revoked(verifier.presented_path(quote, collateral), lists, now=trust.now):
        standing = dataclasses.replace(standing or Standing(revoked=True), revoked=True)
    return VerifiedEvidence(
        claims=dataclasses.replace(claims, devices=attached) if attached else claims,
        statement=statement,
        covers=covers,
        as_of=trust.at,
        standing=standing,
        standing_message=message,
        freshness=freshness,
    )


def _decode(content: Content, media_type: str, *, what: str) -> bytes:
    if content.media_type != media_type:
        raise FormatError(
            f"expected media type {media_type} in {what}, got {content.media_type[:80]!r}", reason="evidence-media-type"
        )
    data = _codec.decode_base64(content.content, what=what)
    if not hmac.compare_digest(_codec.sha256_hex(data), content.digest.sha256):
        raise VerificationError(f"expected the digest of the content in {what}, got another", reason="evidence-digest")
    return data


def _decode_devices(predicate: TeeEvidence, verifier: EvidenceVerifier) -> list[tuple[str, bytes]]:
    if predicate.device_evidence and verifier.tee not in _WITH_DEVICES:
        raise VerificationError(
            f"expected no device evidence with {verifier.tee}, got some: the host could relay the answer of any device",
            reason="evidence-device",
        )
    if len(predicate.device_evidence) > binding.MAX_DEVICES:
        raise FormatError(
            f"expected at most {binding.MAX_DEVICES} device reports, got {len(predicate.device_evidence)}",
            reason="evidence-binding-count",
        )
    return [
        (item.media_type, _decode(item, device_verifier_for(item.media_type).media_type, what="device evidence"))
        for item in predicate.device_evidence
    ]


def _snapshot(predicate: TeeEvidence, verifier: EvidenceVerifier) -> bytes | None:
    """The endorsements that travel with the evidence."""
    if predicate.collateral is None:
        return None
    if verifier.collateral_media_type is None:
        raise FormatError(
            f"expected no collateral with {verifier.tee}, whose evidence carries its endorsements, got some",
            reason="evidence-media-type",
        )
    return _decode(predicate.collateral, verifier.collateral_media_type, what="collateral")


def _verify_quote(
    verifier: EvidenceVerifier, quote: bytes, snapshot: bytes | None, trust: EvidenceTrust
) -> tuple[Claims, Root, bytes | None]:
    """The claims under endorsements that were valid then: the verifier's own before those that the prover chose."""
    options: list[bytes | None] = [held for held in trust.held if verifier.concerns(quote, held)]
    options += [snapshot] if snapshot is not None else []
    options += [carried for carried in trust.carried if verifier.concerns(quote, carried)]
    options = options or [None]
    for number, collateral in enumerate(options, start=1):
        try:
            root = verifier.presented_root(quote, collateral)
            return verifier.verify(quote, collateral=collateral, roots=(root,), at=trust.at), root, collateral
        except VerificationError as err:
            if number == len(options) or err.reason not in _OF_ANOTHER_TIME:
                raise
    raise AssertionError("the last of at least one option returns or raises")


def _verify_event_log(predicate: TeeEvidence, claims: Claims) -> None:
    if predicate.event_log is None:
        return
    log = _decode(predicate.event_log, CCEL_MEDIA_TYPE, what="event log")
    if claims.tee != "tdx":
        raise VerificationError(
            f"expected an event log only with tdx, whose registers it replays to, got one with {claims.tee}",
            reason="evidence-event-log",
        )
    from lamslsa.evidence.tdx.ccel import verify_event_log
    from lamslsa.evidence.tdx.verify import TdxClaims

    if not isinstance(claims, TdxClaims):
        raise TypeError("expected the claims of the TDX verifier")
    verify_event_log(log, claims)


def _verify_devices(
    devices: Sequence[tuple[str, bytes]], nonce: bytes, trust: EvidenceTrust
) -> tuple[DeviceClaims, ...]:
    found: dict[str, DeviceClaims] = {}
    for media_type, report in devices:
        verifier = device_verifier_for(media_type)
        root = verifier.presented_root(report)
        claims = verifier.verify(report, nonce=nonce, roots=(root,), manifests=trust.manifests, at=trust.at)
        if claims.device_id in found:
            raise VerificationError(
                f"expected each device once, got {claims.device_id} twice", reason="evidence-device-twice"
            )
        found[claims.device_id] = claims
    return tuple(found.values())


def _freshness(predicate: TeeEvidence, nonce: bytes, trust: EvidenceTrust) -> Freshness:
    beacon = None
    if predicate.freshness is not None:
        media_type = predicate.freshness.media_type
        beacon = Beacon(media_type=media_type, data=_decode(predicate.freshness, media_type, what="beacon"))
        if len(beacon.data) > MAX_BEACON_BYTES:
            raise FormatError(
                f"expected at most {MAX_BEACON_BYTES} bytes of beacon, got {len(beacon.data)}", reason="beacon-size"
            )
        if not hmac.compare_digest(hashlib.sha256(beacon.data).digest(), nonce):
            raise VerificationError(
                "expected a nonce that is the SHA-256 of the beacon, got another", reason="evidence-freshness"
            )
    if trust.challenge is not None:  # then nothing else counts: an answer is asked for
        if hmac.compare_digest(trust.challenge.nonce, nonce):
            return Freshness(not_before=trust.challenge.issued_at)
        return Freshness(message="the nonce is not that of the challenge")
    if beacon is None:
        return Freshness(message="the nonce is no beacon")
    message = "the policy names no source of beacons"
    for source in trust.beacons:
        try:
            return Freshness(not_before=source.time(beacon))
        except (FormatError, VerificationError) as err:
            message = str(err)
    return Freshness(message=message)


def _standing(
    verifier: EvidenceVerifier, quote: bytes, snapshot: bytes | None, root: Root, trust: EvidenceTrust
) -> tuple[Standing | None, str]:
    """How the platform stands now; of several endorsements the newest speak, but one that revokes is enough."""
    held = [item for item in trust.held if verifier.concerns(quote, item)]
    carried = [item for item in trust.carried if verifier.concerns(quote, item)]
    options: list[bytes | None] = [*held] or [*([] if snapshot is None else [snapshot]), *carried]
    if verifier.collateral_media_type is None:
        options = [None]
    known: list[Standing] = []
    message = "no endorsements at hand"
    for collateral in options:
        try:
            known.append(verifier.standing(quote, collateral=collateral, roots=(root,), now=trust.now))
        except (FormatError, VerificationError) as err:
            message = str(err)
    if not known:
        return None, message
    newest = max(known, key=lambda item: item.tcb_evaluation_data_number or 0)
    return dataclasses.replace(newest, revoked=any(item.revoked for item in known)), ""
