"""Values that the owner of a dataset keeps back, and opens to whom the owner likes.

A datasheet names such a value in ``withheld`` by where it would stand, with a commitment to it. Whoever is shown an
opening (value and salt) can tell whether it is what was measured.

>>> import hashlib
>>> salt = bytes(32)
>>> commitment = commit({"rows": 5, "method": "exact"}, salt)
>>> commitment.sha256 == hashlib.sha256(salt + b'{"method":"exact","rows":5}').hexdigest()
True
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, VerificationError
from lamslsa.predicates._common import ArtifactReference, Digest, WireModel, convert
from lamslsa.predicates.dataset import Dataset, Pointer

__all__ = ["MAX_OPENINGS_BYTES", "SALT_BYTES", "Opening", "Openings", "commit", "open_commitment", "parse_openings"]

SALT_BYTES: Final = 32
MAX_OPENINGS_BYTES: Final = 16 * 1024 * 1024


class Opening(WireModel, frozen=True, kw_only=True):
    """A withheld value and the salt of its commitment, in base64."""

    pointer: Pointer
    salt: str
    value: Any


class Openings(WireModel, frozen=True, kw_only=True):
    """The openings of one datasheet: for its owner, and for whomever the owner shows one."""

    dataset: ArtifactReference
    openings: tuple[Opening, ...]


def commit(value: Any, salt: bytes) -> Digest:
    """The commitment to a JSON value: SHA-256(salt ‖ JCS(value)).

    The salt has a fixed length, so the two parts cannot run into each other. It is random and used once: most values
    are few enough to be guessed (a count of a million rows takes a million tries).

    Raises:
        FormatError: the salt has another length, or the value is no finite JSON.
    """
    if len(salt) != SALT_BYTES:
        raise FormatError(f"expected a salt of {SALT_BYTES} bytes, got {len(salt)}", reason="commitment-salt")
    return Digest(sha256=_codec.sha256_hex(salt + _codec.canonical_with_fractions(value)))


def parse_openings(data: bytes) -> Openings:
    """Read ``openings.json``.

    Raises:
        FormatError: another document.
    """
    return convert(_codec.loads(data, max_bytes=MAX_OPENINGS_BYTES), Openings, what="file of openings")


def open_commitment(sheet: Dataset, opening: Opening) -> Any:
    """The value of an opening, if the datasheet commits to it at the opening's pointer.

    The datasheet is one whose statement was verified: a commitment says nothing about who made it.

    Raises:
        FormatError: the datasheet commits to nothing there, or the salt is no salt.
        VerificationError: the commitment is to another value, or was made with another salt.
    """
    salt = _codec.decode_base64(opening.salt, what="a salt", max_bytes=SALT_BYTES)
    expected = [item.commitment for item in sheet.withheld if item.pointer == opening.pointer and item.commitment]
    if len(expected) != 1:
        raise FormatError(
            f"expected one commitment at {opening.pointer}, got {len(expected)}", reason="commitment-pointer"
        )
    if not hmac.compare_digest(commit(opening.value, salt).sha256, expected[0].sha256):
        raise VerificationError(
            f"expected the value that {opening.pointer} commits to, got another", reason="commitment-value"
        )
    return opening.value
