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
# Lines of 64 characters and a last one of at most 64, so that only the padding is left to compare.
_BODY: Final = rb"((?:[A-Za-z0-9+/]{64}\n)*(?=[^\n]{1,64}\n)[A-Za-z0-9+/]+={0,2}\n)"
_CHAIN: Final = re.compile(rb"(?:" + _BEGIN + _BODY + _END + rb"){1,%d}" % _MAX_CERTIFICATES)
_BLOCK: Final = re.compile(_BEGIN + _BODY + _END)


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
    if _CHAIN.fullmatch(data) is None:
        raise _not_a_chain(what)
    texts = [body.replace(b"\n", b"") for body in _BLOCK.findall(data)]
    try:
        certificates = tuple(base64.b64decode(text) for text in texts)
    except binascii.Error as err:
        raise _not_a_chain(what) from err
    if [base64.b64encode(der) for der in certificates] != texts:
        raise _not_a_chain(what)
    return certificates


def _not_a_chain(what: str) -> FormatError:
    return FormatError(
        f"expected 1 to {_MAX_CERTIFICATES} certificates as PEM, 64 characters a line, in {what}, got other text",
        reason="pem-chain",
    )
