"""Find the files of an artifact on an untrusted disk and open them, without ever following it out of its root.

Rules:
- A link to a file inside the root is that file. A link to a folder, a link that leaves the root, one that dangles or
  loops, and whatever is neither file nor folder is refused by name.
- Files are counted while they are found: a folder of ten million entries is refused after the first 15,001.
- A file is opened without following links and without blocking (a named pipe would wait for ever), and must then still
  be a regular file; whoever reads it refuses another size than the one that was found.
"""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn

from lamslsa.artifact.manifest import EXCLUDED_ROOTS, MAX_FILES, refuse_count, refuse_paths
from lamslsa.errors import FormatError

__all__ = ["Found", "Tree", "open_file", "opened", "read_blocks", "read_into", "refuse_changed"]

_MAX_FOLDERS: Final = 4 * MAX_FILES
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_OUTSIDE_HINT: Final = "copy it with its links resolved: lamslsa digest PATH --materialize DIR"

Links = Literal["inside", "anywhere"]


class Found(NamedTuple):
    """A file as it was found: its path in the artifact, what to open (relative to `Tree.fd`, or absolute), its size."""

    path: str
    source: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files below a root.

    Attributes:
        fd: the open root folder; None when the root is a single file.
    """

    fd: int | None
    files: tuple[Found, ...]


@contextlib.contextmanager
def opened(root: Path, *, links: Links = "inside") -> Iterator[Tree]:
    """Find the files of the artifact at ``root``, a folder or a single file, and keep its folder open meanwhile.

    ``root`` itself may be a link: its user named it.

    Raises:
        FormatError: there is no such artifact, or something in it is refused.
    """
    try:
        info = os.stat(root)  # noqa: PTH116 - the same call for names that hold NUL
    except (FileNotFoundError, NotADirectoryError, ValueError) as err:
        raise FormatError(
            f"expected a file or folder, got nothing at {str(root)!a}", reason="artifact-missing"
        ) from err
    except OSError as err:
        _refuse_error(str(root), err)
    if stat.S_ISREG(info.st_mode):
        refuse_paths([root.name])
        yield Tree(fd=None, files=(Found(root.name, os.path.realpath(root), info.st_size),))
        return
    if not stat.S_ISDIR(info.st_mode):
        _refuse_special(str(root), info.st_mode)
    try:
        fd = os.open(root, _FOLDER)
    except OSError as err:
        _refuse_error(str(root), err)
    try:
        files = _Walk(fd, os.path.realpath(root), links).files()
        refuse_paths([file.path for file in files])
        yield Tree(fd=fd, files=tuple(files))
    finally:
        os.close(fd)


class _Walk:
    def __init__(self, fd: int, root: str, links: Links) -> None:
        self._fd = fd
        self._root = root
        self._links = links
        self._pending = [""]
        self._folders = 0
        self._found: list[Found] = []

    def files(self) -> list[Found]:
        while self._pending:
            prefix = self._pending.pop()
            try:
                here = os.open(prefix or ".", _FOLDER | os.O_NOFOLLOW, dir_fd=self._fd)
                try:
                    self._folder(here, prefix)
                finally:
                    os.close(here)
            except OSError as err:
                _refuse_error(prefix, err)
        return self._found

    def _folder(self, fd: int, prefix: str) -> None:
        entries: list[os.DirEntry[str]] = []
        folders: list[str] = []
        with os.scandir(fd) as listing:
            for entry in listing:
                if not entry.is_dir(follow_symlinks=False):
                    entries.append(entry)
                elif prefix or entry.name not in EXCLUDED_ROOTS:
                    folders.append(f"{prefix}{entry.name}/")
                if len(self._found) + len(entries) > MAX_FILES:
                    refuse_count()
                if self._folders + len(folders) > _MAX_FOLDERS:
                    raise FormatError(f"expected at most {_MAX_FOLDERS} folders, got more", reason="artifact-folders")
        self._folders += len(folders)
        self._pending += sorted(folders, reverse=True)
        for entry in sorted(entries, key=operator.attrgetter("name")):
            path = prefix + entry.name
            if entry.is_symlink():
                self._found.append(self._link(path))
                continue
            info = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                _refuse_special(path, info.st_mode)
            self._found.append(Found(path, path, info.st_size))

    def _link(self, path: str) -> Found:
        try:
            os.stat(os.path.join(self._root, path))  # noqa: PTH116, PTH118 - the kernel bounds the chain; realpath does not
            target = os.path.realpath(os.path.join(self._root, path), strict=True)  # noqa: PTH118 - one of many
            info = os.stat(target)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError) as err:
            raise FormatError(
                f"expected a link to a file, got one to nothing at {path!a}", reason="artifact-link-dangling"
            ) from err
        except OSError as err:
            _refuse_error(path, err)
        if stat.S_ISDIR(info.st_mode):
            raise FormatError(
                f"expected a link to a file, got one to a folder at {path!a}",
                reason="artifact-link-folder",
                hint="replace the link by the folder",
            )
        if not stat.S_ISREG(info.st_mode):
            _refuse_special(path, info.st_mode)
        if self._links == "inside" and os.path.commonpath([self._root, target]) != self._root:
            raise FormatError(
                f"expected links that stay inside the artifact, got one that leaves it at {path!a}",
                reason="artifact-link-outside",
                hint=_OUTSIDE_HINT,
            )
        return Found(path, target, info.st_size)


def open_file(tree: Tree, file: Found) -> int:
    """Open a file that was found, and return its descriptor.

    Raises:
        FormatError: it is not there any more, became something else, or cannot be read.
    """
    try:
        fd = os.open(file.source, _FILE, dir_fd=tree.fd)
    except OSError as err:
        if err.errno in _GONE:
            refuse_changed(file)
        _refuse_error(file.path, err)
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        os.close(fd)
        refuse_changed(file)
    return fd


def read_into(fd: int, buffer: memoryview, file: Found) -> int:
    """Read the next bytes of a file into ``buffer`` and return their number, 0 at its end.

    Raises:
        FormatError: they cannot be read.
    """
    try:
        return os.readv(fd, [buffer])
    except OSError as err:
        _refuse_error(file.path, err)


def read_blocks(fd: int, buffer: memoryview, file: Found) -> Iterator[memoryview]:
    """Every block of a file, each in ``buffer`` until the next; ends in a refusal if the file has not kept its size.

    Raises:
        FormatError: it cannot be read, or is not as long as it was found.
    """
    total = 0
    while size := read_into(fd, buffer, file):
        total += size
        if total > file.size:
            break
        yield buffer[:size]
    if total != file.size:
        refuse_changed(file)


def refuse_changed(file: Found) -> NoReturn:
    """Refuse a file that did not stay as it was found."""
    raise FormatError(
        f"expected {file.path!a} to stay as it is while it is read, got another file or size",
        reason="artifact-changed",
        hint="wait until nothing writes to the artifact any more",
    )


def _refuse_special(path: str, mode: int) -> NoReturn:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    raise FormatError(f"expected files and folders, got {kind} at {path!a}", reason="artifact-special")


def _refuse_error(path: str, err: OSError) -> NoReturn:
    if err.errno == errno.ELOOP:
        raise FormatError(f"expected a link to a file, got a loop at {path!a}", reason="artifact-link-loop") from err
    raise FormatError(
        f"expected to read {path!a}, got {err.strerror or type(err).__name__}", reason="artifact-unreadable"
    ) from err
