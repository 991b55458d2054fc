"""Files of an image layout by their descriptors: nothing below its folder is reached through a link."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.arrival import open_part

__all__ = [
    "PARTIAL_SUFFIX",
    "is_still",
    "locked",
    "open_folder",
    "open_regular",
    "open_root",
    "read_whole",
    "refuse_error",
    "there",
    "write_whole",
    "writing",
]

PARTIAL_SUFFIX: Final = ".partial"
LOCK_PATIENCE_S: Final = 60.0
_LOCK_PAUSE_S: Final = 0.02
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_LINK: Final = frozenset({errno.ELOOP, errno.ENXIO})


@contextlib.contextmanager
def open_root(path: Path) -> Iterator[int]:
    """The open folder of a layout, which the user named.

    Raises:
        FormatError: nothing is there, or a file.
        UnavailableError: it cannot be opened.
    """
    try:
        root = os.open(path, _FOLDER)
    except NotADirectoryError as err:
        raise FormatError(
            f"expected the folder of an image layout at {path}, got a file",
            reason="layout-not-folder",
            hint="name a folder that is empty or new",
        ) from err
    except OSError as err:
        refuse_error(str(path), path, err)
    try:
        yield root
    finally:
        os.close(root)


def open_folder(folder: int, name: str) -> int:
    """Open a folder below an open one, never a link.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


def open_regular(folder: int, name: str, *, what: str, path: Path) -> int:
    """Open a regular file in a folder of the layout at ``path``, never a link.

    Raises:
        FormatError: nothing is there, a link, or another kind.
        UnavailableError: it cannot be opened.
    """
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as err:
        refuse_error(what, path, err)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        _refuse_kind(what, path, None)
    return fd


def read_whole(folder: int, name: str, *, what: str, path: Path, limit: int) -> bytes:
    """The bytes of a regular file; of one that is too large nothing is read.

    Raises:
        FormatError: as `open_regular`, or too large.
        UnavailableError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(folder, name, what=what, path=path), "rb") as file:
            data = file.read(limit + 1) if os.fstat(file.fileno()).st_size <= limit else None
    except OSError as err:
        refuse_error(what, path, err)
    if data is None or len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes in {what} of {path}, got more", reason="layout-size")
    return data


def write_whole(folder: int, name: str, data: bytes) -> None:
    """Put a file in place of whatever has its name, at once and whole.

    Raises:
        OSError: the file system refused.
    """
    part = f".{name}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
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


def there(folder: int, name: str) -> bool:
    """Whether anything has this name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_still(fd: int, folder: int, name: str) -> bool:
    """Whether a name still leads to the open file: another process may have completed it."""
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(now, os.fstat(fd))


@contextlib.contextmanager
def locked(folder: int, name: str, *, path: Path) -> Iterator[None]:
    """Be the only one that writes; whoever keeps the lock for a minute is not waited for.

    Raises:
        FormatError: the lock is a link or another kind of file.
        UnavailableError: another process keeps it.
    """
    lock = open_part(folder, name)
    try:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() >= deadline:
                    raise UnavailableError(
                        f"expected to be the only one that writes to {path}, got another process",
                        reason="store-busy",
                        hint="wait until it is done, and repeat",
                    ) from err
            time.sleep(_LOCK_PAUSE_S)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the file system refuses in this block is an error of writing to the layout.

    Raises:
        UnavailableError: it refused.
    """
    try:
        yield
    except OSError as err:
        raise UnavailableError(
            f"expected to write into {path}, got {err.strerror}",
            reason="store-write",
            hint="the folder has to be writable; what has arrived is kept",
        ) from err


def refuse_error(what: str, path: Path, err: OSError) -> NoReturn:
    """Say what an error of the file system means.

    Raises:
        FormatError: nothing is there, or a link.
        UnavailableError: anything else.
    """
    if err.errno in _ABSENT:
        raise FormatError(f"expected {what} in {path}, got nothing", reason="layout-file-missing") from err
    if err.errno in _LINK:
        _refuse_kind(what, path, err)
    raise UnavailableError(f"expected to read {what} in {path}, got {err.strerror}", reason="store-read") from err


def _refuse_kind(what: str, path: Path, err: OSError | None) -> NoReturn:
    raise FormatError(
        f"expected {what} in {path} to be a regular file, got a link or another kind", reason="layout-file-kind"
    ) from err
