"""What a quote signs: the nonce and the digests of the statements, in their order.

A quote cannot lie inside the bytes that it signs, so evidence is a statement of its own, and this is the rule that ties
the two together. It is frozen with report-data/v1:

    report_data  = SHA-512( "https://lamslsa.dev/report-data/v1" 0x0A
                            ‖ u32be(3) ‖ SHA-256(nonce) ‖ list(deviceEvidence digests) ‖ list(statement digests) )
    device nonce = SHA-256( "https://lamslsa.dev/device-nonce/v1" 0x0A ‖ SHA-256(nonce) ‖ list(statement digests) )
    list(d1…dn)  = u32be(n) ‖ d1 ‖ … ‖ dn        each d a raw SHA-256, in the order in which it stands in the statement

Each list carries its length, so no two inputs give the same bytes.

>>> len(report_data(bytes(16), statements=["00" * 32]))
64
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.statement import MAX_SUBJECTS

__all__ = ["MAX_DEVICES", "MAX_NONCE_BYTES", "MIN_NONCE_BYTES", "device_nonce", "report_data"]

MIN_NONCE_BYTES: Final = 16
MAX_NONCE_BYTES: Final = 64
MAX_DEVICES: Final = 64
_REPORT_DATA: Final = b"https://lamslsa.dev/report-data/v1\n"
_DEVICE_NONCE: Final = b"https://lamslsa.dev/device-nonce/v1\n"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def report_data(nonce: bytes, *, device_evidence: Sequence[str] = (), statements: Sequence[str]) -> bytes:
    """The 64 bytes that a quote signs.

    Args:
        nonce: 16 to 64 bytes.
        device_evidence: SHA-256 of each device report, lower-case hexadecimal.
        statements: SHA-256 of each statement's payload bytes, lower-case hexadecimal; at least one.

    Raises:
        FormatError: a nonce, list or digest of another size or spelling.
    """
    return hashlib.sha512(
        _REPORT_DATA
        + struct.pack(">I", 3)
        + _hashed(nonce)
        + _list(device_evidence, at_least=0, at_most=MAX_DEVICES, what="device reports")
        + _list(statements, at_least=1, at_most=MAX_SUBJECTS, what="statements")
    ).digest()


def device_nonce(nonce: bytes, *, statements: Sequence[str]) -> bytes:
    """The 32 bytes that an attached device is asked to sign, before the quote covers its answer.

    Raises:
        FormatError: a nonce, list or digest of another size or spelling.
    """
    return hashlib.sha256(
        _DEVICE_NONCE + _hashed(nonce) + _list(statements, at_least=1, at_most=MAX_SUBJECTS, what="statements")
    ).digest()


def _hashed(nonce: bytes) -> bytes:
    if not MIN_NONCE_BYTES <= len(nonce) <= MAX_NONCE_BYTES:
        raise FormatError(
            f"expected a nonce of {MIN_NONCE_BYTES} to {MAX_NONCE_BYTES} bytes, got {len(nonce)}",
            reason="evidence-nonce",
        )
    return hashlib.sha256(nonce).digest()


def _list(digests: Sequence[str], *, at_least: int, at_most: int, what: str) -> bytes:
    if not at_least <= len(digests) <= at_most:
        raise FormatError(
            f"expected {at_least} to {at_most} {what}, got {len(digests)}", reason="evidence-binding-count"
        )
    for digest in digests:
        if not _DIGEST.fullmatch(digest):
            raise FormatError(
                f"expected 64 lower-case hexadecimal digits for each of the {what}, got {digest[:80]!r}",
                reason="digest",
            )
    return struct.pack(">I", len(digests)) + bytes.fromhex("".join(digests))
