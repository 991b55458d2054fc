"""The blobs of an OCI image layout: ``blobs/sha256/``.

Rules:
- A blob that is read as a whole is compared with its digest; one that is streamed is compared by who receives it.
- A blob gets its name when it is complete, compared and flushed to the disk. It arrives in ``ingest/``, and what was
  interrupted there is resumed, unless another user began it.

Spec: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store._descriptors import (
    is_still,
    open_folder,
    open_regular,
    open_root,
    read_whole,
    refuse_error,
    there,
    write_whole,
    writing,
)
from lamslsa.store.arrival import BLOCK, Counted, arrive, folder_at, open_part
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.staging import refuse_other_owner

__all__ = ["INGEST", "LayoutBlobs"]

INGEST: Final = "ingest"


@dataclass(frozen=True, slots=True)
class LayoutBlobs:
    """The blobs of the image layout in a folder."""

    path: Path

    def blob(self, sha256: str, *, limit: int) -> bytes:
        """A whole blob, compared with its digest.

        Raises:
            FormatError: there is no such blob, it is too large, or has other bytes.
            UnavailableError: it cannot be read.
        """
        with self._folder() as blobs:
            data = read_whole(blobs, sha256, what=f"the blob sha256:{sha256}", path=self.path, limit=limit)
        if _codec.sha256_hex(data) != sha256:
            raise FormatError(
                f"expected the blob sha256:{sha256} in {self.path}, got other bytes",
                reason="layout-blob-digest",
                hint="the layout was damaged or tampered with",
            )
        return data

    def size(self, sha256: str) -> int:
        """How many bytes a blob has, without reading it.

        Raises:
            FormatError: there is no such blob.
            UnavailableError: it cannot be opened.
        """
        with self._folder() as blobs:
            fd = open_regular(blobs, sha256, what=f"the blob sha256:{sha256}", path=self.path)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def blocks(self, sha256: str, offset: int) -> Iterator[bytes]:
        """The blocks of a blob from an offset on; not compared with the digest.

        Raises:
            FormatError: there is no such blob.
            UnavailableError: it cannot be read.
        """
        what = f"the blob sha256:{sha256}"
        with self._folder() as blobs:
            fd = open_regular(blobs, sha256, what=what, path=self.path)
        with os.fdopen(fd, "rb", buffering=0) as file:
            try:
                file.seek(offset)
                while block := file.read(BLOCK):
                    yield block
            except OSError as err:
                refuse_error(what, self.path, err)

    def write(self, data: bytes) -> None:
        """Keep a small blob.

        Raises:
            FormatError: other bytes have its name.
            UnavailableError: it cannot be written.
        """
        sha256 = _codec.sha256_hex(data)
        with writing(self.path), self._folder() as blobs:
            if there(blobs, sha256):
                self.blob(sha256, limit=len(data))
            else:
                write_whole(blobs, sha256, data)

    def take(self, file: FileEntry, source: ArtifactStore, counted: Counted) -> None:
        """Have a file arrive as a blob; one that is there is compared.

        Raises:
            FormatError: the source has other bytes, or a blob of this name has.
            UnavailableError: the source cannot be reached, the blob not be written, or another process is at it.
        """
        with (
            writing(self.path),
            open_root(self.path) as root,
            folder_at(root, INGEST) as ingest,
            self._folder() as blobs,
        ):
            if there(blobs, file.sha256):
                self._compare(blobs, file, counted)
                return
            part = open_part(ingest, file.sha256)
            try:
                refuse_other_owner(part, f"{INGEST}/{file.sha256}")
                _lock(part, file)
                if not is_still(part, ingest, file.sha256):
                    _refuse_busy(file)
                arrive(part, file, source, counted)
                os.rename(file.sha256, file.sha256, src_dir_fd=ingest, dst_dir_fd=blobs)
                os.fsync(blobs)
            finally:
                os.close(part)

    def _compare(self, blobs: int, file: FileEntry, counted: Counted) -> None:
        what = f"the blob sha256:{file.sha256}"
        digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
        fd = open_regular(blobs, file.sha256, what=what, path=self.path)
        try:
            while count := os.readv(fd, [buffer]):
                digest.update(buffer[:count])
                size += count
                counted(count)
        finally:
            os.close(fd)
        if (digest.hexdigest(), size) != (file.sha256, file.size):
            raise FormatError(
                f"expected {what} of {file.size} bytes in {self.path}, got other bytes",
                reason="layout-blob-other",
                hint="the layout was damaged or tampered with: remove the blob and repeat",
            )

    @contextlib.contextmanager
    def _folder(self) -> Iterator[int]:
        with open_root(self.path) as root:
            here = os.dup(root)
            try:
                for name in ("blobs", "sha256"):
                    try:
                        inner = open_folder(here, name)
                    except OSError as err:
                        raise FormatError(
                            f"expected the folder blobs/sha256 in {self.path}, got none or a link",
                            reason="layout-blobs-folder",
                            hint="links are not followed",
                        ) from err
                    os.close(here)
                    here = inner
                yield here
            finally:
                os.close(here)


def _lock(part: int, file: FileEntry) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _refuse_busy(file)


def _refuse_busy(file: FileEntry) -> NoReturn:
    raise UnavailableError(
        f"expected to be the only one that writes {file.path!a}, got another process",
        reason="store-busy",
        hint="wait until it is done, and repeat",
    )
