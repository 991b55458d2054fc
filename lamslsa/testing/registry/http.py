"""One server on this machine, its connections, and the log of what was asked.

An endpoint gets a `Call` and returns a `Reply`, or raises `Refusal`; what a fault makes of it happens here.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from lamslsa.testing.registry.faults import (
    Answer,
    CutRequest,
    CutResponse,
    Delay,
    Faults,
    Flip,
    LoseAnswer,
    Meanwhile,
    Redirect,
    Shorten,
    Substitute,
)
from lamslsa.testing.registry.messages import Body, Call, CutError, Refusal, Reply, Request

__all__ = ["LoopbackServer"]

_POLL_S: Final = 0.01
_CREDENTIALS: Final = re.compile(r"(Basic|Bearer) .*", re.IGNORECASE)
_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_NO_BODY: Final = frozenset({204, 304})


class LoopbackServer:
    """A server on a port of this machine; used as a context manager.

    Args:
        port: 0 for any that is free.
        tls: answers https with this context.

    Attributes:
        faults: what the next requests meet.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.faults = Faults()
        self._log: list[Request] = []
        self._lock = threading.Lock()
        self._scheme = "http" if tls is None else "https"
        self._server = _Server(("127.0.0.1", port), self.faults, self._respond, self._note)
        if tls is not None:  # hands are shaken by the connection's own thread
            listening = self._server.socket
            self._server.socket = tls.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    @property
    def host(self) -> str:
        """Address and port, as in a reference to a repository."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Scheme and host."""
        return f"{self._scheme}://{self.host}"

    @property
    def requests(self) -> list[Request]:
        """Every request that was answered or cut so far, in their order."""
        with self._lock:
            return list(self._log)

    def count(self, method: str = ".*", path: str = "") -> int:
        """How many requests there were of a method and path, both as in a `Fault`."""
        return sum(
            re.fullmatch(method, request.method) is not None and re.search(path, request.path) is not None
            for request in self.requests
        )

    def forget_requests(self) -> None:
        """Begin the log anew."""
        with self._lock:
            self._log.clear()

    def answer(self, call: Call) -> Reply:
        """The answer to a request.

        Raises:
            Refusal: an error is the answer.
        """
        raise NotImplementedError

    def redirect_target(self) -> str:
        """Where a redirect leads that names no host."""
        return self.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def _note(self, request: Request) -> None:
        with self._lock:
            self._log.append(request)

    def _respond(self, call: Call, target: str) -> Reply:
        """What a call's fault leaves of the answer."""
        match call.fault:
            case Answer(status=status, body=body, headers=headers):
                return Reply(status=status, headers=headers, body=(body,))
            case Delay(seconds):
                if self._server.closed.wait(seconds):
                    raise CutError
            case Meanwhile(run):
                run()
        try:
            reply = self.answer(call)
        except Refusal as refusal:
            reply = refusal.reply
        return reply if reply.status >= 300 else self._spoil(call, target, reply)

    def _spoil(self, call: Call, target: str, reply: Reply) -> Reply:
        match call.fault:
            case Redirect(to, status):
                return Reply(status=status, headers={"Location": (to or self.redirect_target()) + target})
            case Substitute(body):
                kept = {name: value for name, value in reply.headers.items() if name != "Content-Range"}
                return Reply(status=200 if reply.status == 206 else reply.status, headers=kept, body=(body,))
            case Shorten(to):
                return reply.cut(to)
            case Flip(offset):
                return reply.flip(offset)
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # they are waited for when the server is closed
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        faults: Faults,
        respond: Callable[[Call, str], Reply],
        note: Callable[[Request], None],
    ) -> None:
        self.faults = faults
        self.respond = respond
        self.note = note
        self.closed = threading.Event()
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Connection)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self.connections):
            _shut_down(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up before the end is what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)
        if self.server.closed.is_set():  # accepted at the last moment
            _shut_down(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
        """Say nothing."""

    def respond(self) -> None:
        """Answer one request, or do what its fault says."""
        fault = self.server.faults.take(self.command, self.path)
        parts = urlsplit(self.path)
        call = Call(
            method=self.command,
            path=parts.path,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers=self.headers,
            body=Body(self.rfile, self.headers, cut=fault.after if isinstance(fault, CutRequest) else None),
            fault=fault,
        )
        try:
            reply = self.server.respond(call, self.path)
            call.body.drain()
        except CutError:
            self._note(call, parts.query, status=0, sent=0)
            self._reset()
            return
        if isinstance(fault, LoseAnswer):
            self._note(call, parts.query, status=0, sent=0)
            self.close_connection = True
            return
        shown = reply.cut(fault.after) if isinstance(fault, CutResponse) else reply
        silent = self.command == "HEAD" or reply.status in _NO_BODY
        self._note(call, parts.query, status=reply.status, sent=0 if silent else shown.length)
        self.close_connection |= isinstance(fault, CutResponse)
        self._send_head(reply)
        if not silent:
            self._send_body(shown)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815 - the base's names

    def _note(self, call: Call, query: str, *, status: int, sent: int) -> None:
        lowered = ((name.lower(), value) for name, value in self.headers.items())
        headers = {name: _scheme(value) if name in _SECRET else value for name, value in lowered}
        self.server.note(
            Request(
                method=call.method,
                path=call.path,
                query=query,
                status=status,
                headers=headers,
                received=call.body.received,
                sent=sent,
            )
        )

    def _send_head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in _NO_BODY:
            self.send_header("Content-Length", str(reply.length))
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        for part in reply.body:
            if isinstance(part, bytes):
                self.wfile.write(part)
            elif part.length:
                self.wfile.flush()
                with part.path.open("rb") as file:
                    self.connection.sendfile(file, part.offset, part.length)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def _scheme(credentials: str) -> str:
    found = _CREDENTIALS.fullmatch(credentials)
    return found[1] if found else "(unknown)"


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # past the TLS layer, which is not to be used by two threads
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
