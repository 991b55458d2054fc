"""A folder in which an artifact arrives, beside the place where it is to be: nobody takes it for the artifact.

Rules:
- One writer at a time: the folder is locked, and another writer is told so.
- What lies in it and is no part of the artifact is refused, never removed: it may be somebody's.
- It outlives an interruption, so that the next writer continues.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lamslsa.artifact._walk import opened
from lamslsa.artifact.manifest import EXCLUDED_ROOTS, FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.arrival import Counted, arrive, each_file, folder_at, open_part
from lamslsa.store.interface import ArtifactStore, Report

__all__ = ["fill", "staging"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def staging(path: Path) -> Iterator[int]:
    """Make the folder, or take up the one that is there; yields its descriptor, locked.

    Raises:
        FormatError: something else has this name.
        UnavailableError: another process writes there.
        OSError: the file system refused.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        try:
            fd = os.open(path, _FOLDER)
        except NotADirectoryError as err:  # also for a link
            raise FormatError(
                f"expected a folder or nothing at {path}, got something else",
                reason="store-staging",
                hint="remove it: files arrive there under this name",
            ) from err
        except FileNotFoundError:
            continue  # its writer has just given it its final name
        try:
            _lock(fd, path)
            if _is_still(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise UnavailableError(
            f"expected to be the only one that writes to {path}, got another process",
            reason="store-busy",
            hint="wait until it is done, and repeat",
        ) from err


def _is_still(fd: int, path: Path) -> bool:
    """Whether the name still leads to the folder that was locked; a folder that got its final name is not touched."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)


def fill(fd: int, path: Path, files: Sequence[FileEntry], source: ArtifactStore, report: Report | None) -> None:
    """Have every file arrive in the open folder ``fd`` at ``path``, and flush them with their names to the disk.

    Raises:
        FormatError: the source has other bytes, or the folder holds what is no part of the artifact.
        UnavailableError: the source cannot be reached, or the disk not be written.
        OSError: the file system refused.
    """
    _refuse_foreign(path, files)

    def take(file: FileEntry, counted: Counted) -> None:
        folder, _, name = file.path.rpartition("/")
        with folder_at(fd, folder) as here:
            part = open_part(here, name)
            try:
                arrive(part, file, source, counted)
            finally:
                os.close(part)

    each_file(files, take, report)
    for folder in sorted(_folders(files)):
        with folder_at(fd, folder) as here:
            os.fsync(here)


def _folders(files: Sequence[FileEntry]) -> set[str]:
    folders = {""}
    for file in files:
        folder = file.path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _refuse_foreign(path: Path, files: Sequence[FileEntry]) -> None:
    known = {file.path for file in files}
    foreign = sorted(name for name in EXCLUDED_ROOTS if os.path.lexists(path / name))
    try:
        with opened(path) as tree:
            foreign += sorted(found.path for found in tree.files if found.path not in known)
    except FormatError as err:
        if err.reason != "artifact-empty":
            raise
    if foreign:
        raise FormatError(
            f"expected only files of the artifact in {path}, got {foreign[0]!a}",
            reason="store-staging-foreign",
            hint="it is left of another transfer or not of ours: remove the folder",
        )
