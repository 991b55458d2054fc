"""A folder in which an artifact arrives, beside the place where it is to be: nobody takes it for the artifact.

Rules:
- One writer at a time: the folder is locked, and another writer is told so.
- What lies in it and is no part of the artifact is refused, never removed: it may be somebody's.
- It outlives an interruption, so that the next writer continues.
- What belongs to another user is refused: whose file it is may write it after it was compared.
- No path with a part ``.git`` is written: git runs what the configuration of a repository says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from lamslsa.artifact._walk import opened
from lamslsa.artifact.manifest import EXCLUDED_ROOTS, FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.arrival import Counted, arrive, each_file, folder_at, open_part
from lamslsa.store.interface import ArtifactStore, Report

__all__ = ["clear", "fill", "move", "refuse_git", "refuse_other_owner", "settle", "staging"]

_GIT: Final = ".git"

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def staging(path: Path, *, mode: int = 0o777) -> Iterator[int]:
    """Make the folder, or take up the one that is there; yields its descriptor, locked.

    Raises:
        FormatError: something else has this name, or another user owns it.
        UnavailableError: another process writes there.
        OSError: the file system refused.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=mode)
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
            refuse_other_owner(fd, str(path))
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


def refuse_other_owner(fd: int, name: str) -> None:
    """Refuse an open file or folder of another user.

    Raises:
        FormatError: it is one.
    """
    if os.fstat(fd).st_uid != os.geteuid():
        _refuse_owner(name)


def _refuse_owner(name: str) -> NoReturn:
    raise FormatError(
        f"expected {name!a} to be of our own, got a file or folder of another user",
        reason="store-other-owner",
        hint="remove it: whose it is could change it after it was compared",
    )


def refuse_git(files: Sequence[FileEntry]) -> None:
    """Refuse an artifact with a git repository in it, or what git takes for one.

    Raises:
        FormatError: one of the paths has a part ``.git``, in any case.
    """
    for file in files:
        if _GIT in file.path.casefold().split("/"):
            raise FormatError(
                f"expected no part named {_GIT} in a path that is to be written, got {file.path!a}",
                reason="store-git-path",
                hint="git runs what the configuration of a repository says: copy it to a registry or a layout only",
            )


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
        FormatError: the source has other bytes, a path is not one to write, or the folder holds what is no part of
            the artifact or another user's.
        UnavailableError: the source cannot be reached, or the disk not be written.
        OSError: the file system refused.
    """
    refuse_git(files)
    _refuse_foreign(path, files)
    _refuse_owners(path)

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


def move(file: FileEntry, staged: int, target: int) -> None:
    """Give a file that arrived its final name below an open folder, which nothing may have yet.

    Raises:
        FormatError: a link or something else stands on the way.
        OSError: the file system refused; FileExistsError where something has the name.
    """
    above, _, name = file.path.rpartition("/")
    with folder_at(staged, above) as here, folder_at(target, above) as there:
        os.link(name, name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        os.unlink(name, dir_fd=here)
        os.fsync(there)


def settle(files: Sequence[FileEntry], staged: int, target: int) -> None:
    """Take away the first name of files that have their final one: an interruption came between the two.

    Raises:
        OSError: the file system refused.
    """
    for file in files:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mine = os.stat(file.path, dir_fd=staged, follow_symlinks=False)
            if os.path.samestat(mine, os.stat(file.path, dir_fd=target, follow_symlinks=False)):
                os.unlink(file.path, dir_fd=staged)


def clear(path: Path, fd: int, files: Sequence[FileEntry]) -> None:
    """Remove the folder when its files have been moved; what else may be in it stays, and so does the folder."""
    with contextlib.suppress(OSError):
        for folder in sorted(_folders(files) - {""}, key=len, reverse=True):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder, dir_fd=fd)
        path.rmdir()


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


def _refuse_owners(path: Path) -> None:
    """Refuse what another user has put there; the folders are no deeper than paths of an artifact, or were refused."""
    pending = [path]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                    _refuse_owner(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
