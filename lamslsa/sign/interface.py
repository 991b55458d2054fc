"""The plug points of signing: a signer makes a bundle of payload bytes, a verifier names who signed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["BundleVerifier", "Envelope", "Signer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A parsed Sigstore bundle with a DSSE envelope; nothing in it is authentic yet.

    Attributes:
        payload: the bytes that were signed.
        signature: the one signature, DER.
        key_hint: base64(SHA-256(DER SubjectPublicKeyInfo)) of the key said to have signed.
    """

    payload: bytes
    payload_type: str
    signature: bytes
    key_hint: str


class Signer(Protocol):
    """Signs statements."""

    @property
    def key_id(self) -> str:
        """What the signer's bundles carry as ``publicKey.hint``."""
        ...

    def verifier(self) -> BundleVerifier:
        """Knows this signer: says whether a bundle is its own."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement."""
        ...


class BundleVerifier(Protocol):
    """Knows one identity."""

    def verify(self, envelope: Envelope) -> None:
        """Return if the identity signed the envelope.

        Raises:
            VerificationError: it did not.
        """
        ...
