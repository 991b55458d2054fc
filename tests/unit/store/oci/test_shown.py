"""What messages show of a server's words: never a secret or a user, whatever field it stands in; and what helps."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.store.oci import OciStore, Options
from lamslsa.store.oci.answers import said
from lamslsa.store.oci.credentials import BearerToken, Password, find_credential
from lamslsa.store.oci.login import Login
from lamslsa.store.oci.pools import Pools
from lamslsa.store.oci.reference import Reference
from lamslsa.testing.registry import Account, Answer, Basic, Fault, Registry

SECRETS = ['hunter2-"and\\more', "hunter2-\u00fc\u00df\u20ac", "hunter2/of/paths", "hunter2-plain"]
PART = "hunter2"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    return caught.value


def shown(error: LamslsaError) -> str:
    return f"{error} {error.hint}"


def environ(registry: Registry, password: str) -> dict[str, str]:
    names = {"HOST": registry.host, "USERNAME": "somebody", "PASSWORD": password}
    return {f"LAMSLSA_REGISTRY_{name}": value for name, value in names.items()}


def escaped(text: str) -> str:
    """JSON in which every character is an escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


def bodies(secret: str) -> list[bytes]:
    spelt = [
        json.dumps(secret)[1:-1],
        escaped(secret),
        json.dumps(secret, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    ]
    errors = [f'{{"errors":[{{"code":"DENIED","message":"bad {text}"}}]}}' for text in spelt]
    return [text.encode() for text in [*errors, *(f'{{"detail":"{text}"}}' for text in spelt), f"bad {secret}"]]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_in_bodies(client: Any, tmp_path: Path, secret: str) -> None:
    with Registry(tmp_path / "guarded", auth=Basic(accounts={"somebody": Account(password=secret)})) as registry:
        client.registry = registry
        store = client.pushed(environ=environ(registry, secret))
        for body in bodies(secret):
            for status in (400, 403, 404):
                registry.faults.add(Fault("GET", "blobs", Answer(status=status, body=body)))
                error = refused(lambda: list(store.read(store.manifest().files[0])))
                assert PART not in shown(error)
            registry.faults.add(Fault("GET", "blobs", Answer(status=503, body=body)))
            list(store.read(store.manifest().files[0]))
        assert client.notes
        assert PART not in "".join(client.notes)


def fields(secret: str) -> list[tuple[Fault, str]]:
    """Where a registry can put a text of its own, and the reason of the refusal that shows it."""
    listing = _codec.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    named = _codec.dumps({"mediaType": secret})
    twice = b'{"%b":1,"%b":2}' % (secret.encode(), secret.encode())
    answers = [
        (307, b"", {"Location": f"http://192.0.2.1/{secret}"}, "registry-redirect"),
        (307, b"", {"Location": f"http://{secret}.example/"}, "registry-redirect"),
        (307, b"", {"Location": f"https://{secret}:x@h.example/"}, "registry-redirect"),
        (401, b"", {"WWW-Authenticate": f'Bearer realm="http://{secret}.example/"'}, "registry-realm"),
        (200, listing, {"Content-Type": secret}, "registry-media-type"),
        (200, named, {"Content-Type": MANIFEST}, "registry-media-type"),
        (200, b"{}", {"Content-Type": secret}, "registry-artifact"),
        (200, listing, {"Docker-Content-Digest": secret}, "registry-digest"),
        (200, twice, {"Content-Type": MANIFEST}, "json-duplicate-key"),
    ]
    return [
        (Fault("GET", "manifests", Answer(status=status, body=body, headers=headers)), reason)
        for status, body, headers, reason in answers
    ]


@pytest.mark.parametrize("number", range(len(fields("x"))))
def test_secrets_in_headers_and_documents(client: Any, tmp_path: Path, number: int) -> None:
    secret = "hunter2-plain"
    with Registry(tmp_path / "guarded", auth=Basic(accounts={"somebody": Account(password=secret)})) as registry:
        client.registry = registry
        client.pushed(environ=environ(registry, secret))
        store = client.store(environ=environ(registry, secret))
        store._manifests.get("v1")  # from here on the secret is one that was told
        fault, reason = fields(secret)[number]
        registry.faults.add(fault)
        error = refused(store.manifest)
        assert error.reason == reason
        assert PART not in shown(error)


@pytest.mark.parametrize("field", ["stored", "listing", "tag"])
def test_secrets_in_other_answers(client: Any, tmp_path: Path, field: str) -> None:
    secret = "hunter2-plain"
    with Registry(tmp_path / "guarded", auth=Basic(accounts={"somebody": Account(password=secret)})) as registry:
        client.registry = registry
        store = client.pushed(environ=environ(registry, secret))
        typed = Answer(status=200, body=b"{}", headers={"Content-Type": secret})
        if field == "stored":
            answer = Answer(status=201, headers={"Docker-Content-Digest": secret})
            registry.faults.add(Fault("PUT", "manifests", answer))
            error = refused(
                lambda: client.store("team/model:v2", environ=environ(registry, secret)).receive(
                    store.manifest(), store
                )
            )
        elif field == "listing":
            registry.faults.add(Fault("GET", "referrers", typed))
            error = refused(lambda: list(store.bundles()))
        else:
            registry.faults.add(Fault("GET", "manifests/sha256-", typed))
            (found,) = store.bundles()
            assert isinstance(found.data, FormatError)
            error = found.data
        assert (
            error.reason
            == {"stored": "registry-stored", "listing": "registry-listing", "tag": "registry-fallback-tag"}[field]
        )
        assert PART not in shown(error)


@pytest.mark.parametrize(
    "realm", ["https://me:hunter2@auth.example/", "http://me:hunter2@auth.example/", "https://x/#a"]
)
def test_realms_show_no_user_and_have_no_fragment(realm: str) -> None:
    login = Login("registry.example", secure=True, find=lambda: None, ask=lambda *_: (200, b"{}"))
    error = refused(lambda: login.answer(f'Bearer realm="{realm}"', "s", sent=None))
    assert (error.reason, PART in shown(error)) == ("registry-realm", False)


def test_what_is_redacted_is_redacted_before_it_is_cut_and_escaped() -> None:
    credential = Password(username="u", password="\u00fc" * 30)
    login = Login("registry.example", secure=True, find=lambda: credential, ask=lambda *_: (200, b"{}"))
    login.answer("Basic realm=x", "s", sent=None)
    assert login.quoted("x" * 190 + "\u00fc" * 30) == ascii("x" * 190 + "(secret)")
    assert login.redacted("%C3%BC" * 30) == "(secret)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"errors":[{"code":"A","message":"b"},{"code":"C"}]}', "A: b; C:"),
        (b" down for repairs ", "down for repairs"),
        (b"read \\u0061", ""),
        (b'{"errors":[1]}', '{"errors":[1]}'),
        (b"", ""),
    ],
)
def test_what_a_registry_says(body: bytes, expected: str) -> None:
    assert said(body) == expected


@pytest.mark.parametrize("token", [f"{PART}\n", f"{PART} ", f"{PART}\u20ac", f"{PART}\x7f"])
def test_tokens_that_no_header_can_hold(tmp_path: Path, token: str) -> None:
    reference = Reference.parse("oci://registry.example/m")
    given = {"LAMSLSA_REGISTRY_HOST": "registry.example", "LAMSLSA_REGISTRY_TOKEN": token}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.example": {"registrytoken": token}}}))
    for variables in (given, {"DOCKER_CONFIG": str(tmp_path)}):
        error = refused(lambda variables=variables: find_credential(reference, variables))
        assert (type(error), error.reason) == (FormatError, "registry-credentials-token")
        assert PART not in shown(error)
        assert "newline" in str(error.hint)


def test_a_file_that_is_not_needed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths":{"registry.example":{"registrytoken":"a"}}}')
    (tmp_path / "auth.json").write_text("{")
    given = {"DOCKER_CONFIG": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    assert find_credential(Reference.parse("oci://registry.example/m"), given) == BearerToken(token="a")


def test_a_repository_of_the_name_of_a_version(tmp_path: Path) -> None:
    """``/v2`` is cut off where docker has written a URL, and nowhere else."""
    keys = {
        "registry.example/v2": {"registrytoken": "folder"},
        "https://registry.example/v2/": {"registrytoken": "host"},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": keys}))
    given = {"DOCKER_CONFIG": str(tmp_path)}
    found = [find_credential(Reference.parse(f"oci://registry.example/{name}"), given) for name in ("v2/m", "m")]
    assert found == [BearerToken(token="folder"), BearerToken(token="host")]


@pytest.mark.parametrize("named", ["other.example", "REGISTRY.example:5000"])
def test_credentials_of_another_host_are_named(client: Any, tmp_path: Path, named: str) -> None:
    with Registry(tmp_path / "guarded", auth=Basic(accounts={"u": Account(password="p")})) as registry:
        client.registry = registry
        given = {"LAMSLSA_REGISTRY_HOST": named, "LAMSLSA_REGISTRY_TOKEN": PART}
        error = refused(client.store(environ=given).manifest)
        assert f"LAMSLSA_REGISTRY_HOST names '{named}' and not {registry.host}" in str(error.hint)
        assert PART not in shown(error)
        registry.faults.add(Fault("GET", "manifests", Answer(status=403)))
        assert named in str(refused(client.store(environ=given).manifest).hint)


def test_what_helps_with_tls(client: Any) -> None:
    client.pushed()
    hint = str(refused(client.store(plain_http=False).manifest).hint)
    assert "--ca-file" in hint
    assert "--plain-http" in hint


def test_a_registry_that_is_down(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        host = f"127.0.0.1:{gone.getsockname()[1]}"
    notes: list[str] = []
    store = OciStore(f"oci://{host}/m:v", Options(plain_http=True, sleep=lambda _: None, notify=notes.append))
    error = refused(store.manifest)
    assert f"got connection refused at {host} after 6 attempts" in str(error)
    assert len(notes) == 5
    assert all(f"connection refused at {host}; trying again in " in note for note in notes)
    assert "Connection(" not in str(error)


@pytest.mark.parametrize(
    "proxy", ["http://u\u20ac:p@proxy.example:1", "http://u:p%0A@proxy.example:1", "u@proxy.example"]
)
def test_proxies_take_every_name(proxy: str) -> None:
    Pools(Options(environ={"HTTPS_PROXY": proxy})).close()


@pytest.mark.parametrize("proxy", ["http://pr\u00f6xy:1", "http://u:hunter2@proxy:99999"])
def test_proxies_that_are_none(proxy: str) -> None:
    error = refused(lambda: Pools(Options(environ={"HTTPS_PROXY": proxy})))
    assert (error.reason, PART in shown(error)) == ("registry-proxy", False)


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.1:80\\[::1]/",
        "//192.0.2.1\\@localhost/",
        "/a\n",
        " /a",
        "/a\tb",
        "https://h.example:99999/",
        "https://h.example:x/",
    ],
)
def test_locations_that_readers_differ_about(client: Any, registry: Registry, location: str) -> None:
    store = client.pushed()
    assert refused(lambda: store._transport.follow(registry.url, location)).reason == "registry-redirect"


@pytest.mark.parametrize("entry", [f'{{"{PART}', f'{{"auths":{{"registry.example":{{"auth":"{PART}!"}}}}}}'])
def test_no_trace_shows_the_file(tmp_path: Path, entry: str) -> None:
    """What the parser said of it is not told with the error."""
    (tmp_path / "config.json").write_text(entry)
    reference = Reference.parse("oci://registry.example/m")
    error = refused(lambda: find_credential(reference, {"DOCKER_CONFIG": str(tmp_path)}))
    assert (error.reason, error.__cause__, error.__suppress_context__) == ("registry-credentials", None, True)
