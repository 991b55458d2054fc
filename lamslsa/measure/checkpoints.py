"""How far a long measurement has come, sealed: whoever holds the folder can neither read nor alter it.

A file is named by the digest of the work, and holds the salt (32 bytes) and then segments of 16 MiB in AES-256-GCM.
The key of a file is HKDF-SHA-256 (RFC 5869) of the caller's key with that salt and, as info, the domain and the work;
the nonce of a segment is its number and whether it is the last (STREAM, Hoang et al. 2015). So a file of other work, an
altered one, one cut short or put together from two gives nothing back.

An older file of the same work does come back: it is the state of an earlier moment, from which the same computation
leads to the same end.

What is sealed here is of use to this enclave alone; the key is the caller's affair (threat model, attester 7).

>>> import tempfile
>>> folder = SealedFolder(Path(tempfile.mkdtemp()), key=bytes(32))
>>> folder.keep(b"w" * 32, b"state")
>>> folder.latest(b"w" * 32), folder.latest(b"x" * 32)
(b'state', None)
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lamslsa._files import open_regular, replace_file
from lamslsa.errors import FormatError

__all__ = ["KEY_BYTES", "SealedFolder"]

KEY_BYTES: Final = 32
_DOMAIN: Final = b"https://lamslsa.dev/checkpoint/v1\n"
_SALT: Final = 32
_TAG: Final = 16
_SEGMENT: Final = 16 * 1024 * 1024
_MAX_BYTES: Final = 8 * 1024**3


class SealedFolder:
    """Checkpoints in a folder of the host's.

    Args:
        folder: where they are kept; made if it is not there.
        key: 32 secret bytes, the same after an interruption.
    """

    def __init__(self, folder: Path, *, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise FormatError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}", reason="checkpoint-key")
        self._folder = folder
        self._key = key

    def latest(self, work: bytes) -> bytes | None:
        """What was kept last for this work; None if there is nothing, or nothing that was sealed for it."""
        try:
            with open_regular(self._path(work), what="a checkpoint") as file:
                sealed = file.read(_MAX_BYTES + 1)
        except (OSError, FormatError):
            return None
        return self._opened(work, sealed)

    def keep(self, work: bytes, state: bytes) -> None:
        """Keep ``state`` instead of what was kept before; at every moment one of the two is there, whole.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        salt = secrets.token_bytes(_SALT)
        cipher = self._cipher(work, salt)
        count = max(1, -(-len(state) // _SEGMENT))
        parts = [salt]
        view = memoryview(state)
        for number in range(count):
            segment = view[number * _SEGMENT : (number + 1) * _SEGMENT]
            parts.append(cipher.encrypt(_nonce(number, last=number == count - 1), segment, None))
        replace_file(self._path(work), b"".join(parts), mode=0o600)

    def _opened(self, work: bytes, sealed: bytes) -> bytes | None:
        if not _SALT + _TAG <= len(sealed) <= _MAX_BYTES:
            return None
        cipher = self._cipher(work, sealed[:_SALT])
        step = _SEGMENT + _TAG
        starts = range(_SALT, len(sealed), step)
        try:
            return b"".join(
                cipher.decrypt(_nonce(number, last=start + step >= len(sealed)), sealed[start : start + step], None)
                for number, start in enumerate(starts)
            )
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, work: bytes, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=_DOMAIN + work).derive(self._key))

    def _path(self, work: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(_DOMAIN + work).hexdigest()}.sealed"


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">3xQ?", number, last)
