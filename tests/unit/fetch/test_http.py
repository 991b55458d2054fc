from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lamslsa._attempts import MAX_ATTEMPTS, MAX_PAUSE_S
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.fetch.http import HttpClient, refuse_url
from lamslsa.testing.provisioning import Answer, Drip, FakeServer, Fault, Instead, Reset, Silence, Truncated

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
BODY = b"x" * 1000


class Echo(FakeServer):
    def answer(self, target: str) -> Answer:
        return Answer(body=BODY, headers={"X-Target": target})


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


class Pauses:
    """Stands in for time.sleep and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.notes: list[str] = []

    def client(self, **options: object) -> HttpClient:
        return HttpClient(
            sleep=self.seconds.append,
            notify=self.notes.append,
            clock=lambda: NOW,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def refused(client: HttpClient, url: str, *, limit: int = 2000) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        client.get(url, limit=limit)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example",
        "https://api.example:8443/base",
        "http://localhost:8081",
        "http://127.0.0.1:1",
        "http://127.8.9.1:1",
        "http://[::1]:8081/x",
    ],
)
def test_urls_that_may_be_asked(url: str) -> None:
    refuse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example",
        "file:///etc/passwd",
        "ftp://api.example",
        "http://api.example",
        "http://192.0.2.1",
        "http://localhost.example",
        "https://",
        "https:///path",
        "https://user@api.example",
        "https://user:word@api.example",
        "https://api.example/#part",
        "https://api.example/a b",
        "https://api.example/a\nb",
        "https://äpi.example",
        "http://192.0.2.1:80\\[::1]:8081/x",
        "http://api.example\\@localhost/",
        "https://api.example:0/",
        "https://api.example:65536/",
        "https://[::1",
        "https://api.example:port",
        "https://api.example/" + "a" * 2048,
    ],
)
def test_urls_that_must_not_be_asked(url: str) -> None:
    with pytest.raises(FormatError) as caught:
        refuse_url(url)
    assert caught.value.reason == "fetch-url"
    assert refused(HttpClient(), url).reason == "fetch-url"


def test_an_answer(server: Echo, pauses: Pauses) -> None:
    response = pauses.client().get(f"{server.url}/a?b=c", limit=len(BODY))
    assert (response.body, response.headers["x-target"]) == (BODY, "/a?b=c")
    assert pauses.seconds == []


TRANSIENT: list[Fault] = [
    Reset(),
    Truncated(),
    *(Instead(Answer(status=status)) for status in (408, 429, 500, 502, 503, 599)),
]


@pytest.mark.parametrize("fault", TRANSIENT, ids=str)
def test_tried_again(server: Echo, pauses: Pauses, fault: Fault) -> None:
    server.faults = [fault] * (MAX_ATTEMPTS - 1)
    assert pauses.client().get(server.url + "/", limit=2000).body == BODY
    assert len(server.requests) == MAX_ATTEMPTS
    assert len(pauses.notes) == MAX_ATTEMPTS - 1
    for attempt, pause in enumerate(pauses.seconds):
        assert 2**attempt / 2 <= pause <= 2**attempt


@pytest.mark.parametrize("fault", TRANSIENT, ids=str)
def test_given_up(server: Echo, pauses: Pauses, fault: Fault) -> None:
    server.faults = [fault] * MAX_ATTEMPTS
    error = refused(pauses.client(), server.url + "/")
    assert (type(error), error.reason) == (UnavailableError, "fetch-connection")
    assert f"after {MAX_ATTEMPTS} attempts" in str(error)
    assert len(server.requests) == MAX_ATTEMPTS
    assert len(pauses.seconds) == MAX_ATTEMPTS - 1


def test_a_server_that_says_nothing(server: Echo, pauses: Pauses) -> None:
    server.faults = [Silence()]
    assert pauses.client(read_timeout=0.05).get(server.url + "/", limit=2000).body == BODY
    assert pauses.notes[0].startswith(f"{server.url}/: no answer in time; trying again")


DEADLINE_S = 0.3


@contextlib.contextmanager
def before_the_server_is_done() -> Iterator[None]:
    """Faults that drip do so for 20 s."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("fault", [Drip("header"), Drip("chunk"), Drip("body"), Silence()], ids=str)
def test_an_attempt_has_one_deadline(server: Echo, pauses: Pauses, fault: Fault) -> None:
    client = pauses.client(attempt_timeout=DEADLINE_S)
    server.faults = [fault]
    with before_the_server_is_done():
        assert client.get(server.url + "/", limit=2000).body == BODY
    assert [note.partition("; ")[0] for note in pauses.notes] == [f"{server.url}/: no whole answer in 0.3 s"]


def test_the_deadline_holds_for_a_connection_that_was_kept(server: Echo, pauses: Pauses) -> None:
    client = pauses.client(attempt_timeout=DEADLINE_S)
    assert client.get(server.url + "/", limit=2000).body == BODY
    server.faults = [Drip("header")]
    with before_the_server_is_done():
        assert client.get(server.url + "/", limit=2000).body == BODY
    assert len(pauses.notes) == 1


def test_an_attempt_that_ends_in_time_is_left_alone(server: Echo, pauses: Pauses) -> None:
    server.faults = [Drip("body", seconds=0.1)]
    assert set(pauses.client(attempt_timeout=20).get(server.url + "/", limit=2000).body) == set(b"0")
    assert pauses.notes == []


def test_a_server_that_always_drips_is_given_up(server: Echo, pauses: Pauses) -> None:
    server.faults = [Drip("header")] * MAX_ATTEMPTS
    error = refused(pauses.client(attempt_timeout=0.05), server.url + "/")
    assert (type(error), error.reason) == (UnavailableError, "fetch-connection")
    assert len(server.requests) == MAX_ATTEMPTS


def test_a_handshake_has_the_same_deadline(pauses: Pauses) -> None:
    """The record that a TLS server begins with, byte after byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with contextlib.suppress(OSError):
                for _ in range(MAX_ATTEMPTS):
                    _drip_record(listener.accept()[0])

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with before_the_server_is_done():
            error = refused(pauses.client(attempt_timeout=0.1), f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(10)
    assert (type(error), error.reason) == (UnavailableError, "fetch-connection")
    assert all("no whole answer in 0.1 s" in note for note in pauses.notes)


def _drip_record(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"\x16\x03\x03\x40\x00")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            connection.sendall(b"\2")
            time.sleep(0.01)


def test_no_server(pauses: Pauses) -> None:
    with FakeServer() as gone:
        url = gone.url
    error = refused(pauses.client(), url + "/")
    assert (error.reason, "got connection refused after" in str(error)) == ("fetch-connection", True)
    assert "_Connection" not in "".join([str(error), *pauses.notes])


def test_a_password_in_a_url_is_not_shown() -> None:
    assert "hunter2" not in str(refused(HttpClient(), "https://user:hunter2@api.example/"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", MAX_PAUSE_S),
        ("9" * 400, MAX_PAUSE_S),
        ("Sun, 22 Nov 2026 06:00:09 GMT", 9.0),
        ("Sun, 22 Nov 2026 05:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2027 06:00:00 GMT", MAX_PAUSE_S),
    ],
)
def test_a_server_that_says_when(server: Echo, pauses: Pauses, asked: str, expected: float) -> None:
    server.faults = [Instead(Answer(status=429, headers={"Retry-After": asked}))]
    pauses.client().get(server.url + "/", limit=2000)
    assert pauses.seconds == [expected]


@pytest.mark.parametrize(
    "asked", ["", "soon", "-1", "1.5", "²", "Sun, 22 Nov 2026 06:00:09", "Sun, 99 Nov 2026 06:00:09 GMT"]
)
def test_a_server_that_says_nothing_that_can_be_read(server: Echo, pauses: Pauses, asked: str) -> None:
    server.faults = [Instead(Answer(status=503, headers={"Retry-After": asked}))]
    pauses.client().get(server.url + "/", limit=2000)
    assert 0.5 <= pauses.seconds[0] <= 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=404), "fetch-not-found"),
        (Answer(status=410), "fetch-not-found"),
        (Answer(status=301, headers={"Location": "/elsewhere"}), "fetch-redirect"),
        (Answer(status=307, headers={"Location": "http://192.0.2.1/"}), "fetch-redirect"),
        (Answer(status=400), "fetch-status"),
        (Answer(status=401), "fetch-status"),
        (Answer(status=403), "fetch-status"),
        (Answer(status=206, body=BODY), "fetch-status"),
        (Answer(status=204), "fetch-status"),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_answers_that_are_final(server: Echo, pauses: Pauses, answer: Answer, reason: str) -> None:
    server.faults = [Instead(answer)]
    error = refused(pauses.client(), server.url + "/")
    assert (type(error), error.reason) == (UnavailableError, reason)
    assert (len(server.requests), pauses.seconds) == (1, [])


@pytest.mark.parametrize("length", [True, False])
def test_an_answer_that_is_too_long(server: Echo, pauses: Pauses, length: bool) -> None:
    server.faults = [Instead(Answer(body=b"x" * 5_000_000), length)] * 2
    error = refused(pauses.client(), server.url + "/")
    assert (type(error), error.reason, len(server.requests)) == (FormatError, "fetch-size", 1)
    assert refused(pauses.client(), server.url + "/", limit=4_999_999).reason == "fetch-size"
    server.faults = [Instead(Answer(body=b"x" * 5_000_000), length)]
    assert len(pauses.client().get(server.url + "/", limit=5_000_000).body) == 5_000_000


def test_a_declared_length_is_believed_before_anything_is_read(server: Echo, pauses: Pauses) -> None:
    server.faults = [Instead(Answer(headers={"Content-Length": "9" * 30}), length=False)]
    assert refused(pauses.client(), server.url + "/").reason == "fetch-size"


def test_an_encoding_is_not_undone(server: Echo, pauses: Pauses) -> None:
    server.faults = [Instead(Answer(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}))]
    assert pauses.client().get(server.url + "/", limit=2000).body == b"\x1f\x8b"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate of 127.0.0.1 as PEM, and a context that shows it."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a PCCS")])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return folder / "ca.pem", context


def test_tls_is_verified(authority: tuple[Path, ssl.SSLContext], pauses: Pauses) -> None:
    path, context = authority
    with Echo(tls=context) as server:
        error = refused(pauses.client(), server.url + "/")
        assert (type(error), error.reason) == (UnavailableError, "fetch-tls")
        assert "--tls-ca" in str(error.hint)
        assert server.requests == []
        assert pauses.client(authorities=path).get(server.url + "/", limit=2000).body == BODY
        other = server.url.replace("127.0.0.1", "localhost")
        assert refused(pauses.client(authorities=path), other + "/").reason == "fetch-tls"


def test_the_deadline_holds_under_tls(authority: tuple[Path, ssl.SSLContext], pauses: Pauses) -> None:
    path, context = authority
    with Echo(tls=context) as server:
        client = pauses.client(authorities=path, attempt_timeout=1)
        assert client.get(server.url + "/", limit=2000).body == BODY
        server.faults = [Drip("header")]
        with before_the_server_is_done():
            assert client.get(server.url + "/", limit=2000).body == BODY
        assert "no whole answer in 1 s" in pauses.notes[0]


def test_authorities_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(FormatError) as caught:
        HttpClient(authorities=tmp_path / "ca.pem")
    assert caught.value.reason == "fetch-authorities"
