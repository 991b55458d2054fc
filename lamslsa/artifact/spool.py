"""A file on a disk that the host can read and write, which tells it nothing and into which it can put nothing.

For artifacts larger than memory: each block of 1 MiB is encrypted and authenticated by AES-256-GCM (NIST SP 800-38D)
under a key that is drawn anew for each file and never leaves this process.

Rules:
- The nonce is the index of the block (96 bits); each index is written once under a key, so no nonce is used twice.
- The index is authenticated too, and with it the place of the block: a block moved, dropped, repeated, taken from
  another run or changed in one bit is refused when it is read. How long the file is, this process remembers.
- The file has no name once it is open, and is gone when the process ends.
- What the host does learn is the size, and which blocks are read when.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from lamslsa.errors import UnavailableError, VerificationError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["BLOCK_BYTES", "Spool", "SpoolFile"]

BLOCK_BYTES: Final = 1024 * 1024
_TAG_BYTES: Final = 16


class SpoolFile:
    """One encrypted file: written once from start to end, then read in any order.

    Attributes:
        size: bytes written so far, before encryption.
    """

    __slots__ = ("_cipher", "_descriptor", "_pending", "_sealed", "size")

    def __init__(self, descriptor: int) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._descriptor = descriptor
        self._cipher: AESGCM = AESGCM(AESGCM.generate_key(bit_length=256))
        self._pending = bytearray()
        self._sealed = False
        self.size = 0

    def write(self, data: memoryview | bytes) -> None:
        """Append bytes.

        Raises:
            UnavailableError: the disk is full, or fails.
        """
        if self._sealed:
            raise RuntimeError("expected a spool file that is still written, got a sealed one")
        rest = memoryview(data)
        while rest:
            room = BLOCK_BYTES - len(self._pending)
            self._pending += rest[:room]
            self.size += min(room, len(rest))
            rest = rest[room:]
            if len(self._pending) == BLOCK_BYTES:
                self._write_block(self.size // BLOCK_BYTES - 1)

    def seal(self) -> None:
        """Have nothing more written to it."""
        if self._pending:
            self._write_block(self.size // BLOCK_BYTES)
        self._sealed = True

    def block(self, index: int) -> bytes:
        """One block; the last may be shorter.

        Raises:
            VerificationError: what lies on the disk is not what was written.
            UnavailableError: the disk fails.
        """
        from cryptography.exceptions import InvalidTag

        length = min(BLOCK_BYTES, self.size - index * BLOCK_BYTES)
        wanted = length + _TAG_BYTES
        try:
            sealed = os.pread(self._descriptor, wanted, index * (BLOCK_BYTES + _TAG_BYTES))
        except OSError as err:
            _refuse_disk(err)
        try:
            return self._cipher.decrypt(_nonce(index), sealed, _bound(index))
        except (InvalidTag, ValueError) as err:
            raise VerificationError(
                f"expected block {index} of the spool as it was written, got other bytes",
                reason="spool-changed",
                hint="something on this machine writes to its temporary files",
            ) from err

    def open(self, start: int, end: int) -> io.BufferedReader:
        """The bytes from ``start`` to ``end`` as a file that can be read and sought in."""
        return io.BufferedReader(_Reader(self, start, end), buffer_size=64 * 1024)

    def close(self) -> None:
        """Let go of the file, which is gone with it, and of the key."""
        os.close(self._descriptor)

    def _write_block(self, index: int) -> None:
        sealed = memoryview(self._cipher.encrypt(_nonce(index), bytes(self._pending), _bound(index)))
        self._pending.clear()
        try:
            while sealed:
                sealed = sealed[os.write(self._descriptor, sealed) :]
        except OSError as err:
            _refuse_disk(err)


class _Reader(io.RawIOBase):
    """A part of a spool file; keeps the block that was read last."""

    def __init__(self, file: SpoolFile, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._size = end - start
        self._position = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("expected an offset within the file, got a negative one")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        index, within = divmod(self._start + self._position, BLOCK_BYTES)
        size = min(len(view), self._size - self._position, BLOCK_BYTES - within)
        if size <= 0:
            return 0
        if self._held[0] != index:
            self._held = (index, self._file.block(index))
        view[:size] = self._held[1][within : within + size]
        self._position += size
        return size


class Spool:
    """Makes encrypted files in a folder.

    Args:
        folder: on a disk with room for the artifacts; what lies in it is of use to nobody.
    """

    __slots__ = ("_folder",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> SpoolFile:
        """An empty file.

        Raises:
            UnavailableError: the folder takes none.
        """
        try:
            descriptor, path = tempfile.mkstemp(prefix="lamslsa-spool-", dir=self._folder)
            os.unlink(path)  # noqa: PTH108 - a name that was just made
        except OSError as err:
            _refuse_disk(err)
        return SpoolFile(descriptor)


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _bound(index: int) -> bytes:
    return b"lamslsa spool block\n" + index.to_bytes(8, "big")


def _refuse_disk(err: OSError) -> NoReturn:
    raise UnavailableError(
        f"expected room on the disk for the spool, got {err.strerror or type(err).__name__}",
        reason="spool-disk",
        hint="name a folder with as much room as the artifacts have",
    ) from err
