"""Read an artifact so that the bytes that were hashed are the bytes that are used (threat-model, attester 1).

Rules:
- All files are copied once into one memory file of this process, which is then sealed against writing, growing,
  shrinking and unsealing. Digests are computed over the sealed copy. The caller's path is never opened again, so
  whatever happens on disk afterwards changes nothing.
- Libraries that insist on opening a path get `VerifiedFile.library_path`, which leads to sealed memory too.
- Sealed memory files exist on Linux alone; elsewhere reading is refused rather than done in a weaker way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from lamslsa.artifact._walk import Tree, open_file, opened, read_blocks
from lamslsa.artifact.hashing import Meter, Progress
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.errors import FormatError, UnavailableError

__all__ = ["DEFAULT_MAX_BYTES", "VerifiedArtifact", "VerifiedFile", "read_verified"]

DEFAULT_MAX_BYTES: Final = 8 * 1024**3
_BUFFER: Final = 1024 * 1024
_ALIGNMENT: Final = 64  # numerical libraries take a file's bytes in place


class VerifiedFile:
    """The sealed copy of one file; made by `read_verified` alone.

    Attributes:
        entry: its path in the artifact, SHA-256 and size.
    """

    __slots__ = ("_content", "_memory", "entry")

    def __init__(self, *, path: str, content: memoryview, memory: int | None) -> None:
        self.entry = FileEntry(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        self._content: memoryview | None = content
        self._memory = memory

    @property
    def library_path(self) -> str:
        """A path of this process that leads to a sealed copy, for libraries that insist on opening one.

        Raises:
            FormatError: this process holds too many files open.
            UnavailableError: there is no memory for the copy that a file among several needs.
        """
        content = self.view()
        if self._memory is None:
            self._memory = memory = _memory_file()
            try:
                _write(memory, content)
                _seal(memory)
            except BaseException:
                os.close(memory)
                self._memory = None
                raise
        return f"/proc/self/fd/{self._memory}"

    def view(self) -> memoryview:
        """The bytes, read-only and without a copy; a view that was handed out stays good after `close`."""
        if self._content is None:
            raise RuntimeError("expected an open file, got one that was closed")
        return self._content

    def bytes(self) -> bytes:
        """A copy of the bytes."""
        return bytes(self.view())

    def close(self) -> None:
        """Let go of the copy; views that were handed out keep its memory alive."""
        self._content = None
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None


class VerifiedArtifact:
    """The sealed copies of all files of an artifact; made by `read_verified` alone.

    Attributes:
        manifest: computed over the sealed copies, never over the disk.
    """

    __slots__ = ("_files", "manifest")

    def __init__(self, *, kind: Kind, files: list[VerifiedFile]) -> None:
        self.manifest = Manifest.of(kind, [file.entry for file in files])
        self._files = {file.entry.path: file for file in files}

    def file(self, path: str) -> VerifiedFile:
        """The file at a path of the manifest.

        Raises:
            FormatError: the artifact has no such file.
        """
        try:
            return self._files[path]
        except KeyError as err:
            raise FormatError(f"expected a file {path!a} in the artifact, got none", reason="artifact-no-file") from err

    def only(self) -> VerifiedFile:
        """The single file of an artifact that has one.

        Raises:
            FormatError: the artifact has several files.
        """
        if len(self._files) != 1:
            raise FormatError(
                f"expected an artifact of one file, got {len(self._files)} files",
                reason="artifact-not-single",
                hint="name the file",
            )
        return next(iter(self._files.values()))

    def close(self) -> None:
        """Let go of all copies."""
        for file in self._files.values():
            file.close()


@contextlib.contextmanager
def read_verified(
    root: Path,
    kind: Kind,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[VerifiedArtifact]:
    """Copy the artifact at ``root`` into sealed memory, and let go of the copies at the end of the block.

    Args:
        root: a folder or a single file.
        kind: model or dataset; part of the identity.
        max_bytes: the most bytes that all files together may have, since all of them are held in memory.
        progress: called at most ten times a second and once at the end.

    Raises:
        FormatError: there is nothing at ``root``, something in it is refused, too large, or changed while it was read.
        UnavailableError: this system has no sealed memory files, or too little memory.
    """
    with opened(root) as tree:
        total = sum(file.size for file in tree.files)
        if total > max_bytes:
            raise FormatError(
                f"expected at most {max_bytes} bytes of artifact, got {total}",
                reason="artifact-size",
                hint="an artifact is read into memory as a whole; raise the limit if there is enough",
            )
        memory = _memory_file()
        try:
            offsets = _copy_all(tree, memory, Meter(tree.files, progress))
            _seal(memory)
            content = _mapped(memory)
        except BaseException:
            os.close(memory)
            raise
    # A single file fills the memory file, so it needs no other; among several each gets its own when it asks for one.
    single = len(tree.files) == 1
    if not single:
        os.close(memory)
    artifact = VerifiedArtifact(
        kind=kind,
        files=[
            VerifiedFile(
                path=file.path, content=content[offset : offset + file.size], memory=memory if single else None
            )
            for file, offset in zip(tree.files, offsets, strict=True)
        ],
    )
    with contextlib.closing(artifact):
        yield artifact


def _copy_all(tree: Tree, memory: int, meter: Meter) -> list[int]:
    """Copy every file to the next aligned offset of the memory file, and return the offsets."""
    buffer = memoryview(bytearray(_BUFFER))
    offsets = []
    end = 0
    for file in tree.files:
        _write(memory, bytes(-end % _ALIGNMENT))
        end += -end % _ALIGNMENT
        offsets.append(end)
        source = open_file(tree, file)
        try:
            for block in read_blocks(source, buffer, file):
                _write(memory, block)
                meter.add(len(block))
            meter.add(0, files=1)
        finally:
            os.close(source)
        end += file.size
    return offsets


def _memory_file() -> int:
    if not hasattr(os, "memfd_create"):
        raise UnavailableError(
            f"expected sealed memory files, got the platform {sys.platform}",
            reason="memfd-unavailable",
            hint="measure on Linux",
        )
    try:
        return os.memfd_create("lamslsa", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as err:
        _refuse_memory(err)


def _write(memory: int, data: memoryview | bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(memory, rest) :]
    except OSError as err:
        _refuse_memory(err)


def _seal(memory: int) -> None:
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    try:
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    except OSError as err:
        _refuse_memory(err)


def _mapped(memory: int) -> memoryview:
    size = os.fstat(memory).st_size
    if size == 0:
        return memoryview(b"")
    try:
        # Private, since kernels before 6.7 refuse even a read-only shared mapping of sealed memory.
        return memoryview(mmap.mmap(memory, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
    except OSError as err:
        _refuse_memory(err)


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
