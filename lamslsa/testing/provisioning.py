"""Servers on this machine that answer as Intel's and AMD's provisioning services do, and that can be made to fail.

Answers come from the simulated vendors, so what is fetched from here verifies under their roots. A fault is used up by
one request, in the order given; after that the server answers as it should.

>>> import datetime as dt
>>> from lamslsa.testing.simulated import SimulatedVendor
>>> vendor = SimulatedVendor(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
>>> with FakePccs(vendor.collateral()) as server:
...     server.answer("/sgx/certification/v4/qe/identity").status
200
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qs, quote, urlsplit

from lamslsa.evidence._pem import parse_chain, render_chain

__all__ = ["Answer", "Drip", "FakeKds", "FakePccs", "FakeServer", "Fault", "Instead", "Reset", "Silence", "Truncated"]

_CERTIFICATION: Final = "/certification/v4/"
_DRIP_S: Final = 0.01
_BEFORE_DRIPS: Final = {
    "header": b"HTTP/1.1 200 OK\r\nContent-Type: ",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "body": b"HTTP/1.1 200 OK\r\n\r\n",
}
_TEES: Final = {"SGX": "sgx", "TDX": "tdx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server sends."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


_NOT_FOUND: Final = Answer(status=404)


@dataclass(frozen=True, slots=True)
class Instead:
    """Another answer in place of the right one; sent without its length where ``length`` is false."""

    answer: Answer
    length: bool = True


@dataclass(frozen=True, slots=True)
class Truncated:
    """The right answer with its length, and the connection closed in the middle of the body."""


@dataclass(frozen=True, slots=True)
class Reset:
    """No answer: the connection is reset."""


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer, and the connection kept open until the server is closed."""


@dataclass(frozen=True, slots=True)
class Drip:
    """A status of 200, then one part of the answer byte after byte, for ``seconds`` or until the client hangs up."""

    part: Literal["header", "chunk", "body"]
    seconds: float = 20.0


Fault = Instead | Truncated | Reset | Silence | Drip


class FakeServer:
    """A server on a free port of this machine; used as a context manager.

    Args:
        tls: answers https with this context.

    Attributes:
        requests: path and query of every request, in their order.
        faults: what the next requests meet.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _bound_to(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'' if tls is None else 's'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def answer(self, target: str) -> Answer:  # noqa: ARG002 - for servers that know something
        """The answer to a path and query."""
        return _NOT_FOUND

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, or fail to."""
        self.requests.append(request.path)
        answer = self.answer(request.path)
        match self.faults.pop(0) if self.faults else None:
            case None:
                _send(request, answer)
            case Instead(other, length):
                _send(request, other, length=len(other.body) if length else None)
            case Truncated():
                _send(
                    request,
                    Answer(body=answer.body[: len(answer.body) // 2], headers=answer.headers),
                    length=len(answer.body),
                )
                request.close_connection = True
            case Reset():
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                request.close_connection = True
            case Silence():
                self._closed.wait()
                request.close_connection = True
            case Drip(part, seconds):
                request.close_connection = True
                request.wfile.write(_BEFORE_DRIPS[part])
                end = time.monotonic() + seconds
                while time.monotonic() < end and not self._closed.wait(_DRIP_S):
                    request.wfile.write(b"0")  # goes for a header, for a length in hexadecimal, and for content


class FakePccs(FakeServer):
    """Serves collateral as a PCCS does; with ``hexadecimal`` false, revocation lists as Intel's own service does.

    Args:
        collaterals: what a simulated vendor made, for as many platforms as one likes; of one vendor.
        hexadecimal: revocation lists as hexadecimal digits, whatever encoding is asked for.
    """

    def __init__(self, *collaterals: bytes, hexadecimal: bool = True, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self._hexadecimal = hexadecimal
        self._answers: dict[tuple[str, str], Answer] = {}
        for collateral in collaterals:
            self._add(json.loads(collateral))

    def _add(self, parts: Mapping[str, str]) -> None:
        tcb_info = json.loads(parts["tcb_info"])
        tee = _TEES[tcb_info["id"]]
        self._answers[f"/{tee}{_CERTIFICATION}tcb", tcb_info["fmspc"].upper()] = Answer(
            body=_signed("tcbInfo", parts["tcb_info"], parts["tcb_info_signature"]),
            headers={"TCB-Info-Issuer-Chain": quote(parts["tcb_info_issuer_chain"])},
        )
        self._answers[f"/{tee}{_CERTIFICATION}qe/identity", ""] = Answer(
            body=_signed("enclaveIdentity", parts["qe_identity"], parts["qe_identity_signature"]),
            headers={"SGX-Enclave-Identity-Issuer-Chain": quote(parts["qe_identity_issuer_chain"])},
        )
        issuer = parse_chain(parts["pck_crl_issuer_chain"].encode(), what="issuer chain")[0]
        ca = "processor" if b"PCK Processor CA" in issuer else "platform"
        self._answers[f"/sgx{_CERTIFICATION}pckcrl", ca] = Answer(
            body=self._list(parts["pck_crl"]),
            headers={"SGX-PCK-CRL-Issuer-Chain": quote(parts["pck_crl_issuer_chain"])},
        )
        self._answers[f"/sgx{_CERTIFICATION}rootcacrl", ""] = Answer(body=self._list(parts["root_ca_crl"]))

    def _list(self, digits: str) -> bytes:
        return digits.encode("ascii") if self._hexadecimal else bytes.fromhex(digits)

    def answer(self, target: str) -> Answer:
        """The answer to a path and query; 404 for a platform that is not served."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        key = next((query[name][0] for name in ("fmspc", "ca") if name in query), "")
        return self._answers.get((parts.path, key), _NOT_FOUND)


class FakeKds(FakeServer):
    """Serves certificates and revocation lists as AMD's key distribution service does.

    Args:
        product: ``Milan``, ``Genoa`` or ``Turin``.
        chains: issuer and root in DER, by the kind of key: ``vcek``, ``vlek``.
        revocation_list: DER.
        leaves: from hardware id and query, as in ``ab…?blSPL=01``, to the certificate of the chip's VCEK in DER.
    """

    def __init__(
        self,
        *,
        product: str,
        chains: Mapping[str, Sequence[bytes]],
        revocation_list: bytes,
        leaves: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__()
        self._answers = {f"/vcek/v1/{product}/{target}": Answer(body=der) for target, der in (leaves or {}).items()}
        for key, chain in chains.items():
            self._answers[f"/{key}/v1/{product}/cert_chain"] = Answer(body=render_chain(chain))
            self._answers[f"/{key}/v1/{product}/crl"] = Answer(body=revocation_list)

    def answer(self, target: str) -> Answer:
        """The answer to a path and query; 404 for a chip that is not served."""
        return self._answers.get(target, _NOT_FOUND)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up before the end is what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _signed(key: str, document: str, signature: str) -> bytes:
    return f'{{"{key}":{document},"signature":"{signature}"}}'.encode()


def _send(request: BaseHTTPRequestHandler, answer: Answer, *, length: int | None = -1) -> None:
    request.send_response(answer.status)
    for name, value in answer.headers.items():
        request.send_header(name, value)
    if length is None:
        request.close_connection = True
    else:
        request.send_header("Content-Length", str(len(answer.body) if length < 0 else length))
    request.end_headers()
    request.wfile.write(answer.body)


def _bound_to(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.respond(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
            """Say nothing."""

    return Requests
