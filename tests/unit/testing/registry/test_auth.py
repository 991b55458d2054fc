from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from lamslsa.testing.registry import Account, Basic, Bearer, Registry

OWNER = Account(password="owner's:password", identity_token="owner's identity token")
READER = Account(password="reader's password", pull="demo/.*", push="")
ACCOUNTS = {"owner": OWNER, "reader": READER}
TAG = "/v2/demo/model/manifests/v1"
UPLOADS = "/v2/demo/model/blobs/uploads/"
Ask = Callable[..., Any]
Clock = list[float]


@pytest.fixture
def clock() -> Clock:
    return [1000.0]


@pytest.fixture
def auth() -> Basic | Bearer:
    return Bearer(accounts=ACCOUNTS)


@pytest.fixture
def registry(serve: Callable[..., Registry], auth: Basic | Bearer, clock: Clock) -> Registry:
    registry = serve(auth=auth, clock=lambda: clock[0])
    registry.contents.add_manifest("demo/model", b"{}", "a/b", tag="v1")
    return registry


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def challenge(answer: Any) -> dict[str, str]:
    assert answer.status == 401
    assert json.loads(answer.data)["errors"][0]["code"] == "UNAUTHORIZED"
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))


def token(ask: Ask, refused: Any, headers: dict[str, str]) -> dict[str, str]:
    """What a client does with a challenge."""
    fields = challenge(refused)
    query = {name: value for name, value in fields.items() if name in {"service", "scope"}}
    answer = ask("GET", f"{fields['realm']}?{urlencode(query)}", headers=headers)
    assert answer.status == 200
    return {"Authorization": "Bearer " + json.loads(answer.data)["token"]}


def granted(ask: Ask, registry: Registry, **form: str) -> Any:
    body = urlencode({"service": "lamslsa-testing", "client_id": "test", **form})
    return ask("POST", "/token", body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize("auth", [Basic(accounts=ACCOUNTS)])
def test_basic(registry: Registry, ask: Ask) -> None:
    for headers in (
        {},
        basic("owner", "x"),
        basic("x", ""),
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer x"},
    ):
        for path in ("/v2/", TAG):
            answer = ask("GET", path, headers=headers)
            assert challenge(answer)
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert ask("GET", "/v2/", headers=basic("owner", OWNER.password)).status == 200
    assert ask("GET", TAG, headers=basic("reader", READER.password)).status == 200
    assert ask("POST", UPLOADS, headers=basic("owner", OWNER.password)).status == 202
    assert ask("POST", UPLOADS, headers=basic("reader", READER.password)).status == 403
    assert ask("GET", "/v2/other/manifests/v1", headers=basic("reader", READER.password)).status == 403
    assert ask("GET", "/token").status == 404


@pytest.mark.parametrize("auth", [Basic(accounts=ACCOUNTS, anonymous_pull=True)])
def test_basic_with_public_reading(registry: Registry, ask: Ask) -> None:
    assert ask("GET", TAG).status == 200
    assert [ask("GET", "/v2/").status, ask("POST", UPLOADS).status, ask("DELETE", TAG).status] == [401, 401, 401]
    assert ask("GET", TAG, headers=basic("owner", "x")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", TAG, "repository:demo/model:pull"),
        ("HEAD", TAG, "repository:demo/model:pull"),
        ("PUT", TAG, "repository:demo/model:pull,push"),
        ("DELETE", TAG, "repository:demo/model:delete"),
        ("POST", UPLOADS, "repository:demo/model:pull,push"),
        ("GET", UPLOADS + "ab", "repository:demo/model:pull,push"),
        ("DELETE", UPLOADS + "ab", "repository:demo/model:pull,push"),
        ("POST", UPLOADS + "?mount=x&from=a/b", "repository:demo/model:pull,push repository:a/b:pull"),
    ],
)
def test_bearer_challenges(registry: Registry, ask: Ask, method: str, path: str, scope: str) -> None:
    answer = ask(method, path)
    assert answer.status == 401
    header = f'Bearer realm="{registry.url}/token",service="lamslsa-testing",scope="{scope}"'
    assert answer.headers["WWW-Authenticate"] == header


def test_bearer(registry: Registry, ask: Ask) -> None:
    owner = basic("owner", OWNER.password)
    reading = token(ask, ask("GET", TAG), owner)
    assert ask("GET", TAG, headers=reading).status == 200
    assert challenge(ask("POST", UPLOADS, headers=reading))["error"] == "insufficient_scope"
    assert challenge(ask("GET", "/v2/demo/other/manifests/v1", headers=reading))["error"] == "insufficient_scope"
    writing = token(ask, ask("POST", UPLOADS), owner)
    assert ask("POST", UPLOADS, headers=writing).status == 202
    assert ask("DELETE", TAG, headers=writing).status == 401
    assert ask("DELETE", TAG, headers=token(ask, ask("DELETE", TAG), owner)).status == 202


def test_bearer_for_no_repository(registry: Registry, ask: Ask) -> None:
    refused = ask("GET", "/v2/")
    assert "scope" not in challenge(refused)
    assert ask("GET", "/v2/", headers=token(ask, refused, basic("reader", READER.password))).status == 200


def test_bearer_to_mount(registry: Registry, ask: Ask) -> None:
    digest = registry.contents.add_blob("a/b", b"x")
    path = f"{UPLOADS}?mount={digest}&from=a/b"
    owner = basic("owner", OWNER.password)
    assert ask("POST", path, headers=token(ask, ask("POST", UPLOADS), owner)).status == 401
    assert ask("POST", path, headers=token(ask, ask("POST", path), owner)).status == 201


def test_a_token_grants_no_more_than_the_account_has(registry: Registry, ask: Ask) -> None:
    writing = token(ask, ask("POST", UPLOADS), basic("reader", READER.password))
    assert ask("GET", TAG, headers=writing).status == 200
    assert challenge(ask("POST", UPLOADS, headers=writing))["error"] == "insufficient_scope"


@pytest.mark.parametrize("headers", [{}, basic("owner", "x"), basic("x", "y"), {"Authorization": "Basic !"}])
def test_no_token_without_credentials(registry: Registry, ask: Ask, headers: dict[str, str]) -> None:
    assert ask("GET", "/token?scope=repository:demo/model:pull", headers=headers).status == 401


@pytest.mark.parametrize("auth", [Bearer(accounts=ACCOUNTS, anonymous_pull=True)])
def test_bearer_with_public_reading(registry: Registry, ask: Ask) -> None:
    anonymous = token(ask, ask("POST", UPLOADS), {})
    assert ask("GET", TAG, headers=anonymous).status == 200
    assert ask("POST", UPLOADS, headers=anonymous).status == 401
    assert ask("GET", TAG).status == 401
    assert ask("GET", "/token", headers=basic("owner", "x")).status == 401


def test_tokens_expire(registry: Registry, ask: Ask, clock: Clock) -> None:
    owner = basic("owner", OWNER.password)
    headers = token(ask, ask("GET", TAG), owner)
    clock[0] += 299
    assert ask("GET", TAG, headers=headers).status == 200
    clock[0] += 1
    assert challenge(ask("GET", TAG, headers=headers))["error"] == "invalid_token"
    headers = token(ask, ask("GET", TAG), owner)
    registry.expire_tokens()
    assert ask("GET", TAG, headers=headers).status == 401
    assert challenge(ask("GET", TAG, headers={"Authorization": "Bearer made-up"}))["error"] == "invalid_token"


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "refresh_token", "refresh_token": "owner's identity token"},
        {"grant_type": "password", "username": "owner", "password": OWNER.password},
    ],
)
def test_token_by_form(registry: Registry, ask: Ask, form: dict[str, str]) -> None:
    answer = granted(ask, registry, scope="repository:demo/model:pull repository:x:pull", **form)
    assert answer.status == 200
    body = json.loads(answer.data)
    assert (body["expires_in"], type(body["expires_in"])) == (300, int)  # clients in Go take nothing else
    assert "refresh_token" not in body
    assert ask("GET", TAG, headers={"Authorization": "Bearer " + body["access_token"]}).status == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "other"}, 401),
        ({"grant_type": "refresh_token"}, 401),
        ({"grant_type": "password", "username": "owner", "password": "other"}, 401),
        ({"grant_type": "client_credentials"}, 400),
        ({}, 400),
    ],
)
def test_no_token_by_another_form(registry: Registry, ask: Ask, form: dict[str, str], status: int) -> None:
    assert granted(ask, registry, **form).status == status


def test_a_refresh_token(registry: Registry, ask: Ask) -> None:
    form = {"grant_type": "password", "username": "reader", "password": READER.password, "access_type": "offline"}
    refresh = json.loads(granted(ask, registry, **form).data)["refresh_token"]
    scope = "repository:demo/model:pull,push"
    answer = granted(ask, registry, grant_type="refresh_token", refresh_token=refresh, scope=scope)
    headers = {"Authorization": "Bearer " + json.loads(answer.data)["access_token"]}
    assert [ask("GET", TAG, headers=headers).status, ask("POST", UPLOADS, headers=headers).status] == [200, 401]


@pytest.mark.parametrize("auth", [Bearer(accounts=ACCOUNTS, names=("access_token",), elsewhere=True)])
def test_tokens_from_elsewhere_under_another_name(registry: Registry, ask: Ask) -> None:
    realm = challenge(ask("GET", TAG))["realm"]
    assert realm == registry.elsewhere.url + "/token"
    answer = ask("GET", realm + "?scope=repository:demo/model:pull", headers=basic("owner", OWNER.password))
    body = json.loads(answer.data)
    assert "token" not in body
    assert ask("GET", TAG, headers={"Authorization": "Bearer " + body["access_token"]}).status == 200
    assert registry.elsewhere.requests[0].authorization == "Basic"


def test_another_method_for_a_token(registry: Registry, ask: Ask) -> None:
    assert ask("PUT", "/token").status == 405


def test_credentials_are_not_in_the_log(registry: Registry, ask: Ask) -> None:
    headers = token(ask, ask("GET", TAG), basic("owner", OWNER.password))
    ask("GET", TAG, headers={**headers, "Cookie": "secret=1"})
    ask("GET", TAG, headers={"Authorization": "secret=1"})
    granted(ask, registry, grant_type="refresh_token", refresh_token=OWNER.identity_token or "")
    assert [request.authorization for request in registry.requests] == [None, "Basic", "Bearer", "(unknown)", None]
    text = repr(registry.requests) + repr(ACCOUNTS)
    for secret in (headers["Authorization"][7:], OWNER.password, basic("owner", OWNER.password)["Authorization"][6:]):
        assert secret not in text
    assert "identity token" not in text
    assert "secret=1" not in text
