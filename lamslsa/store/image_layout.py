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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.store import naming
from lamslsa.store.arrival import each_file
from lamslsa.store.folder import refuse_pinned
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.layout_files import Index, LayoutFiles
from lamslsa.store.referrer import (
    ARTIFACT_TYPE,
    EMPTY_CONFIG,
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_INDEX_BYTES,
    Descriptor,
    Referrer,
    artifact_descriptor,
    fallback_tag,
    make_referrer,
    parse_entries,
    parse_index,
    parse_referrer,
    source_of,
)

__all__ = ["SCHEME", "TAG_ANNOTATION", "ImageLayoutStore"]

SCHEME: Final = "oci-layout:"
TAG_ANNOTATION: Final = "org.opencontainers.image.ref.name"
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
    _seen: dict[str, Referrer] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        files = LayoutFiles(self.path)
        manifest = Manifest.parse(files.blob(self._artifact(files, files.index()), limit=MAX_MANIFEST_BYTES))
        self._subjects[manifest.sha256] = artifact_descriptor(manifest)
        return manifest

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on.

        Raises:
            FormatError: there is no such blob.
            UnavailableError: it cannot be read.
        """
        return LayoutFiles(self.path).blocks(file.sha256, offset)

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle whose referrer has this artifact as its subject; one that cannot be read yields its error.

        Raises:
            UnavailableError: the layout cannot be read.
            FormatError: no layout, no such artifact, or more bundles, or bytes of them, than the limits allow.
        """
        artifact = self.manifest().sha256
        files = LayoutFiles(self.path)
        index = files.index()
        total = 0
        for count, (sha256, layer) in enumerate(self._referrers(files, index, artifact), start=1):
            if count > naming.MAX_FILES:
                raise FormatError(
                    f"expected at most {naming.MAX_FILES} bundles in {self.reference}, got more", reason="store-files"
                )
            source = source_of(f"{SCHEME}{self.path}", sha256) if sha256 else f"{SCHEME}{self.path}/index.json"
            data = layer if isinstance(layer, LamslsaError) else _bundle(files, layer)
            total += len(data) if isinstance(data, bytes) else 0
            if total > naming.MAX_TOTAL_BYTES:
                raise FormatError(
                    f"expected at most {naming.MAX_TOTAL_BYTES} bytes of bundles in {self.reference}, got more",
                    reason="store-size",
                )
            yield StoredBundle(source=source, data=data)

    def put(self, bundle: bytes, *, name: str) -> str:  # noqa: ARG002 - a referrer has its digest for a name
        """Attach a bundle to the artifact and return where its referrer is.

        Raises:
            FormatError: no statement in a bundle, larger than a reader takes, or there is no artifact.
            UnavailableError: the layout cannot be written.
        """
        if len(bundle) > naming.MAX_FILE_BYTES:
            raise FormatError(
                f"expected a bundle of at most {naming.MAX_FILE_BYTES} bytes, got {len(bundle)}", reason="store-size"
            )
        files = LayoutFiles(self.path)
        created = self.clock().astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        subject = self._subject(files)
        made = make_referrer(subject, bundle, created=created)
        with files.changing() as index:
            for sha256, layer in self._referrers(files, index, subject.sha256):
                if isinstance(layer, Descriptor) and layer.sha256 == made.bundle.sha256:
                    return source_of(f"{SCHEME}{self.path}", sha256)
            for data in (EMPTY_CONFIG, bundle, made.manifest):
                files.write(data)
            index["manifests"].append(made.descriptor.wire())
        return source_of(f"{SCHEME}{self.path}", made.descriptor.sha256)

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact; resumes what was interrupted.

        Raises:
            FormatError: a file of the source has other bytes, the folder holds something else, or the tag names
                another artifact.
            UnavailableError: the source cannot be reached, or the layout not be written.
        """
        refuse_pinned(manifest, self.pinned, self.reference)
        files = LayoutFiles(self.path)
        files.create()
        self._refuse_moving(files.index(), manifest.sha256)
        blobs: dict[tuple[str, int], FileEntry] = {(file.sha256, file.size): file for file in manifest.files}
        each_file(list(blobs.values()), lambda file, counted: files.take(file, source, counted), report)
        files.write(manifest.config)
        files.write(manifest.canonical)
        with files.changing() as index:
            self._refuse_moving(index, manifest.sha256)
            if self.tag not in _names(index, manifest.sha256):
                index["manifests"].append(self._entry(manifest))
        self.pinned = manifest.sha256
        return self.reference

    def _subject(self, files: LayoutFiles) -> Descriptor:
        """The artifact to attach to; its manifest is read once, since one of many files takes a while."""
        artifact = self._artifact(files, files.index())
        return self._subjects.get(artifact) or artifact_descriptor(self.manifest())

    def _entry(self, manifest: Manifest) -> dict[str, Any]:
        entry = {**artifact_descriptor(manifest).wire(), "artifactType": ARTIFACT_TYPE}
        return {**entry, "annotations": {TAG_ANNOTATION: self.tag}} if self.tag else entry

    def _refuse_moving(self, index: Index, sha256: str) -> None:
        if self.tag and any(entry.sha256 != sha256 for entry in _tagged(index, self.tag)):
            raise FormatError(
                f"expected no other artifact at {SCHEME}{self.path}:{self.tag}, got one",
                reason="layout-tag-taken",
                hint="name another tag, or none: nothing is overwritten",
            )

    def _artifact(self, files: LayoutFiles, index: Index) -> str:
        """The digest of the artifact that the reference names."""
        if self.pinned:
            return self.pinned
        if self.tag:
            found = {entry.sha256 for entry in _tagged(index, self.tag)}
        else:
            found = {
                entry.sha256
                for entry in _entries(index)
                if isinstance(entry, Descriptor) and self._is_artifact(files, entry)
            }
        if len(found) != 1:
            raise FormatError(
                f"expected one artifact at {self.reference}, got {len(found)}",
                reason="layout-artifact",
                hint="name its tag or digest: oci-layout:PATH[:TAG][@sha256:…]",
            )
        return found.pop()

    def _is_artifact(self, files: LayoutFiles, entry: Descriptor) -> bool:
        if entry.media_type != MANIFEST_TYPE:
            return False
        found = self._referrer(files, entry.sha256)
        return isinstance(found, Referrer) and found.subject is None

    def _referrers(
        self, files: LayoutFiles, index: Index, artifact: str
    ) -> Iterator[tuple[str, Descriptor | LamslsaError]]:
        """Digest and bundle layer of each referrer of the artifact, or why it cannot be read; each digest once."""
        done = {artifact}
        for entry, listed in self._candidates(files, index, artifact):
            if isinstance(entry, LamslsaError):
                yield "", entry
                continue
            if entry.media_type != MANIFEST_TYPE or entry.sha256 in done:
                continue
            done.add(entry.sha256)
            found = self._referrer(files, entry.sha256)
            if isinstance(found, LamslsaError):
                yield entry.sha256, found
            elif found.subject is not None and found.subject.sha256 == artifact:
                if found.bundle is not None:
                    yield entry.sha256, found.bundle
            elif listed:
                yield (
                    entry.sha256,
                    FormatError(
                        f"expected sha256:{artifact} as subject of a manifest in its list of referrers, got another",
                        reason="referrer-subject",
                    ),
                )

    def _candidates(
        self, files: LayoutFiles, index: Index, artifact: str
    ) -> Iterator[tuple[Descriptor | LamslsaError, bool]]:
        """What may refer to the artifact, and whether its list of referrers says so."""
        for entry in _entries(index):
            yield entry, False
        for entry in _tagged(index, fallback_tag(artifact)):
            if entry.media_type != INDEX_TYPE:
                continue
            try:
                listed = parse_index(files.blob(entry.sha256, limit=MAX_INDEX_BYTES))
            except LamslsaError as err:
                yield err, True
                continue
            for item in listed:
                yield item, True

    def _referrer(self, files: LayoutFiles, sha256: str) -> Referrer | LamslsaError:
        if sha256 not in self._seen:
            try:
                self._seen[sha256] = parse_referrer(files.blob(sha256, limit=MAX_MANIFEST_BYTES))
            except LamslsaError as err:
                return err.with_traceback(None)
        return self._seen[sha256]


def _bundle(files: LayoutFiles, layer: Descriptor) -> bytes | LamslsaError:
    try:
        data = files.blob(layer.sha256, limit=naming.MAX_FILE_BYTES)
    except LamslsaError as err:
        return err.with_traceback(None)
    if len(data) != layer.size:
        return FormatError(f"expected a bundle of {layer.size} bytes, got {len(data)}", reason="referrer-bundle-size")
    return data


def _entries(index: Index) -> tuple[Descriptor | FormatError, ...]:
    return parse_entries(index["manifests"])


def _tagged(index: Index, tag: str) -> Iterator[Descriptor]:
    for entry in _entries(index):
        if isinstance(entry, Descriptor) and entry.annotations.get(TAG_ANNOTATION) == tag:
            yield entry


def _names(index: Index, sha256: str) -> set[str]:
    """The tags under which a manifest is listed; the empty one where it is listed without."""
    found = [entry for entry in _entries(index) if isinstance(entry, Descriptor) and entry.sha256 == sha256]
    return {entry.annotations.get(TAG_ANNOTATION, "") for entry in found}
