from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa.testing.registry import Behaviour, Fault, LoseTagWrite, Meanwhile, Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BASE = "/v2/demo/model/manifests/"
Ask = Callable[..., Any]
Make = Callable[..., bytes]
Digest = Callable[[bytes], str]


def code(answer: Any) -> str:
    return str(json.loads(answer.data)["errors"][0]["code"])


@pytest.fixture
def put(ask: Ask) -> Callable[..., Any]:
    def put(reference: str, data: bytes, *, media_type: str = MANIFEST, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask("PUT", BASE + reference, body=data, headers={"Content-Type": media_type, **named})

    return put


def test_a_manifest_by_tag_and_digest(ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    data = manifest()
    answer = put("v1", data)
    assert (answer.status, answer.headers["Location"]) == (201, BASE + digest(data))
    assert answer.headers["Docker-Content-Digest"] == digest(data)
    for reference in ("v1", digest(data)):
        head, get = ask("HEAD", BASE + reference), ask("GET", BASE + reference)
        assert (head.status, head.data, get.data) == (200, b"", data)
        for found in (head, get):
            assert found.headers["Content-Type"] == MANIFEST
            assert found.headers["Docker-Content-Digest"] == digest(data)
            assert found.headers["ETag"] == f'"{digest(data)}"'


def test_a_manifest_that_is_not_there(ask: Ask, digest: Digest) -> None:
    for reference in ("v1", digest(b"")):
        for method in ("GET", "DELETE"):
            answer = ask(method, BASE + reference)
            assert (answer.status, code(answer)) == (404, "MANIFEST_UNKNOWN")


def test_put_by_digest(ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    data = manifest()
    assert put(digest(data), data).status == 201
    assert json.loads(ask("GET", "/v2/demo/model/tags/list").data) == {"name": "demo/model", "tags": []}
    answer = put(digest(b""), data)
    assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"{", MANIFEST),
        (b"[]", MANIFEST),
        (b'{"schemaVersion": 1}', MANIFEST),
        (b'{"schemaVersion": 2}', ""),
        (b'{"schemaVersion": 2, "mediaType": "a/b"}', MANIFEST),
        (b'{"schemaVersion": 2, "layers": ["x"]}', MANIFEST),
        (b'{"schemaVersion": 2, "layers": 1}', MANIFEST),
    ],
)
def test_what_is_no_manifest(put: Ask, data: bytes, media_type: str) -> None:
    answer = put("v1", data, media_type=media_type)
    assert (answer.status, code(answer)) == (400, "MANIFEST_INVALID")


def test_blobs_and_manifests_have_to_be_there(registry: Registry, put: Ask, manifest: Make, digest: Digest) -> None:
    known, other = registry.contents.add_blob("demo/model", b"{}"), registry.contents.add_blob("demo/other", b"x")
    child = registry.contents.add_manifest("demo/model", manifest(), MANIFEST)
    assert put("v1", manifest(config={"digest": known}, layers=[{"digest": known}])).status == 201
    assert put("v1", manifest(manifests=[{"digest": child}]), media_type=INDEX).status == 201
    for members in ({"config": {"digest": other}}, {"layers": [{"digest": other}]}, {"manifests": [{"digest": known}]}):
        answer = put("v1", manifest(**members))
        assert (answer.status, code(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.parametrize("status", [400, 413])
def test_a_manifest_that_is_too_large(registry: Registry, ask: Ask, put: Ask, manifest: Make, status: Any) -> None:
    registry.behaviour = Behaviour(too_large=status)
    limit = 4 * 1024 * 1024
    data = manifest()
    assert put("v1", data + b" " * (limit - len(data))).status == 201
    answer = put("v1", data + b" " * (limit - len(data) + 1))
    assert (answer.status, code(answer)) == (status, "SIZE_INVALID")


def test_delete(registry: Registry, ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    data = manifest()
    for tag in ("v1", "v2"):
        put(tag, data)
    registry.behaviour = Behaviour(deletes=False)
    assert ask("DELETE", BASE + "v1").status == 405
    registry.behaviour = Behaviour()
    assert ask("DELETE", BASE + "v1").status == 202
    assert [ask("GET", BASE + reference).status for reference in ("v1", "v2", digest(data))] == [404, 200, 200]
    assert ask("DELETE", BASE + digest(data)).status == 202
    assert [ask("GET", BASE + reference).status for reference in ("v2", digest(data))] == [404, 404]
    assert registry.contents.tags("demo/model") == []


def test_a_manifest_that_the_client_has(ask: Ask, put: Ask, manifest: Make) -> None:
    etag = put("v1", manifest()) and ask("GET", BASE + "v1").headers["ETag"]
    answer = ask("GET", BASE + "v1", headers={"If-None-Match": etag})
    assert (answer.status, answer.data) == (304, b"")
    assert ask("GET", BASE + "v1", headers={"If-None-Match": '"other"'}).status == 200


def test_compare_and_swap(ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    one, two, three = (manifest(annotations={"n": str(n)}) for n in range(3))
    assert code(put("v1", one, If_Match=f'"{digest(one)}"')) == "PRECONDITION_FAILED"
    assert put("v1", one, If_Match="*").status == 412
    assert put("v1", one, If_None_Match="*").status == 201
    assert put("v1", two, If_None_Match="*").status == 412
    assert put("v1", two, If_None_Match=f'"{digest(one)}"').status == 412
    assert put("v1", two, If_Match=f'"{digest(three)}"').status == 412
    assert ask("GET", BASE + "v1").data == one
    assert put("v1", two, If_Match=f'"{digest(three)}", "{digest(one)}"').status == 201
    assert put("v1", three, If_Match="*").status == 201
    assert ask("GET", BASE + "v1").data == three


def test_conditions_that_are_ignored(registry: Registry, ask: Ask, put: Ask, manifest: Make) -> None:
    registry.behaviour = Behaviour(conditional=False)
    one, two = manifest(), manifest(annotations={})
    assert put("v1", one, If_Match='"other"').status == 201
    assert put("v1", two, If_None_Match="*").status == 201
    assert ask("GET", BASE + "v1").data == two


def test_of_writers_that_saw_the_same_one_wins(put: Ask, ask: Ask, manifest: Make) -> None:
    put("v1", manifest())
    etag = ask("HEAD", BASE + "v1").headers["ETag"]
    statuses: list[int] = []
    barrier = threading.Barrier(8)

    def write(n: int) -> None:
        barrier.wait()
        statuses.append(put("v1", manifest(annotations={"n": str(n)}), If_Match=etag).status)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == [201, *[412] * 7]


def test_a_tag_write_that_is_lost(registry: Registry, ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    one, two = manifest(), manifest(annotations={})
    put("v1", one)
    registry.faults.add(Fault("PUT", "/manifests/v1", LoseTagWrite()))
    assert put("v1", two).status == 201
    assert ask("GET", BASE + "v1").data == one
    assert ask("GET", BASE + digest(two)).data == two
    assert put("v1", two).status == 201
    assert ask("GET", BASE + "v1").data == two


def test_another_writer_in_between(registry: Registry, put: Ask, manifest: Make) -> None:
    def other_writer() -> None:
        assert put("v1", manifest(annotations={})).status == 201

    put("v1", manifest())
    etag = f'"{registry.contents.tagged("demo/model", "v1")}"'
    registry.faults.add(Fault("PUT", "/manifests/v1", Meanwhile(other_writer)))
    assert put("v1", manifest(annotations={"n": "2"}), If_Match=etag).status == 412


def refer(registry: Registry, manifest: Make, subject: str, n: int, **members: Any) -> str:
    data = manifest(subject={"digest": subject}, **{"artifactType": BUNDLE, "annotations": {"n": str(n)}, **members})
    return registry.contents.add_manifest("demo/model", data, MANIFEST)


def listed(answer: Any) -> list[Any]:
    assert (answer.status, answer.headers["Content-Type"]) == (200, INDEX)
    index = json.loads(answer.data)
    assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX)
    assert isinstance(index["manifests"], list)
    return index["manifests"]


def test_referrers(registry: Registry, ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    subject = digest(b"not even there")
    assert listed(ask("GET", f"/v2/demo/model/referrers/{subject}")) == []
    data = manifest(artifactType=BUNDLE, subject={"digest": subject}, annotations={"a": "b"})
    assert put(digest(data), data).headers["OCI-Subject"] == subject
    assert "OCI-Subject" not in put("v1", manifest()).headers
    assert listed(ask("GET", f"/v2/demo/model/referrers/{subject}")) == [
        {
            "mediaType": MANIFEST,
            "digest": digest(data),
            "size": len(data),
            "artifactType": BUNDLE,
            "annotations": {"a": "b"},
        }
    ]
    assert listed(ask("GET", f"/v2/demo/other/referrers/{subject}")) == []
    ask("DELETE", BASE + digest(data))
    assert listed(ask("GET", f"/v2/demo/model/referrers/{subject}")) == []


def test_referrers_without_artifact_type(registry: Registry, ask: Ask, manifest: Make, digest: Digest) -> None:
    subject = digest(b"")
    refer(registry, manifest, subject, 1, artifactType=None, config={"mediaType": "a/config"})
    (found,) = listed(ask("GET", f"/v2/demo/model/referrers/{subject}"))
    assert found["artifactType"] == "a/config"


def test_referrers_of_one_type(registry: Registry, ask: Ask, manifest: Make, digest: Digest) -> None:
    subject = digest(b"")
    own = refer(registry, manifest, subject, 1)
    refer(registry, manifest, subject, 2, artifactType="other/type")
    answer = ask("GET", f"/v2/demo/model/referrers/{subject}?artifactType={BUNDLE.replace('+', '%2B')}")
    assert [found["digest"] for found in listed(answer)] == [own]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    registry.behaviour = Behaviour(filters=False)
    answer = ask("GET", f"/v2/demo/model/referrers/{subject}?artifactType=x")
    assert len(listed(answer)) == 2
    assert "OCI-Filters-Applied" not in answer.headers


def test_a_wrong_type_in_the_listing(registry: Registry, ask: Ask, manifest: Make, digest: Digest) -> None:
    registry.behaviour = Behaviour(reported_type="config")
    subject = digest(b"")
    refer(registry, manifest, subject, 1, config={"mediaType": "application/vnd.oci.empty.v1+json"})
    (found,) = listed(ask("GET", f"/v2/demo/model/referrers/{subject}"))
    assert found["artifactType"] == "application/vnd.oci.empty.v1+json"


@pytest.mark.parametrize("query", ["", "?artifactType=application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson"])
def test_referrers_in_pages(registry: Registry, ask: Ask, manifest: Make, digest: Digest, query: str) -> None:
    registry.behaviour = Behaviour(page=100)
    subject = digest(b"")
    made = {refer(registry, manifest, subject, n) for n in range(300)}
    refer(registry, manifest, subject, 0, artifactType="other/type")
    found, pages, target = set[str](), 0, f"/v2/demo/model/referrers/{subject}{query}"
    while target:
        answer = ask("GET", target)
        found |= {descriptor["digest"] for descriptor in listed(answer)}
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        target = link[1] if link else ""
        pages += 1
    assert made <= found
    assert pages == (3 if query else 4)


def test_registries_without_referrers(registry: Registry, ask: Ask, put: Ask, manifest: Make, digest: Digest) -> None:
    subject = digest(b"")
    data = manifest(subject={"digest": subject})
    registry.behaviour = Behaviour(referrers="none")
    assert "OCI-Subject" not in put("v1", data).headers
    assert ask("GET", f"/v2/demo/model/referrers/{subject}").status == 404
    registry.behaviour = Behaviour(referrers="lies")
    assert put("v1", data).headers["OCI-Subject"] == subject
    assert ask("GET", f"/v2/demo/model/referrers/{subject}").status == 404


def test_tags(registry: Registry, ask: Ask, manifest: Make) -> None:
    assert code(ask("GET", "/v2/demo/model/tags/list")) == "NAME_UNKNOWN"
    for tag in ("v3", "v1", "v2"):
        registry.contents.add_manifest("demo/model", manifest(), MANIFEST, tag=tag)
    assert json.loads(ask("GET", "/v2/demo/model/tags/list").data)["tags"] == ["v1", "v2", "v3"]
    first = ask("GET", "/v2/demo/model/tags/list?n=2")
    assert json.loads(first.data)["tags"] == ["v1", "v2"]
    link = first.headers["Link"]
    rest = ask("GET", link[1 : link.index(">")])
    assert json.loads(rest.data)["tags"] == ["v3"]
    assert "Link" not in rest.headers
    registry.behaviour = Behaviour(page=1)
    assert json.loads(ask("GET", "/v2/demo/model/tags/list?n=2").data)["tags"] == ["v1"]
    assert json.loads(ask("GET", "/v2/demo/model/tags/list?n=0").data)["tags"] == []


def test_a_method_that_makes_no_sense(ask: Ask, digest: Digest) -> None:
    for path in (BASE + "v1", "/v2/demo/model/tags/list", f"/v2/demo/model/referrers/{digest(b'')}"):
        answer = ask("POST", path, body=b"x")
        assert (answer.status, code(answer)) == (405, "UNSUPPORTED")
