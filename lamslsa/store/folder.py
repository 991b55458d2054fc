"""A plain folder, or a single file, as a store: the files are the artifact, bundles lie in ``.attestations/`` beside.

Rules:
- The manifest is computed from the bytes. A reference ``PATH@sha256:…`` pins it.
- An artifact is received into a folder that is not there, is empty, or holds this very artifact. Anything else in the
  way is refused; nothing is ever overwritten.
- Where nothing is there, files arrive in ``NAME.partial`` beside it, and all of them get their final name at once. A
  folder that is there stays the folder that it is: files arrive in ``.lamslsa.partial`` in it and are moved out one by
  one when all are complete; as long as that is there the folder is no artifact.
- No link is followed while writing, neither by files nor by bundles; ``.attestations`` that is a link is not read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa._files import sync_folder
from lamslsa.artifact._walk import Found, Tree, open_file, opened
from lamslsa.artifact._walk import read_blocks as walked_blocks
from lamslsa.artifact.hashing import hash_artifact
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest, refuse_path
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store.arrival import BLOCK
from lamslsa.store.directory import DirectoryStore
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.keeping import Kept, NamedBundle
from lamslsa.store.naming import DEFAULT_FOLDER
from lamslsa.store.staging import clear, fill, move, refuse_git, settle, staging

__all__ = ["PARTIAL_SUFFIX", "FolderStore", "beside", "read_blocks", "refuse_pinned"]

_INNER: Final = ".lamslsa.partial"
PARTIAL_SUFFIX: Final = ".partial"
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStore:
    """An artifact on disk, and the bundles beside it.

    Attributes:
        path: a folder, which need not exist yet, or a single file.
        kind: model or dataset; part of the identity.
        pinned: SHA-256 of the manifest that is expected here; empty where any is.
    """

    path: Path
    kind: Kind = "model"
    pinned: str = ""

    @property
    def reference(self) -> str:
        """The path, with the digest where the reference has one."""
        return f"{self.path}@sha256:{self.pinned}" if self.pinned else str(self.path)

    @property
    def attestations(self) -> Path:
        """The folder of the bundles."""
        return (self.path.parent if self.path.is_file() else self.path) / DEFAULT_FOLDER

    def manifest(self, report: Report | None = None) -> Manifest:
        """The manifest, computed from the bytes on disk.

        Raises:
            FormatError: there is no artifact, one that is still arriving, or another one than the reference pins.
        """
        if os.path.lexists(self.path / _INNER):
            raise FormatError(
                f"expected a complete artifact at {self.path}, got one that is still arriving",
                reason="store-incomplete",
                hint=f"pull it again, or remove {_INNER} in it",
            )
        manifest = hash_artifact(self.path, self.kind, progress=report)
        refuse_pinned(manifest, self.pinned, self.reference)
        return manifest

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on.

        Raises:
            FormatError: there is no such file, or a link leads out of the artifact.
            UnavailableError: it cannot be read.
        """
        root = os.path.realpath(self.path)
        if self.path.is_file() and file.path == self.path.name:
            return read_blocks(Path(root).parent, root, file.path, offset, inside=(root,))
        return read_blocks(Path(root), os.path.join(root, file.path), file.path, offset, inside=(root,))  # noqa: PTH118

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle in ``.attestations/``, as `DirectoryStore` has it.

        Raises:
            UnavailableError: the folder cannot be listed.
            FormatError: ``.attestations`` is a link.
        """
        return beside(self.attestations).bundles()

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle in ``.attestations/`` and return its path.

        Raises:
            FormatError: there is no artifact, or ``.attestations`` is a link.
            UnavailableError: the folder cannot be written.
        """
        return self._beside().put(bundle, name=name)

    def put_all(self, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
        """Keep bundles in ``.attestations/``, as `DirectoryStore` does.

        Raises:
            FormatError: there is no artifact, or ``.attestations`` is a link.
            UnavailableError: the folder cannot be listed.
        """
        return self._beside().put_all(bundles)

    def _beside(self) -> DirectoryStore:
        if not self.path.exists():
            raise FormatError(
                f"expected a folder or file to keep bundles beside, got nothing at {self.path}",
                reason="store-no-artifact",
                hint="push or pull the artifact first",
            )
        return beside(self.attestations)

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact; resumes what was interrupted.

        Raises:
            FormatError: a file of the source has other bytes, or something else is in the way.
            UnavailableError: the source cannot be reached, or the folder not be written.
        """
        refuse_pinned(manifest, self.pinned, self.reference)
        refuse_git(manifest.files)
        root = Path(os.path.realpath(self.path))
        try:
            if not os.path.lexists(root):
                _arrive_beside(root, manifest, source, report)
            elif root.is_dir() and _is_free(root):
                _arrive_inside(root, manifest, source, report)
            else:
                _refuse_other(root, manifest, report)
        except OSError as err:
            raise UnavailableError(
                f"expected to write {root}, got {err.strerror}",
                reason="store-write",
                hint="the folder, or the one above a new one, has to be writable; what has arrived is kept",
            ) from err
        return self._pinned_to(manifest)

    def _pinned_to(self, manifest: Manifest) -> str:
        return f"{self.path}@sha256:{manifest.sha256}"


def refuse_pinned(manifest: Manifest, pinned: str, reference: str) -> None:
    """Refuse a manifest of another digest than the reference names, if it names one.

    Raises:
        FormatError: another artifact.
    """
    if pinned and manifest.sha256 != pinned:
        raise FormatError(
            f"expected the artifact {reference}, got sha256:{manifest.sha256}",
            reason="store-pinned",
            hint="its bytes are others than when the reference was written down, or its kind is the other one",
        )


def beside(folder: Path, links_into: Path | None = None) -> DirectoryStore:
    """The bundles beside an artifact, in a folder that must not be a link: what we get may have made it.

    Raises:
        FormatError: the folder is a link.
    """
    if folder.is_symlink():
        raise FormatError(
            f"expected a folder of its own at {folder}, got a link",
            reason="store-attestations-link",
            hint="remove the link, or name its target",
        )
    return DirectoryStore(folder, links_into=links_into)


def read_blocks(root: Path, where: str, path: str, offset: int, *, inside: Sequence[str]) -> Iterator[bytes]:
    """The blocks of a file of an artifact; a link is followed as long as it stays inside one of some places.

    Args:
        root: of the artifact, for messages.
        where: the file, absolute.
        path: the file's path in the artifact.
        offset: where to begin.
        inside: real paths of folders, or of the file itself.

    Raises:
        FormatError: no such file, or a link that leads elsewhere.
        UnavailableError: it cannot be read.
    """
    refuse_path(path)
    try:
        target = os.path.realpath(where, strict=True)
        if not any(os.path.commonpath([place, target]) == place for place in inside):
            raise FormatError(
                f"expected links that stay inside the artifact, got one that leaves it at {path!a}",
                reason="store-link-outside",
            )
        fd = os.open(target, _FILE)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FormatError(f"expected a file {path!a} in {root}, got another kind", reason="store-no-file")
    except (FileNotFoundError, NotADirectoryError) as err:
        raise FormatError(f"expected a file {path!a} in {root}, got none", reason="store-no-file") from err
    except OSError as err:
        raise _unreadable(path, err) from err
    with os.fdopen(fd, "rb", buffering=0) as file:
        try:
            file.seek(offset)
            while block := file.read(BLOCK):
                yield block
        except OSError as err:
            raise _unreadable(path, err) from err


def _is_free(root: Path) -> bool:
    """Whether a folder is empty, or what is in it began to arrive."""
    with os.scandir(root) as entries:
        names = [entry.name for _, entry in zip(range(2), entries, strict=False)]
    return not names or os.path.lexists(root / _INNER)


def _arrive_beside(root: Path, manifest: Manifest, source: ArtifactStore, report: Report | None) -> None:
    partial = root.with_name(root.name + PARTIAL_SUFFIX)
    with staging(partial) as fd:
        fill(fd, partial, manifest.files, source, report)
        if os.path.lexists(root):
            raise _taken(root)
        try:
            partial.rename(root)
        except OSError as err:
            if os.path.lexists(root):
                raise _taken(root) from err
            raise
    sync_folder(root.parent)


def _arrive_inside(root: Path, manifest: Manifest, source: ArtifactStore, report: Report | None) -> None:
    partial = root / _INNER
    if any(file.path.partition("/")[0].casefold() == _INNER for file in manifest.files):
        raise FormatError(
            f"expected no part of the artifact to be named {_INNER}, got one",
            reason="store-staging-name",
            hint="name a folder that does not exist yet",
        )
    with staging(partial, mode=0o700) as staged:
        target = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            settle(manifest.files, staged, target)
            missing = _missing(root, manifest)
            fill(staged, partial, missing, source, report)
            for file in missing:
                try:
                    move(file, staged, target)
                except FileExistsError as err:
                    raise _taken(root) from err
            clear(partial, staged, manifest.files)
            os.fsync(target)
        finally:
            os.close(target)


def _missing(root: Path, manifest: Manifest) -> list[FileEntry]:
    """What a folder has yet to get, of which parts began to arrive; refuses one that holds anything else."""
    expected = {file.path: file for file in manifest.files}
    try:
        with opened(root) as tree:
            for found in tree.files:
                if found.path.startswith(_INNER + "/"):
                    continue
                file = expected.pop(found.path, None)
                if file is None or file.size != found.size or _digest(tree, found) != file.sha256:
                    raise _taken(root)
    except FormatError as err:
        if err.reason != "artifact-empty":
            raise _taken(root) from err
    return list(expected.values())


def _digest(tree: Tree, file: Found) -> str:
    digest = hashlib.sha256()
    fd = open_file(tree, file)
    try:
        for block in walked_blocks(fd, memoryview(bytearray(min(BLOCK, file.size + 1))), file):
            digest.update(block)
    finally:
        os.close(fd)
    return digest.hexdigest()


def _refuse_other(root: Path, manifest: Manifest, report: Report | None) -> None:
    """Refuse what is in the way unless it is this very artifact; sizes first, since they cost nothing."""
    try:
        with opened(root) as tree:
            alike = {(found.path, found.size) for found in tree.files} == {(f.path, f.size) for f in manifest.files}
        if alike and hash_artifact(root, manifest.kind, progress=report) == manifest:
            return
    except FormatError as err:
        raise _taken(root) from err
    raise _taken(root)


def _taken(root: Path) -> FormatError:
    return FormatError(
        f"expected nothing, an empty folder or this very artifact at {root}, got something else",
        reason="store-taken",
        hint="name another folder; nothing is overwritten",
    )


def _unreadable(path: str, err: OSError) -> UnavailableError:
    return UnavailableError(f"expected to read {path!a}, got {err.strerror}", reason="store-read")
