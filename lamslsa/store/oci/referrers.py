"""Finding the referrers of an artifact in a registry: the referrers API and the fallback tag, both and unfiltered.

Rules:
- No filter by artifactType: registries are known to report the config's type in its place.
- What a listing says counts for nothing but the digest: every candidate is opened, its digest compared, and so is the
  subject that it names. One that names another, cannot be read or is damaged is reported with its error.
- A listing goes on at the registry itself, each page brings something new, and there is an end to it: of more than
  `MAX_REFERRERS` the first are read, and that others were left out is reported.
- Whether there is an API is known by what answers in its place, not by ``OCI-Subject`` alone, which registries without
  one have sent.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store import naming
from lamslsa.store.interface import StoredBundle
from lamslsa.store.oci.answers import Call
from lamslsa.store.oci.blobs import Blobs
from lamslsa.store.oci.manifests import Manifests
from lamslsa.store.oci.transport import Transport
from lamslsa.store.referrer import (
    INDEX_TYPE,
    MAX_INDEX_BYTES,
    Descriptor,
    fallback_tag,
    parse_index,
    parse_referrer,
    source_of,
)

__all__ = ["MAX_BYTES", "MAX_REFERRERS", "Listing", "Referrers"]

MAX_REFERRERS: Final = 16_384
MAX_BYTES: Final = 256 * 1024 * 1024
_AHEAD: Final = 2
_FOUND: Final = 200
_NO_API: Final = frozenset({400, 404, 405, 406, 501})
_NEXT: Final = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next"?', re.IGNORECASE)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(slots=True, kw_only=True)
class Listing:
    """What is said to refer to an artifact.

    Attributes:
        digests: SHA-256 of the manifests in hexadecimal, sorted.
        errors: entries that cannot be read, and what was left out.
        api: whether the registry has the referrers API.
    """

    digests: list[str] = field(default_factory=list)
    errors: list[LamslsaError] = field(default_factory=list)
    api: bool = False


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

    def has_api(self, subject: str) -> bool:
        """Whether the registry answers for the referrers of a manifest.

        Raises:
            FormatError: with something else than a list.
            UnavailableError: the registry cannot be reached, or refuses.
        """
        return self._page(self._first(subject)) is not None

    def listing(self, subject: str) -> Listing:
        """Everything that is said to refer to the manifest of a digest in hexadecimal.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        listing = Listing()
        found: set[str] = set()
        for entries in itertools.chain(self._pages(subject, listing), [self._tagged(subject)]):
            for entry in entries:
                if isinstance(entry, FormatError):
                    listing.errors.append(entry)
                else:
                    found.add(entry.sha256)
            if len(found) > MAX_REFERRERS or len(listing.errors) > MAX_REFERRERS:
                listing.errors = [*listing.errors[:MAX_REFERRERS], self._too_many()]
                break
        listing.digests = sorted(found)[:MAX_REFERRERS]
        return listing

    def bundles(self, subject: str) -> Iterator[StoredBundle]:
        """Every bundle that is attached to the manifest of a digest in hexadecimal, sorted by digest.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        listing = self.listing(subject)
        total = 0
        for found in self.opened(listing.digests, lambda sha256: self._bundle(sha256, subject)):
            if found is None:
                continue
            total += len(found.data) if isinstance(found.data, bytes) else 0
            if total > MAX_BYTES:
                listing.errors.append(
                    FormatError(
                        f"expected at most {MAX_BYTES} bytes of bundles in {self._place}, got more: some are left out",
                        reason="registry-bundles-size",
                    )
                )
                break
            yield found
        for error in listing.errors:
            yield StoredBundle(source=f"{self._place}@sha256:{subject}", data=error)

    def holders(self, subject: str, bundle: str) -> Iterator[str]:
        """The referrers whose bundle has this digest; both in hexadecimal. What cannot be read holds nothing.

        Raises:
            FormatError: a listing that is none, or that does not end.
            UnavailableError: the registry cannot be reached, refuses, or leads elsewhere.
        """
        digests = self.listing(subject).digests
        for sha256, held in zip(digests, self.opened(digests, lambda each: self._held(each, subject)), strict=True):
            if held == bundle:
                yield sha256

    def opened(self, items: Iterable[_Item], opening: Callable[[_Item], _Result]) -> Iterator[_Result]:
        """The results in the order of the items, several at a time and a few ahead of who takes them."""
        waiting: deque[Future[_Result]] = deque()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="lamslsa-referrers")
        try:
            for item in items:
                waiting.append(pool.submit(opening, item))
                if len(waiting) >= _AHEAD * self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _first(self, subject: str) -> str:
        return self._transport.path(f"referrers/sha256:{subject}")

    def _pages(self, subject: str, listing: Listing) -> Iterator[tuple[Descriptor | FormatError, ...]]:
        target, seen = self._first(subject), set[str]()
        while target:
            page = self._page(target)
            if page is None:
                if seen:
                    raise UnavailableError(
                        f"expected the next page of the referrers in {self._place}, got none",
                        reason="registry-listing-page",
                    )
                return
            entries, following = page
            listing.api = True
            fresh = {entry.sha256 for entry in entries if isinstance(entry, Descriptor)} - seen
            if following and not fresh:
                raise FormatError(
                    f"expected the list of referrers in {self._place} to end, got a page without anything new",
                    reason="registry-listing-endless",
                )
            seen |= fresh
            yield entries
            target = following

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
        if answer.status != _FOUND or media_type != INDEX_TYPE:
            return None
        following = _NEXT.search(answer.headers.get("link", ""))
        target = self._transport.follow(answer.url, following[1], own=True) if following else ""
        return parse_index(answer.body), target

    def _tagged(self, subject: str) -> tuple[Descriptor | FormatError, ...]:
        document = self._manifests.get(fallback_tag(subject))
        if document is None or document.media_type != INDEX_TYPE:
            return ()
        return parse_index(document.raw)

    def _too_many(self) -> FormatError:
        return FormatError(
            f"expected at most {MAX_REFERRERS} referrers in {self._place}, got more: some are left out",
            reason="registry-referrers",
            hint="a copy of the artifact in a repository of one's own has only what is attached there",
        )

    def _bundle(self, sha256: str, subject: str) -> StoredBundle | None:
        source = source_of(self._place, sha256)
        try:
            layer = self._layer(sha256, subject)
            if layer is None:
                return None
            data = self._blobs.get(f"sha256:{layer.sha256}", size=layer.size, limit=naming.MAX_FILE_BYTES)
        except (FormatError, UnavailableError) as err:
            return StoredBundle(source=source, data=err.with_traceback(None))
        return StoredBundle(source=source, data=data)

    def _held(self, sha256: str, subject: str) -> str:
        try:
            layer = self._layer(sha256, subject)
        except (FormatError, UnavailableError):
            return ""
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
            return None
        referrer = parse_referrer(document.raw)
        if referrer.subject is None or referrer.subject.sha256 != subject:
            raise FormatError(
                f"expected a referrer of sha256:{subject}, got one of another manifest in sha256:{sha256}",
                reason="registry-referrer-subject",
            )
        return referrer.bundle
