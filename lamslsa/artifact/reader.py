"""Read an artifact so that the bytes that were hashed are the bytes that are used (threat-model, attester 1).

Rules:
- All files are copied once into one memory file of this process, which nobody else can write to
  (`lamslsa.artifact.memory`). Digests are computed over that copy. The caller's path is never opened again, so whatever
  happens on disk afterwards changes nothing.
- Libraries that insist on opening a path get `VerifiedFile.library_path`, which leads to such memory too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from lamslsa.artifact._walk import Tree, open_file, opened, read_blocks
from lamslsa.artifact.hashing import Meter, Progress
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.artifact.memory import SEALED, Memory, MemoryFile
from lamslsa.errors import FormatError

__all__ = ["DEFAULT_MAX_BYTES", "VerifiedArtifact", "VerifiedFile", "read_verified"]

DEFAULT_MAX_BYTES: Final = 8 * 1024**3
_BUFFER: Final = 1024 * 1024
_ALIGNMENT: Final = 64  # numerical libraries take a file's bytes in place


class VerifiedFile:
    """The sealed copy of one file; made by `read_verified` alone.

    Attributes:
        entry: its path in the artifact, SHA-256 and size.
    """

    __slots__ = ("_content", "_file", "_memory", "entry")

    def __init__(self, *, path: str, content: memoryview, file: MemoryFile | None, memory: Memory) -> None:
        self.entry = FileEntry(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        self._content: memoryview | None = content
        self._file = file
        self._memory = memory

    @property
    def library_path(self) -> str:
        """A path of this process that leads to a sealed copy, for libraries that insist on opening one.

        Raises:
            FormatError: this process holds too many files open.
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
        if self._file is not None:
            self._file.close()
            self._file = None


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
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[VerifiedArtifact]:
    """Copy the artifact at ``root`` into sealed memory, and let go of the copies at the end of the block.

    Args:
        root: a folder or a single file.
        kind: model or dataset; part of the identity.
        max_bytes: the most bytes that all files together may have, since all of them are held in memory.
        memory: where the copies are kept.
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
        copy = memory.create()
        try:
            offsets = _copy_all(tree, copy, Meter(tree.files, progress))
            copy.seal()
            content = copy.content()
        except BaseException:
            copy.close()
            raise
    # A single file fills the memory file, so it needs no other; among several each gets its own when it asks for one.
    single = len(tree.files) == 1
    if not single:
        copy.close()
    artifact = VerifiedArtifact(
        kind=kind,
        files=[
            VerifiedFile(
                path=file.path,
                content=content[offset : offset + file.size],
                file=copy if single else None,
                memory=memory,
            )
            for file, offset in zip(tree.files, offsets, strict=True)
        ],
    )
    with contextlib.closing(artifact):
        yield artifact


def _copy_all(tree: Tree, copy: MemoryFile, meter: Meter) -> list[int]:
    """Copy every file to the next aligned offset of the memory file, and return the offsets."""
    buffer = memoryview(bytearray(_BUFFER))
    offsets = []
    end = 0
    for file in tree.files:
        copy.write(bytes(-end % _ALIGNMENT))
        end += -end % _ALIGNMENT
        offsets.append(end)
        source = open_file(tree, file)
        try:
            for block in read_blocks(source, buffer, file):
                copy.write(block)
                meter.add(len(block))
            meter.add(0, files=1)
        finally:
            os.close(source)
        end += file.size
    return offsets
