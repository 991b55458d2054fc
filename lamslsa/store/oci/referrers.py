"""Finding the referrers of an artifact in a registry: the referrers API and the fallback tag, both and unfiltered.

Rules:
- No filter by artifactType: registries are known to report the config's type in its place.
- What a listing says counts for nothing but the digest: every candidate is opened, its digest compared, and so is the
  subject that it names. One that names another, cannot be read or is damaged is reported with its error.
- A listing goes on at the registry itself, each page brings something new, and there is an end to it: of more than
  `naming.MAX_FILES` the first are read, and that others were left out is reported. So is it where referrers have more
  than `naming.MAX_TOTAL_BYTES`, good or bad, and where the registry does not answer for several in a row.
- A fallback tag that is no list is reported, and hides nothing of what the API lists.
- Whether there is an API is known by what answers in its place, not by ``OCI-Subject`` alone, which registries without
  one have sent.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store import naming
from lamslsa.store.detached import detached
from lamslsa.store.interface import StoredBundle
from lamslsa.store.oci.ahead import opened
from lamslsa.store.oci.answers import Call, receiving
from lamslsa.store.oci.attempts import GIVEN_UP
from lamslsa.store.oci.blobs import Blobs
from lamslsa.store.oci.manifests import Manifests
from lamslsa.store.oci.transport import Transport
from lamslsa.store.referrer import (
    BUNDLE_FAMILY,
    INDEX_TYPE,
    MAX_INDEX_BYTES,
    Descriptor,
    fallback_tag,
    parse_index,
    parse_referrer,
    source_of,
)

__all__ = ["Listing", "Referrers"]

_FOUND: Final = 200
_NO_API: Final = frozenset({303, 400, 404, 405, 406, 501})  # GHCR leads to a page for people, Artifactory says 406
_MAX_PAGES: Final = 1024
_MAX_LINK: Final = 8192
_MAX_IN_VAIN: Final = 8
_NEXT: Final = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next"?', re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Listing:
    """What is said to refer to an artifact.

    Attributes:
        digests: SHA-256 of the manifests in hexadecimal, sorted.
        errors: entries that cannot be read, and what was left out.
    """

    digests: list[str] = field(default_factory=list)
    errors: list[LamslsaError] = field(default_factory=list)


class Referrers:
    """Reads what is attached to one artifact.

    Args:
        transport: leads to the repository.
        manifests: of it.
        blobs: of it.
        place: the repository as a reference, for messages.
        workers: how many candidates are opened at a time.
    """

    def __init__(self, transport: Transport, manifests: Manifests, blobs: Blobs, *, place: str, workers: int) -> None:
        self._transport = transport
        self._manifests = manifests
        self._blobs = blobs
        self._place = place
        self._workers = workers

    def by_api(self, subject: str) -> frozenset[str] | None:
        """What the API lists as referrers of a manifest, both in hexadecimal; None where there is no API.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        pages = list(self._pages(subject))
        if not pages:
            return None
        return frozenset(entry.sha256 for page in pages for entry in page if isinstance(entry, Descriptor))

    def listing(self, subject: str) -> Listing:
        """Everything that is said to refer to the manifest of a digest in hexadecimal.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        listing = Listing()
        found: set[str] = set()
        for entries in self._lists(subject):
            for entry in entries:
                if isinstance(entry, Descriptor):
                    found.add(entry.sha256)
                else:
                    listing.errors.append(entry)
            if len(found) > naming.MAX_FILES or len(listing.errors) > naming.MAX_FILES:
                listing.errors = [*listing.errors[: naming.MAX_FILES], self._too_many()]
                break
        listing.digests = sorted(found)[: naming.MAX_FILES]
        return listing

    def bundles(self, subject: str) -> Iterator[StoredBundle]:
        """Every bundle that is attached to the manifest of a digest in hexadecimal, sorted by digest.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        listing = self.listing(subject)
        total, in_vain = 0, 0
        candidates = opened(listing.digests, lambda sha256: self._bundle(sha256, subject), workers=self._workers)
        with contextlib.closing(candidates):
            for found, received in candidates:
                total += received
                if total > naming.MAX_TOTAL_BYTES:
                    listing.errors.append(self._too_large())
                    break
                if found is not None:
                    yield found
                in_vain = in_vain + 1 if found is not None and _is_given_up(found.data) else 0
                if in_vain >= _MAX_IN_VAIN:
                    listing.errors.append(self._given_up())
                    break
        for error in listing.errors:
            yield StoredBundle(source=f"{self._place}@sha256:{subject}", data=error)

    def holders(self, subject: str, bundle: str) -> Iterator[str]:
        """The referrers whose bundle has this digest; both in hexadecimal. What cannot be read holds nothing.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, leads elsewhere, or stops answering.
        """
        digests = self.listing(subject).digests
        in_vain = 0
        candidates = opened(digests, lambda each: self._held(each, subject), workers=self._workers)
        with contextlib.closing(candidates):
            for sha256, held in zip(digests, candidates, strict=True):
                in_vain = in_vain + 1 if _is_given_up(held) else 0
                if in_vain >= _MAX_IN_VAIN:
                    raise self._given_up()
                if held == bundle:
                    yield sha256

    def _first(self, subject: str) -> str:
        return self._transport.path(f"referrers/sha256:{subject}")

    def _lists(self, subject: str) -> Iterator[Sequence[Descriptor | LamslsaError]]:
        """The pages of the API, and what lies under the fallback tag."""
        has_api = False
        for page in self._pages(subject):
            has_api = True
            yield page
        tagged: Sequence[Descriptor | LamslsaError]
        try:
            tagged = self._tagged(subject)
        except LamslsaError as err:
            if isinstance(err, UnavailableError) and not has_api:
                raise
            tagged = [detached(err)]
        yield tagged

    def _pages(self, subject: str) -> Iterator[tuple[Descriptor | FormatError, ...]]:
        target, seen = self._first(subject), set[str]()
        for number in range(_MAX_PAGES):
            page = self._page(target)
            if page is None:
                if number:
                    raise UnavailableError(
                        f"expected the next page of the referrers in {self._place}, got none",
                        reason="registry-listing-page",
                    )
                return
            entries, target = page
            fresh = {entry.sha256 for entry in entries if isinstance(entry, Descriptor)} - seen
            if target and not fresh:
                raise FormatError(
                    f"expected the list of referrers in {self._place} to end, got a page without anything new",
                    reason="registry-listing-endless",
                )
            seen |= fresh
            yield entries
            if not target or len(seen) > naming.MAX_FILES:
                return
        yield (self._too_many(),)

    def _page(self, target: str) -> tuple[tuple[Descriptor | FormatError, ...], str] | None:
        """The entries of a page and where the next one is; None where the registry has no such API."""
        answer = self._transport.request(
            Call(
                method="GET",
                target=target,
                expected=frozenset({_FOUND}) | _NO_API,
                headers={"Accept": INDEX_TYPE},
                limit=MAX_INDEX_BYTES,
            )
        )
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.status != _FOUND:
            return None
        if media_type != INDEX_TYPE:
            raise UnavailableError(
                f"expected a list of referrers in {self._place}, got {self._manifests.quoted(media_type)}",
                reason="registry-listing",
                hint="the registry, or something between, answers with another document",
            )
        following = _NEXT.search(answer.headers.get("link", "")[:_MAX_LINK])
        target = self._transport.follow(answer.url, following[1], own=True) if following else ""
        with self._transport.redacting():
            return parse_index(answer.body), target

    def _tagged(self, subject: str) -> tuple[Descriptor | FormatError, ...]:
        document = self._manifests.get(fallback_tag(subject))
        if document is None:
            return ()
        if document.media_type != INDEX_TYPE:
            raise FormatError(
                f"expected a list of referrers under {fallback_tag(subject)}, "
                f"got {self._manifests.quoted(document.media_type)}",
                reason="registry-fallback-tag",
                hint="somebody has given this tag to something else",
            )
        with self._transport.redacting():
            return parse_index(document.raw)

    def _too_many(self) -> FormatError:
        return FormatError(
            f"expected at most {naming.MAX_FILES} referrers in {self._place}, got more: some are left out",
            reason="registry-referrers",
            hint="a copy of the artifact in a repository of one's own has only what is attached there",
        )

    def _too_large(self) -> FormatError:
        return FormatError(
            f"expected at most {naming.MAX_TOTAL_BYTES} bytes of bundles in {self._place}, got more: some are left out",
            reason="registry-bundles-size",
            hint="a copy of the artifact in a repository of one's own has only what is attached there",
        )

    def _given_up(self) -> UnavailableError:
        return UnavailableError(
            f"expected {self._place} to answer for its referrers, got nothing for {_MAX_IN_VAIN} of them in a row: "
            "the others are left out",
            reason="registry-referrers-given-up",
            hint="try again later",
        )

    def _bundle(self, sha256: str, subject: str) -> tuple[StoredBundle | None, int]:
        """The bundle of a referrer, if it has one, and how many bytes count for it: of a bad one all that were read."""
        source = source_of(self._place, sha256)
        with receiving() as received:
            try:
                layer = self._layer(sha256, subject)
                if layer is None:
                    return None, received.size
                data = self._blobs.get(f"sha256:{layer.sha256}", size=layer.size, limit=naming.MAX_FILE_BYTES)
            except LamslsaError as err:
                return StoredBundle(source=source, data=detached(err)), received.size
        return StoredBundle(source=source, data=data), len(data)

    def _held(self, sha256: str, subject: str) -> str | LamslsaError:
        try:
            layer = self._layer(sha256, subject)
        except LamslsaError as err:
            return detached(err)
        return layer.sha256 if layer is not None else ""

    def _layer(self, sha256: str, subject: str) -> Descriptor | None:
        """The bundle of a referrer; None where it is of another kind."""
        document = self._manifests.get(f"sha256:{sha256}")
        if document is None:
            raise UnavailableError(
                f"expected the referrer sha256:{sha256} that is listed in {self._place}, got none",
                reason="registry-referrer-missing",
            )
        if document.media_type == INDEX_TYPE:
            if str(document.value.get("artifactType", "")).startswith(BUNDLE_FAMILY):
                raise FormatError(
                    f"expected a manifest in the referrer sha256:{sha256} of a bundle, got an index",
                    reason="registry-referrer-index",
                )
            return None
        with self._transport.redacting():
            referrer = parse_referrer(document.raw)
        if referrer.subject is None or referrer.subject.sha256 != subject:
            raise FormatError(
                f"expected a referrer of sha256:{subject}, got one of another manifest in sha256:{sha256}",
                reason="registry-referrer-subject",
            )
        return referrer.bundle


def _is_given_up(found: object) -> bool:
    return isinstance(found, UnavailableError) and found.reason == GIVEN_UP
