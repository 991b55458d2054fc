"""One server on loopback for all services.

Rules:
- An answer leaves in one packet: a client that delays its acknowledgements would cost 40 ms otherwise.
- Closing the server closes every connection and waits for its threads: tests leave nothing behind.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route, json_reply
from lamslsa.testing.sigstore.faults import Faults

__all__ = ["Server"]

_POLL_S: Final = 0.02
_MALFORMED: Final = (
    AttributeError,
    IndexError,
    InvalidSignature,
    KeyError,
    RecursionError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
)


class Server:
    """Answers the routes that it is given; a context manager.

    Args:
        faults: what goes wrong.
        host: address to listen on.
        port: any that is free, where 0.
    """

    def __init__(self, faults: Faults, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._faults = faults
        self._routes: tuple[Route, ...] = ()
        self._http = _HTTPServer((host, port), _handler(self))
        self.url = f"http://{host}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(_POLL_S,), daemon=True)

    def start(self, routes: Sequence[Route]) -> None:
        """Answer these routes from now on."""
        self._routes = tuple(routes)
        self._thread.start()

    def close(self) -> None:
        """Close the port and every connection; the same server cannot be started again."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._faults.clear()
        self._http.close_connections()
        self._http.server_close()

    def answer(self, request: Request) -> Reply | None:
        """The answer to a request; None where the connection is to be closed instead."""
        route = next((route for route in self._routes if route.matches(request)), None)
        if route is None:
            return _refusal(RefusedError("not found", status=404))
        failure = self._faults.failure(route.endpoint)
        if isinstance(failure, int):
            return _refusal(RefusedError("this service is made to fail", status=failure))
        if failure == "hang":
            self._faults.wait(route.endpoint)
        if failure in {"drop", "hang"}:
            return None
        reply = _answer(route, request)
        if failure == "garble":
            return replace(reply, body=b'{"garbled": [')
        if failure == "cut":
            headers = {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}
            return replace(reply, body=reply.body[: len(reply.body) // 2], headers=headers)
        return None if failure == "lose" else reply


def _answer(route: Route, request: Request) -> Reply:
    try:
        return route.answer(request)
    except RefusedError as err:
        return _refusal(err)
    except _MALFORMED as err:
        return _refusal(RefusedError(f"malformed request: {type(err).__name__}"))


def _refusal(error: RefusedError) -> Reply:
    return json_reply({"code": error.status, "message": str(error)}, status=error.status, headers=error.headers)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End what clients keep open."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the server; anything else is printed as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def log_message(self, *_: object) -> None:
            """Nothing: requests hold tokens."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=parts.path,
                query=dict(reversed(parse_qsl(parts.query, keep_blank_values=True))),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            reply = server.answer(request)
            if reply is None:
                self.close_connection = True
                return
            self._send(reply)

        do_POST = do_GET  # noqa: N815 the name is of the base class

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            headers = {"Content-Type": reply.media_type, "Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    return Handler
