from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import pytest

from lamslsa.testing.registry import Behaviour, CutRequest, Fault, LoseAnswer, Registry
from lamslsa.testing.registry.messages import Body

DATA = bytes(range(256)) * 8
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
BLOB = f"/v2/demo/model/blobs/{DIGEST}"
UPLOADS = "/v2/demo/model/blobs/uploads/"
Ask = Callable[..., Any]


@pytest.fixture
def blob(registry: Registry) -> str:
    assert registry.contents.add_blob("demo/model", DATA) == DIGEST
    return BLOB


@pytest.fixture
def begun(ask: Ask) -> str:
    """The path of an upload."""
    answer = ask("POST", UPLOADS)
    assert answer.status == 202
    location = answer.headers["Location"]
    assert isinstance(location, str)
    assert location.startswith(UPLOADS)
    return location


def code(answer: Any) -> str:
    return str(json.loads(answer.data)["errors"][0]["code"])


def finish(ask: Ask, location: str, *, digest: str = DIGEST, **given: Any) -> Any:
    return ask("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", **given)


def test_head_says_what_get_gives(ask: Ask, blob: str) -> None:
    head, get = ask("HEAD", blob), ask("GET", blob)
    assert (head.status, head.data, get.status, get.data) == (200, b"", 200, DATA)
    for answer in (head, get):
        assert answer.headers["Content-Length"] == str(len(DATA))
        assert answer.headers["Docker-Content-Digest"] == DIGEST


def test_an_empty_blob(registry: Registry, ask: Ask) -> None:
    answer = ask("GET", f"/v2/a/blobs/{registry.contents.add_blob('a', b'')}")
    assert (answer.status, answer.data) == (200, b"")


def test_a_blob_that_is_not_there(ask: Ask, blob: str) -> None:
    for path in (blob.replace("demo/model", "demo/other"), f"/v2/demo/model/blobs/sha256:{'0' * 64}"):
        answer = ask("GET", path)
        assert (answer.status, code(answer)) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("path", ["/v2/demo/model/blobs/sha256:12", "/v2/Demo/blobs/uploads/", "/v2/demo", "/"])
def test_a_path_that_leads_nowhere(ask: Ask, path: str) -> None:
    assert ask("GET", path).status == 404


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("100-199", 100, 200), ("2000-", 2000, 2048), ("2000-9999", 2000, 2048), ("-48", 2000, 2048)],
)
def test_a_range(ask: Ask, blob: str, asked: str, start: int, stop: int) -> None:
    answer = ask("GET", blob, headers={"Range": f"bytes={asked}"})
    assert (answer.status, answer.data) == (206, DATA[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2048"


def test_a_range_beyond_the_end(ask: Ask, blob: str) -> None:
    answer = ask("GET", blob, headers={"Range": "bytes=2048-"})
    assert (answer.status, code(answer)) == (416, "RANGE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */2048"


def test_a_range_that_cannot_be_read_is_ignored(ask: Ask, blob: str) -> None:
    assert ask("GET", blob, headers={"Range": "lines=1-2"}).status == 200


def test_upload_by_one_post(ask: Ask) -> None:
    answer = ask("POST", f"{UPLOADS}?digest={DIGEST}", body=DATA)
    assert (answer.status, answer.headers["Location"]) == (201, BLOB)
    assert ask("GET", BLOB).data == DATA


def test_upload_by_one_post_is_not_offered_by_all(registry: Registry, ask: Ask) -> None:
    registry.behaviour = Behaviour(single_post=False)
    answer = ask("POST", f"{UPLOADS}?digest={DIGEST}", body=DATA)
    assert answer.status == 202
    assert finish(ask, answer.headers["Location"], body=DATA).status == 201


def test_upload_by_post_and_put(ask: Ask, begun: str) -> None:
    answer = finish(ask, begun, body=DATA)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, DIGEST)
    assert ask("GET", BLOB).data == DATA
    assert code(ask("GET", begun)) == "BLOB_UPLOAD_UNKNOWN"


def test_upload_larger_than_a_block(registry: Registry, ask: Ask, begun: str, digest: Callable[[bytes], str]) -> None:
    data = os.urandom(5 * 1024 * 1024 + 7)
    assert finish(ask, begun, digest=digest(data), body=data).status == 201
    assert registry.contents.blob_path(digest(data)).read_bytes() == data
    assert registry.requests[-1].received == len(data)


def test_a_body_is_read_in_blocks() -> None:
    class Zeros:
        def readinto(self, buffer: memoryview, /) -> int:
            return len(buffer)

        def readline(self, limit: int, /) -> bytes:
            raise AssertionError

    headers = Message()
    headers["Content-Length"] = str(1 << 50)
    blocks = Body(Zeros(), headers, cut=None).blocks()
    seen = [next(blocks) for _ in range(4)]
    assert {len(block) for block in seen} == {1 << 20}
    assert (seen[0].obj is seen[2].obj, seen[0].obj is seen[1].obj) == (True, False)


def test_upload_in_chunks(ask: Ask, begun: str) -> None:
    for start, stop in ((0, 1000), (1000, 2000)):
        answer = ask("PATCH", begun, body=DATA[start:stop], headers={"Content-Range": f"{start}-{stop - 1}"})
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{stop - 1}")
    status = ask("GET", begun)
    assert (status.status, status.headers["Range"], status.headers["Location"]) == (204, "0-1999", begun)
    assert finish(ask, begun, body=DATA[2000:], headers={"Content-Range": "2000-2047"}).status == 201
    assert ask("GET", BLOB).data == DATA


def test_upload_of_a_stream(ask: Ask, begun: str) -> None:
    def blocks() -> Iterator[bytes]:
        yield from (DATA[:1], DATA[1:1000], DATA[1000:])

    assert ask("PATCH", begun, body=blocks(), chunked=True).headers["Range"] == "0-2047"
    assert finish(ask, begun).status == 201
    assert ask("GET", BLOB).data == DATA


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("given", ["0-99", "101-200", "100-198", "100-", "x"])
def test_a_chunk_that_does_not_follow(ask: Ask, begun: str, method: str, given: str) -> None:
    ask("PATCH", begun, body=DATA[:100])
    answer = ask(method, f"{begun}?digest={DIGEST}", body=DATA[100:200], headers={"Content-Range": given})
    assert (answer.status, answer.headers["Range"], answer.headers["Location"]) == (416, "0-99", begun)
    assert finish(ask, begun, body=DATA[100:]).status == 201


def test_an_upload_of_other_bytes(registry: Registry, ask: Ask, begun: str) -> None:
    for answer in (finish(ask, begun, body=DATA[1:]), ask("POST", f"{UPLOADS}?digest={DIGEST}", body=DATA[1:])):
        assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")
    assert ask("GET", BLOB).status == 404
    assert list(registry.contents.uploads.iterdir()) == []


def test_an_upload_that_is_given_up(registry: Registry, ask: Ask, begun: str) -> None:
    assert ask("DELETE", begun).status == 204
    assert ask("GET", begun).status == 404
    assert list(registry.contents.uploads.iterdir()) == []


def test_an_upload_of_another_repository(ask: Ask, begun: str) -> None:
    assert ask("GET", begun.replace("demo/model", "demo/other")).status == 404


def test_an_upload_has_four_methods(ask: Ask, begun: str) -> None:
    assert [ask(method, begun).status for method in ("POST", "HEAD")] == [405, 405]


def test_uploads_that_are_forgotten(registry: Registry, ask: Ask, begun: str) -> None:
    registry.uploads.forget()
    answer = finish(ask, begun, body=DATA)
    assert (answer.status, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_goes_on_where_it_was_cut(registry: Registry, ask: Ask, begun: str) -> None:
    registry.faults.add(Fault("PATCH", "/uploads/", CutRequest(after=700)))
    with pytest.raises(Exception, match="Connection aborted"):
        ask("PATCH", begun, body=DATA)
    assert ask("GET", begun).headers["Range"] == "0-699"
    assert ask("PATCH", begun, body=DATA[700:], headers={"Content-Range": "700-2047"}).status == 202
    assert finish(ask, begun).status == 201
    assert [(request.method, request.status) for request in registry.requests][1] == ("PATCH", 0)


def test_a_client_that_goes_away(registry: Registry, ask: Ask, begun: str) -> None:
    address = urlsplit(registry.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"PATCH {begun} HTTP/1.1\r\nContent-Length: 2048\r\n\r\n".encode() + DATA[:300])
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert ask("GET", begun).headers["Range"] == "0-299"


def test_a_request_waits_for_the_upload_and_finds_it_finished(registry: Registry, ask: Ask, begun: str) -> None:
    address = urlsplit(registry.url)
    found: list[int] = []
    second = threading.Thread(target=lambda: found.append(finish(ask, begun).status))
    with socket.create_connection((address.hostname, address.port)) as first:
        first.sendall(f"PUT {begun}?digest={DIGEST} HTTP/1.1\r\nContent-Length: 2048\r\n\r\n".encode() + DATA[:300])
        while not registry.uploads._begun[begun.rsplit("/", 1)[1]].lock.locked():
            time.sleep(0.001)
        second.start()
        second.join(0.02)
        assert found == []
        first.sendall(DATA[300:])
        assert first.recv(20).startswith(b"HTTP/1.1 201 ")
        second.join()
    assert found == [404]
    assert ask("GET", BLOB).data == DATA


@pytest.mark.parametrize("end", [b"", b"5\r\nab", b"x\r\n", b"2\r\nab\r\n"])
def test_a_stream_that_breaks_off(registry: Registry, ask: Ask, begun: str, end: bytes) -> None:
    address = urlsplit(registry.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PATCH {begun} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        connection.sendall(head + b"3\r\n" + DATA[:3] + b"\r\n" + end)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert ask("GET", begun).headers["Range"] == f"0-{4 if b'ab' in end else 2}"


def test_the_end_of_a_stream_may_have_fields(registry: Registry, ask: Ask, begun: str) -> None:
    address = urlsplit(registry.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"PATCH {begun} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        connection.sendall(head + b"3;a=b\r\n" + DATA[:3] + b"\r\n0\r\nX-Sum: 1\r\n\r\nGET /v2/ HTTP/1.1\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answers.count(b"HTTP/1.1 20") == 2


def test_mount(registry: Registry, ask: Ask, blob: str) -> None:
    answer = ask("POST", f"/v2/demo/other/blobs/uploads/?mount={DIGEST}&from=demo/model")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/demo/other/blobs/{DIGEST}")
    assert ask("GET", answer.headers["Location"]).data == DATA


@pytest.mark.parametrize(
    ("behaviour", "query"),
    [
        (Behaviour(), f"mount={DIGEST}&from=demo/nothing"),
        (Behaviour(), f"mount={DIGEST}"),
        (Behaviour(mounts=False), f"mount={DIGEST}&from=demo/model"),
    ],
)
def test_what_cannot_be_mounted_is_uploaded(
    registry: Registry, ask: Ask, blob: str, behaviour: Behaviour, query: str
) -> None:
    registry.behaviour = behaviour
    answer = ask("POST", f"/v2/demo/other/blobs/uploads/?{query}")
    assert answer.status == 202
    assert finish(ask, answer.headers["Location"], body=DATA).status == 201


def test_chunks_have_a_least_length(registry: Registry, ask: Ask) -> None:
    registry.behaviour = Behaviour(chunk_min_length=1000)
    begun = ask("POST", UPLOADS)
    assert begun.headers["OCI-Chunk-Min-Length"] == "1000"
    location = begun.headers["Location"]
    assert ask("PATCH", location, body=DATA[:1000]).status == 202
    assert ask("PATCH", location, body=DATA[1000:1500]).status == 202  # might be the last one
    answer = ask("PATCH", location, body=DATA[1500:])
    assert (answer.status, code(answer)) == (400, "SIZE_INVALID")


def test_locations_can_be_urls(registry: Registry, ask: Ask) -> None:
    registry.behaviour = Behaviour(locations="absolute")
    location = ask("POST", UPLOADS).headers["Location"]
    assert location.startswith(registry.url + UPLOADS)
    assert finish(ask, location, body=DATA).headers["Location"] == registry.url + BLOB


def test_locations_can_change_with_each_request(registry: Registry, ask: Ask) -> None:
    registry.behaviour = Behaviour(locations="stateful")
    first = ask("POST", UPLOADS).headers["Location"]
    second = ask("PATCH", first, body=DATA[:1000]).headers["Location"]
    assert first != second
    assert code(ask("PATCH", first, body=DATA[1000:])) == "BLOB_UPLOAD_INVALID"
    registry.faults.add(Fault("PATCH", "", LoseAnswer()))
    with pytest.raises(Exception, match="Connection aborted"):
        ask("PATCH", second, body=DATA[1000:2000])
    status = ask("GET", second)
    assert status.headers["Range"] == "0-1999"
    assert finish(ask, status.headers["Location"], body=DATA[2000:]).status == 201


def test_a_blob_is_deleted_from_one_repository(registry: Registry, ask: Ask, blob: str) -> None:
    registry.contents.link_blob("demo/other", DIGEST)
    registry.behaviour = replace(registry.behaviour, deletes=False)
    assert ask("DELETE", blob).status == 405
    registry.behaviour = Behaviour()
    assert [ask("DELETE", blob).status for _ in range(2)] == [202, 404]
    assert ask("GET", f"/v2/demo/other/blobs/{DIGEST}").data == DATA
