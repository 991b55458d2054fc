"""An OCI image layout as a store: ``oci-layout:PATH[:TAG][@sha256:…]``.

Rules:
- The artifact is kept as its canonical manifest, so its digest here is its identity; every tool that copies layouts to
  registries (``skopeo copy oci:PATH:TAG docker://…``) can take it along.
- With a digest the reference names exactly this artifact; with a tag the one entry of that name; with neither the only
  artifact in the layout. A tag is never moved to another artifact.
- Bundles are referrers (`lamslsa.store.referrer`). They are found by the entries of ``index.json`` and by the list
  under the fallback tag; what counts is the subject in the manifest itself.

Spec: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.store import naming
from lamslsa.store.arrival import each_file
from lamslsa.store.detached import detached
from lamslsa.store.folder import refuse_pinned
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.keeping import Kept, NamedBundle
from lamslsa.store.layout_blobs import LayoutBlobs
from lamslsa.store.layout_index import Index, LayoutIndex
from lamslsa.store.layout_referrers import TAG_ANNOTATION, Entries, LayoutReferrers, tagged
from lamslsa.store.referrer import (
    ARTIFACT_TYPE,
    EMPTY_CONFIG,
    Descriptor,
    Referrer,
    artifact_descriptor,
    creation_time,
    make_referrer,
    parse_entries,
    source_of,
)

__all__ = ["SCHEME", "TAG_ANNOTATION", "ImageLayoutStore"]

SCHEME: Final = "oci-layout:"
_CHUNK: Final = 256
_CHUNK_BYTES: Final = 32 * 1024 * 1024
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FALLBACK: Final = re.compile(r"sha256-[0-9a-f]{64}")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(slots=True, kw_only=True)
class ImageLayoutStore:
    """One artifact in an image layout.

    Attributes:
        path: the layout's folder, which need not exist yet.
        tag: empty where the reference has none.
        pinned: SHA-256 of the artifact's manifest; empty where the reference has none, until one is received.
        clock: for the time in the annotations of referrers.
    """

    path: Path
    tag: str = ""
    pinned: str = ""
    clock: Callable[[], dt.datetime] = field(default=_now, repr=False, compare=False)
    _subjects: dict[str, Descriptor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _known: dict[str, Referrer] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def named(cls, place: str, pinned: str) -> ImageLayoutStore:
        """The store at ``PATH[:TAG]``.

        Raises:
            FormatError: no path, or a tag that registries keep for lists of referrers.
        """
        path, colon, tag = place.rpartition(":")
        if not colon or not _TAG.fullmatch(tag):
            path, tag = place, ""
        if not path or _FALLBACK.fullmatch(tag):
            raise FormatError(
                f"expected oci-layout:PATH[:TAG][@sha256:…], got {SCHEME}{place[:120]}", reason="layout-reference"
            )
        return cls(path=Path(path), tag=tag, pinned=pinned)

    @property
    def reference(self) -> str:
        """``oci-layout:PATH[:TAG]``, with the digest where that is known."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{SCHEME}{self.path}{tag}" + (f"@sha256:{self.pinned}" if self.pinned else "")

    def manifest(self, report: Report | None = None) -> Manifest:  # noqa: ARG002 - the protocol's signature
        """The artifact's manifest, read and verified.

        Raises:
            FormatError: no layout, no such artifact, or a manifest with other bytes than its digest names.
            UnavailableError: the layout cannot be read.
        """
        sha256 = self._artifact(self._entries())
        manifest = Manifest.parse(LayoutBlobs(self.path).blob(sha256, limit=MAX_MANIFEST_BYTES))
        self._subjects[manifest.sha256] = artifact_descriptor(manifest)
        return manifest

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on.

        Raises:
            FormatError: there is no such blob.
            UnavailableError: it cannot be read.
        """
        return LayoutBlobs(self.path).blocks(file.sha256, offset)

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle whose referrer has this artifact as its subject; one that cannot be read yields its error.

        What is over the limits is left out, and an error at the end says so.

        Raises:
            UnavailableError: the layout cannot be read.
            FormatError: no layout, or no such artifact.
        """
        artifact, referrers = self.manifest().sha256, self._reading()
        for sha256, layer in referrers.of(self._entries(), artifact):
            source = self._source(sha256) if sha256 else f"{SCHEME}{self.path}/index.json"
            data = layer if isinstance(layer, LamslsaError) else referrers.bundle(layer)
            yield StoredBundle(source=source, data=data)
            if isinstance(data, LamslsaError) and data.reason == "store-left-out":
                return

    def put(self, bundle: bytes, *, name: str) -> str:
        """Attach a bundle to the artifact and return where its referrer is.

        Raises:
            FormatError: no statement in a bundle, larger than a reader takes, one more than a reader sees, or there is
                no artifact.
            UnavailableError: the layout cannot be written.
        """
        (outcome,) = self.put_all([NamedBundle(data=bundle, name=name)])
        if isinstance(outcome, LamslsaError):
            raise outcome
        return outcome.place

    def put_all(self, bundles: Iterable[NamedBundle]) -> Iterator[Kept | LamslsaError]:
        """Attach bundles to the artifact; the index is written once for many of them.

        Raises:
            FormatError: no layout, or no such artifact.
            UnavailableError: the layout cannot be read.
        """
        artifact = self._artifact(self._entries())
        subject = self._subjects.get(artifact) or artifact_descriptor(self.manifest())
        chunk: list[bytes] = []
        for bundle in bundles:
            chunk.append(bundle.data)
            if len(chunk) == _CHUNK or sum(map(len, chunk)) >= _CHUNK_BYTES:
                yield from self._attach(subject, chunk)
                chunk = []
        yield from self._attach(subject, chunk)

    def _attach(self, subject: Descriptor, bundles: Sequence[bytes]) -> list[Kept | LamslsaError]:
        if not bundles:
            return []
        try:
            with LayoutIndex(self.path).changing() as index:
                held, room = self._held(index, subject.sha256)
                return [self._keep(subject, bundle, index, held, room) for bundle in bundles]
        except LamslsaError as err:
            if len(bundles) == 1 or err.reason != "layout-index-full":
                return [detached(err)] * len(bundles)
        half = len(bundles) // 2
        return [*self._attach(subject, bundles[:half]), *self._attach(subject, bundles[half:])]

    def _held(self, index: Index, artifact: str) -> tuple[dict[str, str], naming.Allowance]:
        """Where each bundle is that the artifact has, by digest, and how much more it may have."""
        held: dict[str, str] = {}
        room = naming.Allowance()
        for sha256, layer in self._reading().of(parse_entries(index["manifests"]), artifact):
            if isinstance(layer, Descriptor):
                held.setdefault(layer.sha256, sha256)
                if not room.spend(layer.size):
                    return held, naming.Allowance(files=0)
        return held, room

    def _keep(
        self, subject: Descriptor, bundle: bytes, index: Index, held: dict[str, str], room: naming.Allowance
    ) -> Kept | LamslsaError:
        try:
            naming.refuse_large(bundle)
            made = make_referrer(subject, bundle, created=creation_time(self.clock()))
            if made.bundle.sha256 in held:
                return Kept(place=self._source(held[made.bundle.sha256]), new=False)
            if not room.spend(len(bundle)):
                raise room.full(self.reference)
            for data in (EMPTY_CONFIG, bundle, made.manifest):
                LayoutBlobs(self.path).write(data)
        except LamslsaError as err:
            return detached(err)
        index["manifests"].append(made.descriptor.wire())
        held[made.bundle.sha256] = made.descriptor.sha256
        return Kept(place=self._source(made.descriptor.sha256), new=True)

    def expect(self) -> None:
        """Refuse a place where no artifact can be put.

        Raises:
            FormatError: the folder holds something else, or is a file.
            UnavailableError: it cannot be read.
        """
        LayoutIndex(self.path).expect()

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact; resumes what was interrupted.

        Raises:
            FormatError: a file of the source has other bytes, the folder holds something else, or the tag names
                another artifact.
            UnavailableError: the source cannot be reached, or the layout not be written.
        """
        refuse_pinned(manifest, self.pinned, self.reference)
        index_file, files = LayoutIndex(self.path), LayoutBlobs(self.path)
        index_file.create()
        self._refuse_moving(self._entries(), manifest.sha256)
        blobs: dict[tuple[str, int], FileEntry] = {(file.sha256, file.size): file for file in manifest.files}
        each_file(list(blobs.values()), lambda file, counted: files.take(file, source, counted), report)
        files.write(manifest.config)
        files.write(manifest.canonical)
        with index_file.changing() as index:
            entries = parse_entries(index["manifests"])
            self._refuse_moving(entries, manifest.sha256)
            if self.tag not in _names(entries, manifest.sha256):
                index["manifests"].append(self._entry(manifest))
        self.pinned = manifest.sha256
        return self.reference

    def _entries(self) -> Entries:
        return parse_entries(LayoutIndex(self.path).read()["manifests"])

    def _reading(self) -> LayoutReferrers:
        return LayoutReferrers(LayoutBlobs(self.path), place=f"{SCHEME}{self.path}", known=self._known)

    def _source(self, sha256: str) -> str:
        return source_of(f"{SCHEME}{self.path}", sha256)

    def _entry(self, manifest: Manifest) -> dict[str, Any]:
        entry = {**artifact_descriptor(manifest).wire(), "artifactType": ARTIFACT_TYPE}
        return {**entry, "annotations": {TAG_ANNOTATION: self.tag}} if self.tag else entry

    def _refuse_moving(self, entries: Entries, sha256: str) -> None:
        if self.tag and any(entry.sha256 != sha256 for entry in tagged(entries, self.tag)):
            raise FormatError(
                f"expected no other artifact at {SCHEME}{self.path}:{self.tag}, got one",
                reason="layout-tag-taken",
                hint="name another tag, or none: nothing is overwritten",
            )

    def _artifact(self, entries: Entries) -> str:
        """The digest of the artifact that the reference names."""
        if self.pinned:
            return self.pinned
        if self.tag:
            found = {entry.sha256 for entry in tagged(entries, self.tag)}
        else:
            reading = self._reading()
            found = {entry.sha256 for entry in entries if isinstance(entry, Descriptor) and reading.is_artifact(entry)}
        if len(found) != 1:
            raise FormatError(
                f"expected one artifact at {self.reference}, got {len(found)}",
                reason="layout-artifact",
                hint="name its tag or digest: oci-layout:PATH[:TAG][@sha256:…]",
            )
        return found.pop()


def _names(entries: Entries, sha256: str) -> set[str]:
    """The tags under which a manifest is listed; the empty one where it is listed without."""
    found = [entry for entry in entries if isinstance(entry, Descriptor) and entry.sha256 == sha256]
    return {entry.annotations.get(TAG_ANNOTATION, "") for entry in found}
