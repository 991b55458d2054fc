"""Beacons: signed bytes that nobody could know before a certain time, from a source that a policy names.

A nonce that is the SHA-256 of a beacon makes a quote at least as young as the beacon. The time is therefore a lower
bound, and everything here errs towards the earlier one.

Rules:
- What a timestamp was asked for, and what a log's tree holds, does not matter: the prover may have asked for anything.
  That the signature exists is what dates the bytes.
- Certificates of a timestamp authority are judged as of the time that it states. A key that leaks later can then say
  anything; a policy that names a timestamp authority trusts its key for as long as it names it.
- A log's own signature carries no time. Its checkpoint is a beacon by the cosignatures of witnesses, and the policy
  says how many of them are needed, so that no single one can make a beacon look younger than it is.
- No clock, network or environment.

Specifications: RFC 3161 (timestamps), RFC 5816; C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Self, TypeVar

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence._note import Note, parse_checkpoint
from lamslsa.evidence._pem import parse_chain
from lamslsa.evidence._witness_policy import WitnessPolicy, parse_witness_policy
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Beacon
from lamslsa.predicates.tee_evidence import BEACON_CHECKPOINT_MEDIA_TYPE, BEACON_TIMESTAMP_MEDIA_TYPE

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

__all__ = ["TimestampAuthority", "WitnessedLog", "refuse_other_than_beacon"]

T = TypeVar("T")

_MAX_PEM_BYTES: Final = 64 * 1024
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_SECOND: Final = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(seconds=1)
_TIMESTAMP_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthority:
    """A timestamp authority (RFC 3161) under one root; with its own certificate, that one alone."""

    _root: Certificate = field(repr=False)
    _intermediates: tuple[Certificate, ...] = field(repr=False)
    _own: Certificate | None = field(repr=False)

    @classmethod
    def load(cls, pem: bytes) -> Self:
        """Read what a policy pins: exactly one self-signed root, intermediates, and at most one authority, as PEM.

        Raises:
            FormatError: anything else.
        """
        if len(pem) > _MAX_PEM_BYTES:
            raise FormatError(
                f"expected at most {_MAX_PEM_BYTES} bytes of certificates, got {len(pem)}", reason="beacon-authority"
            )
        roots: list[Certificate] = []
        intermediates: list[Certificate] = []
        authorities: list[Certificate] = []
        for der in parse_chain(pem, what="a timestamp authority"):
            certificate, is_ca, is_root = _read_certificate(der)
            (roots if is_root else intermediates if is_ca else authorities).append(certificate)
        if len(roots) != 1 or len(authorities) > 1:
            raise FormatError(
                f"expected one self-signed root and at most one authority, got {len(roots)} and {len(authorities)}",
                reason="beacon-authority",
                hint="put the root first; the authority's own certificate narrows the root down to it",
            )
        return cls(_root=roots[0], _intermediates=tuple(intermediates), _own=authorities[0] if authorities else None)

    def time(self, beacon: Beacon) -> dt.datetime:
        """The earliest time at which the timestamp can have been made.

        STEPS (RFC 3161 section 2.4.2):
            (1) a timestamp response, and nothing after it;
            (2) granted;
            (3) signed by a certificate for timestamping that chains to the root, valid at the time that it states;
            (4) that time, less the accuracy that it states.

        Raises:
            FormatError: not a timestamp response.
            VerificationError: not one of this authority.
        """
        response = _decode_response(_of_type(beacon, BEACON_TIMESTAMP_MEDIA_TYPE))  # (1)
        _refuse_status(response)  # (2)
        earliest = _rust(lambda: _earliest(response), _no_response)  # (4)
        self._verify(response)  # (3)
        return earliest

    def _verify(self, response: TimeStampResponse) -> None:
        from rfc3161_client import VerifierBuilder

        def verify() -> None:
            if len(response.signed_data.signer_infos) != 1:
                _not_ours(None)
            verifier = VerifierBuilder(
                tsa_certificate=self._own, intermediates=list(self._intermediates), roots=[self._root]
            ).build()
            verifier.verify(response, response.tst_info.message_imprint.message)

        _rust(verify, _not_ours)


def refuse_other_than_beacon(beacon: Beacon) -> None:
    """Return if the bytes are a granted timestamp or a checkpoint, whoever signed it; for those who make nonces of it.

    Raises:
        FormatError: neither.
        VerificationError: a timestamp that was not granted.
    """
    if beacon.media_type != BEACON_TIMESTAMP_MEDIA_TYPE:
        parse_checkpoint(beacon.data)
        return
    response = _decode_response(beacon.data)
    _refuse_status(response)
    _rust(lambda: _earliest(response), _no_response)


def _refuse_status(response: TimeStampResponse) -> None:
    if _rust(lambda: response.status, _no_response) != 0:
        raise VerificationError("expected a granted timestamp, got another status", reason="beacon-status")


def _read_certificate(der: bytes) -> tuple[Certificate, bool, bool]:
    """A certificate, whether it is a CA, and whether it signed itself."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        try:
            is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_ca = False
        is_root = is_ca and certificate.subject == certificate.issuer
        if is_root:
            certificate.verify_directly_issued_by(certificate)
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected certificates of a timestamp authority, got {err or type(err).__name__}",
            reason="beacon-authority",
        ) from err
    return certificate, is_ca, is_root


def _of_type(beacon: Beacon, media_type: str) -> bytes:
    if beacon.media_type != media_type:
        raise VerificationError(
            f"expected a beacon of type {media_type}, got {beacon.media_type[:120]!r}", reason="beacon-other"
        )
    if not 0 < len(beacon.data) <= MAX_BEACON_BYTES:
        raise FormatError(
            f"expected a beacon of 1 to {MAX_BEACON_BYTES} bytes, got {len(beacon.data)}", reason="beacon-size"
        )
    return beacon.data


def _rust(call: Callable[[], T], refuse: Callable[[BaseException | None], NoReturn]) -> T:
    """Call the library; whatever it raises on other bytes is a refusal, a panic of its Rust half included."""
    try:
        return call()
    except (VerificationError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as err:  # noqa: BLE001 - a panic is no Exception, and its class cannot be imported
        refuse(err)


def _no_response(err: BaseException | None) -> NoReturn:
    raise FormatError("expected a timestamp response (RFC 3161), got other bytes", reason="beacon-timestamp") from err


def _not_ours(err: BaseException | None) -> NoReturn:
    raise VerificationError(
        "expected a timestamp of the authority that the policy names, got one that does not verify",
        reason="beacon-signature",
    ) from err


def _decode_response(data: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    return _rust(lambda: decode_timestamp_response(data), _no_response)


def _earliest(response: TimeStampResponse) -> dt.datetime:
    info = response.tst_info
    accuracy = info.accuracy
    margin = dt.timedelta()
    if accuracy is not None:
        margin = dt.timedelta(
            seconds=accuracy.seconds or 0, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0
        )
    return info.gen_time - margin


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedLog:
    """A transparency log and the witnesses that say when they saw its checkpoints."""

    _policy: WitnessPolicy = field(repr=False)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Read what a policy pins: logs, witnesses and a quorum in the format of C2SP tlog-policy.

        Raises:
            FormatError: not such a file, or one whose quorum needs no witness.
        """
        return cls(_policy=parse_witness_policy(data))

    def time(self, beacon: Beacon) -> dt.datetime:
        """The earliest time at which the checkpoint can have been cosigned by a quorum.

        A witness that says it saw a checkpoint at some time signed no earlier, if it is honest. A quorum is a set of
        witnesses that the policy does not expect to lie all together, so the earliest time within a quorum is a lower
        bound; among the quorums that cosigned, the one with the latest such time says most.

        STEPS (C2SP tlog-checkpoint, tlog-cosignature, tlog-policy):
            (1) a checkpoint: origin, size, root hash, signature lines, in the one spelling that there is;
            (2) signed by a log of the policy under the name that is its origin;
            (3) every signature line of a known witness holds a cosignature that verifies;
            (4) a quorum cosigned: the time of the latest one.

        Raises:
            FormatError: not a checkpoint.
            VerificationError: not one of these logs, or not cosigned by a quorum.
        """
        note = parse_checkpoint(_of_type(beacon, BEACON_CHECKPOINT_MEDIA_TYPE))  # (1)
        self._verify_log(note)  # (2)
        seconds = self._policy.since(self._cosigned(note))  # (3) (4)
        if seconds is None:
            raise VerificationError(
                "expected a checkpoint that a quorum of witnesses cosigned, got one without", reason="beacon-quorum"
            )
        return _EPOCH + dt.timedelta(seconds=seconds)

    def _verify_log(self, note: Note) -> None:
        for log in self._policy.logs:
            signature = note.signature_of(log)
            if log.name == note.origin and signature is not None:
                log.verify(signature, note.text)
                return
        raise VerificationError(
            f"expected a checkpoint signed by a log that the policy names, got one of {note.origin[:120]!r}",
            reason="beacon-log",
        )

    def _cosigned(self, note: Note) -> dict[str, int]:
        """By the policy's name of a witness: when it cosigned, in seconds since 1970."""
        times: dict[str, int] = {}
        for name, witness in self._policy.witnesses.items():
            blob = note.signature_of(witness)
            if blob is None:
                continue
            seconds = int.from_bytes(blob[:_TIMESTAMP_BYTES], "big")
            witness.verify(blob[_TIMESTAMP_BYTES:], b"cosignature/v1\ntime %d\n%b" % (seconds, note.text))
            if seconds > _LAST_SECOND:
                raise VerificationError("expected a time before the year 10000, got a later one", reason="beacon-time")
            times[name] = seconds
        return times
