"""Reading blobs, and writing those that fit into memory.

Rules:
- What is read whole is compared with its digest and size before anybody sees it.
- A stream never gives more bytes than were asked for; comparing them with the digest is up to whoever puts them
  together, since a stream may begin anywhere. A registry that ignores ``Range`` is read from the start, and the bytes
  before the offset are dropped.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlencode, urlsplit

from lamslsa import _codec
from lamslsa._attempts import TryAgainError
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci.answers import Call, Stream
from lamslsa.store.oci.manifests import refuse_digest
from lamslsa.store.oci.transport import Transport

__all__ = ["BINARY", "FORGOTTEN", "Blobs"]

_FOUND: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
_PARTIAL: Final = 206
_MISSING: Final = 404
FORGOTTEN: Final = frozenset({404, 416})
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
BINARY: Final = {"Content-Type": "application/octet-stream"}


class Blobs:
    """The blobs of one repository."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def has(self, digest: str) -> bool:
        """Whether the registry says that a blob is there.

        Raises:
            UnavailableError: the registry cannot be reached, or refuses.
        """
        call = Call(method="HEAD", target=self._path(digest), expected=frozenset({_FOUND, _MISSING}))
        return self._transport.request(call).status == _FOUND

    def get(self, digest: str, *, size: int, limit: int) -> bytes:
        """The bytes of a blob of a known size.

        Raises:
            FormatError: larger than the limit, or other bytes.
            UnavailableError: the registry cannot be reached, refuses, or does not have it.
        """
        if size > limit:
            raise FormatError(f"expected at most {limit} bytes in {digest}, got {size}", reason="registry-blob-size")
        call = Call(method="GET", target=self._path(digest), expected=frozenset({_FOUND}), limit=size)
        data = self._transport.request(call).body
        if len(data) != size or f"sha256:{_codec.sha256_hex(data)}" != digest:
            raise FormatError(f"expected the bytes of {digest}, got others", reason="registry-blob-digest")
        return data

    def read(self, digest: str, *, size: int, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from an offset on, in blocks of at most 1 MiB; not compared with the digest.

        Raises:
            FormatError: more bytes than the size, or another range than was asked for.
            UnavailableError: the registry cannot be reached, refuses, does not have it, or the connection broke.
        """
        if offset >= size:
            return
        call = Call(
            method="GET",
            target=self._path(digest),
            expected=frozenset({_FOUND, _PARTIAL}),
            headers={"Range": f"bytes={offset}-"} if offset else None,
            limit=size,
        )
        with contextlib.closing(self._transport.stream(call)) as stream:
            yield from self._blocks(stream, digest, size, offset)

    def _blocks(self, stream: Stream, digest: str, size: int, offset: int) -> Iterator[bytes]:
        position = 0
        if stream.status == _PARTIAL:
            found = _RANGE.fullmatch(stream.headers.get("content-range", ""))
            if found is None or int(found[1]) != offset:
                raise FormatError(f"expected {digest} from byte {offset} on, got another part", reason="registry-range")
            position = offset
        for block in stream:
            start, position = position, position + len(block)
            if position > size:
                raise FormatError(f"expected {size} bytes in {digest}, got more", reason="registry-blob-long")
            if position > offset:
                yield block[max(0, offset - start) :]
        if position < size:
            raise UnavailableError(
                f"expected {size} bytes in {digest}, got {position}",
                reason="registry-blob-short",
                hint="the registry's copy is incomplete, or the connection broke; run the same again",
            )

    def put(self, data: bytes) -> str:
        """Store bytes unless they are there, and say their digest.

        Raises:
            UnavailableError: the registry cannot be reached, or refuses.
        """
        digest = f"sha256:{_codec.sha256_hex(data)}"

        def attempt() -> None:
            if self.has(digest):
                return
            location, _ = self.begin(digest)
            self.finish(location, digest, data, len(data))

        self._transport.attempts.persist(attempt, what=self._transport.shown(self._path(digest)))
        return digest

    def finish(
        self, location: str, digest: str, body: bytes | Iterable[memoryview], length: int, *, size: int = 0
    ) -> None:
        """One attempt to close an upload with the last of its bytes.

        Args:
            location: where the upload goes on.
            digest: of the whole.
            body: the last bytes.
            length: how many of them.
            size: of the whole, which the registry goes through before it answers; by default ``length``.

        Raises:
            TryAgainError: it failed, or the registry has forgotten the upload.
            UnavailableError: the registry refuses.
        """
        answer = self._transport.once(
            Call(
                method="PUT",
                target=f"{location}{'&' if urlsplit(location).query else '?'}{urlencode({'digest': digest})}",
                expected=frozenset({_CREATED}) | FORGOTTEN,
                headers=BINARY,
                body=body,
                length=length,
                writing=True,
                finishing=max(size, length, 1),
            )
        )
        if answer.status in FORGOTTEN:
            raise TryAgainError(f"status {answer.status} at the end of an upload")
        refuse_digest(self._transport, answer, digest)

    def begin(self, digest: str, *, source: str = "") -> tuple[str, int]:
        """Begin an upload: where it goes on, and the least number of bytes that the registry wants in a chunk.

        Where ``source`` is a repository that has the blob, the registry may mount it instead; then that is empty. Who
        may not read there, or not with this account, sends the blob.

        Raises:
            UnavailableError: the registry cannot be reached, or refuses.
        """
        query = f"?{urlencode({'mount': digest, 'from': source})}" if source else ""
        call = Call(
            method="POST",
            target=self._transport.path(f"blobs/uploads/{query}"),
            expected=frozenset({_ACCEPTED, _CREATED} if source else {_ACCEPTED}),
            body=b"",
            writing=True,
            source=source,
        )
        try:
            answer = self._transport.request(call)
        except UnavailableError as err:
            if not source or err.reason != "registry-denied":
                raise
            return self.begin(digest)
        if answer.status == _CREATED:
            return "", 0
        least = answer.headers.get("oci-chunk-min-length", "")
        location = self._transport.follow(answer.url, answer.headers.get("location", ""))
        return location, int(least) if re.fullmatch(r"[0-9]{1,12}", least) else 0

    def _path(self, digest: str) -> str:
        return self._transport.path(f"blobs/{digest}")
