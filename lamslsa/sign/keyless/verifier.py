"""Signatures of identities: a certificate of Fulcio instead of a key, and terms that say whose it must be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from lamslsa.errors import VerificationError
from lamslsa.sign import _spki
from lamslsa.sign.interface import Envelope, Material, Signature, SignedMessage
from lamslsa.sign.keyless.root import Certified, SigstoreRoot
from lamslsa.sign.keyless.terms import KeylessTerms

__all__ = ["KeylessVerifier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeylessVerifier:
    """Knows one identity: the terms that its certificates meet, under a trusted root."""

    terms: KeylessTerms
    root: SigstoreRoot

    def verify(self, envelope: Envelope) -> Signature:
        """That this identity signed the envelope, and when at the latest.

        STEPS:
            (1) the bundle brings a certificate and a log entry, as keyless ones do;
            (2) it is authentic under the root;
            (3) its identity meets the terms.

        Raises:
            VerificationError: it did not; the reason ``signature-identity`` says that another one did.
        """
        _refuse_other_kind(envelope.material)  # (1)
        return self._signature(self.root.verify(envelope), envelope.material)  # (2), (3)

    def verify_message(self, message: SignedMessage, content: bytes) -> Signature:
        """That this identity signed a file with this content, and when at the latest.

        Raises:
            VerificationError: as `verify`.
        """
        return self.verify_message_digest(message, hashlib.sha256(content).digest())

    def verify_message_digest(self, message: SignedMessage, sha256: bytes) -> Signature:
        """That this identity signed a file with this SHA-256, and when at the latest.

        Raises:
            VerificationError: as `verify`.
        """
        _refuse_other_kind(message.material)
        return self._signature(self.root.verify_message(message, sha256), message.material)

    def _signature(self, certified: Certified, material: Material) -> Signature:
        mismatch = self.terms.mismatch(certified.certificate)
        if mismatch is not None:
            raise VerificationError(mismatch, reason="signature-identity")
        return Signature(
            signer=certified.certificate.signer,
            # the certificate that the root has verified: it is part of the one reading that both readers agree on
            key_sha256=_spki.certificate_key_sha256(material.certificates[0]),
            witnessed=certified.witnessed,
        )


def _refuse_other_kind(material: Material) -> None:
    if len(material.certificates) != 1 or not material.log_entries:
        got = "a managed key" if material.key_hint else "a chain of certificates"
        raise VerificationError(f"expected a certificate of Sigstore, got {got}", reason="signature-key")
