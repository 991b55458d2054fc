"""Where verified bytes are kept while they are used: memory that nobody outside this process can change.

- `SealedMemory`: a memory file of the kernel, sealed against writing, growing, shrinking and unsealing. For processes
  whose kernel is trusted: a confidential guest, or a rehearsal.
- `EnclaveMemory`: a folder in an enclave's own memory, which Gramine mounts as tmpfs. Gramine has no memory files; its
  tmpfs never leaves the enclave, so there is nobody to seal it against. Whoever starts the enclave build says so; it is
  never chosen because the other one is missing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import mmap
import os
import sys
from pathlib import Path
from typing import Final, NoReturn, Protocol

from lamslsa.errors import FormatError, UnavailableError

__all__ = ["SEALED", "EnclaveMemory", "Memory", "MemoryFile", "SealedMemory"]

_NUMBERS: Final = itertools.count()


class MemoryFile:
    """A file in memory: written once from start to end, then sealed, then read.

    Attributes:
        path: leads to the file, for libraries that insist on opening one.
    """

    __slots__ = ("_descriptor", "_named", "_sealable", "path")

    def __init__(self, descriptor: int, *, path: str, named: bool, sealable: bool) -> None:
        self._descriptor = descriptor
        self._named = named
        self._sealable = sealable
        self.path = path

    def write(self, data: memoryview | bytes) -> None:
        """Append bytes.

        Raises:
            UnavailableError: there is too little memory.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as err:
            _refuse_memory(err)

    def seal(self) -> None:
        """Have nobody write to it again.

        Raises:
            UnavailableError: the kernel refuses.
        """
        if not self._sealable:
            return
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, seals)
        except OSError as err:
            _refuse_memory(err)

    def empty(self) -> None:
        """Drop what was written, to write something else; not after `seal`.

        Raises:
            UnavailableError: the kernel refuses.
        """
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as err:
            _refuse_memory(err)

    def content(self) -> memoryview:
        """The bytes, read-only and without a copy; good after `close` too.

        Raises:
            UnavailableError: the kernel refuses.
        """
        size = os.fstat(self._descriptor).st_size
        if size == 0:
            return memoryview(b"")
        try:
            # Private, since kernels before 6.7 refuse even a read-only shared mapping of sealed memory.
            return memoryview(mmap.mmap(self._descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
        except OSError as err:
            _refuse_memory(err)

    def close(self) -> None:
        """Let go of the file; what `content` gave out keeps its memory alive."""
        os.close(self._descriptor)
        if self._named:
            with contextlib.suppress(FileNotFoundError):
                Path(self.path).unlink()


class Memory(Protocol):
    """Makes files in memory."""

    def create(self) -> MemoryFile:
        """An empty file.

        Raises:
            FormatError: this process holds too many files open.
            UnavailableError: there is no such memory, or too little.
        """
        ...


class SealedMemory:
    """Memory files of Linux; elsewhere making one is refused rather than done in a weaker way."""

    __slots__ = ()

    def create(self) -> MemoryFile:
        """An empty file, as `Memory.create`."""
        if not hasattr(os, "memfd_create"):
            raise UnavailableError(
                f"expected sealed memory files, got the platform {sys.platform}",
                reason="memfd-unavailable",
                hint="measure on Linux",
            )
        try:
            descriptor = os.memfd_create("lamslsa", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as err:
            _refuse_memory(err)
        return MemoryFile(descriptor, path=f"/proc/self/fd/{descriptor}", named=False, sealable=True)


class EnclaveMemory:
    """Files in a folder that only the enclave can reach.

    Args:
        folder: where the enclave's manifest mounts a tmpfs.
    """

    __slots__ = ("_folder",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> MemoryFile:
        """An empty file, as `Memory.create`."""
        path = self._folder / f"memory-{next(_NUMBERS)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as err:
            _refuse_memory(err)
        return MemoryFile(descriptor, path=str(path), named=True, sealable=False)


SEALED: Final[Memory] = SealedMemory()


def _refuse_memory(err: OSError) -> NoReturn:
    if err.errno in (errno.EMFILE, errno.ENFILE):
        raise FormatError(
            "expected fewer files than this process may hold open, got more",
            reason="artifact-open-files",
            hint="raise the limit (ulimit -n), or pack the files into Parquet or shards",
        ) from err
    raise UnavailableError(
        f"expected memory for a copy of the artifact, got {err.strerror or type(err).__name__}",
        reason="artifact-memory",
        hint="free some memory, or raise the limit of the container",
    ) from err
