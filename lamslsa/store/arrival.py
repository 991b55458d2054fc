"""Files arrive from another store: each is compared with its SHA-256 and size before anybody gets to see it.

Rules:
- A file that is there in part is read again from its first byte, then continued at the offset that was reached. If the
  whole of it comes to another digest, it is fetched once more from the start: what lay here is not the source's fault.
- No link is followed while writing: every folder on the way is opened by its own name, and every file too. A file that
  another name leads to as well is never written.
- A connection that breaks is taken up again where bytes arrived in between: a few times, and anew after each MiB. To be
  patient with less is the source's business.
- Several files at a time, the largest first; each thread holds one block. The first error, or ctrl-C, ends all of them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NoReturn

from lamslsa._attempts import MAX_ATTEMPTS, PROGRESS, Stop, StoppedError, refuse_stopped
from lamslsa.artifact._walk import Found
from lamslsa.artifact.hashing import Meter
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.interface import ArtifactStore, Report

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["BLOCK", "Counted", "arrive", "each_file", "folder_at", "open_part", "read_through"]

Counted = Callable[[int], None]
"""Told how many bytes more have arrived; fewer than none when a file starts anew."""

_Keep = Callable[[bytes, int], None]

BLOCK: Final = 1024 * 1024
_THREADS: Final = 4
_NO_FOLDER: Final = frozenset({errno.ENOTDIR, errno.ELOOP})
_NO_FILE: Final = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PART: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def each_file(files: Sequence[FileEntry], take: Callable[[FileEntry, Counted], None], report: Report | None) -> None:
    """Call ``take`` for every file, several at a time, and stop at the first that fails.

    Raises:
        LamslsaError: the first error of ``take``.
    """
    meter = Meter([Found(file.path, file.path, file.size) for file in files], report)
    jobs = deque(sorted(files, key=lambda file: -file.size))
    stop = Stop()

    def counted(size: int) -> None:
        refuse_stopped()
        meter.add(size)

    def work() -> None:
        try:
            with stop.covering():
                while True:
                    try:
                        file = jobs.popleft()
                    except IndexError:
                        return
                    counted(0)
                    take(file, counted)
                    meter.add(0, files=1)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(min(_THREADS, len(files)) or 1, thread_name_prefix="lamslsa-store") as pool:
        try:
            errors = [future.exception() for future in [pool.submit(work) for _ in range(_THREADS)]]
        finally:
            stop.set()
    for error in errors:
        if error is not None and not isinstance(error, StoppedError):
            raise error


@contextlib.contextmanager
def folder_at(root: int, path: str) -> Iterator[int]:
    """Open a folder below an open one, and make what is missing of it.

    Raises:
        FormatError: a link or something else stands on the way.
        OSError: the file system refused.
    """
    here = os.dup(root)
    try:
        for name in path.split("/") if path else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=here)
            try:
                inner = os.open(name, _FOLDER, dir_fd=here)
            except OSError as err:
                if err.errno not in _NO_FOLDER:
                    raise
                raise FormatError(
                    f"expected a folder at {path!a}, got a link or a file", reason="store-link", hint="remove it"
                ) from err
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


def open_part(folder: int, name: str) -> int:
    """Open a file to be written, for reading and writing; what is there already stays.

    Raises:
        FormatError: it is a link, another kind of file, or has another name too.
        OSError: the file system refused.
    """
    try:
        fd = os.open(name, _PART, 0o666, dir_fd=folder)
    except OSError as err:
        if err.errno not in _NO_FILE:
            raise
        _refuse_part(name, err)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(fd)
        _refuse_part(name, None)
    return fd


def _refuse_part(name: str, err: OSError | None) -> NoReturn:
    raise FormatError(
        f"expected a regular file of its own at {name!a}, got a link or another kind",
        reason="store-part",
        hint="remove it and try again",
    ) from err


def arrive(fd: int, file: FileEntry, source: ArtifactStore, counted: Counted) -> None:
    """Complete a file that is open for reading and writing, compare it, and flush it to the disk.

    Raises:
        FormatError: the source has other bytes; nothing of them stays.
        UnavailableError: the source cannot be reached, or the disk not be written.
    """
    keep = functools.partial(_write, fd)
    try:
        arrived = _resume(fd, file)
        counted(arrived.size)
        resumed = arrived.size > 0
        _continue(file, source, arrived, keep, counted)
        if resumed and not arrived.complete(file):
            counted(-arrived.size)
            os.ftruncate(fd, 0)
            arrived = _Arrived()
            _continue(file, source, arrived, keep, counted)
        if not arrived.complete(file):
            os.ftruncate(fd, 0)
            _refuse_other(file)
        os.fsync(fd)
    except OSError as err:
        raise UnavailableError(
            f"expected to write {file.path!a}, got {err.strerror}",
            reason="store-write",
            hint="free the device and repeat: what has arrived is kept",
        ) from err


def read_through(file: FileEntry, source: ArtifactStore, counted: Counted) -> None:
    """Read a file and compare it; nothing is kept.

    Raises:
        FormatError: the source has other bytes.
        UnavailableError: the source cannot be reached.
    """
    arrived = _Arrived()
    _continue(file, source, arrived, lambda _block, _position: None, counted)
    if not arrived.complete(file):
        _refuse_other(file)


def _refuse_other(file: FileEntry) -> NoReturn:
    raise FormatError(
        f"expected sha256:{file.sha256} and {file.size} bytes in {file.path!a}, got other bytes",
        reason="store-file-digest",
        hint="the source was damaged or tampered with",
    )


class _Arrived:
    """How much of a file is there, and the digest of that much."""

    def __init__(self) -> None:
        self.size = 0
        self._digest: _Hash = hashlib.sha256()

    def add(self, block: bytes | memoryview) -> None:
        self.size += len(block)
        self._digest.update(block)

    def complete(self, file: FileEntry) -> bool:
        return self.size == file.size and self._digest.hexdigest() == file.sha256


def _resume(fd: int, file: FileEntry) -> _Arrived:
    """Read what is there; more than the file has is of no use."""
    arrived = _Arrived()
    if os.fstat(fd).st_size > file.size:
        os.ftruncate(fd, 0)
        return arrived
    buffer = memoryview(bytearray(BLOCK))
    while size := os.preadv(fd, [buffer], arrived.size):
        arrived.add(buffer[:size])
    return arrived


def _continue(file: FileEntry, source: ArtifactStore, arrived: _Arrived, keep: _Keep, counted: Counted) -> None:
    """Take what is missing, taking up a broken connection; ends early where the source does."""
    failures, patient_from = 0, arrived.size
    while arrived.size < file.size:
        before = arrived.size
        try:
            _append(file, source, arrived, keep, counted)
        except UnavailableError:
            if arrived.size >= patient_from + PROGRESS:
                failures, patient_from = 0, arrived.size
            failures += 1
            if arrived.size == before or failures >= MAX_ATTEMPTS:
                raise
        else:
            return


def _append(file: FileEntry, source: ArtifactStore, arrived: _Arrived, keep: _Keep, counted: Counted) -> None:
    for block in source.read(file, offset=arrived.size):
        if arrived.size + len(block) > file.size:
            raise FormatError(
                f"expected {file.size} bytes in {file.path!a}, got more",
                reason="store-file-size",
                hint="the source was damaged or tampered with",
            )
        keep(block, arrived.size)
        arrived.add(block)
        counted(len(block))


def _write(fd: int, block: bytes, position: int) -> None:
    rest = memoryview(block)
    while rest:
        written = os.pwrite(fd, rest, position)
        rest, position = rest[written:], position + written
