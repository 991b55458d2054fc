"""Read an artifact so that the bytes that were hashed are the bytes that are used (threat-model, attester 1).

Rules:
- All files are copied once into one memory file of this process, which nobody else can write to
  (`lamslsa.artifact.memory`). Digests are computed over that copy. The caller's path is never opened again, so whatever
  happens on disk afterwards changes nothing.
- Libraries that insist on opening a path get `VerifiedFile.library_path`, which leads to such memory too.
- An artifact larger than memory may be copied into an encrypted file on disk instead (`lamslsa.artifact.spool`), for
  measurements that read block by block; what is read back is authenticated, so again nothing on disk matters.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

from lamslsa.artifact._walk import Tree, open_file, opened, read_blocks
from lamslsa.artifact.hashing import Meter, Progress
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.artifact.memory import SEALED, Memory, MemoryFile
from lamslsa.artifact.spool import Spool, SpoolFile
from lamslsa.errors import FormatError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["DEFAULT_MAX_BYTES", "VerifiedArtifact", "VerifiedFile", "read_verified", "refuse_size"]

DEFAULT_MAX_BYTES: Final = 8 * 1024**3
_BUFFER: Final = 1024 * 1024
_UNITS: Final = {"T": 1024**4, "G": 1024**3, "M": 1024**2, "K": 1024}
_VIEW_BUFFER: Final = 64 * 1024
_ALIGNMENT: Final = 64  # numerical libraries take a file's bytes in place


class VerifiedFile:
    """The copy of one file in sealed memory or in the spool; made by `read_verified` alone.

    Attributes:
        entry: its path in the artifact, SHA-256 and size.
    """

    __slots__ = ("_content", "_file", "_memory", "_part", "entry")

    def __init__(self, *, path: str, content: memoryview, file: MemoryFile | None, memory: Memory) -> None:
        self.entry = FileEntry(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        self._content: memoryview | None = content
        self._file = file
        self._part: tuple[SpoolFile, int] | None = None
        self._memory = memory

    @classmethod
    def spooled(cls, entry: FileEntry, file: SpoolFile, start: int, memory: Memory) -> Self:
        """A file that lies in the spool from ``start`` on; ``entry`` was computed from what was written there."""
        made = cls.__new__(cls)
        made.entry, made._memory = entry, memory  # noqa: SLF001 - its own
        made._content, made._file, made._part = None, None, (file, start)  # noqa: SLF001
        return made

    @property
    def in_memory(self) -> bool:
        """Whether the bytes are in memory; else they lie in the spool, and only `open` reads them."""
        return self._part is None

    @property
    def library_path(self) -> str:
        """A path of this process that leads to a sealed copy, for libraries that insist on opening one.

        Raises:
            FormatError: this process holds too many files open, or the file lies in the spool.
            UnavailableError: there is no memory for the copy that a file among several needs.
        """
        content = self.view()
        if self._file is None:
            file = self._memory.create()
            try:
                file.write(content)
                file.seal()
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file.path

    def open(self) -> io.BufferedReader:
        """The bytes as a file that can be read and sought in, wherever they are.

        Reading it raises VerificationError where the spool was changed.
        """
        if self._part is not None:
            spool, start = self._part
            return spool.open(start, start + self.entry.size)
        return io.BufferedReader(_View(self.view()), buffer_size=_VIEW_BUFFER)

    def scratch(self) -> MemoryFile:
        """An empty file in the memory where such copies are kept, for parts of this one; the caller closes it.

        Raises:
            FormatError: this process holds too many files open.
            UnavailableError: there is no such memory, or too little.
        """
        return self._memory.create()

    def view(self) -> memoryview:
        """The bytes, read-only and without a copy; a view that was handed out stays good after `close`.

        Raises:
            FormatError: the file lies in the spool.
        """
        if self._part is not None:
            raise FormatError(
                f"expected {self.entry.path!a} to fit into memory, got {self.entry.size} bytes, too many",
                reason="artifact-spooled",
                hint="what is read here is needed in memory as a whole; raise the limit (--memory-limit)",
            )
        if self._content is None:
            raise RuntimeError("expected an open file, got one that was closed")
        return self._content

    def bytes(self) -> bytes:
        """A copy of the bytes; raises as `view`."""
        return bytes(self.view())

    def close(self) -> None:
        """Let go of the copy; views that were handed out keep its memory alive."""
        self._content = None
        if self._file is not None:
            self._file.close()
            self._file = None


class _View(io.RawIOBase):
    """Bytes in memory as a file, without a copy of them."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._content)}[whence]
        if origin + offset < 0:
            raise ValueError("expected an offset within the file, got a negative one")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        part = self._content[self._position : self._position + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)


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
    memory: Memory = SEALED,
    spool: Spool | None = None,
    streamed: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[VerifiedArtifact]:
    """Copy the artifact at ``root`` into sealed memory, and let go of the copies at the end of the block.

    Args:
        root: a folder or a single file.
        kind: model or dataset; part of the identity.
        max_bytes: the most bytes that all files together may have in memory.
        memory: where the copies are kept.
        spool: where they are kept if there are more bytes than that; None where there is none, or the caller needs them
            in memory.
        streamed: whether the caller could read from a spool, for the hint where there is none.
        progress: called at most ten times a second and once at the end.

    Raises:
        FormatError: there is nothing at ``root``, something in it is refused, too large, or changed while it was read.
        UnavailableError: this system has no sealed memory files, or too little memory or room on disk.
    """
    with opened(root) as tree:
        total = sum(file.size for file in tree.files)
        meter = Meter(tree.files, progress)
        if total <= max_bytes:
            files, close = _in_memory(tree, memory, meter)
        else:
            if spool is None:
                refuse_size(total, max_bytes, streamed=streamed)
            files, close = _in_spool(tree, memory, spool, meter)
    with contextlib.ExitStack() as stack:
        stack.callback(close)
        yield stack.enter_context(contextlib.closing(VerifiedArtifact(kind=kind, files=files)))


def refuse_size(total: int, max_bytes: int, *, streamed: bool) -> NoReturn:
    """Refuse an artifact that is larger than what is kept in memory.

    Args:
        total: bytes of all its files.
        max_bytes: the limit.
        streamed: whether a spool would do.

    Raises:
        FormatError: always.
    """
    spool = "name a folder for an encrypted copy (--spool DIR), or " if streamed else ""
    raise FormatError(
        f"expected at most {max_bytes} bytes of artifact in memory, got {total}",
        reason="artifact-size",
        hint=f"{spool}raise the limit (--memory-limit {_size(total)}) if there is that much memory",
    )


def _size(number: int) -> str:
    """A number of bytes as ``--memory-limit`` takes it, rounded up by an eighth at most."""
    for letter, unit in _UNITS.items():
        if number >= 8 * unit:
            return f"{-(-number // unit)}{letter}"
    return str(number)


def _in_memory(tree: Tree, memory: Memory, meter: Meter) -> tuple[list[VerifiedFile], Callable[[], None]]:
    copy = memory.create()
    try:
        offsets = [start for start, _ in _copy_all(tree, copy.write, meter, hashed=False)]
        copy.seal()
        content = copy.content()
    except BaseException:
        copy.close()
        raise
    # A single file fills the memory file, so it needs no other; among several each gets its own when it asks for one.
    single = len(tree.files) == 1
    if not single:
        copy.close()
    files = [
        VerifiedFile(
            path=file.path, content=content[offset : offset + file.size], file=copy if single else None, memory=memory
        )
        for file, offset in zip(tree.files, offsets, strict=True)
    ]
    return files, lambda: None


def _in_spool(tree: Tree, memory: Memory, spool: Spool, meter: Meter) -> tuple[list[VerifiedFile], Callable[[], None]]:
    copy = spool.create()
    try:
        found = _copy_all(tree, copy.write, meter, hashed=True)
        copy.seal()
    except BaseException:
        copy.close()
        raise
    files = [
        VerifiedFile.spooled(FileEntry(path=file.path, sha256=digest, size=file.size), copy, start, memory)
        for file, (start, digest) in zip(tree.files, found, strict=True)
    ]
    return files, copy.close


def _copy_all(
    tree: Tree, write: Callable[[memoryview | bytes], None], meter: Meter, *, hashed: bool
) -> list[tuple[int, str]]:
    """Copy every file to the next aligned offset, and return the offsets and, if asked for, what was written there."""
    buffer = memoryview(bytearray(_BUFFER))
    found = []
    end = 0
    for file in tree.files:
        write(bytes(-end % _ALIGNMENT))
        end += -end % _ALIGNMENT
        digest = hashlib.sha256()
        source = open_file(tree, file)
        try:
            for block in read_blocks(source, buffer, file):
                write(block)
                if hashed:
                    digest.update(block)
                meter.add(len(block))
            meter.add(0, files=1)
        finally:
            os.close(source)
        found.append((end, digest.hexdigest()))
        end += file.size
    return found
