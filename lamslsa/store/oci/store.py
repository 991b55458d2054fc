"""An artifact in an OCI registry, with what is attached to it.

Rules:
- A tag is resolved once; from then on its digest counts, and `OciStore.reference` shows it.
- The manifest is the canonical one, to the byte, and has the digest of the reference: `OciStore.manifest` needs nothing
  else, so an artifact of any size is verified from a few kilobytes.
- An artifact is tagged when all of it is there. The tags under which registries list referrers are never taken.
- A bundle is attached to an artifact that the repository has, and to nothing else.

>>> store = OciStore("oci://registry.example/team/model:v1")
>>> store.reference
'oci://registry.example/team/model:v1'
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.store import naming
from lamslsa.store.arrival import Counted, each_file
from lamslsa.store.interface import ArtifactStore, Report, StoredBundle
from lamslsa.store.oci.attach import Attacher
from lamslsa.store.oci.blobs import Blobs
from lamslsa.store.oci.manifests import MANIFEST, Manifests
from lamslsa.store.oci.options import Options
from lamslsa.store.oci.reference import Reference
from lamslsa.store.oci.referrers import Referrers
from lamslsa.store.oci.transport import Transport
from lamslsa.store.oci.upload import Feed, Upload
from lamslsa.store.referrer import artifact_descriptor, creation_time, make_referrer

__all__ = ["OciStore"]

_RESERVED_TAG: Final = re.compile(r"sha(256|512)-[0-9a-f]{64,}.*")


class OciStore:
    """Keeps one artifact and its bundles in a repository of a registry; threads may share it.

    Args:
        reference: ``oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]``.
        options: how the registry is reached.

    Raises:
        FormatError: not such a reference, or plain http to another machine.
    """

    def __init__(self, reference: str, options: Options = Options()) -> None:  # noqa: B008 - frozen
        self._asked = Reference.parse(reference)
        self._options = options
        self._transport = Transport(self._asked, options)
        self._blobs = Blobs(self._transport)
        self._manifests = Manifests(self._transport)
        self._upload = Upload(self._transport, self._blobs, single=options.single_bytes, chunk=options.chunk_bytes)
        self._referrers = Referrers(
            self._transport, self._manifests, self._blobs, place=self._asked.place, workers=options.workers
        )
        self._lock = threading.RLock()
        self._manifest: Manifest | None = None
        self._attacher: Attacher | None = None

    def __repr__(self) -> str:
        return f"OciStore({self.reference!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open; the store can still be used."""
        self._transport.close()

    @property
    def reference(self) -> str:
        """The reference, with the digest as soon as it is known."""
        manifest = self._manifest
        return str(self._asked.at(f"sha256:{manifest.sha256}") if manifest else self._asked)

    @property
    def registry(self) -> str:
        """The host of the registry."""
        return self._asked.registry

    @property
    def repository(self) -> str:
        """The name of the repository in the registry."""
        return self._asked.repository

    def manifest(self, report: Report | None = None) -> Manifest:  # noqa: ARG002 - nothing is computed here
        """The canonical manifest, read once and compared with the digest of the reference.

        Raises:
            FormatError: there is nothing, or something else than an artifact, or the reference names nothing.
            UnavailableError: the registry cannot be reached, or refuses.
        """
        with self._lock:
            if self._manifest is None:
                self._manifest = self._read_manifest()
            return self._manifest

    def _read_manifest(self) -> Manifest:
        wanted = self._asked.digest or self._asked.tag
        if wanted is None:
            raise FormatError(
                f"expected a tag or a digest in {self._asked}, got none",
                reason="registry-reference-open",
                hint="name an artifact: oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…",
            )
        document = self._manifests.get(wanted)
        if document is None:
            raise FormatError(
                f"expected an artifact at {self._asked}, got none",
                reason="store-no-artifact",
                hint="lamslsa push brings one there",
            )
        if document.media_type != MANIFEST:
            raise FormatError(
                f"expected the manifest of an artifact at {self._asked}, "
                f"got {self._manifests.quoted(document.media_type)}",
                reason="registry-artifact",
                hint="only what lamslsa pushed is an artifact",
            )
        with self._transport.redacting():
            return Manifest.parse(document.raw)

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on, in blocks of at most 1 MiB; not compared with the digest.

        Raises:
            FormatError: more bytes than the file has, or another range.
            UnavailableError: the connection broke, or the registry does not have it.
        """
        return self._blobs.read(f"sha256:{file.sha256}", size=file.size, offset=offset)

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact; files that the registry has already are not sent. A tag of another one is moved.

        Raises:
            FormatError: a file of the source has other bytes, the reference names another digest, or its tag is one of
                those that list referrers.
            UnavailableError: the registry or the source cannot be reached, or refuses.
        """
        digest = f"sha256:{manifest.sha256}"
        if self._asked.digest not in (None, digest):
            raise FormatError(
                f"expected the artifact {self._asked.digest}, got {digest}",
                reason="store-other-artifact",
                hint="name a tag alone, or the artifact with this digest",
            )
        if self._asked.tag and _RESERVED_TAG.fullmatch(self._asked.tag):
            raise FormatError(
                f"expected a tag for an artifact, got {self._asked.tag}, which lists what refers to one",
                reason="store-reserved-tag",
                hint="choose another tag",
            )
        mount = ""
        if isinstance(source, OciStore) and source.registry == self.registry and source.repository != self.repository:
            mount = source.repository
        # Two files of the same bytes are sent once: the second waits for the first and then finds it there.
        locks = {file.sha256: threading.Lock() for file in manifest.files}

        def take(file: FileEntry, counted: Counted) -> None:
            with locks[file.sha256], contextlib.closing(Feed(source, file, counted)) as feed:
                if not self._blobs.has(f"sha256:{file.sha256}"):
                    self._upload.send(file, feed, mount=mount)
                counted(file.size - feed.furthest)

        each_file(manifest.files, take, report)
        self._blobs.put(manifest.config)
        self._manifests.put(manifest.canonical, MANIFEST, digest)
        if self._asked.tag:
            self._move_tag(self._asked.tag, manifest)
        with self._lock:
            self._manifest = manifest
            self._attacher = None
        return self.reference

    def _move_tag(self, tag: str, manifest: Manifest) -> None:
        before = self._manifests.digest(tag)
        self._manifests.put(manifest.canonical, MANIFEST, tag)
        if before not in ("", f"sha256:{manifest.sha256}"):
            self._options.notify(f"{self._asked.place}:{tag} moved from {before}")

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle that is attached to the artifact, unfiltered, sorted by the digest of what attaches it.

        What is damaged, cannot be read or is left out for its number yields an error.

        Raises:
            FormatError: there is no artifact, or the list of what refers to it is none or does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        yield from self._referrers.bundles(self.manifest().sha256)

    def put(self, bundle: bytes, *, name: str) -> str:  # noqa: ARG002 - a registry knows no names
        """Attach a bundle to the artifact and say where; nothing happens when the same bytes are attached already.

        Raises:
            FormatError: not a bundle with a statement, larger than a reader takes, or there is no artifact.
            UnavailableError: the registry cannot be reached, refuses, or lost the bundle to another writer.
        """
        naming.refuse_large(bundle)
        subject = artifact_descriptor(self.manifest())
        made = make_referrer(subject, bundle, created=creation_time(self._options.clock()))
        with self._lock:
            if self._attacher is None:
                self._attacher = Attacher(
                    self._manifests, self._blobs, self._referrers, subject=subject.sha256, sleep=self._options.sleep
                )
        return f"{self._asked.place}@sha256:{self._attacher.attach(made, bundle)}"
