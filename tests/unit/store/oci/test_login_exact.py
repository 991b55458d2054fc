"""Logins: what is asked of whom, how long a token is good, and what no message shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci import login
from lamslsa.store.oci.credentials import BearerToken, Credential, IdentityToken, Password
from lamslsa.store.oci.login import Login
from lamslsa.store.oci.reference import Reference

REALM = "https://auth.example/token"
CHALLENGE = f'Bearer realm="{REALM}",service="r"'
PULL = "repository:a:pull"
BOTH = f"{PULL} repository:b:pull"


@dataclass
class Service:
    """A token service, a clock, and what was asked."""

    answer: Any = field(default_factory=lambda: {"token": "granted", "expires_in": 300})
    status: int = 200
    time: float = 100.0
    found: int = 0
    asked: list[tuple[str, str, Mapping[str, str], bytes | None]] = field(default_factory=list)

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int
    ) -> tuple[int, bytes]:
        self.asked.append((method, url, headers, body))
        return self.status, json.dumps(self.answer).encode()

    def login(self, credential: Credential | None) -> Login:
        def find() -> Credential | None:
            self.found += 1
            return credential

        return Login("registry.example", secure=True, find=find, ask=self, now=lambda: self.time)


def logged_in(service: Service, credential: Credential | None, challenge: str = CHALLENGE, scope: str = PULL) -> Login:
    found = service.login(credential)
    found.answer(challenge, scope, sent=None)
    return found


def test_credentials_are_looked_up_once() -> None:
    service = Service()
    found = logged_in(service, None)
    found.answer(CHALLENGE, PULL, sent="Bearer granted")
    assert service.found == 1
    assert len(service.asked) == 2
    assert all(body is None for _, _, _, body in service.asked)


def test_a_token_that_another_thread_has_got_is_taken() -> None:
    service = Service()
    found = logged_in(service, None)
    found.answer(CHALLENGE, PULL, sent="Bearer an older one")
    assert len(service.asked) == 1
    assert found.header(PULL) == "Bearer granted"


@pytest.mark.parametrize(("lifetime", "good"), [(300, 290), (12, 6), (1, 0.5), (0.5, 0.25), (None, 50)])
def test_how_long_a_token_is_good(lifetime: float | None, good: float) -> None:
    service = Service()
    if lifetime is None:
        del service.answer["expires_in"]
    else:
        service.answer["expires_in"] = lifetime
    found = logged_in(service, None)
    service.time += good - 0.01
    found.header(PULL)
    assert len(service.asked) == 1
    service.time += 0.01
    found.header(PULL)
    assert len(service.asked) == 2


@pytest.mark.parametrize("lifetime", [-1, "300", [1]])
def test_lifetimes_that_are_none(lifetime: Any) -> None:
    service = Service(answer={"token": "granted", "expires_in": lifetime})
    with pytest.raises(UnavailableError) as caught:
        logged_in(service, None)
    assert caught.value.reason == "registry-token"


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_either_name_of_a_token(name: str) -> None:
    assert logged_in(Service(answer={name: "granted"}), None).header(PULL) == "Bearer granted"


@pytest.mark.parametrize(("length", "taken"), [(0, True), (1, False)])
def test_how_long_a_token_is(length: int, taken: bool) -> None:
    token = "t" * (login._MAX_TOKEN + length)
    if taken:
        assert logged_in(Service(answer={"token": token}), None).header(PULL) == f"Bearer {token}"
        return
    with pytest.raises(UnavailableError) as caught:
        logged_in(Service(answer={"token": token}), None)
    assert caught.value.reason == "registry-token"


@pytest.mark.parametrize(("realm", "joint"), [(REALM, "?"), (f"{REALM}?x=1", "&")])
def test_what_is_asked(realm: str, joint: str) -> None:
    service = Service()
    logged_in(service, Password(username="me", password="horse"), f'Bearer realm="{realm}",service="r s"', BOTH)
    ((method, url, headers, body),) = service.asked
    assert (method, body) == ("GET", None)
    assert url.startswith(realm + joint)
    query = parse_qs(urlsplit(url).query)
    assert (query["service"], query["scope"]) == (["r s"], BOTH.split(" "))
    assert headers["Authorization"] == "Basic bWU6aG9yc2U="


def test_a_service_without_a_name() -> None:
    service = Service()
    logged_in(service, None, f'Bearer realm="{REALM}"')
    assert parse_qs(urlsplit(service.asked[0][1]).query, keep_blank_values=True)["service"] == [""]


def test_an_identity_token_goes_into_the_body() -> None:
    service = Service()
    found = logged_in(service, IdentityToken(token="identity"))
    ((method, url, headers, body),) = service.asked
    assert (method, url) == ("POST", REALM)
    assert "Authorization" not in headers
    form = parse_qs((body or b"").decode())
    assert (form["refresh_token"], form["grant_type"], form["service"]) == (["identity"], ["refresh_token"], ["r"])
    assert found.redacted("identity and granted") == "(secret) and (secret)"


def test_a_token_of_ones_own() -> None:
    service = Service()
    found = logged_in(service, BearerToken(token="mine"))
    assert (found.header(PULL), service.asked) == ("Bearer mine", [])
    assert found.redacted("mine") == "(secret)"


def test_basic() -> None:
    found = logged_in(Service(), Password(username="me", password="horse"), 'Basic realm="x"')
    assert found.header(PULL) == "Basic bWU6aG9yc2U="
    assert found.redacted("horse, bWU6aG9yc2U=") == "(secret), (secret)"


@pytest.mark.parametrize("token", ["horse-and-more", "a-horse-b", "seahorse"])
def test_a_secret_within_another_one(token: str) -> None:
    """The longer goes first, or the rest of it would stay."""
    found = logged_in(Service(answer={"token": token}), Password(username="me", password="horse"))
    assert found.redacted(token) == "(secret)"


def test_refusals_say_what_came() -> None:
    with pytest.raises(UnavailableError, match="got status 403 from its token service"):
        logged_in(Service(status=403), None)
    with pytest.raises(UnavailableError, match="got no user name and password"):
        logged_in(Service(), None, "Basic realm=x")


@pytest.mark.parametrize("realm", ["", "https://[::1", "http://auth.example/token", "http://[::1", "https:///token"])
def test_realms_that_are_none(realm: str) -> None:
    for challenge in (f'Bearer realm="{realm}"', "Bearer service=r"):
        service = Service()
        with pytest.raises(UnavailableError) as caught:
            logged_in(service, Password(username="me", password="horse"), challenge)
        assert caught.value.reason == "registry-realm"
        assert service.asked == []


# references


@pytest.mark.parametrize(("length", "taken"), [(255, True), (256, False)])
def test_how_long_a_name_is(length: int, taken: bool) -> None:
    repository = "a" * (length - len("registry.example/"))
    if taken:
        assert Reference.parse(f"oci://registry.example/{repository}").repository == repository
        return
    with pytest.raises(FormatError) as caught:
        Reference.parse(f"oci://registry.example/{repository}")
    assert caught.value.reason == "registry-reference"


def test_a_reference_with_a_digest() -> None:
    digest = "sha256:" + "0a" * 32
    assert str(Reference.parse("oci://registry.example/a:v1").at(digest)) == f"oci://registry.example/a:v1@{digest}"
