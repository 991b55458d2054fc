"""What an image layout keeps beside an artifact: found in its index, opened, and never more of it than the limits.

Rules:
- Candidates are the entries of ``index.json`` and of the list under the fallback tag; what counts is the subject in the
  manifest itself.
- Each digest is opened once, whatever becomes of it, and only when the blob has the size that its entry says. Every
  byte that is opened counts towards the limits; manifests, those of other things too, towards the same sum again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.store import naming
from lamslsa.store.detached import detached
from lamslsa.store.layout_blobs import LayoutBlobs
from lamslsa.store.referrer import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_INDEX_BYTES,
    Descriptor,
    Referrer,
    fallback_tag,
    parse_index,
    parse_referrer,
)

__all__ = ["TAG_ANNOTATION", "Entries", "LayoutReferrers", "tagged"]

Entries = Sequence[Descriptor | FormatError]

TAG_ANNOTATION: Final = "org.opencontainers.image.ref.name"


def tagged(entries: Entries, tag: str) -> Iterator[Descriptor]:
    """The entries that have a tag."""
    for entry in entries:
        if isinstance(entry, Descriptor) and entry.annotations.get(TAG_ANNOTATION) == tag:
            yield entry


class LayoutReferrers:
    """One reading of a layout.

    Args:
        blobs: of the layout.
        place: the layout, for messages.
        known: manifests that were opened before, by digest; what is opened now is added.
    """

    def __init__(self, blobs: LayoutBlobs, *, place: str, known: dict[str, Referrer]) -> None:
        self._blobs = blobs
        self._place = place
        self._known = known
        self._failed: dict[str, LamslsaError] = {}
        self._allowance = naming.Allowance()
        self._opening = naming.Allowance()

    def is_artifact(self, entry: Descriptor) -> bool:
        """Whether an entry is a manifest that refers to nothing.

        Raises:
            FormatError: more has been opened than the limits allow.
        """
        if entry.media_type != MANIFEST_TYPE:
            return False
        found = self._open(entry)
        if isinstance(found, FormatError) and found.reason == "store-left-out":
            raise found
        return isinstance(found, Referrer) and found.subject is None

    def of(self, entries: Entries, artifact: str) -> Iterator[tuple[str, Descriptor | LamslsaError]]:
        """Digest and bundle layer of each referrer of an artifact, or why it cannot be read; each digest once."""
        done = {artifact}
        for entry, listed in self._candidates(entries, artifact):
            if isinstance(entry, LamslsaError):
                yield "", entry
                continue
            if entry.media_type != MANIFEST_TYPE or entry.sha256 in done:
                continue
            done.add(entry.sha256)
            found = self._open(entry)
            if isinstance(found, LamslsaError):
                yield entry.sha256, found
                if found.reason == "store-left-out":
                    return
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

    def bundle(self, layer: Descriptor) -> bytes | LamslsaError:
        """The bundle in a layer, or why it cannot be read; ``store-left-out`` when the limits are reached."""
        return self._blob(layer, self._allowance, limit=naming.MAX_FILE_BYTES)

    def _candidates(self, entries: Entries, artifact: str) -> Iterator[tuple[Descriptor | LamslsaError, bool]]:
        """What may refer to the artifact, and whether its list of referrers says so."""
        for entry in entries:
            yield entry, False
        done: set[str] = set()
        for entry in tagged(entries, fallback_tag(artifact)):
            if entry.media_type != INDEX_TYPE or entry.sha256 in done:
                continue
            done.add(entry.sha256)
            try:
                raw = self._blob(entry, self._opening, limit=MAX_INDEX_BYTES)
                listed = (raw,) if isinstance(raw, LamslsaError) else parse_index(raw)
            except FormatError as err:
                listed = (detached(err),)
            for item in listed:
                yield item, True

    def _open(self, entry: Descriptor) -> Referrer | LamslsaError:
        found = self._known.get(entry.sha256) or self._failed.get(entry.sha256)
        if found is not None:
            return found
        raw = self._blob(entry, self._opening, limit=MAX_MANIFEST_BYTES)
        try:
            if isinstance(raw, LamslsaError):
                raise raw
            made = self._known[entry.sha256] = parse_referrer(raw)
        except LamslsaError as err:
            failed = self._failed[entry.sha256] = detached(err)
            return failed
        return made

    def _blob(self, said: Descriptor, allowance: naming.Allowance, *, limit: int) -> bytes | LamslsaError:
        try:
            size = self._blobs.size(said.sha256)
            if size > limit:
                return FormatError(
                    f"expected at most {limit} bytes in sha256:{said.sha256} of {self._place}, got {size}",
                    reason="layout-size",
                )
            if size != said.size:
                return FormatError(
                    f"expected {said.size} bytes in sha256:{said.sha256} of {self._place}, got {size}",
                    reason="layout-blob-size",
                )
            if not allowance.spend(size, files=int(allowance is self._allowance)):
                return allowance.left_out(self._place)
            return self._blobs.blob(said.sha256, limit=size)
        except LamslsaError as err:
            return detached(err)
