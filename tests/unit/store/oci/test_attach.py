"""Bundles attached to an artifact, and read again: the referrers API, the fallback tag, and registries that lie."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign import parse_bundles
from lamslsa.store import naming
from lamslsa.testing.registry import (
    Answer,
    Behaviour,
    Fault,
    Flip,
    LoseTagWrite,
    Meanwhile,
    Registry,
    Shorten,
    Substitute,
)

REPOSITORY = "team/model"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
API = Behaviour()
WAYS = [
    API,
    Behaviour(page=1),
    Behaviour(reported_type="config"),
    Behaviour(filters=False),
    Behaviour(referrers="none"),
    Behaviour(referrers="none", conditional=False),
    Behaviour(referrers="lies"),
]


def refused(call: Any) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        call()
    return caught.value


def read(store: Any) -> list[bytes]:
    return [found.data for found in store.bundles() if isinstance(found.data, bytes)]


def errors(store: Any) -> list[str]:
    return [found.data.reason for found in store.bundles() if isinstance(found.data, LamslsaError)]


def tag(store: Any) -> str:
    return f"sha256-{store.manifest().sha256}"


def listed(registry: Registry, store: Any) -> Any:
    kept = registry.contents.manifest(REPOSITORY, tag(store))
    return json.loads(kept.data)["manifests"] if kept else None


@pytest.mark.parametrize("behaviour", WAYS, ids=str)
def test_attach_and_list(client: Any, registry: Registry, behaviour: Behaviour) -> None:
    registry.behaviour = behaviour
    store = client.pushed()
    bundles = [client.bundle(number) for number in range(3)]
    for bundle in bundles:
        store.put(bundle, name="x")
    found = list(client.store().bundles())
    assert sorted(bundles) == sorted(each.data for each in found if isinstance(each.data, bytes))
    assert [each.source for each in found] == sorted(each.source for each in found)
    assert parse_bundles(found[0].source, b"{}")
    assert (listed(registry, store) is None) == (behaviour.referrers == "api")


def test_the_shape_that_cosign_writes(client: Any, registry: Registry) -> None:
    store = client.pushed()
    bundle = client.bundle()
    where = store.put(bundle, name="x")
    kept = registry.contents.manifest(REPOSITORY, where.partition("@")[2])
    assert kept is not None
    assert kept.media_type == MANIFEST
    manifest = store.manifest()
    assert json.loads(kept.data) == {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "layers": [{"mediaType": BUNDLE, "digest": f"sha256:{_codec.sha256_hex(bundle)}", "size": len(bundle)}],
        "subject": {"mediaType": MANIFEST, "digest": f"sha256:{manifest.sha256}", "size": len(manifest.canonical)},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": client.predicate_type,
            "org.opencontainers.image.created": "2026-11-22T06:00:00Z",
        },
    }


def test_the_entry_of_the_fallback_tag(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    digest = store.put(client.bundle(), name="x").partition("@")[2]
    (entry,) = listed(registry, store)
    assert (entry["digest"], entry["artifactType"], entry["mediaType"]) == (digest, BUNDLE, MANIFEST)
    assert entry["annotations"]["dev.sigstore.bundle.predicateType"] == client.predicate_type


@pytest.mark.parametrize("behaviour", WAYS, ids=str)
def test_the_same_bundle_is_attached_once(client: Any, registry: Registry, behaviour: Behaviour) -> None:
    registry.behaviour = behaviour
    store = client.pushed()
    first = store.put(client.bundle(), name="x")
    registry.forget_requests()
    assert client.store().put(client.bundle(), name="other") == first
    assert registry.count("PUT|POST|PATCH") == 0
    assert len(read(store)) == 1


def test_a_bundle_that_was_sent_and_not_attached(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.contents.add_blob(REPOSITORY, client.bundle())
    store.put(client.bundle(), name="x")
    assert read(store) == [client.bundle()]


def test_nothing_to_attach_to(client: Any, registry: Registry) -> None:
    error = refused(lambda: client.store().put(client.bundle(), name="x"))
    assert (type(error), error.reason) == (FormatError, "store-no-artifact")
    assert "lamslsa push" in str(error.hint)
    digest = client.store(f"{REPOSITORY}@sha256:{'0' * 64}")
    assert refused(lambda: digest.put(client.bundle(), name="x")).reason == "store-no-artifact"
    assert registry.count("PUT|POST|PATCH") == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"{}", "store-no-statement"), (b"", "json-syntax"), (b" " * (16 * 1024 * 1024 + 1), "store-size")],
)
def test_what_is_no_bundle_is_not_attached(client: Any, registry: Registry, data: bytes, reason: str) -> None:
    store = client.pushed()
    registry.forget_requests()
    assert refused(lambda: store.put(data, name="x")).reason == reason
    assert registry.count("PUT|POST|PATCH") == 0


def test_both_lists_are_read(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    store.put(client.bundle(1), name="x")
    kept = listed(registry, store)
    registry.behaviour = API
    client.store().put(client.bundle(2), name="x")
    assert len(read(store)) == 2
    assert listed(registry, store) == kept


def test_a_registry_that_lists_and_does_not_say_so_keeps_the_tag(client: Any, registry: Registry) -> None:
    store = client.pushed()
    bundle = client.bundle()
    answer = Answer(status=201)
    registry.faults.add(Fault("PUT", "manifests/sha256:", answer))
    refused(lambda: store.put(bundle, name="x"))  # the index names a manifest that is not there
    assert registry.count("PUT", "manifests/sha256-") >= 1


@pytest.mark.parametrize("behaviour", [Behaviour(referrers="none"), Behaviour(referrers="none", conditional=False)])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "manifests/sha256-", Answer(status=500), times=3),
        Fault("PUT", "manifests/sha256-", LoseTagWrite(), times=3),
        Fault("PUT", "manifests/sha256-", Answer(status=412), times=3),
        Fault("PUT", "manifests/sha256-", Answer(status=409), times=1),
    ],
    ids=str,
)
def test_tag_writes_that_fail_are_repeated(client: Any, registry: Registry, behaviour: Behaviour, fault: Fault) -> None:
    registry.behaviour = behaviour
    store = client.pushed()
    registry.faults.add(fault)
    store.put(client.bundle(), name="x")
    assert read(client.store()) == [client.bundle()]


def test_updates_that_stay_lost_are_reported(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none", conditional=False)
    store = client.pushed()
    registry.faults.add(Fault("PUT", "manifests/sha256-", LoseTagWrite(), times=None))
    error = refused(lambda: store.put(client.bundle(), name="x"))
    assert (type(error), error.reason) == (UnavailableError, "store-lost-update")
    assert "run the same again" in str(error.hint)
    registry.faults.clear()
    client.store().put(client.bundle(), name="x")
    assert read(store) == [client.bundle()]


@pytest.mark.parametrize("conditional", [True, False])
def test_a_writer_in_between(client: Any, registry: Registry, conditional: bool) -> None:
    registry.behaviour = Behaviour(referrers="none", conditional=conditional)
    store, other = client.pushed(), client.store()
    store.put(client.bundle(1), name="x")
    registry.faults.add(
        Fault("PUT", "manifests/sha256-", Meanwhile(lambda: other.put(client.bundle(2), name="x")), times=1)
    )
    store.put(client.bundle(3), name="x")
    found = read(client.store())
    assert client.bundle(1) in found
    assert client.bundle(3) in found
    if conditional:
        assert len(found) == 3


def test_a_writer_who_overwrites_is_noticed(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none", conditional=False)
    store = client.pushed()
    store.put(client.bundle(1), name="x")
    before = registry.contents.tagged(REPOSITORY, tag(store))
    assert before is not None
    overwrite = Meanwhile(lambda: registry.contents.tag(REPOSITORY, tag(store), before))
    registry.faults.add(Fault("GET", "manifests/sha256-", overwrite, after=1))
    store.put(client.bundle(2), name="x")
    assert len(read(client.store())) == 2


def test_own_bundles_that_are_lost_later_are_listed_again(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none", conditional=False)
    store = client.pushed()
    store.put(client.bundle(1), name="x")
    registry.contents.untag(REPOSITORY, tag(store))
    store.put(client.bundle(2), name="x")
    assert len(read(client.store())) == 2


@pytest.mark.parametrize("conditional", [True, False])
def test_many_writers(client: Any, registry: Registry, conditional: bool) -> None:
    import time

    registry.behaviour = Behaviour(referrers="none", conditional=conditional)
    client.pushed()

    def write(writer: int) -> set[bytes]:
        store = client.store(sleep=time.sleep)
        bundles = [client.bundle(writer * 100 + number) for number in range(2)]
        for bundle in bundles:
            store.put(bundle, name="x")
        return set(bundles)

    with ThreadPoolExecutor(6) as pool:
        written = set().union(*pool.map(write, range(6)))
    lost = written - set(read(client.store()))
    assert (len(written), lost) == (12, set())


@pytest.mark.parametrize("data", [b'{"mediaType":"%b","layers":[],"config":{}}' % MANIFEST.encode()])
def test_a_tag_of_something_else_is_never_written(client: Any, registry: Registry, data: bytes) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    registry.contents.add_manifest(REPOSITORY, data, MANIFEST, tag=tag(store))
    error = refused(lambda: store.put(client.bundle(), name="x"))
    assert (type(error), error.reason) == (FormatError, "store-fallback-tag")
    assert registry.contents.tagged(REPOSITORY, tag(store)) == f"sha256:{_codec.sha256_hex(data)}"
    assert errors(store) == ["registry-fallback-tag"]


def test_foreign_entries_and_fields_of_the_index_stay(client: Any, registry: Registry) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"odd": 1}, 5], "annotations": {"a": "b"}}
    registry.contents.add_manifest(REPOSITORY, json.dumps(index).encode(), INDEX, tag=tag(store))
    registry.faults.add(Fault("PUT", "manifests/sha256-", Answer(status=400)))  # this registry wants descriptors
    assert refused(lambda: store.put(client.bundle(), name="x")).reason == "registry-status"
    assert errors(store) == ["descriptor-fields", "descriptor-shape"]


def attached(registry: Registry, document: dict[str, Any], *, media_type: str = MANIFEST) -> str:
    raw = _codec.dumps({"schemaVersion": 2, "mediaType": media_type} | document)
    return registry.contents.add_manifest(REPOSITORY, raw, media_type)


def descriptor(data: bytes, media_type: str = BUNDLE) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{_codec.sha256_hex(data)}", "size": len(data)}


def subject(store: Any) -> dict[str, Any]:
    return descriptor(store.manifest().canonical, MANIFEST)


def test_other_kinds_of_referrers_are_passed_over(client: Any, registry: Registry) -> None:
    store = client.pushed()
    attached(registry, {"artifactType": "application/spdx+json", "layers": [], "subject": subject(store)})
    attached(registry, {"manifests": [], "subject": subject(store)}, media_type=INDEX)
    store.put(client.bundle(), name="x")
    assert [found.data for found in store.bundles()] == [client.bundle()]


def test_a_wrong_artifact_type_hides_no_bundle(client: Any, registry: Registry) -> None:
    store = client.pushed()
    layer = descriptor(client.bundle())
    registry.contents.add_blob(REPOSITORY, client.bundle())
    attached(registry, {"artifactType": "text/plain", "layers": [layer], "subject": subject(store)})
    assert read(store) == [client.bundle()]


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([], "referrer-layers"),
        ([descriptor(b"a"), descriptor(b"b")], "referrer-layers"),
        ([descriptor(b"a", "text/plain")], "referrer-layer-type"),
        ([descriptor(b"a") | {"digest": "sha512:" + "0" * 128}], "digest"),
        ([descriptor(b"a") | {"size": -1}], "descriptor-fields"),
        ([descriptor(b"missing")], "registry-not-found"),
        ([descriptor(b"a") | {"size": 16 * 1024 * 1024 + 1}], "registry-blob-size"),
        ([descriptor(b"kept") | {"size": 3}], "registry-size"),
        ([descriptor(b"kept") | {"size": 5}], "registry-blob-digest"),
    ],
)
def test_damaged_referrers_are_reported_and_hide_nothing(
    client: Any, registry: Registry, layers: Any, reason: str
) -> None:
    store = client.pushed()
    store.put(client.bundle(), name="x")
    registry.contents.add_blob(REPOSITORY, b"kept")
    digest = attached(registry, {"artifactType": BUNDLE, "layers": layers, "subject": subject(store)})
    assert errors(store) == [reason]
    assert read(store) == [client.bundle()]
    assert any(digest in found.source for found in store.bundles() if not isinstance(found.data, bytes))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("GET", "manifests/sha256:", Flip(5)), "registry-digest"),
        (Fault("GET", "manifests/sha256:", Answer(status=404)), "registry-referrer-missing"),
        (Fault("GET", "manifests/sha256:", Answer(status=403)), "registry-denied"),
        (Fault("GET", "blobs", Flip(5)), "registry-blob-digest"),
        (Fault("GET", "blobs", Shorten(5)), "registry-blob-digest"),
    ],
    ids=str,
)
def test_bundles_that_a_registry_spoils(client: Any, registry: Registry, fault: Fault, reason: str) -> None:
    store = client.pushed()
    for number in range(2):
        store.put(client.bundle(number), name="x")
    registry.faults.add(fault)
    assert errors(store) == [reason]
    registry.faults.add(fault)
    assert len(read(store)) == 1


def test_a_referrer_of_another_manifest(client: Any, registry: Registry) -> None:
    store = client.pushed()
    other = client.kept({"a.bin": b"other"})
    second = client.store("team/model:v2")
    second.receive(other.manifest(), other)
    second.put(client.bundle(), name="x")
    digest = second.put(client.bundle(), name="x").partition("@")[2]
    entries = [{"mediaType": MANIFEST, "digest": digest, "size": 1}]
    body = _codec.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    registry.faults.add(Fault("GET", "referrers", Substitute(body), times=None))
    assert errors(store) == ["registry-referrer-subject"]
    assert read(store) == []
    own = client.pushed()
    assert refused(lambda: own.put(client.bundle(), name="x")).reason == "store-lost-update"
    registry.faults.clear()
    assert own.put(client.bundle(), name="x") != second.put(client.bundle(), name="x"), "it is not attached to this one"


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "json-syntax"), (b"[]", "index-shape"), (b'{"manifests":{}}', "index-shape"), (b"{}", "index-shape")],
)
def test_lists_that_are_none(client: Any, registry: Registry, body: bytes, reason: str) -> None:
    store = client.pushed()
    registry.faults.add(Fault("GET", "referrers", Substitute(body)))
    assert refused(lambda: list(store.bundles())).reason == reason


def page(*digits: str, link: str = "") -> Answer:
    entries = [{"mediaType": MANIFEST, "digest": "sha256:" + digit * 64, "size": 1} for digit in digits]
    body = _codec.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    headers = {"Content-Type": INDEX, **({"Link": f'<{link}>; rel="next"'} if link else {})}
    return Answer(status=200, body=body, headers=headers)


def test_a_list_that_goes_on_elsewhere(client: Any, registry: Registry) -> None:
    store = client.pushed()
    for link in (registry.elsewhere.url, "https://registry.example/x", "//127.0.0.2/x", "http://[x"):
        registry.faults.add(Fault("GET", "referrers", page("1", link=link)))
        assert refused(lambda: list(store.bundles())).reason == "registry-redirect"
    assert registry.elsewhere.requests == []


def test_a_list_without_an_end(client: Any, registry: Registry) -> None:
    store = client.pushed()
    link = f"/v2/{REPOSITORY}/referrers/sha256:{'0' * 64}?n=1"
    registry.faults.add(Fault("GET", "referrers", page("1", link=link), times=None))
    error = refused(lambda: list(store.bundles()))
    assert (type(error), error.reason) == (FormatError, "registry-listing-endless")
    assert registry.count("GET", "referrers") == 2


def test_a_page_that_is_missing(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.faults.add(
        Fault("GET", "referrers", page("1", link="?n=2")), Fault("GET", "referrers", Answer(status=404))
    )
    assert refused(lambda: list(store.bundles())).reason == "registry-listing-page"


def test_a_list_that_is_refused_is_no_empty_one(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.faults.add(Fault("GET", "referrers", Answer(status=403)))
    assert refused(lambda: list(store.bundles())).reason == "registry-denied"


def test_ten_thousand_referrers_are_listed(client: Any, registry: Registry) -> None:
    store = client.pushed()
    registry.behaviour = Behaviour(page=1000)
    raw = b'{"schemaVersion":2,"mediaType":"%b","layers":[],"subject":%b,"annotations":{"n":"%%d"}}'
    frame = raw % (MANIFEST.encode(), _codec.dumps(subject(store)))
    with registry.contents.exclusive():
        for number in range(10_000):
            registry.contents.add_manifest(REPOSITORY, frame % number, MANIFEST)
    listing = store._referrers.listing(store.manifest().sha256)
    assert (len(listing.digests), listing.errors) == (10_000, [])
    assert registry.count("GET", "referrers") == 10


def test_what_is_left_out_is_said(client: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    store = client.pushed()
    for number in range(4):
        store.put(client.bundle(number), name="x")
    monkeypatch.setattr(naming, "MAX_FILES", 3)
    assert (len(read(store)), errors(store)) == (3, ["registry-referrers"])
    monkeypatch.setattr(naming, "MAX_FILES", 4)
    assert (len(read(store)), errors(store)) == (4, [])
    monkeypatch.setattr(naming, "MAX_TOTAL_BYTES", 3 * len(client.bundle()) + 10)
    assert (len(read(store)), errors(store)) == (3, ["registry-bundles-size"])


def test_entries_that_cannot_be_read_are_limited_too(
    client: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = client.pushed()
    monkeypatch.setattr(naming, "MAX_FILES", 3)
    body = _codec.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{}] * 100})
    registry.faults.add(Fault("GET", "referrers", Substitute(body)))
    assert errors(store) == ["descriptor-fields"] * 3 + ["registry-referrers"]


def test_a_listing_that_is_given_up_reads_no_more(client: Any, registry: Registry) -> None:
    store = client.pushed(workers=1)
    for number in range(8):
        store.put(client.bundle(number), name="x")
    registry.forget_requests()
    bundles = store.bundles()
    next(bundles)
    bundles.close()
    assert registry.count("GET", "blobs") <= 3


def test_an_index_that_is_full(client: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.behaviour = Behaviour(referrers="none")
    store = client.pushed()
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [],
        "annotations": {"a": "x" * (4 * 1024 * 1024 - 200)},
    }
    registry.contents.add_manifest(REPOSITORY, json.dumps(index).encode(), INDEX, tag=tag(store))
    assert refused(lambda: store.put(client.bundle(), name="x")).reason == "registry-manifest-size"
