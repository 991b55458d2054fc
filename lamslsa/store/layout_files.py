"""The files of an OCI image layout: ``oci-layout``, ``index.json`` and ``blobs/sha256/``.

Rules:
- The user names the folder; nothing below it is reached through a link.
- A blob that is read as a whole is compared with its digest; one that is streamed is compared by who receives it.
- A blob gets its name when it is complete, compared and flushed to the disk. It arrives in ``ingest/``, and what was
  interrupted there is resumed.
- ``index.json`` is changed under a lock by whoever writes, and replaced as a whole; what it says beside our entries
  stays as it is.
- Only a folder that is not there or is empty becomes a layout.

Spec: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.arrival import BLOCK, Counted, arrive, folder_at, open_part
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.referrer import INDEX_TYPE, MAX_INDEX_BYTES

__all__ = ["Index", "LayoutFiles"]

Index = dict[str, Any]

_VERSION: Final = "1.0.0"
_MARKER: Final = "oci-layout"
_INDEX: Final = "index.json"
_LOCK: Final = ".index.lock"
_INGEST: Final = "ingest"
_MAX_MARKER_BYTES: Final = 4096
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_LINK: Final = frozenset({errno.ELOOP, errno.ENXIO})


@dataclass(frozen=True, slots=True)
class LayoutFiles:
    """The folder of an image layout."""

    path: Path

    def exists(self) -> bool:
        """Whether there is anything: an empty folder is nothing.

        Raises:
            UnavailableError: it cannot be listed.
        """
        try:
            with os.scandir(self.path) as entries:
                return next(entries, None) is not None
        except FileNotFoundError:
            return False
        except OSError as err:
            self._refuse_error(str(self.path), err)

    def create(self) -> None:
        """Make the layout, unless it is there.

        Raises:
            FormatError: the folder holds something else.
            UnavailableError: it cannot be written.
        """
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            with self._root() as root:
                with os.scandir(root) as entries:
                    names = {entry.name for entry in entries} - {_LOCK}
                if names and _MARKER not in names:
                    self._refuse_marker()
                with self._locked(root):
                    if not _there(root, _MARKER):
                        _write(root, _MARKER, _codec.dumps({"imageLayoutVersion": _VERSION}))
                    if not _there(root, _INDEX):
                        empty = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
                        _write(root, _INDEX, _codec.dumps(empty))
                with folder_at(root, "blobs/sha256"), folder_at(root, _INGEST):
                    pass
                os.fsync(root)
        self._marked()

    def index(self) -> Index:
        """``index.json``; ``manifests`` is a list of whatever is in it.

        Raises:
            FormatError: no image layout, or one whose index is none or too large.
            UnavailableError: it cannot be read.
        """
        self._marked()
        with self._root() as root:
            return self._read_index(root)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Index]:
        """Change ``index.json`` in the block: nobody else does meanwhile, and at its end it is replaced if it differs.

        Raises:
            FormatError: no image layout, or the index would become too large.
            UnavailableError: it cannot be read or written.
        """
        self._marked()
        with self._writing(), self._root() as root, self._locked(root):
            index = self._read_index(root)
            before = _codec.dumps(index)
            yield index
            after = _codec.dumps(index)
            if len(after) > MAX_INDEX_BYTES:
                raise FormatError(
                    f"expected at most {MAX_INDEX_BYTES} bytes of {_INDEX} in {self.path}, got more",
                    reason="layout-index-full",
                    hint="keep this artifact in a layout of its own",
                )
            if after != before:
                _write(root, _INDEX, after)

    def blob(self, sha256: str, *, limit: int) -> bytes:
        """A whole blob, compared with its digest.

        Raises:
            FormatError: there is no such blob, it is too large, or has other bytes.
            UnavailableError: it cannot be read.
        """
        with self._blobs() as blobs:
            data = self._read(blobs, sha256, what=f"the blob sha256:{sha256}", limit=limit)
        if _codec.sha256_hex(data) != sha256:
            raise FormatError(
                f"expected the blob sha256:{sha256} in {self.path}, got other bytes",
                reason="layout-blob-digest",
                hint="the layout was damaged or tampered with",
            )
        return data

    def blocks(self, sha256: str, offset: int) -> Iterator[bytes]:
        """The blocks of a blob from an offset on; not compared with the digest.

        Raises:
            FormatError: there is no such blob.
            UnavailableError: it cannot be read.
        """
        what = f"the blob sha256:{sha256}"
        with self._blobs() as blobs:
            fd = self._open(blobs, sha256, what)
        with os.fdopen(fd, "rb", buffering=0) as file:
            try:
                file.seek(offset)
                while block := file.read(BLOCK):
                    yield block
            except OSError as err:
                self._refuse_error(what, err)

    def write(self, data: bytes) -> None:
        """Keep a small blob.

        Raises:
            FormatError: other bytes have its name.
            UnavailableError: it cannot be written.
        """
        sha256 = _codec.sha256_hex(data)
        with self._writing(), self._blobs() as blobs:
            if _there(blobs, sha256):
                self.blob(sha256, limit=len(data))
            else:
                _write(blobs, sha256, data)

    def take(self, file: FileEntry, source: ArtifactStore, counted: Counted) -> None:
        """Have a file arrive as a blob; one that is there is compared.

        Raises:
            FormatError: the source has other bytes, or a blob of this name has.
            UnavailableError: the source cannot be reached, the blob not be written, or another process is at it.
        """
        with self._writing(), self._root() as root, folder_at(root, _INGEST) as ingest, self._blobs() as blobs:
            if _there(blobs, file.sha256):
                self._compare(blobs, file, counted)
                return
            part = open_part(ingest, file.sha256)
            try:
                _lock_part(part, file)
                if not _is_still(part, ingest, file.sha256):
                    _refuse_busy(file)
                arrive(part, file, source, counted)
                os.rename(file.sha256, file.sha256, src_dir_fd=ingest, dst_dir_fd=blobs)
                os.fsync(blobs)
            finally:
                os.close(part)

    def _compare(self, blobs: int, file: FileEntry, counted: Counted) -> None:
        what = f"the blob sha256:{file.sha256}"
        digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
        fd = self._open(blobs, file.sha256, what)
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

    def _marked(self) -> None:
        """Refuse a folder that is no image layout, or one of another version."""
        try:
            with self._root() as root:
                value = _codec.loads(self._read(root, _MARKER, what=_MARKER, limit=_MAX_MARKER_BYTES))
        except FormatError as err:
            self._refuse_marker(err)
        if not isinstance(value, dict) or value.get("imageLayoutVersion") != _VERSION:
            raise FormatError(
                f"expected an image layout of version {_VERSION} at {self.path}, got another", reason="layout-version"
            )

    def _refuse_marker(self, err: FormatError | None = None) -> NoReturn:
        raise FormatError(
            f"expected an OCI image layout at {self.path}, got none",
            reason="layout-missing",
            hint="lamslsa push MODEL oci-layout:PATH makes one in a folder that is empty or new",
        ) from err

    def _read_index(self, root: int) -> Index:
        index = _codec.loads(self._read(root, _INDEX, what=_INDEX, limit=MAX_INDEX_BYTES), max_bytes=MAX_INDEX_BYTES)
        if not isinstance(index, dict) or not isinstance(index.get("manifests"), list):
            raise FormatError(
                f"expected a list of manifests in {self.path / _INDEX}, got something else", reason="layout-index"
            )
        return index

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        try:
            root = os.open(self.path, _FOLDER)
        except OSError as err:
            self._refuse_error(str(self.path), err)
        try:
            yield root
        finally:
            os.close(root)

    @contextlib.contextmanager
    def _blobs(self) -> Iterator[int]:
        with self._root() as root:
            here = os.dup(root)
            try:
                for name in ("blobs", "sha256"):
                    try:
                        inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
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

    def _open(self, folder: int, name: str, what: str) -> int:
        try:
            fd = os.open(name, _FILE, dir_fd=folder)
        except OSError as err:
            self._refuse_error(what, err)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            self._refuse_kind(what, None)
        return fd

    def _read(self, folder: int, name: str, *, what: str, limit: int) -> bytes:
        try:
            with os.fdopen(self._open(folder, name, what), "rb") as file:
                data = file.read(limit + 1)
        except OSError as err:
            self._refuse_error(what, err)
        if len(data) > limit:
            raise FormatError(
                f"expected at most {limit} bytes in {what} of {self.path}, got more", reason="layout-size"
            )
        return data

    def _refuse_kind(self, what: str, err: OSError | None) -> NoReturn:
        raise FormatError(
            f"expected {what} in {self.path} to be a regular file, got a link or another kind",
            reason="layout-file-kind",
        ) from err

    def _refuse_error(self, what: str, err: OSError) -> NoReturn:
        if err.errno in _ABSENT:
            raise FormatError(f"expected {what} in {self.path}, got nothing", reason="layout-file-missing") from err
        if err.errno in _LINK:
            self._refuse_kind(what, err)
        raise UnavailableError(
            f"expected to read {what} in {self.path}, got {err.strerror}", reason="store-read"
        ) from err

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise UnavailableError(
                f"expected to write into {self.path}, got {err.strerror}",
                reason="store-write",
                hint="the folder has to be writable; what has arrived is kept",
            ) from err

    @contextlib.contextmanager
    def _locked(self, root: int) -> Iterator[None]:
        lock = open_part(root, _LOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(folder: int, name: str, data: bytes) -> None:
    """Put a file in place of whatever has its name, at once and whole."""
    part = f".{name}.{secrets.token_hex(8)}.partial"
    try:
        with os.fdopen(os.open(part, _NEW, 0o666, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    os.fsync(folder)


def _lock_part(part: int, file: FileEntry) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _refuse_busy(file)


def _is_still(part: int, folder: int, name: str) -> bool:
    """Whether the name still leads to the file that was locked: another process may have completed it."""
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(part)
    return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)


def _refuse_busy(file: FileEntry) -> NoReturn:
    raise UnavailableError(
        f"expected to be the only one that writes {file.path!a}, got another process",
        reason="store-busy",
        hint="wait until it is done, and repeat",
    )
