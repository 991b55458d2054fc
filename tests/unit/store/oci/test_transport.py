"""Connections: who gets credentials, what is tried again, what is final, and what messages show."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lamslsa._attempts import MAX_ATTEMPTS, MAX_PAUSE_S
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store.oci import OciStore, Options
from lamslsa.store.oci.login import parse_challenges
from lamslsa.store.oci.pools import Pools
from lamslsa.testing.registry import Account, Answer, Basic, Bearer, Delay, Fault, LoseAnswer, Redirect, Registry

REPOSITORY = "team/model"
SECRET = "correct-horse-battery"
TOKEN = "identity-of-somebody"
ACCOUNTS = {"somebody": Account(password=SECRET, identity_token=TOKEN)}


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert SECRET not in shown
    assert TOKEN not in shown
    return caught.value


def guarded(client: Any, folder: Path, auth: Any, **options: Any) -> Registry:
    client.registry = Registry(folder, auth=auth, **options)
    return client.registry  # type: ignore[no-any-return]


def environ(registry: Registry, *, password: str = SECRET, token: str = "") -> dict[str, str]:
    host = {"LAMSLSA_REGISTRY_HOST": registry.host}
    if token:
        return host | {"LAMSLSA_REGISTRY_TOKEN": token}
    return host | {"LAMSLSA_REGISTRY_USERNAME": "somebody", "LAMSLSA_REGISTRY_PASSWORD": password}


def identity(registry: Registry, folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "config.json").write_text(f'{{"auths":{{"{registry.host}":{{"identitytoken":"{TOKEN}"}}}}}}')
    return {"DOCKER_CONFIG": str(folder)}


def test_plain_http_is_for_this_machine_alone() -> None:
    assert refused(lambda: OciStore("oci://192.0.2.1/m", Options(plain_http=True))).reason == "registry-plain-http"
    assert (
        refused(lambda: OciStore("oci://localhost.example/m", Options(plain_http=True))).reason == "registry-plain-http"
    )


def test_https_is_the_default(client: Any) -> None:
    client.pushed()
    error = refused(client.store(plain_http=False).manifest)
    assert (type(error), error.reason) == (UnavailableError, "registry-tls")
    assert client.pauses == []


def test_tls_with_an_authority_of_ones_own(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "tls", None, tls=True):
        assert client.pushed().manifest() == client.store().manifest()
        error = refused(client.store(authorities=None).manifest)
        assert (type(error), error.reason) == (UnavailableError, "registry-tls")


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_authorities_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    error = refused(lambda: OciStore("oci://registry.example/m", Options(authorities=path)))
    assert (type(error), error.reason) == (FormatError, "registry-authorities")


@pytest.mark.parametrize(
    "auth", [Basic(accounts=ACCOUNTS), Bearer(accounts=ACCOUNTS), Bearer(accounts=ACCOUNTS, names=("access_token",))]
)
def test_a_password(client: Any, tmp_path: Path, auth: Any) -> None:
    with guarded(client, tmp_path / "guarded", auth) as registry:
        store = client.pushed(environ=environ(registry))
        assert client.store(environ=environ(registry)).manifest() == store.manifest()
        denied = [request for request in registry.requests if request.status == 401]
        assert {request.authorization for request in denied} == {None}, "what was granted is used"


def test_an_identity_token(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        client.pushed(environ=identity(registry, tmp_path / "docker"))
        assert registry.count("POST", "/token") == 2, "what is pulled, and what is pushed"
        assert registry.count("GET", "/token") == 0


def test_an_identity_token_is_no_password(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Basic(accounts=ACCOUNTS)) as registry:
        assert (
            refused(client.store(environ=identity(registry, tmp_path / "docker")).manifest).reason == "registry-denied"
        )


def test_a_bearer_token_is_sent_as_it_is(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        store = client.store(environ=environ(registry, token=TOKEN))
        assert refused(store.manifest).reason == "registry-denied"
        assert [request.authorization for request in registry.requests] == [None, "Bearer"]


def test_anonymous_tokens(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS, anonymous_pull=True)) as registry:
        pushed = client.pushed(environ=environ(registry))
        assert client.store().manifest() == pushed.manifest()
        assert refused(client.pushed).reason == "registry-denied"


def test_tokens_that_expire_are_asked_for_again(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        store = client.pushed(environ=environ(registry))
        registry.expire_tokens()
        source = client.kept({"big.bin": bytes(200_000), "a.md": b"new"})
        again = client.store(f"{REPOSITORY}:v2", environ=environ(registry))
        again.receive(source.manifest(), source)
        registry.expire_tokens()
        registry.forget_requests()
        file = store.manifest().files[1]
        assert b"".join(store.read(file)) == client.files[file.path]
        assert registry.count("GET", "/token") == 1


def test_a_token_that_expires_amid_an_upload(client: Any, tmp_path: Path) -> None:
    from lamslsa.testing.registry import Meanwhile

    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        registry.faults.add(Fault("PATCH", "uploads", Meanwhile(registry.expire_tokens), after=1))
        store = client.pushed(environ=environ(registry))
        assert store.manifest() == client.kept(client.files).manifest()
        assert [note for note in client.notes if "a login that had ended" in note]
        assert client.pauses == [0.0]


@pytest.mark.parametrize("auth", [Basic(accounts=ACCOUNTS), Bearer(accounts=ACCOUNTS)])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_denied_at_once(client: Any, tmp_path: Path, auth: Any, password: str) -> None:
    with guarded(client, tmp_path / "guarded", auth) as registry:
        given = environ(registry, password=password) if password else {}
        error = refused(client.store(environ=given).manifest)
        assert (type(error), error.reason) == (UnavailableError, "registry-denied")
        assert f"docker login {registry.host}" in str(error.hint)
        assert client.pauses == []
        assert len(registry.requests) <= 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_final(client: Any, registry: Registry, status: int) -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    registry.faults.add(Fault("GET", "manifests", Answer(status=status, headers=challenge), times=None))
    assert refused(client.store(environ=environ(registry)).manifest).reason == "registry-denied"
    assert client.pauses == []
    assert registry.count("GET", "manifests") == (2 if status == 401 else 1), "a login is tried once"


def test_a_scheme_that_is_not_known(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("GET", "", Answer(status=401, headers={"WWW-Authenticate": 'Negotiate realm="x"'})))
    assert refused(client.store().manifest).reason == "registry-challenge"


@pytest.mark.parametrize(
    "realm",
    ["", "http://registry.example/token", "http://192.0.2.1/token", "ftp://x/t", "https://u:p@x/t", "https://[x", "/t"],
)
def test_token_services_that_get_no_credentials(client: Any, registry: Registry, realm: str) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
    registry.faults.add(Fault("GET", "manifests", Answer(status=401, headers=challenge)))
    assert refused(client.store(environ=environ(registry)).manifest).reason == "registry-realm"


def test_a_token_service_on_this_machine_needs_https_when_the_registry_has_it(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS, elsewhere=True), tls=True) as registry:
        assert registry.elsewhere.url.startswith("http:")
        assert refused(client.store(environ=environ(registry)).manifest).reason == "registry-realm"
        assert registry.elsewhere.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token":1}',
        b'{"token":"a b"}',
        b'{"token":"a\\r\\nX: y"}',
        b'{"token":"a","expires_in":-1}',
    ],
)
def test_tokens_that_are_none(client: Any, tmp_path: Path, body: bytes) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        registry.faults.add(Fault("GET", "/token", Answer(status=200, body=body)))
        assert refused(client.store(environ=environ(registry)).manifest).reason == "registry-token"


def test_a_token_service_that_is_busy_is_asked_again(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        registry.faults.add(Fault("GET", "/token", Answer(status=503, headers={"Retry-After": "2"})))
        client.pushed(environ=environ(registry))
        assert client.pauses == [2.0]


def test_redirects_of_the_token_service_are_not_followed(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Bearer(accounts=ACCOUNTS)) as registry:
        registry.faults.add(Fault("GET", "/token", Redirect()))
        assert refused(client.store(environ=environ(registry)).manifest).reason == "registry-denied"
        assert registry.elsewhere.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", [Basic(accounts=ACCOUNTS), Bearer(accounts=ACCOUNTS)])
def test_credentials_stay_home(client: Any, tmp_path: Path, auth: Any, status: int) -> None:
    with guarded(client, tmp_path / "guarded", auth) as registry:
        store = client.pushed(environ=environ(registry))
        registry.forget_requests()
        registry.faults.add(Fault("GET", "blobs", Redirect(status=status)))
        file = store.manifest().files[0]
        assert b"".join(store.read(file)) == client.files[file.path]
        assert [request.authorization for request in registry.elsewhere.requests] == [None]
        assert {request.authorization for request in registry.requests} <= {"Basic", "Bearer"}


def test_a_challenge_of_another_host_is_not_answered(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Basic(accounts=ACCOUNTS)) as registry:
        store = client.pushed(environ=environ(registry))
        registry.faults.add(Fault("GET", "blobs", Redirect()))
        challenge = Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        registry.elsewhere.faults.add(Fault("GET", "", challenge))
        assert refused(lambda: list(store.read(store.manifest().files[0]))).reason == "registry-denied"
        assert [request.authorization for request in registry.elsewhere.requests] == [None]


@pytest.mark.parametrize("to", ["http://192.0.2.1", "ftp://127.0.0.1", "https://u:p@127.0.0.1", "https://[x"])
def test_redirects_that_are_not_followed(client: Any, registry: Registry, to: str) -> None:
    registry.faults.add(Fault("GET", "manifests", Answer(status=307, headers={"Location": f"{to}/x"})))
    assert refused(client.store().manifest).reason == "registry-redirect"


def test_a_redirect_from_https_to_http_is_not_followed(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "tls", None, tls=True) as registry:
        store = client.pushed()
        registry.faults.add(Fault("GET", "blobs", Redirect()))
        assert refused(lambda: list(store.read(store.manifest().files[0]))).reason == "registry-redirect"
        assert registry.elsewhere.requests == []


def test_redirects_without_an_end(client: Any, registry: Registry) -> None:
    client.pushed()
    registry.faults.add(Fault("GET", "manifests", Redirect(to=registry.url), times=None))
    assert refused(client.store().manifest).reason == "registry-redirects"


def test_an_upload_is_not_redirected(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("POST", "uploads", Answer(status=307, headers={"Location": registry.elsewhere.url})))
    assert refused(client.pushed).reason == "registry-status"
    assert registry.elsewhere.requests == []


def test_an_upload_elsewhere_goes_without_credentials(client: Any, tmp_path: Path) -> None:
    with guarded(client, tmp_path / "guarded", Basic(accounts=ACCOUNTS)) as registry:
        location = {"Location": f"{registry.elsewhere.url}/somewhere"}
        registry.faults.add(Fault("POST", "uploads", Answer(status=202, headers=location), times=None))
        refused(lambda: client.pushed(environ=environ(registry)))
        assert {request.authorization for request in registry.elsewhere.requests} == {None}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 599])
def test_tried_again(client: Any, registry: Registry, status: int) -> None:
    client.pushed()
    registry.faults.add(Fault("GET", "manifests", Answer(status=status), times=3))
    client.store().manifest()
    assert len(client.pauses) == 3
    assert [0.25 <= pause / 2**number <= 0.5 for number, pause in enumerate(client.pauses)] == [True] * 3
    assert str(status) in client.notes[0]


def test_given_up_after_a_while(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("GET", "manifests", LoseAnswer(), times=None))
    error = refused(client.store().manifest)
    assert (type(error), error.reason) == (UnavailableError, "registry-connection")
    assert registry.count("GET") == MAX_ATTEMPTS
    assert len(client.pauses) == MAX_ATTEMPTS - 1


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("7", 7.0),
        ("99999", MAX_PAUSE_S),
        ("Sun, 22 Nov 2026 06:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2020 06:00:30 GMT", 0.0),
    ],
)
def test_a_registry_that_says_when_to_come_back(client: Any, registry: Registry, text: str, pause: float) -> None:
    client.pushed()
    registry.faults.add(Fault("GET", "manifests", Answer(status=429, headers={"Retry-After": text})))
    client.store().manifest()
    assert client.pauses == [pause]


@pytest.mark.parametrize("text", ["soon", "-1", "", "٣"])
def test_a_pause_that_cannot_be_read(client: Any, registry: Registry, text: str) -> None:
    client.pushed()
    registry.faults.add(
        Fault("GET", "manifests", Answer(status=429, headers={"Retry-After": text.encode().decode("latin-1")}))
    )
    client.store().manifest()
    assert len(client.pauses) == 1


@pytest.mark.parametrize("status", [204, 304, 400, 402, 405, 409, 418])
def test_any_other_status_is_final(client: Any, registry: Registry, status: int) -> None:
    registry.faults.add(Fault("GET", "manifests", Answer(status=status)))
    error = refused(client.store().manifest)
    assert (type(error), error.reason) == (UnavailableError, "registry-status")
    assert client.pauses == []


def test_errors_are_shown_short_and_escaped(client: Any, registry: Registry) -> None:
    said = b'{"errors":[{"code":"BAD","message":"\\u001b[31m' + b"x" * 1000 + b'"}]}'
    registry.faults.add(Fault("GET", "manifests", Answer(status=400, body=said)))
    message = str(refused(client.store().manifest))
    assert "BAD: \\x1b[31mxxx" in message
    assert len(message) < 400
    registry.faults.add(Fault("GET", "manifests", Answer(status=400, body=b"\x1b[31m" + b"\xff" * 100_000)))
    assert "\\x1b[31m\\ufffd" in str(refused(client.store().manifest))


@pytest.mark.parametrize("auth", [Basic(accounts=ACCOUNTS), Bearer(accounts=ACCOUNTS)])
def test_secrets_that_a_registry_repeats_are_not_shown(client: Any, tmp_path: Path, auth: Any) -> None:
    import base64

    both = base64.b64encode(f"somebody:{SECRET}".encode())
    with guarded(client, tmp_path / "guarded", auth) as registry:
        given = environ(registry)
        store = client.pushed(environ=given)
        said = b"x" * 190 + b" " + SECRET.encode() + b" " + both
        registry.faults.add(Fault("GET", "blobs", Answer(status=400, body=said)))
        message = str(refused(lambda: list(store.read(store.manifest().files[0]))))
        assert SECRET[:6] not in message
        assert both.decode() not in message


def test_queries_are_not_shown(client: Any, registry: Registry) -> None:
    location = f"{registry.url}/blob?signature={SECRET}"
    registry.faults.add(
        Fault("GET", "manifests", Answer(status=307, headers={"Location": location})),
        Fault("GET", "signature", Answer(status=400)),
    )
    assert "/blob" in str(refused(client.store().manifest))


def test_an_attempt_has_one_deadline(client: Any, registry: Registry) -> None:
    client.pushed()
    registry.faults.add(Fault("GET", "manifests", Delay(20)))
    store = client.store(attempt_timeout=0.1)
    # 64 KiB/s for the 4 MiB that a manifest may have would be a minute more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lamslsa.store.oci.transport._SLOWEST", 10**9)
        store.manifest()
    assert len(client.pauses) == 1
    assert "in time" in client.notes[0]


def test_the_deadline_holds_while_a_body_is_read(client: Any) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            while not done.wait(0.01):
                try:
                    connection.send(b"x" if not done.is_set() else b"")
                except OSError:
                    return
                if done.wait(0.05):
                    return

    from lamslsa.artifact.manifest import FileEntry

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        store = OciStore(
            f"oci://127.0.0.1:{listening.getsockname()[1]}/m", Options(plain_http=True, attempt_timeout=0.3)
        )
        error = refused(lambda: list(store.read(FileEntry(path="a", sha256="0" * 64, size=100))))
        assert error.reason == "registry-interrupted"
    finally:
        done.set()
        thread.join()
        listening.close()


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://registry.example/v2/", False),
        ("other.example", "https://registry.example/v2/", False),
        ("registry.example", "https://registry.example/v2/", True),
        ("a, .EXAMPLE", "https://registry.example/v2/", True),
        ("*.example", "https://registry.example/v2/", True),
        ("gistry.example", "https://registry.example/v2/", False),
        ("registry.example:443", "https://registry.example:443/v2/", True),
        ("registry.example:444", "https://registry.example:443/v2/", False),
        ("*", "https://registry.example/v2/", True),
        ("", "https://127.0.0.1:5000/v2/", True),
        ("", "http://localhost:5000/v2/", True),
    ],
)
def test_proxies(no_proxy: str, url: str, direct: bool) -> None:
    pools = Pools(Options(environ={"HTTPS_PROXY": f"http://user:{SECRET}@proxy.example:3128", "NO_PROXY": no_proxy}))
    assert (pools.of(url) is pools._direct) == direct
    pools.close()


def test_a_proxy_is_asked(client: Any) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    port = listening.getsockname()[1]

    def sleep(_: float) -> None:
        listening.close()

    store = OciStore(
        "oci://registry.example/m:v", Options(environ={"https_proxy": f"user:{SECRET}@127.0.0.1:{port}"}, sleep=sleep)
    )
    assert refused(store.manifest).reason == "registry-connection"
    thread.join()
    assert heard[0].startswith(b"CONNECT registry.example:443 ")
    assert b"\r\nproxy-authorization: basic " in heard[0].lower()


@pytest.mark.parametrize("proxy", ["ftp://proxy.example", "http://", "http://proxy.example:port", "http://[x"])
def test_proxies_that_are_none(proxy: str) -> None:
    error = refused(lambda: OciStore("oci://registry.example/m", Options(environ={"https_proxy": proxy})))
    assert (type(error), error.reason) == (FormatError, "registry-proxy")


def test_challenges() -> None:
    header = 'Bearer realm="https://a/t?x=1,2",service=s , scope="a \\"b\\"", Basic realm="r", Digest a'
    assert parse_challenges(header) == {
        "bearer": {"realm": "https://a/t?x=1,2", "service": "s", "scope": 'a "b"'},
        "basic": {"realm": "r"},
    }
    assert parse_challenges("Bearer") == {}
    assert parse_challenges("a" * 100_000) == {}
