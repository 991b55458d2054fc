"""Sending one file of an artifact, in chunks that can be resumed, without ever holding more than a block of it.

Rules:
- Every byte is hashed on its way out, in the same pass; when the whole is not what the manifest says, the upload is not
  closed, so that no registry ever holds a file of ours under a digest that is not its own.
- A small file goes in one request. A large one goes in chunks; after a broken connection the registry is asked how far
  it got, and an upload that it has forgotten is begun anew.
- A source that breaks is asked again from where it was.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import Final

from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.oci.answers import Answer, Call
from lamslsa.store.oci.attempts import MAX_ATTEMPTS, TryAgainError
from lamslsa.store.oci.blobs import Blobs, closing_url
from lamslsa.store.oci.manifests import refuse_digest
from lamslsa.store.oci.transport import Transport

__all__ = ["CHUNK_BYTES", "SINGLE_BYTES", "Feed", "Upload"]

SINGLE_BYTES: Final = 8 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024 * 1024
_CREATED: Final = 201
_TAKEN: Final = frozenset({202, 204})
_FORGOTTEN: Final = frozenset({404, 416})
_KNOWN: Final = frozenset({200, 202, 204})
_RANGE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_BINARY: Final = {"Content-Type": "application/octet-stream"}


class Feed:
    """The bytes of one file of a source, hashed as they are taken; it can go back, and then hashes nothing twice.

    Args:
        source: where the file is.
        file: what it has to be.
        count: told of bytes that are taken for the first time.
    """

    def __init__(self, source: ArtifactStore, file: FileEntry, count: Callable[[int], None]) -> None:
        self._source = source
        self._file = file
        self._count = count
        self._hash = hashlib.sha256()
        self._hashed = 0

    @property
    def furthest(self) -> int:
        """How many bytes were ever taken."""
        return self._hashed

    def take(self, offset: int, length: int) -> Iterator[memoryview]:
        """Exactly ``length`` bytes from ``offset`` on, which is not beyond what was ever taken.

        Raises:
            FormatError: the source has fewer bytes, more, or others than the manifest says.
            UnavailableError: the source keeps breaking.
        """
        position, end, failures = offset, offset + length, 0
        while position < end:
            try:
                with contextlib.closing(_generator(self._source.read(self._file, offset=position))) as blocks:
                    for block in blocks:
                        part = memoryview(block)[: end - position]
                        position += len(part)
                        failures = 0
                        self._hash_new(position, part)
                        if position == self._file.size and (
                            len(part) < len(block) or self._hash.hexdigest() != self._file.sha256
                        ):
                            self._refuse()
                        yield part
                        if position == end:
                            break
                    else:
                        self._refuse()
            except UnavailableError:
                failures += 1
                if failures >= MAX_ATTEMPTS:
                    raise

    def _hash_new(self, position: int, part: memoryview) -> None:
        fresh = position - self._hashed
        if fresh > 0:
            self._hash.update(part[-fresh:])
            self._hashed = position
            self._count(fresh)

    def _refuse(self) -> None:
        raise FormatError(
            f"expected the bytes of the manifest in {self._file.path[:200]!a}, got others",
            reason="store-file-digest",
            hint="the file was changed after its digest was taken, or the source is damaged",
        )


def _generator(blocks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same, to be closed whatever iterator it is."""
    yield from blocks


class Upload:
    """Sends files to one repository.

    Args:
        transport: leads there.
        blobs: of that repository.
        single: files up to this size go in one request.
        chunk: how many bytes the others have in one.
    """

    def __init__(
        self, transport: Transport, blobs: Blobs, *, single: int = SINGLE_BYTES, chunk: int = CHUNK_BYTES
    ) -> None:
        self._transport = transport
        self._blobs = blobs
        self._single = single
        self._chunk = chunk

    def send(self, file: FileEntry, feed: Feed, *, mount: str = "") -> None:
        """Bring a file into the repository that is not there yet.

        Args:
            file: which.
            feed: its bytes.
            mount: another repository of the registry, which has it.

        Raises:
            FormatError: the source has other bytes than the manifest says.
            UnavailableError: the registry or the source cannot be reached, or refuses.
        """
        digest = f"sha256:{file.sha256}"
        location, least = self._blobs.begin(digest, source=mount)
        if not location:
            return
        single = file.size <= self._single
        offset, failures = 0, 0
        while True:
            before = offset
            try:
                if single or offset == file.size:
                    self._close(location, digest, feed, offset, file.size - offset)
                    return
                length = min(max(self._chunk, least), file.size - offset)
                location = self._patch(location, feed, offset, length)
                offset += length
            except TryAgainError as err:
                failures += 1
                self._transport.attempts.pause(failures, err, what=self._transport.shown(location))
                known = None if single else self._status(location, feed.furthest)
                if known is None:
                    (location, least), offset = self._blobs.begin(digest), 0
                else:
                    location, offset = known
            if offset > before:
                failures = 0

    def _patch(self, location: str, feed: Feed, offset: int, length: int) -> str:
        answer = self._transport.once(
            Call(
                method="PATCH",
                target=location,
                expected=_TAKEN | _FORGOTTEN,
                headers={**_BINARY, "Content-Range": f"{offset}-{offset + length - 1}"},
                body=feed.take(offset, length),
                length=length,
                writing=True,
            )
        )
        if answer.status in _FORGOTTEN:
            raise TryAgainError(f"status {answer.status} in the middle of an upload")
        return self._next(answer, location)

    def _close(self, location: str, digest: str, feed: Feed, offset: int, length: int) -> None:
        answer = self._transport.once(
            Call(
                method="PUT",
                target=closing_url(location, digest),
                expected=frozenset({_CREATED}) | _FORGOTTEN,
                headers=_BINARY,
                body=feed.take(offset, length) if length else b"",
                length=length,
                writing=True,
            )
        )
        if answer.status in _FORGOTTEN:
            raise TryAgainError(f"status {answer.status} at the end of an upload")
        refuse_digest(answer, digest)

    def _status(self, location: str, furthest: int) -> tuple[str, int] | None:
        """Where an upload goes on, and from which byte; None where it has to be begun anew."""
        answer = self._transport.request(
            Call(method="GET", target=location, expected=_KNOWN | _FORGOTTEN, writing=True)
        )
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        if answer.status in _FORGOTTEN or found is None:
            return None
        last = int(found[1])
        offset = last + 1 if last else 0  # "0-0" is what registries say of no byte at all
        return (self._next(answer, location), offset) if offset <= furthest else None

    def _next(self, answer: Answer, location: str) -> str:
        following = answer.headers.get("location", "")
        return self._transport.follow(answer.url, following) if following else location
