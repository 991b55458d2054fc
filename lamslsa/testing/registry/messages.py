"""What is asked, what is answered, and the log's entry for both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from itertools import cycle
from pathlib import Path
from typing import Final, Protocol

from lamslsa.testing.registry.faults import Action

__all__ = ["Body", "Call", "CutError", "FilePart", "Refusal", "Reply", "Request"]

_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request in the log.

    Attributes:
        path: without the query.
        status: of the answer; 0 where there was none.
        headers: by their names in lower case; of credentials only the scheme, ``Basic``, ``Bearer`` or ``(unknown)``.
        received: bytes of the request's body.
        sent: bytes of the answer's body.
    """

    method: str
    path: str
    query: str
    status: int
    headers: Mapping[str, str]
    received: int
    sent: int

    @property
    def authorization(self) -> str | None:
        """The scheme of the credentials that came with it, see ``headers``; None for none."""
        return self.headers.get("authorization")


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file, which are sent without being read here."""

    path: Path
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> FilePart:
        start, stop, _ = part.indices(self.length)
        return FilePart(self.path, self.offset + start, max(0, stop - start))

    def read(self) -> bytes:
        """The bytes, where there are few of them."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, its body in parts that follow each other."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: tuple[bytes | FilePart, ...] = ()

    @property
    def length(self) -> int:
        """The bytes of the body."""
        return sum(map(len, self.body))

    def cut(self, length: int) -> Reply:
        """The same with the first bytes of the body alone."""
        parts: list[bytes | FilePart] = []
        for part in self.body:
            parts.append(part[:length])
            length -= len(parts[-1])
        return replace(self, body=tuple(parts))

    def flip(self, offset: int) -> Reply:
        """The same with a bit changed in a byte of the file, or of the body where it is no file."""
        parts: list[bytes | FilePart] = []
        for part in self.body:
            at = offset - (part.offset if isinstance(part, FilePart) else 0)
            if not 0 <= at < len(part):
                parts.append(part)
                continue
            byte = part[at : at + 1]
            changed = (byte.read() if isinstance(byte, FilePart) else byte)[0] ^ 1
            parts += [part[:at], bytes([changed]), part[at + 1 :]]
        return replace(self, body=tuple(parts))


class Refusal(Exception):  # noqa: N818 - an answer, not an accident
    """An error answer, with one of the codes of the distribution specification."""

    def __init__(self, status: int, code: str, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        body = json.dumps({"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}).encode()
        self.reply = Reply(status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=(body,))


class CutError(ConnectionError):
    """The connection ends within a request, on purpose or because the client is gone."""


class _Input(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...

    def readline(self, limit: int, /) -> bytes: ...


class Body:
    """The body of a request, read once; its length is given or it comes in chunks (RFC 9112 section 7.1).

    Args:
        source: the connection.
        headers: of the request.
        cut: after how many bytes the connection is to be cut.

    Attributes:
        length: as announced; None for chunks.
        received: how much was read so far.
    """

    def __init__(self, source: _Input, headers: Message, *, cut: int | None) -> None:
        chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.length = None if chunked else int(headers.get("Content-Length") or 0)
        self.received = 0
        self._source = source
        self._cut = cut
        self._begun = False

    def blocks(self) -> Iterator[memoryview]:
        """The body, or nothing where it was read already; a block is overwritten by the one after the next.

        Raises:
            CutError: the client is gone before the end, or the connection is to be cut.
        """
        if self._begun:
            return
        self._begun = True
        size = _BLOCK if self.length is None else min(_BLOCK, self.length)
        buffers = cycle([memoryview(bytearray(size)) for _ in range(2)])
        try:
            for length in self._lengths():
                yield from self._read(buffers, length)
        except (OSError, ValueError) as err:  # ValueError: no length where a chunk should have one
            raise CutError from err
        if self._cut is not None:
            raise CutError

    def _lengths(self) -> Iterator[int]:
        if self.length is not None:
            yield self.length
            return
        while length := int(self._source.readline(64).split(b";")[0], 16):
            yield length
            self._source.readline(8)
        while self._source.readline(1024).strip():
            continue

    def _read(self, buffers: Iterator[memoryview], left: int) -> Iterator[memoryview]:
        while left:
            buffer = next(buffers)
            wanted = min(left, len(buffer))
            if self._cut is not None:
                wanted = min(wanted, self._cut - self.received)
            size = self._source.readinto(buffer[:wanted])
            if not size:
                raise CutError
            self.received += size
            left -= size
            yield buffer[:size]

    def read(self, limit: int) -> bytes | None:
        """All of it; None where it is longer than that."""
        data = bytearray()
        for block in self.blocks():
            if len(data) <= limit:
                data += block
        return None if len(data) > limit else bytes(data)

    def drain(self) -> None:
        """Read what nobody asked for, so that the next request begins where it should."""
        for _ in self.blocks():
            continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an endpoint gets.

    Attributes:
        query: every parameter, in their order.
        fault: what this request meets, where the endpoint has to take part in it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Message
    body: Body
    fault: Action | None

    def parameter(self, name: str) -> str:
        """The first of a query's parameters of that name; empty where there is none."""
        return next((value for key, value in self.query if key == name), "")

    def header(self, name: str) -> str:
        """A header; empty where it is missing."""
        return str(self.headers.get(name, ""))
