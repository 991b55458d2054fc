"""Output that is complete or absent, whatever interrupts the writing; input that never keeps one waiting.

A folder is filled under a hidden neighbour's name, flushed to the disk, and renamed into place. What a killed process
leaves is such a neighbour, which nobody reads.

A path may have been made by an adversary, and the wait for the other end of a pipe has no end: only regular files are
read.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lamslsa.errors import FormatError

__all__ = [
    "new_folder",
    "open_regular",
    "read_capped",
    "read_regular",
    "refuse_existing",
    "replace_file",
    "sync_folder",
    "write_file",
]


def refuse_existing(path: Path) -> None:
    """Refuse an output that is there already, be it a dangling link: nothing is ever overwritten.

    Raises:
        FormatError: something of that name exists.
    """
    if os.path.lexists(path):
        raise FormatError(
            f"expected no {path}, got an existing one",
            reason="output-exists",
            hint="name something that does not exist yet, or remove it",
        )


@contextmanager
def new_folder(path: Path, *, mode: int = 0o777) -> Iterator[Path]:
    """Yield a folder to fill, and give it its final name at the end of the block.

    Raises:
        FormatError: something of that name exists.
        OSError: the file system refused; nothing is left under the final name.
    """
    refuse_existing(path)
    parent = path.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    staging = parent / f".{path.name}.{secrets.token_hex(8)}.partial"
    staging.mkdir(mode=mode)
    try:
        yield staging
        sync_folder(staging)
        refuse_existing(path)
        try:
            staging.rename(path)
        except OSError:
            refuse_existing(path)  # somebody was faster: a folder with files in it is never replaced
            raise
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(parent)


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a new file and flush it to the disk.

    Raises:
        OSError: the file exists, or the file system refused.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Put a file in place of whatever has its name, at once and whole.

    Raises:
        OSError: the file system refused; what was there is still there.
    """
    staging = path.absolute().parent / f".{path.name}.{secrets.token_hex(8)}.partial"
    try:
        write_file(staging, data, mode=mode)
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure; systems that cannot open a folder have nothing to flush."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path, *, what: str, writing: bool = False) -> BinaryIO:
    """Open a regular file, or what a link to one leads to; anything else is refused, without waiting for it.

    Args:
        path: the file.
        what: what it is to hold, for the message.
        writing: open it for reading and writing, unbuffered, as it is.

    Raises:
        FormatError: a pipe, a device, a socket or a folder (input-kind).
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as err:
        if err.errno == errno.ENXIO:  # a socket, or a device without its driver
            raise _other_kind(path, what) from err
        raise
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    if not regular:
        os.close(descriptor)
        raise _other_kind(path, what)
    return os.fdopen(descriptor, "r+b" if writing else "rb", buffering=0 if writing else -1)


def _other_kind(path: Path, what: str) -> FormatError:
    return FormatError(
        f"expected {what} in a regular file, got another kind at {path}",
        reason="input-kind",
        hint="name a file; what a pipe gives, as in <(…), has to be written to one first",
    )


def read_regular(path: Path, *, what: str, limit: int) -> bytes:
    """The bytes of a small regular file.

    Raises:
        FormatError: no regular file (input-kind), or larger than ``limit`` bytes (input-size).
        OSError: it cannot be read.
    """
    with open_regular(path, what=what) as file:
        return read_capped(file, path, what=what, limit=limit)


def read_capped(file: BinaryIO, path: Path, *, what: str, limit: int) -> bytes:
    """All bytes of an open file.

    Raises:
        FormatError: larger than ``limit`` bytes (input-size).
    """
    data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes of {what}, got more in {path}", reason="input-size")
    return data
