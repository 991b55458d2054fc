"""Work that ends: by the first error, by ctrl-C, and where a registry or a source gives little for much patience."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from lamslsa import _attempts, _codec
from lamslsa._attempts import MAX_ATTEMPTS, PROGRESS
from lamslsa._deadline import Deadline
from lamslsa.artifact.manifest import FileEntry
from lamslsa.errors import LamslsaError, UnavailableError
from lamslsa.store import naming
from lamslsa.store.arrival import each_file, read_through
from lamslsa.store.oci.ahead import opened
from lamslsa.store.oci.upload import Feed
from lamslsa.testing.registry import Answer, Behaviour, CutRequest, Delay, Fault, Meanwhile, Registry

REPOSITORY = "team/model"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BUSY = Answer(status=429, headers={"Retry-After": "60"})


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    return caught.value


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 30, "somebody waited for an end that had come"


def path_of(data: bytes) -> str:
    return f"blobs/sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("slow", [BUSY, Delay(60)])
def test_the_first_error_ends_all_of_a_transfer(client: Any, registry: Registry, slow: Any) -> None:
    source = client.kept({"slow.bin": b"slow" * 10, "denied.bin": b"denied"})
    registry.faults.add(
        Fault("HEAD", path_of(b"slow" * 10), slow, times=None),
        Fault("HEAD", path_of(b"denied"), Answer(status=403), times=None),
    )
    store = client.store(sleep=_attempts.sleep)
    assert refused(lambda: store.receive(source.manifest(), source)).reason == "registry-denied"


def interrupting(_: str) -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def test_ctrl_c_ends_the_pauses_of_a_transfer(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("HEAD", path_of(client.files["README.md"]), BUSY, times=None))
    with pytest.raises(KeyboardInterrupt):
        client.pushed(sleep=_attempts.sleep, notify=interrupting)


def test_ctrl_c_ends_the_pauses_of_a_listing(client: Any, registry: Registry) -> None:
    store = client.pushed()
    store.put(client.bundle(), name="x")
    registry.faults.add(Fault("GET", "blobs", BUSY, times=None))
    with pytest.raises(KeyboardInterrupt):
        list(client.store(sleep=_attempts.sleep, notify=interrupting).bundles())


def test_nothing_is_begun_after_the_end(client: Any, registry: Registry) -> None:
    store = client.store()
    stop = _attempts.Stop()
    stop.set()
    file = FileEntry(path="a", sha256="0" * 64, size=1)
    with stop.covering():
        for call in (store.manifest, lambda: list(store.read(file))):
            with pytest.raises(_attempts.StoppedError):
                call()
    assert registry.requests == []


def test_the_error_of_what_is_opened_ahead_is_the_one_that_is_seen() -> None:
    def opening(number: int) -> None:
        if number == 0:
            _attempts.sleep(60)
            _attempts.refuse_stopped()
        raise UnavailableError("broken", reason="test")

    assert refused(lambda: list(opened(range(2), opening, workers=2))).reason == "test"


def test_a_stop_ends_what_comes_after_it_too() -> None:
    stop, seen = _attempts.Stop(), list[str]()
    stop.add(lambda: seen.append("before"))
    stop.set()
    stop.add(lambda: seen.append("after"))
    assert seen == ["before", "after"]
    stop.discard(print)


def test_no_number_of_seconds_is_too_large() -> None:
    with Deadline(2.0**60) as deadline:
        deadline._timer.join(0.05)
        assert deadline._timer.is_alive()


class Dripping:
    """Gives so many bytes before it breaks, again and again."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        self.asked += 1
        yield bytes(min(self.size, file.size - offset))
        raise UnavailableError("broken", reason="test")


def zeros(size: int) -> FileEntry:
    return FileEntry(path="a.bin", sha256=hashlib.sha256(bytes(size)).hexdigest(), size=size)


def read(file: FileEntry, source: Any) -> None:
    each_file([file], lambda each, counted: read_through(each, source, counted), None)


def feed(file: FileEntry, source: Any) -> None:
    for _ in Feed(source, file, lambda _: None).take(0, file.size):
        pass


@pytest.mark.parametrize("take", [read, feed])
def test_a_source_that_gives_a_byte_at_a_time(take: Any) -> None:
    source = Dripping(1)
    assert refused(lambda: take(zeros(10_000), source)).reason == "test"
    assert source.asked == MAX_ATTEMPTS


@pytest.mark.parametrize("take", [read, feed])
def test_a_source_that_gets_on(take: Any) -> None:
    source = Dripping(PROGRESS)
    take(zeros(9 * PROGRESS), source)
    assert source.asked == 9


def test_an_upload_that_is_always_forgotten(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("PUT|GET", "uploads", Answer(status=404), times=None))
    source = client.kept({"model.safetensors": client.files["model.safetensors"]})
    error = refused(lambda: client.store().receive(source.manifest(), source))
    assert error.reason == "registry-connection"
    assert registry.count("POST", "uploads") == MAX_ATTEMPTS


def test_an_upload_that_breaks_often_and_gets_on(client: Any, registry: Registry) -> None:
    data = os.urandom(12 * PROGRESS)
    registry.faults.add(Fault("PATCH", "uploads", CutRequest(PROGRESS), times=9))
    source = client.kept({"large.bin": data})
    store = client.store(chunk_bytes=2 * PROGRESS)
    store.receive(source.manifest(), source)
    assert len(client.pauses) > MAX_ATTEMPTS
    assert b"".join(store.read(store.manifest().files[0])) == data


def test_an_upload_that_was_closed_before_its_answer_was_lost(client: Any, registry: Registry) -> None:
    """It is not begun again."""
    data = b"small"
    kept = Meanwhile(lambda: registry.contents.add_blob(REPOSITORY, data))
    registry.faults.add(Fault("PUT", "uploads", Answer(status=404)), Fault("HEAD", path_of(data), kept, after=1))
    source = client.kept({"a.bin": data})
    client.store().receive(source.manifest(), source)
    assert registry.count("POST", "uploads") == 2, "this file once, and the configuration"


def test_a_registry_that_is_silent_while_it_hashes(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("PUT", "uploads", Delay(0.5), times=None))
    client.pushed(read_timeout=0.1)
    assert client.pauses == []


def test_a_repository_that_may_not_be_read_is_not_mounted(client: Any, registry: Registry) -> None:
    source = client.pushed()
    for status in (401, 403):
        registry.faults.add(
            Fault("POST", "mount=", Answer(status=status, headers={"WWW-Authenticate": "Basic realm=x"}))
        )
    store = client.store("other/model:v1")
    store.receive(source.manifest(), source)
    assert [b"".join(store.read(file)) for file in store.manifest().files]
    registry.faults.add(Fault("POST", "mount=", Answer(status=400)))
    assert (
        refused(lambda: client.store("third/model:v1").receive(source.manifest(), source)).reason == "registry-status"
    )


def test_a_registry_that_answers_for_no_referrer(client: Any, registry: Registry) -> None:
    store = client.pushed()
    for number in range(20):
        store.put(client.bundle(number), name="x")
    store = client.store()
    store.manifest()
    registry.faults.add(Fault("GET", "manifests/sha256:", Answer(status=503), times=None))
    found = [each.data.reason for each in store.bundles() if isinstance(each.data, LamslsaError)]
    assert found == ["registry-connection"] * 8 + ["registry-referrers-given-up"]
    assert registry.count("GET", "manifests/sha256:") < 20 * MAX_ATTEMPTS
    assert refused(lambda: store.put(client.bundle(3), name="x")).reason == "registry-referrers-given-up"


def test_what_is_refused_counts_and_is_not_kept(
    client: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = client.pushed()
    subject = store.manifest()
    digests = [
        registry.contents.add_manifest(REPOSITORY, b"%05d" % number + b"x" * 95, MANIFEST) for number in range(9)
    ]
    entries = [{"mediaType": MANIFEST, "digest": digest, "size": 100} for digest in digests]
    index = "application/vnd.oci.image.index.v1+json"
    body = _codec.dumps({"schemaVersion": 2, "mediaType": index, "manifests": entries})
    registry.faults.add(
        Fault("GET", "referrers", Answer(status=200, body=body, headers={"Content-Type": index}), times=None)
    )
    found = [each.data for each in store.bundles()]
    assert [type(each.__cause__ or each.__context__ or each.__traceback__) for each in found] == [type(None)] * 9
    monkeypatch.setattr(naming, "MAX_TOTAL_BYTES", 300)
    assert [each.data.reason for each in store.bundles()] == ["json-syntax"] * 3 + ["registry-bundles-size"]
    assert subject == store.manifest()


def test_the_time_in_annotations_is_of_no_zone(client: Any, registry: Registry) -> None:
    store = client.pushed(clock=lambda: dt.datetime(2026, 11, 22, 8, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    kept = registry.contents.manifest(REPOSITORY, store.put(client.bundle(), name="x").partition("@")[2])
    assert kept is not None
    assert b'"org.opencontainers.image.created":"2026-11-22T06:00:00Z"' in kept.data


def test_a_tag_that_is_moved_is_said(client: Any) -> None:
    before = client.pushed().manifest().sha256
    client.pushed()
    assert client.notes == []
    other = client.kept({"a.bin": b"other"})
    store = client.store()
    store.receive(other.manifest(), other)
    assert [note.partition(" moved ")[2] for note in client.notes] == [f"from sha256:{before}"]


def test_bundles_after_another_artifact_has_come_are_attached_to_that_one(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    store.put(client.bundle(1), name="x")
    other = client.kept({"a.bin": b"other"})
    store.receive(other.manifest(), other)
    store.put(client.bundle(2), name="x")
    assert [each.data for each in client.store().bundles()] == [client.bundle(2)]


def test_an_upload_that_gets_on_by_a_byte_at_a_time(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("PATCH", "uploads", Answer(status=500), times=None))
    for number in range(1, 20):
        registry.faults.add(Fault("GET", "uploads", Answer(status=204, headers={"Range": f"0-{number}"})))
    source = client.kept({"model.safetensors": client.files["model.safetensors"]})
    assert refused(lambda: client.store().receive(source.manifest(), source)).reason == "registry-connection"
    assert registry.count("PATCH", "uploads") == MAX_ATTEMPTS


@pytest.mark.parametrize("cause", [ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLError])
def test_tls_that_breaks_is_tried_again_and_tls_that_is_wrong_is_not(client: Any, cause: type[ssl.SSLError]) -> None:
    transport = client.store()._transport
    expected = UnavailableError if cause is ssl.SSLError else _attempts.TryAgainError
    with pytest.raises(expected), Deadline(60) as deadline, transport._translated(deadline):
        raise urllib3.exceptions.SSLError(cause("broken"))
