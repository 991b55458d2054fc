"""A plain folder, or a single file, as a store: the files are the artifact, bundles lie in ``.attestations/`` beside.

Rules:
- The manifest is computed from the bytes. A reference ``PATH@sha256:…`` pins it.
- An artifact is received into a folder that is not there, is empty, or holds this very artifact. Anything else in the
  way is refused; nothing is ever overwritten.
- Files arrive in ``NAME.partial`` beside the folder, and all of them get their final name at once.
- No link is followed while writing, neither by files nor by bundles.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa._files import sync_folder
from lamslsa.artifact._walk import opened
from lamslsa.artifact.hashing import hash_artifact
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest, refuse_path
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.arrival import BLOCK
from lamslsa.store.directory import DirectoryStore
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.naming import DEFAULT_FOLDER
from lamslsa.store.staging import fill, staging

__all__ = ["PARTIAL_SUFFIX", "FolderStore", "put_beside", "read_blocks", "refuse_pinned"]

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
            FormatError: there is no artifact, or another one than the reference pins.
        """
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
            FormatError: more files, or more bytes of them, than the limits allow.
        """
        return DirectoryStore(self.attestations).bundles()

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle in ``.attestations/`` and return its path.

        Raises:
            FormatError: there is no artifact, or ``.attestations`` is a link.
            UnavailableError: the folder cannot be written.
        """
        if not self.path.exists():
            raise FormatError(
                f"expected a folder or file to keep bundles beside, got nothing at {self.path}",
                reason="store-no-artifact",
                hint="push or pull the artifact first",
            )
        return put_beside(self.attestations, bundle, name=name)

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact; resumes what was interrupted.

        Raises:
            FormatError: a file of the source has other bytes, or something else is in the way.
            UnavailableError: the source cannot be reached, or the folder not be written.
        """
        refuse_pinned(manifest, self.pinned, self.reference)
        root = Path(os.path.realpath(self.path))
        if not self._is_free(root):
            _refuse_other(root, manifest)
            return self._pinned_to(manifest)
        partial = root.with_name(root.name + PARTIAL_SUFFIX)
        try:
            with staging(partial) as fd:
                fill(fd, partial, manifest.files, source, report)
                try:
                    partial.rename(root)
                except OSError as err:
                    if self._is_free(root):
                        raise
                    raise _taken(root) from err
            sync_folder(root.parent)
        except OSError as err:
            raise UnavailableError(
                f"expected to write {root}, got {err.strerror}",
                reason="store-write",
                hint="the folder above has to be writable; what has arrived is kept",
            ) from err
        return self._pinned_to(manifest)

    @staticmethod
    def _is_free(root: Path) -> bool:
        try:
            with os.scandir(root) as entries:
                return next(entries, None) is None
        except FileNotFoundError:
            return True
        except NotADirectoryError:
            return False
        except OSError as err:
            raise UnavailableError(f"expected to read {root}, got {err.strerror}", reason="store-read") from err

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


def put_beside(folder: Path, bundle: bytes, *, name: str) -> str:
    """Keep a bundle in the folder beside an artifact, which must not be a link: what we get may have made it.

    Raises:
        FormatError: the folder is a link, or the bundle is not one that a folder takes.
        UnavailableError: the folder cannot be written.
    """
    if folder.is_symlink():
        raise FormatError(
            f"expected a folder of its own at {folder}, got a link",
            reason="store-attestations-link",
            hint="remove the link, or name its target",
        )
    return DirectoryStore(folder).put(bundle, name=name)


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


def _refuse_other(root: Path, manifest: Manifest) -> None:
    """Refuse what is in the way unless it is this very artifact; sizes first, since they cost nothing."""
    try:
        with opened(root) as tree:
            alike = {(found.path, found.size) for found in tree.files} == {(f.path, f.size) for f in manifest.files}
        if alike and hash_artifact(root, manifest.kind) == manifest:
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
