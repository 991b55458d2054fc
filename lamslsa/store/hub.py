"""A Hugging Face repository on disk: a git clone, or a snapshot in the hub's cache. ``hub:PATH``.

Rules:
- The files of the repository are the artifact, all of them: ``.gitattributes`` is a file of the model like any other
  and counts; ``.git/`` and ``.attestations/`` do not.
- A file that Git LFS or git-annex has not fetched is a pointer to the file, not the file: refused.
- In a snapshot files are links into ``blobs/`` of the same cache entry. Those are followed, bundles too; a link that
  leads anywhere else is refused. The manifest equals that of the folder that ``lamslsa digest --materialize`` makes.
- A clone can be written: files that it has not yet are added, ``.git`` is left alone. Afterwards it has to hold the
  artifact and nothing else, so a clone with other files is refused. The cache is the hub's: it is only read.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache; pointers:
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, https://git-annex.branchable.com/internals/pointer_file/
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa.artifact._walk import Found, Tree, open_file, opened, read_blocks
from lamslsa.artifact.hashing import Meter, hash_artifact
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store import folder
from lamslsa.store.arrival import BLOCK
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.keeping import Kept, NamedBundle
from lamslsa.store.naming import DEFAULT_FOLDER
from lamslsa.store.staging import clear, fill, move, refuse_git, settle, staging

__all__ = ["SCHEME", "HubStore"]

SCHEME: Final = "hub:"
_ENTRY: Final = re.compile(r"(?:models|datasets)--.+")
# As git-lfs reads them: the names that it had before, and whatever ends the line.
_LFS: Final = re.compile(
    rb"\s*version (?:https://(?:git-lfs|hawser)\.github\.com/spec/v\d|http://git-media\.io/v/\d)\s"
)
_ANNEX: Final = b"/annex/objects/"
_HEAD_BYTES: Final = 64
_MAX_LFS_BYTES: Final = 1024
_MAX_ANNEX_BYTES: Final = 32 * 1024
_THREADS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStore:
    """A clone or a cache snapshot of a hub repository.

    Attributes:
        path: the clone, or the snapshot ``models--ORG--NAME/snapshots/REV``.
        kind: model or dataset; part of the identity.
        pinned: SHA-256 of the manifest that is expected here; empty where any is.
    """

    path: Path
    kind: Kind = "model"
    pinned: str = ""

    @property
    def reference(self) -> str:
        """``hub:PATH``, with the digest where the reference has one."""
        return f"{SCHEME}{self.path}" + (f"@sha256:{self.pinned}" if self.pinned else "")

    def manifest(self, report: Report | None = None) -> Manifest:
        """The manifest, computed from the bytes on disk.

        Raises:
            FormatError: no clone or snapshot, an LFS pointer in place of a file, a link that leaves the cache entry,
                or another artifact than the reference pins.
        """
        root, blobs = self._place()
        if blobs is None:
            with opened(root) as tree:
                _refuse_pointers(tree)
            manifest = hash_artifact(root, self.kind, progress=report)
        else:
            manifest = _snapshot_manifest(root, blobs, self.kind, report)
        folder.refuse_pinned(manifest, self.pinned, self.reference)
        return manifest

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on.

        Raises:
            FormatError: there is no such file, or a link leads out of the repository.
            UnavailableError: it cannot be read.
        """
        root, blobs = self._place()
        inside = (str(root),) if blobs is None else (str(root), str(blobs))
        return folder.read_blocks(root, os.path.join(root, file.path), file.path, offset, inside=inside)  # noqa: PTH118

    def expect(self) -> None:
        """Refuse what cannot be written, whatever the artifact.

        Raises:
            FormatError: no clone, or a snapshot of the cache.
        """
        self._clone()

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle in ``.attestations/``, as `DirectoryStore` has it.

        Raises:
            UnavailableError: the folder cannot be listed.
            FormatError: no clone or snapshot, or ``.attestations`` is a link.
        """
        root, blobs = self._place()
        return folder.beside(root / DEFAULT_FOLDER, links_into=blobs).bundles()

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle in ``.attestations/`` of a clone and return its path.

        Raises:
            FormatError: a snapshot of the cache, or ``.attestations`` is a link.
            UnavailableError: the folder cannot be written.
        """
        return folder.beside(self._clone() / DEFAULT_FOLDER).put(bundle, name=name)

    def put_all(self, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
        """Keep bundles in ``.attestations/`` of a clone, as `DirectoryStore` does.

        Raises:
            FormatError: a snapshot of the cache, or ``.attestations`` is a link.
            UnavailableError: the folder cannot be listed.
        """
        return folder.beside(self._clone() / DEFAULT_FOLDER).put_all(bundles)

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Add the files of an artifact to a clone; resumes what was interrupted.

        Raises:
            FormatError: a snapshot of the cache, a clone that holds other files, or a source that has other bytes.
            UnavailableError: the source cannot be reached, or the clone not be written.
        """
        folder.refuse_pinned(manifest, self.pinned, self.reference)
        refuse_git(manifest.files)
        root = self._clone()
        missing = _missing(root, manifest, report)
        try:
            if missing or os.path.lexists(_partial(root)):
                _complete(root, manifest, missing, source, report)
        except OSError as err:
            raise UnavailableError(
                f"expected to write {root}, got {err.strerror}",
                reason="store-write",
                hint="the clone and the folder above have to be writable; what has arrived is kept",
            ) from err
        return f"{SCHEME}{self.path}@sha256:{manifest.sha256}"

    def _place(self) -> tuple[Path, Path | None]:
        """The real path of the repository, and of the cache entry's blobs if it is a snapshot."""
        root = Path(os.path.realpath(self.path))
        entry = root.parent.parent
        if root.parent.name == "snapshots" and _ENTRY.fullmatch(entry.name) and root.is_dir():
            return root, entry / "blobs"
        if (root / ".git").exists():
            return root, None
        snapshots = _ENTRY.fullmatch(root.name) and (root / "snapshots").is_dir()
        raise FormatError(
            f"expected a git clone or a snapshot of the hub's cache, got neither at {self.path}",
            reason="hub-layout",
            hint=f"name one of {root / 'snapshots'}" if snapshots else "a plain folder is named without hub:",
        )

    def _clone(self) -> Path:
        root, blobs = self._place()
        if blobs is not None:
            raise FormatError(
                f"expected a git clone to write to, got a snapshot of the hub's cache: {self.path}",
                reason="hub-cache-read-only",
                hint=f"copy it first: lamslsa copy {self.reference} FOLDER",
            )
        return root


def _refuse_pointers(tree: Tree) -> None:
    for file in tree.files:
        if not 0 < file.size <= _MAX_ANNEX_BYTES:
            continue
        fd = open_file(tree, file)
        try:
            head = os.read(fd, _HEAD_BYTES)
        finally:
            os.close(fd)
        if file.size <= _MAX_LFS_BYTES and _LFS.match(head):
            raise FormatError(
                f"expected the file {file.path!a}, got a Git LFS pointer to it",
                reason="hub-lfs-pointer",
                hint="git lfs pull",
            )
        if head.startswith(_ANNEX):
            raise FormatError(
                f"expected the file {file.path!a}, got a git-annex pointer to it",
                reason="hub-annex-pointer",
                hint="git annex get",
            )


def _snapshot_manifest(root: Path, blobs: Path, kind: Kind, report: Report | None) -> Manifest:
    with opened(root, links="anywhere") as tree:
        for file in tree.files:
            _refuse_outside(file, (str(root), str(blobs)))
        meter = Meter(tree.files, report)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="lamslsa-hash") as pool:
            return Manifest.of(kind, pool.map(lambda file: _hash(tree, file, meter), tree.files))


def _refuse_outside(file: Found, inside: tuple[str, ...]) -> None:
    """A link was found with the absolute path that it leads to, everything else with a relative one."""
    if file.source.startswith("/") and all(os.path.commonpath([place, file.source]) != place for place in inside):
        raise FormatError(
            f"expected links into the blobs of this cache entry, got one that leads elsewhere at {file.path!a}",
            reason="hub-link-outside",
            hint="download the model again; what the hub's client writes has no such links",
        )


def _hash(tree: Tree, file: Found, meter: Meter) -> FileEntry:
    digest = hashlib.sha256()
    fd = open_file(tree, file)
    try:
        for block in read_blocks(fd, memoryview(bytearray(min(BLOCK, file.size + 1))), file):
            digest.update(block)
            meter.add(len(block))
    finally:
        os.close(fd)
    meter.add(0, files=1)
    return FileEntry(path=file.path, sha256=digest.hexdigest(), size=file.size)


def _complete(
    root: Path, manifest: Manifest, missing: Sequence[FileEntry], source: ArtifactStore, report: Report | None
) -> None:
    """Have what is missing arrive beside the clone, and move it in when all of it is complete."""
    partial = _partial(root)
    with staging(partial) as staged:
        clone = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            settle(manifest.files, staged, clone)
            fill(staged, partial, missing, source, report)
            for file in missing:
                move(file, staged, clone)
            clear(partial, staged, manifest.files)
            os.fsync(clone)
        finally:
            os.close(clone)


def _partial(root: Path) -> Path:
    return root.with_name(root.name + folder.PARTIAL_SUFFIX)


def _missing(root: Path, manifest: Manifest, report: Report | None) -> list[FileEntry]:
    """What a clone has yet to get; refuses one that holds anything else."""
    expected = {file.path: file for file in manifest.files}
    try:
        held = hash_artifact(root, manifest.kind, progress=report).files
    except FormatError as err:
        if err.reason != "artifact-empty":
            raise
        held = ()
    for file in held:
        if expected.pop(file.path, None) != file:
            raise FormatError(
                f"expected only files of this artifact in the clone, got {file.path!a} or other bytes in it",
                reason="hub-clone-other-files",
                hint="every file counts, .gitattributes too: remove it from the clone, or measure a model that has it",
            )
    return list(expected.values())
