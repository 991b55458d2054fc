"""Gatekeeper's requests for external data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lamslsa.admission.provider import MAX_KEYS, answer, parse
from lamslsa.errors import FormatError, LamslsaError

DIGEST = "sha256:" + "3f" * 32
KEY = f"registry.example/census@{DIGEST}"


def request(keys: Any, **changes: Any) -> bytes:
    document = {
        "apiVersion": "externaldata.gatekeeper.sh/v1beta1",
        "kind": "ProviderRequest",
        "request": {"keys": keys},
    }
    return json.dumps({**document, **changes}).encode()


def test_each_key_once_and_in_order() -> None:
    parsed = parse(request([KEY, "registry.example/census:v1", KEY]))
    assert [item.where for item in parsed.found] == [KEY, "registry.example/census:v1"]
    first, second = (item.model for item in parsed.found)
    assert str(first) == f"oci://{KEY}"
    assert isinstance(second, LamslsaError)
    assert second.reason == "admission-unpinned"


def test_a_thousand_keys_and_no_more() -> None:
    keys = [f"registry.example/m{number}@{DIGEST}" for number in range(MAX_KEYS)]
    assert len(parse(request(keys)).found) == MAX_KEYS
    with pytest.raises(FormatError) as caught:
        parse(request([*keys, KEY]))
    assert caught.value.reason == "admission-shape"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "admission-provider"),
        (b"{", "json-syntax"),
        (request([KEY], kind="ProviderResponse"), "admission-provider"),
        (request([KEY], apiVersion="externaldata.gatekeeper.sh/v2"), "admission-provider"),
        (request([KEY], apiVersion=["x"]), "admission-provider"),
        (request([KEY], request=None), "admission-shape"),
        (request([KEY], request=[]), "admission-shape"),
        (request(None), "admission-shape"),
        (request("x"), "admission-shape"),
        (request([7]), "admission-shape"),
        (request([""]), "admission-shape"),
        (request(["x" * 1025]), "admission-shape"),
        (request([KEY]) + b" " * 2 * 1024 * 1024, "json-size"),
    ],
)
def test_what_is_no_request(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(data)
    assert caught.value.reason == reason


def test_the_answer_has_an_error_or_a_value() -> None:
    parsed = parse(request([KEY, "x:v1"]))
    document = answer(parsed, {"x:v1": "expected, got"}, policy="sha256:00")
    assert document == {
        "apiVersion": "externaldata.gatekeeper.sh/v1beta1",
        "kind": "ProviderResponse",
        "response": {
            "idempotent": True,
            "items": [
                {"key": KEY, "value": {"model": f"oci://{KEY}", "policy": "sha256:00"}},
                {"key": "x:v1", "error": "expected, got"},
            ],
            "systemError": "",
        },
    }


def test_the_version_is_repeated() -> None:
    parsed = parse(request([], apiVersion="externaldata.gatekeeper.sh/v1alpha1"))
    assert answer(parsed, {}, policy="")["apiVersion"] == "externaldata.gatekeeper.sh/v1alpha1"
