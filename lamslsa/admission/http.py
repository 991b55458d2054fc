"""HTTP/1.1 as the API server, Gatekeeper and probes speak it, and no more of it (RFC 9112).

Rules:
- Head and body have limits, in bytes and in seconds. A body has a length and no other framing.
- A request that cannot be read is answered with 400, and its connection closed: where the next one begins is unknown.
  What still comes is read for a moment, since a client that sends into a closed connection never sees its answer.
- Connections that nothing comes from cost one task each, and are closed after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError

__all__ = ["Limits", "Request", "Response", "Server"]

_PHRASES: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Unavailable"}
_MAX_HEAD: Final = 16 * 1024
_MAX_FIELDS: Final = 64
_END: Final = b"\r\n\r\n"
_LINGER_S: Final = 0.5
_READ_ON_S: Final = 2.0
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; the names of fields are in lower case."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"

    @classmethod
    def line(cls, status: int, message: str) -> Response:
        """One line of text."""
        return cls(status=status, body=f"{message}\n".encode(), content_type="text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may take.

    Attributes:
        connections: at a time; the next one is closed at once.
        body: bytes of one request.
        bodies: bytes of all requests that are being read or answered; one that does not fit is answered with 503.
        idle_s: how long a connection may be silent between requests; longer than the 90 seconds after which the API
            server closes it, so that no request meets a connection that has just been closed.
        request_s: how long a request may take to arrive.
        handshake_s: how long TLS may take to be agreed on.
    """

    connections: int = 2048
    body: int = 8 * 1024 * 1024
    bodies: int = 64 * 1024 * 1024
    idle_s: float = 120.0
    request_s: float = 10.0
    handshake_s: float = 10.0


def _refused(message: str) -> FormatError:
    return FormatError(message, reason="admission-http")


def _head(data: bytes) -> tuple[Request, int]:
    """A request without its body, and how long that is.

    Raises:
        FormatError: no such head.
    """
    try:
        lines = data.removesuffix(_END).decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise _refused("expected a head in ASCII, got other bytes") from None
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    if not (method.isalpha() and target.startswith("/") and version in {"HTTP/1.0", "HTTP/1.1"}):
        raise _refused("expected a request line of HTTP/1.1, got another one")
    if len(lines) > _MAX_FIELDS:
        raise _refused(f"expected at most {_MAX_FIELDS} fields, got more")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _refused("expected fields with a name, got one without")
        if name.lower() in fields and name.lower() in {"content-length", "transfer-encoding", "connection"}:
            raise _refused(f"expected {name.lower()} once, got it twice")
        fields[name.lower()] = value.strip()
    length = fields.get("content-length", "0")
    if "transfer-encoding" in fields or not (length.isdigit() and len(length) < 16):
        raise _refused("expected a body with its length, got another one")
    path, _, query = target.partition("?")
    close = version == "HTTP/1.0" or fields.get("connection", "").lower() == "close"
    return Request(method=method, path=path, query=query, close=close), int(length)


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(_END)
    except asyncio.LimitOverrunError:
        raise _refused(f"expected a head of at most {_MAX_HEAD} bytes, got more") from None


class Server:
    """Listens, and hands requests to whoever answers them.

    Args:
        respond: answers a request; what it raises ends the connection.
        context: of TLS.
        limits: what clients may take.
        troubled: told the reason of each request that `respond` never saw, and what was wrong, in words.
    """

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Response]],
        *,
        context: ssl.SSLContext,
        limits: Limits = Limits(),
        troubled: Callable[[str, str], None] = lambda _reason, _message: None,
    ) -> None:
        self._respond = respond
        self._troubled = troubled
        self._context = context
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._idle: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._draining = self._stopped = False

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._open)

    async def start(self, host: str, port: int) -> int:
        """Listen, and say at which port.

        Raises:
            OSError: the address is taken, or none of this machine.
        """
        self._server = await asyncio.start_server(
            self._serve,
            host,
            port,
            ssl=self._context,
            limit=_MAX_HEAD,
            backlog=1024,
            ssl_handshake_timeout=self._limits.handshake_s,
            ssl_shutdown_timeout=1.0,
        )
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def stop(self, *, drain_s: float, grace_s: float) -> None:
        """Stop without leaving anybody without an answer.

        Args:
            drain_s: for so long new connections are still taken, for not everybody knows yet; each answer asks the
                client to come back over another connection, which somebody else then takes.
            grace_s: for so long answers that are being made are waited for.
        """
        self._draining = True
        await asyncio.sleep(drain_s)
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(min(drain_s, _LINGER_S))  # for requests on connections that were just made
        self._stopped = True
        for writer in tuple(self._idle):
            writer.close()
        if self._open:
            await asyncio.wait(self._open, timeout=grace_s)
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= self._limits.connections:
            writer.close()
            return
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                while await self._once(reader, writer):
                    pass
        finally:
            self._open.discard(task)
            self._idle.discard(writer)
            writer.close()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether there may be another one."""
        if self._stopped:
            return False
        self._idle.add(writer)
        async with asyncio.timeout(self._limits.idle_s):
            first = await reader.read(1)
        self._idle.discard(writer)
        if not first:
            return False
        taken = 0
        try:
            async with asyncio.timeout(self._limits.request_s):
                try:
                    request, length = _head(first + await _read_head(reader))
                    if length > self._limits.body:
                        raise _refused(f"expected at most {self._limits.body} bytes in a request, got {length}")
                except FormatError as err:
                    return await self._give_up(reader, writer, 400, err)
                if self._bytes + length > self._limits.bodies:
                    crowded = FormatError("expected fewer requests at a time", reason="admission-crowded")
                    return await self._give_up(reader, writer, 503, crowded)
                taken = length
                self._bytes += taken
                body = await reader.readexactly(length)
            response = await self._respond(
                Request(method=request.method, path=request.path, query=request.query, body=body)
            )
        finally:
            self._bytes -= taken
        return await self._say(writer, response, close=request.close or self._draining)

    async def _give_up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int, err: FormatError
    ) -> bool:
        """Answer what cannot be read, and read on until the client has seen it or a limit is reached."""
        self._troubled(err.reason, str(err))
        await self._say(writer, Response.line(status, f"{err} [{err.reason}]"), close=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_ON_S):
                for _ in range(0, 2 * self._limits.body, _BLOCK):
                    if not await reader.read(_BLOCK):
                        break
        return False

    async def _say(self, writer: asyncio.StreamWriter, response: Response, *, close: bool) -> bool:
        head = (
            f"HTTP/1.1 {response.status} {_PHRASES[response.status]}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n"
        )
        writer.write(head.encode("ascii") + response.body)
        async with asyncio.timeout(self._limits.request_s):
            await writer.drain()
        return not close
