"""Manifests that attach a bundle: the shape of cosign v3 out, and whatever there is in, without trusting a listing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.store.referrer import (
    BUNDLE_TYPE,
    EMPTY_CONFIG,
    MANIFEST_TYPE,
    MAX_INDEX_BYTES,
    Descriptor,
    artifact_descriptor,
    fallback_tag,
    make_referrer,
    parse_descriptor,
    parse_index,
    parse_referrer,
)

MANIFEST = Manifest.of("model", [FileEntry(path="a", sha256="1" * 64, size=1)])
SUBJECT = artifact_descriptor(MANIFEST)
CREATED = "2026-11-22T00:00:00Z"


def test_the_shape_that_cosign_writes(bundle: Any) -> None:
    made = make_referrer(SUBJECT, bundle(), created=CREATED)
    manifest = json.loads(made.manifest)
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": BUNDLE_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
            "size": 2,
        },
        "layers": [
            {
                "mediaType": BUNDLE_TYPE,
                "digest": f"sha256:{hashlib.sha256(bundle()).hexdigest()}",
                "size": len(bundle()),
            }
        ],
        "subject": {
            "mediaType": MANIFEST_TYPE,
            "digest": f"sha256:{MANIFEST.sha256}",
            "size": len(MANIFEST.canonical),
        },
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": "https://lamslsa.dev/evaluation/v1",
            "org.opencontainers.image.created": CREATED,
        },
    }
    assert made.config == Descriptor.of(EMPTY_CONFIG, made.config.media_type)
    assert made.descriptor.sha256 == hashlib.sha256(made.manifest).hexdigest()
    assert made.descriptor.size == len(made.manifest)
    assert made.descriptor.wire()["artifactType"] == BUNDLE_TYPE
    assert made.descriptor.wire()["annotations"] == manifest["annotations"]
    found = parse_referrer(made.manifest)
    assert found.subject == SUBJECT
    assert found.bundle == made.bundle


@pytest.mark.parametrize("data", [b"{}", b'{"mediaType":"x","dsseEnvelope":{"payload":"e30="}}'])
def test_only_statements_in_bundles_are_attached(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        make_referrer(SUBJECT, data, created=CREATED)
    assert caught.value.reason == "store-no-statement"


def changed(bundle: bytes, **fields: Any) -> bytes:
    value = json.loads(make_referrer(SUBJECT, bundle, created=CREATED).manifest)
    return json.dumps({key: item for key, item in (value | fields).items() if item is not None}).encode()


def test_an_image_refers_to_nothing(bundle: Any) -> None:
    found = parse_referrer(changed(bundle(), subject=None))
    assert (found.subject, found.bundle) == (None, None)
    assert parse_referrer(MANIFEST.canonical).subject is None


def test_other_kinds_of_referrers_hold_no_bundle(bundle: Any) -> None:
    layer = {"mediaType": "application/spdx+json", "digest": f"sha256:{'0' * 64}", "size": 1}
    found = parse_referrer(changed(bundle(), artifactType="application/spdx+json", layers=[layer]))
    assert found.subject == SUBJECT
    assert found.bundle is None


def test_the_layer_counts_where_a_tool_leaves_the_artifact_type_out(bundle: Any) -> None:
    assert parse_referrer(changed(bundle(), artifactType=None)).bundle is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"layers": []}, "referrer-layers"),
        ({"layers": [Descriptor.of(b"", BUNDLE_TYPE).wire()] * 2}, "referrer-layers"),
        ({"layers": [Descriptor.of(b"", "text/plain").wire()]}, "referrer-layer-type"),
        ({"layers": {}}, "referrer-shape"),
        ({"subject": "x"}, "descriptor-shape"),
        ({"subject": {"digest": f"sha256:{'0' * 64}"}}, "descriptor-fields"),
        ({"subject": {**SUBJECT.wire(), "digest": "sha512:00"}}, "digest"),
    ],
)
def test_what_a_referrer_of_a_bundle_may_not_be(bundle: Any, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_referrer(changed(bundle(), **fields))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"size": True}, "descriptor-fields"),
        ({"size": -1}, "descriptor-fields"),
        ({"size": "1"}, "descriptor-fields"),
        ({"mediaType": 1}, "descriptor-fields"),
        ({"digest": None}, "descriptor-fields"),
        ({"artifactType": 1}, "descriptor-fields"),
        ({"annotations": ["a"]}, "descriptor-annotations"),
        ({"annotations": {"a": 1}}, "descriptor-annotations"),
        ({"digest": f"sha256:{'A' * 64}"}, "digest"),
    ],
)
def test_descriptors(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_descriptor(SUBJECT.wire() | fields, what="a test")
    assert caught.value.reason == reason


def test_a_bad_entry_hides_no_other() -> None:
    entries = parse_index(json.dumps({"manifests": [1, SUBJECT.wire()]}).encode())
    assert isinstance(entries[0], FormatError)
    assert entries[1] == SUBJECT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "index-shape"),
        (b'{"manifests":{}}', "index-shape"),
        (b" " * (MAX_INDEX_BYTES + 1), "json-size"),
        (b'{"manifests":' + b"[" * 100 + b"]" * 100 + b"}", "json-depth"),
    ],
)
def test_indexes(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_index(data)
    assert caught.value.reason == reason


def test_the_fallback_tag() -> None:
    assert fallback_tag("ab" * 32) == f"sha256-{'ab' * 32}"
