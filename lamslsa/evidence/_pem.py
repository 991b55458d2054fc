"""PEM certificate chains in the one spelling that this package writes: RFC 7468 strict text.

A chain inside a quote is signed by nobody, so every byte of it has to mean something: other line lengths, text between
the certificates, or stray characters are refused rather than skipped.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final

from lamslsa.errors import FormatError

__all__ = ["parse_chain", "render_chain"]

_MAX_CERTIFICATES: Final = 8
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----\n"
_END: Final = b"-----END CERTIFICATE-----\n"
_BLOCK: Final = re.compile(_BEGIN + rb"([A-Za-z0-9+/=\n]+)" + _END)


def render_chain(certificates: Sequence[bytes]) -> bytes:
    """DER certificates as PEM, 64 characters a line."""
    blocks = []
    for der in certificates:
        text = base64.b64encode(der)
        lines = b"".join(text[start : start + 64] + b"\n" for start in range(0, len(text), 64))
        blocks.append(_BEGIN + lines + _END)
    return b"".join(blocks)


def parse_chain(data: bytes, *, what: str) -> tuple[bytes, ...]:
    """The DER certificates of a PEM chain, in their order.

    Raises:
        FormatError: not a chain, more than 8 certificates, or another spelling of one.
    """
    bodies = _BLOCK.findall(data)
    try:
        certificates = tuple(base64.b64decode(body) for body in bodies[: _MAX_CERTIFICATES + 1])
    except binascii.Error:
        certificates = ()
    if not 1 <= len(certificates) <= _MAX_CERTIFICATES or render_chain(certificates) != data:
        raise FormatError(
            f"expected 1 to {_MAX_CERTIFICATES} certificates as PEM, 64 characters a line, in {what}, got other text",
            reason="pem-chain",
        )
    return certificates
