"""Artifacts in a registry: what is sent, what is resumed, and what is refused of what comes back."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from typing import Any

import pytest

from lamslsa.artifact.hashing import Progress
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store.interface import ArtifactStore
from lamslsa.testing.registry import (
    Account,
    Answer,
    Basic,
    Behaviour,
    CutRequest,
    CutResponse,
    Fault,
    Flip,
    LoseAnswer,
    Registry,
    Shorten,
    Substitute,
)

REPOSITORY = "team/model"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    return caught.value


def entry(manifest: Manifest, path: str) -> FileEntry:
    return next(file for file in manifest.files if file.path == path)


def whole(store: Any, manifest: Manifest) -> dict[str, bytes]:
    return {file.path: b"".join(store.read(file)) for file in manifest.files}


def test_push_and_pull(client: Any, registry: Registry) -> None:
    source = client.kept(client.files)
    manifest = source.manifest()
    store = client.store()
    assert isinstance(store, ArtifactStore)
    reference = store.receive(manifest, source)
    assert reference == f"oci://{registry.host}/{REPOSITORY}:v1@sha256:{manifest.sha256}" == store.reference
    other = client.store()
    assert other.reference == f"oci://{registry.host}/{REPOSITORY}:v1"
    assert other.manifest() == manifest
    assert other.reference == reference
    assert whole(other, manifest) == client.files
    assert all(len(block) <= 1024 * 1024 for file in manifest.files for block in other.read(file))
    kept = registry.contents.manifest(REPOSITORY, "v1")
    assert kept is not None
    assert (kept.data, kept.media_type) == (manifest.canonical, MANIFEST_TYPE)
    assert client.pauses == []


def test_the_manifest_needs_no_layer(client: Any, registry: Registry) -> None:
    digest = client.pushed().manifest().sha256
    registry.forget_requests()
    client.store(f"{REPOSITORY}@sha256:{digest}").manifest()
    assert [(request.method, request.path) for request in registry.requests] == [
        ("GET", f"/v2/{REPOSITORY}/manifests/sha256:{digest}")
    ]


def test_a_tag_is_resolved_once(client: Any, registry: Registry) -> None:
    client.pushed()
    store = client.store()
    first = store.manifest()
    other = client.kept({"a.bin": b"other"})
    client.store().receive(other.manifest(), other)
    assert store.manifest() == first
    assert store.reference.endswith(first.sha256)
    assert registry.count("GET", "manifests/v1") == 1


def test_a_digest_counts_more_than_a_tag(client: Any) -> None:
    first = client.pushed().manifest()
    other = client.kept({"a.bin": b"other"})
    client.store().receive(other.manifest(), other)
    assert client.store(f"{REPOSITORY}:v1@sha256:{first.sha256}").manifest() == first


def test_without_a_tag_nothing_is_tagged(client: Any, registry: Registry) -> None:
    store = client.pushed(REPOSITORY)
    assert registry.contents.tags(REPOSITORY) == []
    assert store.reference == f"oci://{registry.host}/{REPOSITORY}@sha256:{store.manifest().sha256}"


def test_a_reference_that_names_nothing_cannot_be_read(client: Any) -> None:
    assert refused(client.store(REPOSITORY).manifest).reason == "registry-reference-open"


def test_what_is_there_is_not_sent(client: Any, registry: Registry) -> None:
    client.pushed()
    registry.forget_requests()
    client.pushed(f"{REPOSITORY}:v2")
    assert registry.count("POST|PATCH") == 0
    assert registry.contents.tags(REPOSITORY) == ["v1", "v2"]


def test_equal_files_are_sent_once(client: Any) -> None:
    source = client.kept({"a.md": b"same", "b.md": b"same", "c.md": b"same"})
    client.store().receive(source.manifest(), source)
    assert len(source.asked) == 1


def test_mounting_out_of_another_repository(client: Any, registry: Registry) -> None:
    source = client.pushed()
    registry.forget_requests()
    client.store("other/model:v1").receive(source.manifest(), source)
    assert registry.count("PATCH") == 0
    assert registry.count("GET", "blobs") == 0
    assert whole(client.store("other/model:v1"), source.manifest()) == client.files


def test_a_registry_that_does_not_mount(client: Any, registry: Registry) -> None:
    source = client.pushed()
    registry.behaviour = Behaviour(mounts=False)
    client.store("other/model:v1").receive(source.manifest(), source)
    assert whole(client.store("other/model:v1"), source.manifest()) == client.files


@pytest.mark.parametrize("locations", ["relative", "absolute", "stateful"])
def test_locations(client: Any, registry: Registry, locations: Any) -> None:
    registry.behaviour = Behaviour(locations=locations)
    store = client.pushed()
    assert whole(store, store.manifest()) == client.files


def test_chunks_are_as_long_as_the_registry_wants(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(chunk_min_length=100_000)
    store = client.pushed()
    assert whole(store, store.manifest()) == client.files
    sent = [request.received for request in registry.requests if request.method == "PATCH"]
    assert sent == [100_000, 100_000, 256 * 1024 - 200_000]


def test_chunks_in_order(client: Any, registry: Registry) -> None:
    client.pushed()
    ranges = [request.headers["content-range"] for request in registry.requests if request.method == "PATCH"]
    assert ranges == ["0-65535", "65536-131071", "131072-196607", "196608-262143"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "uploads", CutRequest(30_000), after=1),
        Fault("PATCH", "uploads", CutRequest(0), after=2),
        Fault("PATCH", "uploads", LoseAnswer(), after=1),
        Fault("PATCH", "uploads", Answer(status=500), after=1),
        Fault("PATCH", "uploads", Answer(status=429, headers={"Retry-After": "3"})),
        Fault("PATCH", "uploads", Answer(status=416)),
        Fault("PATCH", "uploads", Answer(status=404)),
        Fault("PUT", "uploads", CutRequest(2)),
        Fault("PUT", "uploads", LoseAnswer(), times=2),
        Fault("PUT", "uploads", Answer(status=503), times=2),
        Fault("PUT", "uploads", Answer(status=404), times=2),
        Fault("POST", "uploads", CutRequest(0), times=2),
        Fault("HEAD", "blobs", LoseAnswer(), times=2),
        Fault("PUT", "manifests", Answer(status=500), times=2),
        Fault("PUT", "manifests", LoseAnswer(), times=2),
        Fault("PUT", "manifests", Answer(status=400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}'), times=2),
    ],
    ids=str,
)
def test_uploads_go_on_after_a_fault(client: Any, registry: Registry, fault: Fault) -> None:
    registry.faults.add(fault)
    store = client.pushed()
    assert len(registry.faults) == 0
    assert whole(store, store.manifest()) == client.files
    assert client.pauses


def test_a_broken_upload_goes_on_from_where_it_was(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("PATCH", "uploads", CutRequest(30_000), after=1))
    client.pushed()
    ranges = [request.headers["content-range"] for request in registry.requests if request.method == "PATCH"]
    assert ranges[2].startswith(f"{65536 + 30_000}-")


def test_a_forgotten_upload_is_begun_anew(client: Any, registry: Registry) -> None:
    from lamslsa.testing.registry import Meanwhile

    registry.faults.add(Fault("PATCH", "uploads", Meanwhile(registry.uploads.forget), after=2))
    store = client.pushed()
    ranges = [request.headers["content-range"] for request in registry.requests if request.method == "PATCH"]
    assert ranges[3].startswith("0-")
    assert whole(store, store.manifest()) == client.files


def test_a_status_beyond_what_was_sent_begins_anew(client: Any, registry: Registry) -> None:
    registry.faults.add(
        Fault("PATCH", "uploads", Answer(status=500)),
        Fault("GET", "uploads", Answer(status=204, headers={"Range": "0-99999999"})),
    )
    store = client.pushed()
    assert whole(store, store.manifest()) == client.files


def test_an_upload_that_never_goes_on_is_given_up(client: Any, registry: Registry) -> None:
    registry.faults.add(Fault("PATCH", "uploads", CutRequest(0), times=None))
    error = refused(client.pushed)
    assert (type(error), error.reason) == (UnavailableError, "registry-connection")
    assert registry.count("PUT", "manifests") == 0
    registry.faults.clear()
    client.pushed()


@pytest.mark.parametrize("path", ["README.md", "model.safetensors"])
@pytest.mark.parametrize("change", ["other", "shorter", "longer"])
def test_a_source_with_other_bytes_is_refused(client: Any, registry: Registry, path: str, change: str) -> None:
    data = client.files[path]
    lie = {"other": b"X" + data[1:], "shorter": data[:-1], "longer": data + b"X"}[change]
    source = client.kept(client.files, lies={path: lie, "copy.bin": lie if path == "README.md" else b"hello"})
    error = refused(lambda: client.store().receive(source.manifest(), source))
    assert (type(error), error.reason) == (FormatError, "store-file-digest")
    if path not in str(error):
        assert "copy.bin" in str(error)
    assert not registry.contents.has_blob(REPOSITORY, "sha256:" + hashlib.sha256(data).hexdigest())
    assert not registry.contents.has_blob(REPOSITORY, "sha256:" + hashlib.sha256(lie).hexdigest())
    assert registry.contents.tags(REPOSITORY) == []


def test_a_source_that_breaks_is_asked_again_from_where_it_was(client: Any) -> None:
    source = client.kept(client.files, breaks_at=120_000)
    store = client.store()
    store.receive(source.manifest(), source)
    assert ("model.safetensors", 120_000) in source.asked
    assert whole(store, source.manifest()) == client.files


def test_a_source_that_keeps_breaking_is_given_up(client: Any) -> None:
    class Broken(client.kept):  # type: ignore[misc]
        def read(self, file: FileEntry, *, offset: int = 0) -> Any:
            raise UnavailableError("broken", reason="test")

    source = Broken(client.files)
    assert refused(lambda: client.store().receive(source.manifest(), source)).reason == "test"


def test_progress(client: Any) -> None:
    source = client.kept(client.files)
    seen: list[Progress] = []
    client.store().receive(source.manifest(), source, seen.append)
    total = sum(map(len, client.files.values()))
    assert (seen[-1].bytes_done, seen[-1].bytes_total) == (total, total)
    assert (seen[-1].files_done, seen[-1].files_total) == (4, 4)
    seen.clear()
    client.store().receive(source.manifest(), source, seen.append)
    assert seen[-1].bytes_done == total


def test_another_artifact_than_the_reference_names(client: Any, registry: Registry) -> None:
    source = client.kept(client.files)
    store = client.store(f"{REPOSITORY}@sha256:{'0' * 64}")
    assert refused(lambda: store.receive(source.manifest(), source)).reason == "store-other-artifact"
    assert registry.requests == []


@pytest.mark.parametrize("tag", ["sha256-" + "a" * 64, "sha256-" + "a" * 64 + ".sig", "sha512-" + "a" * 64])
def test_tags_of_listings_are_not_taken(client: Any, tag: str) -> None:
    source = client.kept(client.files)
    store = client.store(f"{REPOSITORY}:{tag}")
    assert refused(lambda: store.receive(source.manifest(), source)).reason == "store-reserved-tag"


def test_a_registry_that_stores_something_else(client: Any, registry: Registry) -> None:
    answer = Answer(status=201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64})
    registry.faults.add(Fault("PUT", "manifests", answer))
    assert refused(client.pushed).reason == "registry-stored"
    registry.faults.add(Fault("PUT", "uploads", answer))
    assert refused(lambda: client.pushed("team/other:v1")).reason == "registry-stored"


def test_nothing_there(client: Any) -> None:
    error = refused(client.store().manifest)
    assert (type(error), error.reason) == (FormatError, "store-no-artifact")


@pytest.mark.parametrize("by", ["v1", "digest"])
@pytest.mark.parametrize("action", [Flip(10), Flip(800), Shorten(500)])
def test_a_manifest_with_another_digest(client: Any, registry: Registry, by: str, action: Any) -> None:
    manifest = client.pushed().manifest()
    registry.faults.add(Fault("GET", "manifests", action))
    reference = f":{by}" if by == "v1" else f"@sha256:{manifest.sha256}"
    error = refused(client.store(REPOSITORY + reference).manifest)
    assert (type(error), error.reason) == (FormatError, "registry-digest")


def test_the_manifest_of_another_model(client: Any, registry: Registry) -> None:
    manifest = client.pushed().manifest()
    other = client.kept({"a.bin": b"other"}).manifest()
    registry.faults.add(Fault("GET", "manifests", Substitute(other.canonical)))
    assert refused(client.store(f"{REPOSITORY}@sha256:{manifest.sha256}").manifest).reason == "registry-digest"
    unsigned = Answer(status=200, body=other.canonical, headers={"Content-Type": MANIFEST_TYPE})
    registry.faults.add(Fault("GET", "manifests", unsigned))
    assert refused(client.store(f"{REPOSITORY}:v1@sha256:{manifest.sha256}").manifest).reason == "registry-digest"


def test_a_manifest_in_another_spelling(client: Any, registry: Registry) -> None:
    manifest = client.pushed().manifest()
    spelt = json.dumps(json.loads(manifest.canonical)).encode()
    digest = registry.contents.add_manifest(REPOSITORY, spelt, MANIFEST_TYPE, tag="v2")
    for rest in (":v2", f"@{digest}"):
        assert refused(client.store(REPOSITORY + rest).manifest).reason == "manifest-not-canonical"


@pytest.mark.parametrize(
    ("body", "carried", "reason"),
    [
        (b"{}", "", "registry-media-type"),
        (b"{}", "application/json", "registry-artifact"),
        (b'{"mediaType":"a/b"}', MANIFEST_TYPE, "registry-media-type"),
        (b'{"mediaType":1}', MANIFEST_TYPE, "registry-media-type"),
        (
            b'{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}',
            MANIFEST_TYPE,
            "registry-media-type",
        ),
        (b'{"layers":[],"manifests":[]}', MANIFEST_TYPE, "registry-manifest"),
        (b'{"config":{},"manifests":[]}', MANIFEST_TYPE, "registry-manifest"),
        (b"[]", MANIFEST_TYPE, "registry-manifest"),
        (b'{"a":1,"a":1}', MANIFEST_TYPE, "json-duplicate-key"),
        (b'{"mediaType":"%b"}' % MANIFEST_TYPE.encode(), MANIFEST_TYPE, "manifest-shape"),
        (
            b'{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}',
            "application/vnd.oci.image.index.v1+json",
            "registry-artifact",
        ),
        (b" " * (4 * 1024 * 1024 + 1), MANIFEST_TYPE, "registry-size"),
    ],
)
def test_documents_that_are_no_artifact(
    client: Any, registry: Registry, body: bytes, carried: str, reason: str
) -> None:
    registry.contents.add_manifest(REPOSITORY, body, carried, tag="v1")
    error = refused(client.store().manifest)
    assert (type(error), error.reason) == (FormatError, reason)


def test_a_manifest_without_an_end_is_not_read_to_it(client: Any, registry: Registry) -> None:
    registry.contents.add_manifest(REPOSITORY, b" " * (5 * 1024 * 1024), MANIFEST_TYPE, tag="v1")
    assert refused(client.store().manifest).reason == "registry-size"


@pytest.mark.parametrize("offset", [0, 1, 100_000, 256 * 1024 - 1, 256 * 1024])
def test_reading_from_an_offset(client: Any, registry: Registry, offset: int) -> None:
    store = client.pushed()
    file = entry(store.manifest(), "model.safetensors")
    assert b"".join(store.read(file, offset=offset)) == client.files[file.path][offset:]
    whole_blob = Answer(status=200, body=client.files[file.path])
    registry.faults.add(Fault("GET", "blobs", whole_blob))
    assert b"".join(store.read(file, offset=offset)) == client.files[file.path][offset:], "Range is ignored"


def test_a_broken_download_goes_on_from_where_it_was(client: Any, registry: Registry) -> None:
    store = client.pushed()
    file = entry(store.manifest(), "model.safetensors")
    registry.faults.add(Fault("GET", "blobs", CutResponse(100_000)))
    got = bytearray()
    error = refused(lambda: deque(map(got.extend, store.read(file))))
    assert (type(error), error.reason) == (UnavailableError, "registry-interrupted")
    assert b"".join([bytes(got), *store.read(file, offset=len(got))]) == client.files[file.path]


def test_a_copy_goes_on_after_a_broken_download(client: Any, registry: Registry) -> None:
    source = client.pushed()
    registry.behaviour = Behaviour(mounts=False)
    registry.faults.add(Fault("GET", "blobs", CutResponse(100_000)))
    client.store("other/model:v1").receive(source.manifest(), source)
    assert whole(client.store("other/model:v1"), source.manifest()) == client.files


@pytest.mark.parametrize(
    ("action", "offset", "error", "reason"),
    [
        (Shorten(1000), 0, UnavailableError, "registry-blob-short"),
        (Answer(status=200, body=b"x" * (256 * 1024 + 1)), 0, FormatError, "registry-blob-long"),
        (Answer(status=206, body=b"x", headers={"Content-Range": "bytes 6-9/10"}), 5, FormatError, "registry-range"),
        (Answer(status=206, body=b"x"), 5, FormatError, "registry-range"),
        (Answer(status=404), 0, UnavailableError, "registry-not-found"),
    ],
)
def test_blobs_that_are_refused(
    client: Any, registry: Registry, action: Any, offset: int, error: type, reason: str
) -> None:
    store = client.pushed()
    file = entry(store.manifest(), "model.safetensors")
    registry.faults.add(Fault("GET", "blobs", action))
    caught = refused(lambda: list(store.read(file, offset=offset)))
    assert (type(caught), caught.reason) == (error, reason)


def test_a_read_that_is_given_up_leaves_no_connection(client: Any) -> None:
    store = client.pushed()
    blocks = store.read(entry(store.manifest(), "model.safetensors"))
    next(blocks)
    blocks.close()
    assert whole(store, store.manifest()) == client.files


def test_representations(client: Any) -> None:
    with client.store(environ={"LAMSLSA_REGISTRY_PASSWORD": "secret"}) as store:
        assert "secret" not in repr(store) + repr(store._options)


def test_pushing_without_the_right_to(client: Any, tmp_path: Any) -> None:
    accounts = {"reader": Account(password="p", push="nothing")}
    with Registry(tmp_path / "guarded", auth=Basic(accounts=accounts)) as guarded:
        client.registry = guarded
        environ = {
            "LAMSLSA_REGISTRY_HOST": guarded.host,
            "LAMSLSA_REGISTRY_USERNAME": "reader",
            "LAMSLSA_REGISTRY_PASSWORD": "p",
        }
        assert refused(lambda: client.pushed(environ=environ)).reason == "registry-denied"
        assert client.pauses == []
