"""Sending one file of an artifact, in chunks that can be resumed, without ever holding more than a block of it.

Rules:
- Every byte is hashed on its way out, in the same pass; when the whole is not what the manifest says, the upload is not
  closed, so that no registry ever holds a file of ours under a digest that is not its own.
- A small file goes in one request. A large one goes in chunks; after a broken connection the registry is asked how far
  it got, and an upload that it has forgotten is begun anew.
- A source that breaks is asked again from where it was.
- Patience is for those who get on: failures are forgotten when another MiB is behind them that never was before.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import Final, NoReturn

from lamslsa._attempts import MAX_ATTEMPTS, PROGRESS, TryAgainError
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.oci.answers import Answer, Call
from lamslsa.store.oci.blobs import BINARY, FORGOTTEN, Blobs
from lamslsa.store.oci.transport import Transport

__all__ = ["Feed", "Upload"]

_TAKEN: Final = frozenset({202, 204})
_KNOWN: Final = frozenset({200, 202, 204})
_RANGE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")


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
        self._blocks: Generator[bytes, None, None] | None = None
        self._rest = memoryview(b"")
        self._position = 0
        self._failures = 0
        self._patient_from = 0

    @property
    def furthest(self) -> int:
        """How many bytes were ever taken."""
        return self._hashed

    def close(self) -> None:
        """Let go of the source."""
        if self._blocks is not None:
            self._blocks.close()
            self._blocks = None
        self._rest = memoryview(b"")

    def take(self, offset: int, length: int) -> Iterator[memoryview]:
        """Exactly ``length`` bytes from ``offset`` on, which is not beyond what was ever taken.

        Raises:
            FormatError: the source has fewer bytes, more, or others than the manifest says.
            UnavailableError: the source keeps breaking.
        """
        if offset != self._position:
            self.close()
            self._position = offset
        while self._position < offset + length:
            if not self._rest:
                self._rest = memoryview(self._block())
            part = self._rest[: offset + length - self._position]
            self._rest = self._rest[len(part) :]
            self._position += len(part)
            self._hash_new(part)
            # The last bytes are held back until the whole of them is known to be right.
            if self._position == self._file.size and (self._rest or self._hash.hexdigest() != self._file.sha256):
                self._refuse()
            yield part

    def _block(self) -> bytes:
        """The next bytes of the source."""
        while True:
            if self._blocks is None:
                self._blocks = _generator(self._source.read(self._file, offset=self._position))
            try:
                block = next(self._blocks, b"")
            except UnavailableError:
                self.close()
                if self._position >= self._patient_from + PROGRESS:
                    self._failures, self._patient_from = 0, self._position
                self._failures += 1
                if self._failures >= MAX_ATTEMPTS:
                    raise
            else:
                return block or self._refuse()

    def _hash_new(self, part: memoryview) -> None:
        fresh = self._position - self._hashed
        if fresh > 0:
            self._hash.update(part[-fresh:])
            self._hashed = self._position
            self._count(fresh)

    def _refuse(self) -> NoReturn:
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

    def __init__(self, transport: Transport, blobs: Blobs, *, single: int, chunk: int) -> None:
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
        offset, failures, patient_from = 0, 0, 0
        while True:
            try:
                if single or offset == file.size:
                    rest = file.size - offset
                    body = feed.take(offset, rest) if rest else b""
                    self._blobs.finish(location, digest, body, rest, size=file.size)
                    return
                length = min(max(self._chunk, least), file.size - offset)
                location = self._patch(location, feed, offset, length)
                offset += length
            except TryAgainError as err:
                failures += 1
                self._transport.attempts.pause(failures, err, what=self._transport.shown(location))
                known = None if single else self._status(location, feed.furthest)
                if known is None and self._blobs.has(digest):
                    return  # closed before its answer was lost
                if known is None:
                    (location, least), offset = self._blobs.begin(digest), 0
                else:
                    location, offset = known
            if offset >= patient_from + PROGRESS:
                failures, patient_from = 0, offset

    def _patch(self, location: str, feed: Feed, offset: int, length: int) -> str:
        answer = self._transport.once(
            Call(
                method="PATCH",
                target=location,
                expected=_TAKEN | FORGOTTEN,
                headers={**BINARY, "Content-Range": f"{offset}-{offset + length - 1}"},
                body=feed.take(offset, length),
                length=length,
                writing=True,
            )
        )
        if answer.status in FORGOTTEN:
            raise TryAgainError(f"status {answer.status} in the middle of an upload")
        return self._next(answer, location)

    def _status(self, location: str, furthest: int) -> tuple[str, int] | None:
        """Where an upload goes on, and from which byte; None where it has to be begun anew."""
        answer = self._transport.request(Call(method="GET", target=location, expected=_KNOWN | FORGOTTEN, writing=True))
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        if answer.status in FORGOTTEN or found is None:
            return None
        last = int(found[1])
        offset = last + 1 if last else 0  # "0-0" is what registries say of no byte at all
        return (self._next(answer, location), offset) if offset <= furthest else None

    def _next(self, answer: Answer, location: str) -> str:
        following = answer.headers.get("location", "")
        return self._transport.follow(answer.url, following) if following else location
