"""Bundles in a folder, and in a single file.

Rules:
- Reading is unfiltered and sorted by name; only regular files of the folder itself are read. Symbolic links are not
  followed, so a folder that came from elsewhere cannot point at files of this machine; leaving them out grants nothing.
- Sizes are known before anything is read. What exceeds the limits of `naming.Allowance` is left out, and said to be;
  nothing is kept that no reader would see.
- Writing is atomic: the bytes go to a part file in the same folder, are flushed to the disk, and get their final name
  by a hard link, which never replaces a file. A writer that is killed leaves at most a part file, which nobody reads.
- Bytes that are there already are left alone; other bytes under the same name are refused, never overwritten.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lamslsa import _codec
from lamslsa._files import sync_folder, write_file
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store import naming
from lamslsa.store.detached import detached
from lamslsa.store.interface import StoredBundle
from lamslsa.store.keeping import Kept, NamedBundle, digests

__all__ = ["BundleFile", "DirectoryStore"]


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """Keeps bundles in one folder. A folder that does not exist is a store without bundles; `put` creates it.

    Attributes:
        links_into: links that lead into this folder, a real path, are followed: a hub's cache keeps its files there.
    """

    path: Path
    links_into: Path | None = None

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle, unfiltered, sorted by file name; a file that is too large or cannot be read yields its error.

        What is over the limits is left out, and an error at the end says so.

        Raises:
            UnavailableError: the folder cannot be listed.
        """
        allowance = naming.Allowance()
        for name in self._names():
            try:
                data = _read_regular(self._file(name), limit=naming.MAX_FILE_BYTES)
            except (FormatError, UnavailableError) as err:
                found = StoredBundle(source=str(self.path / name), data=detached(err))
            else:
                if data is None:
                    continue
                found = StoredBundle(source=str(self.path / name), data=data)
            if not allowance.spend(len(found.data) if isinstance(found.data, bytes) else 0):
                yield StoredBundle(source=str(self.path), data=allowance.left_out(str(self.path)))
                return
            yield found

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle under a name made of ``name`` and its content, and return the path.

        Raises:
            FormatError: larger than a reader takes, one more than a reader sees, or the name is taken by other bytes.
            UnavailableError: the folder cannot be written.
        """
        naming.refuse_large(bundle)
        if not (self.path / naming.file_name(name, bundle)).exists() and not self._room().spend(len(bundle)):
            raise naming.Allowance.full(str(self.path))
        return self._write(bundle, name)

    def put_all(self, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
        """Keep bundles, and say of each where, or that one of the files has it already.

        Raises:
            UnavailableError: the folder cannot be listed.
        """
        held, room = digests(self), self._room()
        for bundle in bundles:
            digest = _codec.sha256_hex(bundle.data)
            if digest in held:
                yield Kept(place="", new=False)
                continue
            try:
                naming.refuse_large(bundle.data)
                if not room.spend(len(bundle.data)):
                    raise room.full(str(self.path))
                place = self._write(bundle.data, bundle.name)
            except LamslsaError as err:
                yield detached(err)
            else:
                held.add(digest)
                yield Kept(place=place, new=True)

    def _room(self) -> naming.Allowance:
        """What is left of the limits, beside the files that are here."""
        room = naming.Allowance()
        for name in self._names():
            with contextlib.suppress(OSError):
                info = (self.path / name).lstat()
                read = info.st_size if info.st_size <= naming.MAX_FILE_BYTES else 0
                if stat.S_ISREG(info.st_mode) and not room.spend(read):
                    return naming.Allowance(files=0)
        return room

    def _write(self, bundle: bytes, name: str) -> str:
        final = self.path / naming.file_name(name, bundle)
        part = self.path / f".{final.name}.{secrets.token_hex(8)}{naming.PART_SUFFIX}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                write_file(part, bundle)
                with contextlib.suppress(FileExistsError):
                    os.link(part, final)
            finally:
                part.unlink(missing_ok=True)
            sync_folder(self.path)
        except OSError as err:
            raise UnavailableError(
                f"expected to write into {self.path}, got {err.strerror}",
                reason="store-write",
                hint="the folder has to be writable and on a file system with hard links",
            ) from err
        if _read_regular(final, limit=naming.MAX_FILE_BYTES) != bundle:
            raise FormatError(
                f"expected the bytes of this bundle or nothing at {final}, got something else",
                reason="store-conflict",
                hint="the file was changed after it was written; remove it and publish again",
            )
        return str(final)

    def _file(self, name: str) -> Path:
        """The file of this name, or where it leads if that is in the one folder that links may lead into."""
        path = self.path / name
        if self.links_into is not None and path.is_symlink():
            target = Path(os.path.realpath(path))
            return target if target.is_relative_to(self.links_into) else path
        return path

    def _names(self) -> list[str]:
        """The first of the names in their order, one more than are read."""
        try:
            with os.scandir(self.path) as entries:
                names = (entry.name for entry in entries if naming.is_bundle_name(entry.name))
                return heapq.nsmallest(naming.MAX_FILES + 1, names)
        except FileNotFoundError:
            return []
        except OSError as err:
            raise _unreadable(self.path, err) from err


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of bundles, named by the user and only read."""

    path: Path

    def bundles(self) -> Iterator[StoredBundle]:
        """The file's bytes; a link is followed, since the user named this very path.

        Raises:
            UnavailableError: the file is missing or cannot be read.
            FormatError: not a regular file, or larger than the limit allows.
        """
        data = _read_regular(self.path, limit=naming.MAX_FILE_BYTES, follow=True)
        if data is None:
            raise FormatError(f"expected a regular file at {self.path}, got another kind", reason="store-reference")
        yield StoredBundle(source=str(self.path), data=data)

    def put(self, bundle: bytes, *, name: str) -> str:  # noqa: ARG002 - the protocol's signature
        """Refuse: a file of bundles is only read.

        Raises:
            FormatError: always.
        """
        raise FormatError(
            f"expected a folder to publish to, got the file {self.path}", reason="store-read-only", hint="name a folder"
        )


def _read_regular(path: Path, *, limit: int, follow: bool = False) -> bytes | None:
    """The bytes of a regular file; None for a link, folder or device. A pipe is opened without waiting for a writer."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        if not follow and not stat.S_ISREG(path.lstat().st_mode):
            return None
        descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    except OSError as err:
        raise _unreadable(path, err) from err
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            return None
        try:
            data = file.read(limit + 1) if info.st_size <= limit else None
        except OSError as err:
            raise _unreadable(path, err) from err
    if data is None or len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes in {path}, got more", reason="store-size")
    return data


def _unreadable(path: Path, err: OSError) -> UnavailableError:
    return UnavailableError(f"expected to read {path}, got {err.strerror}", reason="store-read")
