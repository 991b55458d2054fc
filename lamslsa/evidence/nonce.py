"""The nonce of a run: chance, a challenge of the relying party, or the digest of a beacon.

A quote over a nonce was made after the nonce existed. Chance says nothing about when that was; a challenge says so to
whoever chose it, and a beacon, of which the nonce is the SHA-256, to everybody who trusts its signature.

>>> Nonce.of_challenge(bytes(16)).value.hex()
'00000000000000000000000000000000'
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Self

from lamslsa.errors import FormatError
from lamslsa.evidence.binding import MAX_NONCE_BYTES, MIN_NONCE_BYTES
from lamslsa.predicates.tee_evidence import BEACON_CHECKPOINT_MEDIA_TYPE, BEACON_TIMESTAMP_MEDIA_TYPE

__all__ = ["MAX_BEACON_BYTES", "Beacon", "Nonce"]

MAX_BEACON_BYTES: Final = 64 * 1024
_RANDOM_BYTES: Final = 32
_DER_SEQUENCE: Final = b"\x30"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon:
    """The signed bytes of which a nonce is the SHA-256, and what they are; nothing about them is authentic yet."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonce:
    """The nonce of one run.

    Attributes:
        value: 16 to 64 bytes.
        beacon: what the nonce was made of; travels with the evidence.
    """

    value: bytes
    beacon: Beacon | None = None

    @classmethod
    def random(cls) -> Self:
        """32 bytes by chance."""
        return cls(value=secrets.token_bytes(_RANDOM_BYTES))

    @classmethod
    def of_challenge(cls, value: bytes) -> Self:
        """What the relying party chose.

        Raises:
            FormatError: fewer than 16 or more than 64 bytes.
        """
        if not MIN_NONCE_BYTES <= len(value) <= MAX_NONCE_BYTES:
            raise FormatError(
                f"expected a challenge of {MIN_NONCE_BYTES} to {MAX_NONCE_BYTES} bytes, got {len(value)}",
                reason="evidence-nonce",
            )
        return cls(value=value)

    @classmethod
    def of_beacon(cls, data: bytes) -> Self:
        """The SHA-256 of a beacon: a DER timestamp response (RFC 3161), or the text of a log's checkpoint.

        Its signature is for the relying party to verify, which names whom it trusts.

        Raises:
            FormatError: neither, or larger than 64 KiB.
        """
        if not 0 < len(data) <= MAX_BEACON_BYTES:
            raise FormatError(
                f"expected a beacon of 1 to {MAX_BEACON_BYTES} bytes, got {len(data)}", reason="beacon-size"
            )
        timestamp = data.startswith(_DER_SEQUENCE)
        beacon = Beacon(
            media_type=BEACON_TIMESTAMP_MEDIA_TYPE if timestamp else BEACON_CHECKPOINT_MEDIA_TYPE, data=data
        )
        return cls(value=hashlib.sha256(data).digest(), beacon=beacon)
