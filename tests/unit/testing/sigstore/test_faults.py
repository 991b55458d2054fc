"""Faults are planned, counted and cleared; the server carries them out."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest
import urllib3

from lamslsa.testing.sigstore import ENDPOINTS, LIES, Endpoint, Failure, Faults, LocalSigstore
from lamslsa.testing.sigstore._http import Reply, Request, Route
from lamslsa.testing.sigstore.server import Server


class TestFaults:
    def test_counted(self) -> None:
        faults = Faults()
        faults.fail("tsa", 500, skip=1, times=2)
        assert [faults.failure("tsa") for _ in range(5)] == [None, 500, 500, None, None]
        faults.lie("sct-missing", skip=1, times=1)
        assert [faults.lies("sct-missing") for _ in range(3)] == [False, True, False]
        faults.fail("tsa", "drop")
        assert [faults.failure("tsa") for _ in range(3)] == ["drop"] * 3

    def test_the_later_one_counts(self) -> None:
        faults = Faults()
        faults.fail("tsa", 500)
        faults.fail("tsa", 503)
        assert faults.failure("tsa") == 503
        assert faults.failure("fulcio") is None

    def test_cleared(self) -> None:
        faults = Faults()
        for endpoint in ENDPOINTS:
            faults.fail(endpoint)
        for lie in LIES:
            faults.lie(lie)
        faults.clear()
        assert not any(faults.failure(endpoint) for endpoint in ENDPOINTS)
        assert not any(faults.lies(lie) for lie in LIES)

    def test_waiting_for_what_was_cleared(self) -> None:
        faults = Faults()
        faults.fail("tsa", "hang", times=1)
        assert faults.failure("tsa") == "hang"
        faults.clear()
        faults.wait("tsa")

    @pytest.mark.parametrize("failure", [99, 199, 600, "explode"])
    def test_unknown_failures(self, failure: Any) -> None:
        with pytest.raises(ValueError, match="expected"):
            Faults().fail("tsa", failure)

    def test_unknown_names(self) -> None:
        unknown: Any = "rekor3"
        with pytest.raises(ValueError, match="expected one of"):
            Faults().fail(unknown)
        with pytest.raises(ValueError, match="expected one of"):
            Faults().lie(unknown)


PATHS: dict[Endpoint, tuple[str, str]] = {
    "oidc-configuration": ("GET", "/oauth2/.well-known/openid-configuration"),
    "oidc-keys": ("GET", "/oauth2/keys"),
    "oidc-authorization": ("GET", "/oauth2/auth"),
    "oidc-token": ("POST", "/oauth2/token"),
    "github-token": ("GET", "/gha-oidc"),
    "fulcio": ("POST", "/api/v2/signingCert"),
    "trust-bundle": ("GET", "/api/v2/trustBundle"),
    "rekor1": ("POST", "/api/v1/log/entries"),
    "rekor1-lookup": ("GET", "/api/v1/log/entries"),
    "rekor2": ("POST", "/api/v2/log/entries"),
    "rekor2-lookup": ("GET", "/api/v2/checkpoint"),
    "tsa": ("POST", "/api/v1/timestamp"),
    "tuf": ("GET", "/tuf/timestamp.json"),
}


def ask(sigstore: LocalSigstore, endpoint: Endpoint) -> urllib3.BaseHTTPResponse:
    method, path = PATHS[endpoint]
    return urllib3.request(method, sigstore.url + path, retries=False, timeout=10)


class TestServer:
    def test_every_endpoint(self, faulty_sigstore: LocalSigstore) -> None:
        assert PATHS.keys() == set(ENDPOINTS)
        for endpoint in ENDPOINTS:
            assert ask(faulty_sigstore, endpoint).status != 418
            faulty_sigstore.faults.fail(endpoint, 418)
            assert ask(faulty_sigstore, endpoint).status == 418
            faulty_sigstore.faults.clear()

    @pytest.mark.parametrize("failure", ["drop", "lose"])
    def test_no_answer(self, faulty_sigstore: LocalSigstore, failure: Failure) -> None:
        faulty_sigstore.faults.fail("trust-bundle", failure)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            ask(faulty_sigstore, "trust-bundle")

    def test_half_an_answer(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.fail("trust-bundle", "cut")
        with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
            ask(faulty_sigstore, "trust-bundle")

    def test_garbled(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.fail("trust-bundle", "garble")
        answer = ask(faulty_sigstore, "trust-bundle")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()

    def test_hangs_until_cleared(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.fail("trust-bundle", "hang")
        with pytest.raises(urllib3.exceptions.TimeoutError):
            urllib3.request("GET", f"{faulty_sigstore.url}/api/v2/trustBundle", retries=False, timeout=0.05)
        timer = threading.Timer(0.05, faulty_sigstore.faults.clear)
        timer.start()
        with pytest.raises(urllib3.exceptions.ProtocolError):
            ask(faulty_sigstore, "trust-bundle")
        timer.join()
        assert ask(faulty_sigstore, "trust-bundle").status == 200

    def test_unknown_paths(self, local_sigstore: LocalSigstore) -> None:
        for method, path in (("GET", "/"), ("GET", "/api/v2/signingCert"), ("POST", "/tuf/x"), ("GET", "/tuf/none")):
            assert urllib3.request(method, local_sigstore.url + path).status == 404

    def test_answers_leave_in_one_packet(self, local_sigstore: LocalSigstore) -> None:
        host, port = local_sigstore.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            for _ in range(2):  # the connection stays open
                connection.sendall(b"GET /oauth2/keys HTTP/1.1\r\nHost: x\r\n\r\n")
                head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
                assert f"Content-Length: {len(body)}".encode() in head

    def test_clients_that_go_away(self, capfd: pytest.CaptureFixture[str]) -> None:
        with LocalSigstore() as sigstore:
            host, port = sigstore.url.removeprefix("http://").split(":")
            connection = socket.create_connection((host, int(port)))
            connection.sendall(b"POST /api/v1/log/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            connection.close()
            assert ask(sigstore, "trust-bundle").status == 200
        assert capfd.readouterr().err == ""

    def test_bugs_are_heard_of(self, capfd: pytest.CaptureFixture[str]) -> None:
        def answer(_: Request) -> Reply:
            raise RuntimeError("a bug")

        server = Server(Faults())
        server.start([Route(endpoint="tsa", method="GET", path="/", answer=answer)])
        with pytest.raises(urllib3.exceptions.ProtocolError):
            urllib3.request("GET", server.url, retries=False)
        server.close()
        assert "RuntimeError: a bug" in capfd.readouterr().err

    def test_closing(self) -> None:
        before = set(threading.enumerate())
        with LocalSigstore() as sigstore:
            sigstore.faults.fail("trust-bundle", "hang")
            with pytest.raises(urllib3.exceptions.TimeoutError):
                urllib3.request("GET", f"{sigstore.url}/api/v2/trustBundle", retries=False, timeout=0.05)
            pool = urllib3.PoolManager()
            assert pool.request("GET", f"{sigstore.url}/oauth2/keys").status == 200
        assert set(threading.enumerate()) <= before
        with pytest.raises(urllib3.exceptions.HTTPError):
            pool.request("GET", f"{sigstore.url}/oauth2/keys", retries=False)
        pool.clear()
