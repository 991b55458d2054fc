"""Sigstore's own verifier, with what it keeps to itself: the times it verified, and how far it came.

It returns no times, so its step "establish a time" is overridden to keep them; the installed version is pinned to one
whose steps are known, and a verification that recorded nothing is refused. Beside that:
- an integrated time counts only in the period in which the trusted root gives the log's key, an entry only when that
  period covers a time of the signature, and a certificate only when its authority's does; Sigstore's client reads those
  periods and does not compare them;
- logs and timestamps are judged by ``_parts``, beside managed keys as beside certificates.

This module imports Sigstore (about a second): import it where something is verified.
"""

# ruff: noqa: SLF001 - what Sigstore's client keeps to itself is what this module is for; the version is pinned

from __future__ import annotations

import copy
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.x509 import Certificate
from rfc3161_client import TimeStampResponse
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import CertificateAuthority
from sigstore.dsse import InvalidEnvelope
from sigstore.hashes import Hashed
from sigstore.models import Bundle
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm

from lamslsa.errors import VerificationError
from lamslsa.sign.interface import TrustedTime
from lamslsa.sign.keyless._boundary import refusing, told
from lamslsa.sign.keyless._parts import RootParts, covers

__all__ = ["OpenedRoot", "Verified", "verify_bundle"]

_Stage = Literal["times", "certificate", "sct", "log", "signature"]
_SCT_ERROR = "failed to verify SCT"
_EXPIRED_ERROR = "invalid signing cert"


class Verified(NamedTuple):
    """What a bundle that verifies is about.

    Attributes:
        kind: payload type of the envelope; empty for a file.
        payload: of the envelope; empty for a file.
    """

    kind: str
    payload: bytes
    signature: bytes
    certificate: Certificate
    certificate_der: bytes
    times: tuple[TrustedTime, ...]


class OpenedRoot(RootParts):
    """A trusted root, and the verifier over it."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._verifier: _Verifier | None = None

    def verifier(self) -> _Verifier:
        """A verifier for one bundle.

        Raises:
            sigstore.errors.Error: the root names no authority for certificates, or no log.
        """
        if self._verifier is None:
            self._verifier = _Verifier(self)
        return copy.copy(self._verifier)


class _Verifier(Verifier):
    """Verifies one bundle and remembers what the result does not say."""

    def __init__(self, root: OpenedRoot) -> None:
        super().__init__(trusted_root=root)
        self._root = root
        self._authorities = [
            (authority.valid_for, CertificateAuthority(authority).certificates(allow_expired=True))
            for authority in root._inner.certificate_authorities
        ]
        self.stage: _Stage = "times"
        self.times: tuple[TrustedTime, ...] | None = None

    def verify(self, certificate: Certificate) -> None:  # noqa: ARG002 - the policy that Sigstore asks
        """Sigstore's policy: whose certificate it is, terms say later; here it only marks a step."""
        self.stage = "log"

    def _establish_time(self, bundle: Bundle) -> list[TimestampVerificationResult]:
        entry = bundle.log_entry._inner
        found = [
            result
            for result in super()._establish_time(bundle)
            if result.source is TimestampSource.TIMESTAMP_AUTHORITY
            or self._root.speaks(entry.log_id.key_id, [result.time])
        ]
        self.times = tuple(sorted({_trusted(result) for result in found}))
        return found

    def _verify_signed_timestamp(
        self, timestamp_response: TimeStampResponse, message: bytes
    ) -> TimestampVerificationResult | None:
        try:
            at = self._root.stamped(timestamp_response, message)
        except VerificationError:
            return None
        return TimestampVerificationResult(source=TimestampSource.TIMESTAMP_AUTHORITY, time=at)

    def _verify_chain_at_time(
        self, certificate: Certificate, timestamp_result: TimestampVerificationResult
    ) -> list[Certificate]:
        self.stage = "certificate"
        chain = super()._verify_chain_at_time(certificate, timestamp_result)
        if not any(
            chain[0] in certificates and covers(period, timestamp_result.time)
            for period, certificates in self._authorities
        ):
            raise VerificationError(
                "expected an authority that the trusted root gives for the time of the signature, got one for another",
                reason="signature-certificate",
            )
        self.stage = "sct"
        return chain

    def _verify_common_signing_cert(self, bundle: Bundle, policy: object) -> None:
        super()._verify_common_signing_cert(bundle, policy)  # type: ignore[arg-type]  # this object, by its shape
        if not self._root.speaks(bundle.log_entry._inner.log_id.key_id, [time.at for time in self.times or ()]):
            raise VerificationError(
                "expected a log whose key the trusted root gives for the time of the signature, got one for another",
                reason="signature-log",
            )
        self.stage = "signature"


def verify_bundle(root: OpenedRoot, raw: bytes, *, sha256: bytes | None) -> Verified:
    """Verify the bytes of a keyless bundle: an envelope, or with a digest the signature of the file that has it.

    Raises:
        VerificationError: it does not verify.
    """
    bundle = _open_bundle(raw)
    with refusing(_root_unusable):
        verifier = root.verifier()
    with refusing(lambda err: _refusal(verifier.stage, err)):
        if sha256 is None:
            kind, payload = verifier.verify_dsse(bundle, verifier)
        else:
            kind, payload = "", b""
            verifier.verify_artifact(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=sha256), bundle, verifier)
    if not verifier.times:
        raise VerificationError(
            "expected Sigstore's client to say which times it verified, got none",
            reason="signature-time",
            hint="install the version of sigstore that this package is made for",
        )
    material = bundle._inner.verification_material
    return Verified(
        kind=kind,
        payload=payload,
        signature=bundle.signature,
        certificate=bundle.signing_certificate,
        certificate_der=material.certificate.raw_bytes if material.certificate else b"",
        times=verifier.times,
    )


def _open_bundle(raw: bytes) -> Bundle:
    def refuse(err: BaseException) -> VerificationError:
        if "inclusion promise or signed timestamp" in str(err):
            return _undated(err)
        return _unreadable(err)

    with refusing(refuse):
        return Bundle.from_json(raw)


def _unreadable(err: BaseException) -> VerificationError:
    return VerificationError(
        f"expected a bundle that Sigstore's client reads, got {told(err)}", reason="bundle-material"
    )


def _root_unusable(err: BaseException) -> VerificationError:
    return VerificationError(
        f"expected authorities and logs in the trusted root, got {told(err)}", reason="trusted-root-unusable"
    )


def _undated(err: BaseException) -> VerificationError:
    return VerificationError(
        f"expected a time that an authority or log of the trusted root has signed, got {told(err)}",
        reason="signature-time",
    )


def _refusal(stage: _Stage, err: BaseException) -> VerificationError:
    """The refusal for a step; the steps are those of ``Verifier._verify_common_signing_cert`` and what follows it."""
    got = told(err)
    message = str(err)
    if isinstance(err, InvalidEnvelope):
        return _unreadable(err)
    if stage == "times":
        return _undated(err)
    if stage == "signature" and isinstance(err.__context__, InvalidSignature):
        return VerificationError(
            f"expected a signature of the certificate's key, got one that does not verify: {got}", reason="signature"
        )
    if stage == "sct" and message.startswith(_SCT_ERROR):
        return VerificationError(
            f"expected a certificate that a log of the trusted root has promised to show (SCT), got {got}",
            reason="signature-sct",
        )
    if stage in {"certificate", "sct"} or message.startswith(_EXPIRED_ERROR):
        return VerificationError(
            f"expected a certificate of the trusted root for signing, valid at the time of the signature, got {got}",
            reason="signature-certificate",
        )
    return VerificationError(
        f"expected an entry about this signature in a log of the trusted root, got {got}", reason="signature-log"
    )


def _trusted(result: TimestampVerificationResult) -> TrustedTime:
    stamped = result.source is TimestampSource.TIMESTAMP_AUTHORITY
    return TrustedTime(at=result.time, source="timestamp" if stamped else "log")
