"""Listings: what has an API, what is told beside what was found, and how a bundle is seen to be attached."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store.oci import OciStore, Options, attach
from lamslsa.testing.registry import Answer, Behaviour, Fault, Meanwhile, Redirect, Registry, Substitute
from tests.unit.store.oci.test_attach import BUNDLE, INDEX, MANIFEST, REPOSITORY, attached, errors, read, subject, tag

EMPTY = _codec.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("content_type", ["text/html", "", MANIFEST, "application/json"])
def test_another_document_in_place_of_a_list(client: Any, registry: Registry, content_type: str) -> None:
    store = client.pushed()
    answer = Answer(status=200, body=EMPTY, headers={"Content-Type": content_type})
    registry.faults.add(Fault("GET", "referrers", answer))
    error = refused(lambda: list(store.bundles()))
    assert (type(error), error.reason) == (UnavailableError, "registry-listing")


def test_the_media_type_of_a_list_may_have_parameters(client: Any, registry: Registry) -> None:
    store = client.pushed()
    answer = Answer(status=200, body=EMPTY, headers={"Content-Type": f"{INDEX.upper()}; charset=utf-8"})
    registry.faults.add(Fault("GET", "referrers", answer))
    assert list(store.bundles()) == []


@pytest.mark.parametrize(
    "action", [Answer(status=status) for status in (400, 404, 405, 406, 501)] + [Redirect(status=303)]
)
def test_registries_without_the_api(client: Any, registry: Registry, action: Any) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    store.put(client.bundle(), name="x")
    if isinstance(action, Redirect):
        registry.behaviour = Behaviour()
    registry.faults.add(Fault("GET", "referrers", action))
    assert read(store) == [client.bundle()]
    assert registry.elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=200, body=b"{}", headers={"Content-Type": MANIFEST}), "registry-fallback-tag"),
        (Answer(status=200, body=b"[]", headers={"Content-Type": INDEX}), "registry-manifest"),
        (Answer(status=200, body=b"{", headers={"Content-Type": INDEX}), "json-syntax"),
        (Answer(status=403), "registry-denied"),
    ],
)
def test_a_bad_tag_hides_nothing_of_the_api(client: Any, registry: Registry, answer: Answer, reason: str) -> None:
    store = client.pushed()
    store.put(client.bundle(), name="x")
    registry.faults.add(Fault("GET", "manifests/sha256-", answer, times=None))
    assert (read(store), errors(store)) == ([client.bundle()], [reason])


def test_without_an_api_a_tag_that_cannot_be_read_is_no_empty_list(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    registry.faults.add(Fault("GET", "manifests/sha256-", Answer(status=403)))
    assert refused(lambda: list(store.bundles())).reason == "registry-denied"


def test_an_index_that_says_it_holds_a_bundle(client: Any, registry: Registry) -> None:
    store = client.pushed()
    store.put(client.bundle(), name="x")
    index = {"artifactType": BUNDLE, "manifests": [], "subject": subject(store)}
    attached(registry, index, media_type=INDEX)
    assert (read(store), errors(store)) == ([client.bundle()], ["registry-referrer-index"])


def test_a_list_of_too_many_pages(client: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.behaviour = Behaviour(page=1)
    store = client.pushed()
    for number in range(3):
        store.put(client.bundle(number), name="x")
    monkeypatch.setattr("lamslsa.store.oci.referrers._MAX_PAGES", 2)
    assert (len(read(store)), errors(store)) == (2, ["registry-referrers"])


def test_a_bundle_that_the_registry_takes_and_does_not_list(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.faults.add(Fault("GET", "referrers", Substitute(EMPTY), times=None))
    error = refused(lambda: store.put(client.bundle(), name="x"))
    assert (type(error), error.reason) == (UnavailableError, "store-lost-update")


def test_a_registry_that_lists_a_little_later(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.faults.add(Fault("GET", "referrers", Substitute(EMPTY), times=3))
    store.put(client.bundle(), name="x")
    assert read(store) == [client.bundle()]
    assert registry.contents.tagged(REPOSITORY, tag(store)) is None


def test_what_other_writers_had_listed_is_listed_again(client: Any, registry: Registry) -> None:
    """Where an entry of somebody else that was seen is lost, it is written again."""
    registry.behaviour = Behaviour(referrers="none", conditional=False)
    store, other = client.pushed(), client.store()
    other.put(client.bundle(1), name="x")
    store.put(client.bundle(2), name="x")
    third = client.store()

    def forget() -> None:
        kept = registry.contents.manifest(REPOSITORY, tag(store))
        assert kept is not None
        index = json.loads(kept.data)
        index["manifests"] = index["manifests"][2:]
        registry.contents.add_manifest(REPOSITORY, json.dumps(index).encode(), INDEX, tag=tag(store))

    # The fourth read: a listing, the one before the write, the first one back, and this.
    registry.faults.add(Fault("GET", "manifests/sha256-", Meanwhile(forget), after=2))
    third.put(client.bundle(3), name="x")
    assert len(read(client.store())) == 3


def test_it_is_read_back_more_than_once(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    registry.forget_requests()
    store.put(client.bundle(), name="x")
    asked = [request.method for request in registry.requests if "manifests/sha256-" in request.path]
    written = asked.index("PUT")
    assert asked[written + 1 :] == ["GET"] * attach._READ_BACK
    assert attach._READ_BACK >= 2


@pytest.mark.parametrize("listed", [{}, "a", None])
def test_a_tag_whose_list_is_none(client: Any, registry: Registry, listed: Any) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
    registry.faults.add(
        Fault("GET", "manifests/sha256-", Answer(status=200, body=index, headers={"Content-Type": INDEX}), times=None)
    )
    error = refused(lambda: store.put(client.bundle(), name="x"))
    assert (type(error), error.reason) == (FormatError, "store-fallback-tag")


@contextmanager
def dripping(head: bytes, *, every: float = 0.02) -> Iterator[str]:
    """A server that answers a request, and drips the next answer on the same connection."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    if head:
                        connection.sendall(head)
                        connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    connection.sendall(b"x")
                    while not done.wait(every):
                        connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])
def test_a_body_without_a_length_that_drips(head: bytes) -> None:
    """It seems to end when the connection is shut down; also one that had been kept."""
    with dripping(head) as host:
        store = OciStore(f"oci://{host}/m:v", Options(plain_http=True, attempt_timeout=0.3, sleep=lambda _: None))
        if head:
            assert refused(store.manifest).reason == "store-no-artifact"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lamslsa.store.oci.transport._SLOWEST", 10**9)
            error = refused(lambda: list(store.read(FileEntry(path="a", sha256="0" * 64, size=10**6))))
        assert (error.reason, "no more of it in time" in str(error)) == ("registry-interrupted", True)
        store.close()


def test_a_manifest_without_a_length_that_drips() -> None:
    """What was read until the connection was shut down is not taken for all of it."""
    with dripping(b"", every=60) as host:
        notes: list[str] = []
        options = Options(plain_http=True, attempt_timeout=0.2, sleep=lambda _: None, notify=notes.append)
        store = OciStore(f"oci://{host}/m:v", options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lamslsa.store.oci.transport._SLOWEST", 10**9)
            assert refused(store.manifest).reason == "registry-connection"
        assert "no whole answer in time" in notes[0]
        store.close()


def test_a_link_that_is_far_away_is_not_followed(client: Any, registry: Registry) -> None:
    store = client.pushed()
    store.put(client.bundle(), name="x")
    far = "</x>; rel=prev, " * 600 + f"</v2/{REPOSITORY}/referrers/next>; rel=next"
    registry.forget_requests()
    registry.faults.add(
        Fault("GET", "referrers", Answer(status=200, body=EMPTY, headers={"Content-Type": INDEX, "Link": far}))
    )
    assert list(store.bundles()) == []
    assert registry.count("GET", "referrers") == 1
