"""Signed notes (C2SP signed-note) as logs use them: keys, signature lines, and the text of a checkpoint.

A note is text, an empty line, and signature lines. A signature line names its key by name and by the first four bytes
of a digest; it only selects, the signature decides. Lines of other keys are ignored, as the specification asks for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from lamslsa.errors import FormatError, VerificationError

__all__ = ["COSIGNATURE", "ED25519", "Key", "Note", "parse_checkpoint"]

ED25519: Final = 0x01
"""Type of a key that signs notes."""
COSIGNATURE: Final = 0x04
"""Type of a key that makes timestamped cosignatures."""

_MAX_SIGNATURES: Final = 128
_MAX_NAME: Final = 256
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIZES: Final = {ED25519: 64, COSIGNATURE: 8 + 64}
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,19}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_LINE: Final = "\u2014 "
_ROOT_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key with its name, as a verifier key (vkey) writes it."""

    name: str
    id: bytes
    type: int
    public: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, type_: int, public: bytes) -> Self:
        """The key with its id computed."""
        digest = hashlib.sha256(name.encode() + b"\n" + bytes((type_,)) + public).digest()
        return cls(name=name, id=digest[:_ID_BYTES], type=type_, public=public)

    @classmethod
    def parse(cls, vkey: str, *, type_: int) -> Self:
        """Read ``<name>+<key id in hexadecimal>+<base64 of type and key>``.

        Raises:
            FormatError: not such a key, a key of another type, or an id that is not its own.
        """
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _decode(encoded)
        if not name or len(name) > _MAX_NAME or material is None or len(material) != 1 + _KEY_BYTES:
            raise FormatError(f"expected a verifier key of Ed25519, got {vkey[:80]!r}", reason="beacon-key")
        if material[0] != type_:
            raise FormatError(
                f"expected a verifier key of type {type_}, got one of type {material[0]}",
                reason="beacon-key",
                hint="a log signs with type 1, a witness cosigns with type 4",
            )
        key = cls.of(name, type_, material[1:])
        if key.id.hex() != key_id:
            raise FormatError(
                f"expected the id {key.id.hex()} in the key of {name[:80]!r}, got {key_id[:16]!r}", reason="beacon-key"
            )
        return key

    @property
    def vkey(self) -> str:
        """The spelling that `parse` reads."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes((self.type,)) + self.public).decode()}"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed the message.

        Raises:
            VerificationError: it did not.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as err:
            raise VerificationError(
                f"expected a signature of {self.name[:80]!r}, got one that does not verify", reason="beacon-signature"
            ) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A checkpoint with its signature lines; nothing here is authentic yet.

    Attributes:
        text: the bytes that were signed, their last line feed included.
        origin: the name of the log, the first line.
        signatures: by name and key id.
    """

    text: bytes
    origin: str
    signatures: Mapping[tuple[str, bytes], bytes]

    def signature_of(self, key: Key) -> bytes | None:
        """What stands on the line of a key, of the size that its type has; None without such a line.

        Raises:
            FormatError: a line of that key holds something else.
        """
        found = self.signatures.get((key.name, key.id))
        if found is not None and len(found) != _SIZES[key.type]:
            raise FormatError(
                f"expected {_SIZES[key.type]} bytes of signature of {key.name[:80]!r}, got {len(found)}",
                reason="beacon-note",
            )
        return found


def parse_checkpoint(data: bytes) -> Note:
    """Parse a checkpoint (C2SP tlog-checkpoint).

    Raises:
        FormatError: not a checkpoint, or two signature lines of one key.
    """
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _other("UTF-8", "other bytes") from err
    head, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n") or _CONTROL.search(whole):
        raise _other("text, an empty line and signature lines", "something else")
    lines = head.split("\n")
    if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
        raise _other("origin, tree size and root hash, a line each", "other lines")
    root_hash = _decode(lines[2])
    if root_hash is None or len(root_hash) != _ROOT_HASH_BYTES:
        raise _other("a root hash of 32 bytes in base64", "something else")
    return Note(
        text=head.encode() + b"\n", origin=lines[0], signatures=_signatures(tail.removesuffix("\n").split("\n"))
    )


def _signatures(lines: list[str]) -> dict[tuple[str, bytes], bytes]:
    if len(lines) > _MAX_SIGNATURES:
        raise _other(f"at most {_MAX_SIGNATURES} signature lines", str(len(lines)))
    found: dict[tuple[str, bytes], bytes] = {}
    for line in lines:
        name, space, encoded = line.removeprefix(_LINE).partition(" ")
        blob = _decode(encoded)
        if not line.startswith(_LINE) or not (name and space) or "+" in name or blob is None or len(blob) <= _ID_BYTES:
            raise _other("signature lines of name and signature", "another line")
        key = (name, blob[:_ID_BYTES])
        if key in found:
            raise _other("one signature line of each key", "two")
        found[key] = blob[_ID_BYTES:]
    return found


def _decode(text: str) -> bytes | None:
    """Standard base64 in its one spelling; None for anything else."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def _other(expected: str, got: str) -> FormatError:
    return FormatError(f"expected a checkpoint with {expected}, got {got}", reason="beacon-note")
