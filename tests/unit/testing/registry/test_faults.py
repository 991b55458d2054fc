from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from lamslsa.testing.registry import (
    Action,
    Answer,
    CutRequest,
    CutResponse,
    Delay,
    Fault,
    Faults,
    Flip,
    LoseAnswer,
    Redirect,
    Registry,
    Shorten,
    Substitute,
)

DATA = bytes(range(256)) * 8
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
Ask = Callable[..., Any]


@pytest.fixture
def blob(registry: Registry) -> str:
    registry.contents.add_blob("demo/model", DATA)
    registry.contents.add_manifest("demo/model", b"0123456789", "a/b", tag="v1")
    return f"/v2/demo/model/blobs/{DIGEST}"


def test_a_fault_fits_by_method_and_path() -> None:
    faults = Faults()
    faults.add(Fault("GET|HEAD", r"/blobs/.*\?a=1", LoseAnswer(), times=None))
    for method, target in (("PUT", "/blobs/x?a=1"), ("GET", "/blobs/x"), ("GETS", "/blobs/x?a=1")):
        assert faults.take(method, target) is None
    for method in ("GET", "HEAD", "GET"):
        assert faults.take(method, "/v2/blobs/x?a=1") == LoseAnswer()
    faults.clear()
    assert faults.take("GET", "/blobs/x?a=1") is None


def test_faults_are_used_up_in_their_order() -> None:
    faults = Faults()
    faults.add(Fault("GET", "", Shorten(1), times=2, after=1), Fault("GET", "", Shorten(2)))
    met = [faults.take("GET", "/") for _ in range(5)]
    assert met == [Shorten(2), Shorten(1), Shorten(1), None, None]
    assert len(faults) == 0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_another_answer(registry: Registry, ask: Ask, status: int) -> None:
    answer = Answer(status=status, body=b"later", headers={"Retry-After": "7"})
    registry.faults.add(Fault("POST", "/uploads/", answer, times=2))
    for _ in range(2):
        got = ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=DATA)
        assert (got.status, got.data, got.headers["Retry-After"]) == (status, b"later", "7")
    assert not registry.contents.has_blob("a", DIGEST)
    assert ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=DATA).status == 201
    assert [(request.status, request.received) for request in registry.requests] == [
        (status, 2048),
        (status, 2048),
        (201, 2048),
    ]


@pytest.mark.parametrize("after", [0, 1, 2000])
def test_an_answer_that_is_cut(registry: Registry, pool: urllib3.PoolManager, blob: str, after: int) -> None:
    registry.faults.add(Fault("GET", "/blobs/", CutResponse(after)))
    answer = pool.request("GET", registry.url + blob, preload_content=False)
    assert (answer.status, answer.headers["Content-Length"]) == (200, "2048")
    assert answer.read(after) == DATA[:after]
    with pytest.raises(urllib3.exceptions.ProtocolError):
        answer.read()
    assert registry.requests[0].sent == after


@pytest.mark.parametrize("action", [CutRequest(), CutRequest(1000), CutRequest(99999), LoseAnswer()])
def test_no_answer(registry: Registry, ask: Ask, action: Action) -> None:
    registry.faults.add(Fault("POST", "", action))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=DATA)
    assert registry.contents.has_blob("a", DIGEST) == isinstance(action, LoseAnswer)
    (request,) = registry.requests
    assert request.status == 0
    assert request.received == (min(action.after, 2048) if isinstance(action, CutRequest) else 2048)


def test_a_get_that_is_cut(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "", CutRequest()))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("GET", blob)
    assert ask("GET", blob).data == DATA


def test_a_blob_that_is_shorter(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "/blobs/", Shorten(2000)))
    answer = ask("GET", blob)
    assert (answer.status, answer.headers["Content-Length"], answer.data) == (200, "2000", DATA[:2000])


def test_a_blob_with_another_byte(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "", Flip(1030), times=None))
    changed = DATA[:1030] + bytes([DATA[1030] ^ 1]) + DATA[1031:]
    assert ask("GET", blob).data == changed
    assert ask("GET", blob, headers={"Range": "bytes=1000-1099"}).data == changed[1000:1100]
    assert ask("GET", blob, headers={"Range": "bytes=1031-"}).data == DATA[1031:]


def test_a_manifest_with_another_byte(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "", Flip(9)))
    assert ask("GET", "/v2/demo/model/manifests/v1").data == b"0123456788"


def test_other_bytes(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "/blobs/", Substitute(b"other"), times=2))
    for headers in ({}, {"Range": "bytes=0-4"}):
        answer = ask("GET", blob, headers=headers)
        assert (answer.status, answer.data, answer.headers["Docker-Content-Digest"]) == (200, b"other", DIGEST)
        assert "Content-Range" not in answer.headers
    assert ask("GET", blob).data == DATA


@pytest.mark.parametrize("action", [Substitute(b"x"), Shorten(1), Flip(), Redirect()])
def test_an_error_stays_an_error(registry: Registry, ask: Ask, action: Action) -> None:
    registry.faults.add(Fault("GET", "", action))
    answer = ask("GET", f"/v2/a/blobs/{DIGEST}")
    assert answer.status == 404
    assert b"BLOB_UNKNOWN" in answer.data


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_host(registry: Registry, ask: Ask, blob: str, status: int) -> None:
    registry.faults.add(Fault("GET", "/blobs/", Redirect(status=status)))
    answer = ask("GET", blob, headers={"Authorization": "Basic x"})
    assert (answer.status, answer.headers["Location"]) == (status, registry.elsewhere.url + blob)
    assert registry.elsewhere.host != registry.host
    got = ask("GET", answer.headers["Location"], headers={"Range": "bytes=2040-", "X-Test": "1"})
    assert (got.status, got.data) == (206, DATA[2040:])
    (request,) = registry.elsewhere.requests
    assert request.authorization is None
    assert request.headers["x-test"] == "1"


def test_a_redirect_to_a_host_with_a_name(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "/blobs/", Redirect("https://example.invalid/bucket")))
    assert ask("GET", blob).headers["Location"] == "https://example.invalid/bucket" + blob


def test_elsewhere_redirects_to_itself(registry: Registry, ask: Ask, blob: str) -> None:
    registry.elsewhere.faults.add(Fault("GET", "", Redirect()))
    assert ask("GET", registry.elsewhere.url + blob).headers["Location"] == registry.elsewhere.url + blob


def test_elsewhere_has_blobs_and_faults_and_nothing_more(registry: Registry, ask: Ask, blob: str) -> None:
    there = registry.elsewhere
    there.faults.add(Fault("GET", "", Shorten(1)))
    assert ask("GET", there.url + blob).data == DATA[:1]
    assert ask("GET", there.url + "/v2/demo/model/manifests/v1").status == 404
    assert ask("DELETE", there.url + blob).status == 404
    assert ask("GET", there.url + "/token").status == 404


def test_a_delay(registry: Registry, ask: Ask, blob: str) -> None:
    registry.faults.add(Fault("GET", "", Delay(0.02)))
    before = time.monotonic()
    assert ask("GET", blob).status == 200
    assert time.monotonic() - before >= 0.02
