"""Signed files: a Sigstore bundle over a file itself (``messageSignature``), as ``cosign sign-blob`` makes it.

Rules:
- What was signed is the file's digest, computed by the caller from the bytes that it uses; a digest that the bundle
  states must be the same one, and is never taken for it.
- An envelope is no signed file, and the other way round.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, Protocol

from lamslsa import _codec
from lamslsa.errors import VerificationError
from lamslsa.sign.interface import Signature, SignedMessage

__all__ = ["MessageVerifier", "verify_content", "verify_digest"]

_HEX: Final = re.compile(r"[0-9a-f]{64}")


class MessageVerifier(Protocol):
    """Knows one identity that signs files: `KeyVerifier` or `KeylessVerifier`."""

    def verify_message(self, message: SignedMessage, content: bytes) -> Signature:
        """Who signed a file with this content.

        Raises:
            VerificationError: not this identity.
        """
        ...

    def verify_message_digest(self, message: SignedMessage, sha256: bytes) -> Signature:
        """Who signed a file with this SHA-256.

        Raises:
            VerificationError: not this identity.
        """
        ...


def verify_content(message: SignedMessage, content: bytes, verifier: MessageVerifier) -> Signature:
    """That the identity signed a file with this content.

    Raises:
        VerificationError: it did not, or the bundle is about another file.
    """
    _refuse_other_file(message, _codec.sha256_hex(content))
    return verifier.verify_message(message, content)


def verify_digest(message: SignedMessage, sha256: str, verifier: MessageVerifier) -> Signature:
    """That the identity signed a file with this SHA-256, hexadecimal, computed from the bytes that the caller uses.

    Raises:
        ValueError: no such digest.
        VerificationError: it did not, or the bundle is about another file.
    """
    if not _HEX.fullmatch(sha256):
        raise ValueError(f"expected 64 lower-case hexadecimal digits, got {sha256[:80]!r}")
    _refuse_other_file(message, sha256)
    return verifier.verify_message_digest(message, bytes.fromhex(sha256))


def _refuse_other_file(message: SignedMessage, sha256: str) -> None:
    if message.sha256 is not None and not hmac.compare_digest(message.sha256, sha256):
        raise VerificationError(
            f"expected a signature of the file sha256:{sha256}, got one of sha256:{message.sha256}",
            reason="signature-file",
        )
