"""Manifests, tags and referrers, as the distribution specification has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from lamslsa.testing.registry.behaviour import Behaviour
from lamslsa.testing.registry.contents import Contents, KeptManifest, digest_of
from lamslsa.testing.registry.faults import LoseTagWrite
from lamslsa.testing.registry.messages import Call, Refusal, Reply

__all__ = ["TAG", "delete_manifest", "get_manifest", "list_referrers", "list_tags", "put_manifest"]

TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"


def get_manifest(contents: Contents, call: Call, repository: str, reference: str) -> Reply:
    """A manifest; 304 where the client has it already."""
    kept = contents.manifest(repository, reference)
    if kept is None:
        raise Refusal(404, "MANIFEST_UNKNOWN")
    headers = {"Docker-Content-Digest": kept.digest, "ETag": f'"{kept.digest}"'}
    if _names(call.header("If-None-Match"), kept.digest):
        return Reply(status=304, headers=headers)
    return Reply(status=200, headers={**headers, "Content-Type": kept.media_type}, body=(kept.data,))


def put_manifest(contents: Contents, behaviour: Behaviour, call: Call, repository: str, reference: str) -> Reply:
    """Take a manifest whose blobs are all here, and move the tag where the conditions hold (RFC 9110 section 13)."""
    data = call.body.read(behaviour.max_manifest)
    if data is None:
        raise Refusal(behaviour.too_large, "SIZE_INVALID", f"expected at most {behaviour.max_manifest} bytes")
    digest, by_digest = digest_of(data), reference.startswith("sha256:")
    if by_digest and reference != digest:
        raise Refusal(400, "DIGEST_INVALID", f"expected {reference}, got {digest}")
    media_type = call.header("Content-Type")
    manifest = _parse(data, media_type)
    _refuse_missing(contents, repository, manifest)
    with contents.exclusive():
        kept = contents.manifest(repository, reference)
        if behaviour.conditional:
            _refuse_condition(call, kept.digest if kept else None)
        tag = None if by_digest or isinstance(call.fault, LoseTagWrite) else reference
        contents.add_manifest(repository, data, media_type, tag=tag)
    headers = {"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest}
    if behaviour.referrers != "none" and isinstance(manifest.get("subject"), dict):
        headers["OCI-Subject"] = str(manifest["subject"].get("digest"))
    return Reply(status=201, headers=headers)


def delete_manifest(contents: Contents, repository: str, reference: str) -> Reply:
    """Remove a tag, or a manifest with its tags."""
    with contents.exclusive():
        if contents.manifest(repository, reference) is None:
            raise Refusal(404, "MANIFEST_UNKNOWN")
        if reference.startswith("sha256:"):
            contents.remove_manifest(repository, reference)
        else:
            contents.untag(repository, reference)
    return Reply(status=202)


def list_referrers(contents: Contents, behaviour: Behaviour, call: Call, repository: str, subject: str) -> Reply:
    """The descriptors of the manifests that name a subject; none is no error."""
    if behaviour.referrers != "api":
        return Reply(status=404, headers={"Content-Type": "text/plain"}, body=(b"404 page not found",))
    wanted = call.parameter("artifactType") if behaviour.filters else ""
    kept = contents.referrers(repository, subject, after=call.parameter("last"))
    descriptors = (_descriptor(behaviour, manifest) for manifest in kept)
    fitting = (descriptor for descriptor in descriptors if wanted in {"", descriptor.get("artifactType")})
    headers = {"Content-Type": _INDEX}
    if wanted:
        headers["OCI-Filters-Applied"] = "artifactType"
    page = list(islice(fitting, behaviour.page + 1 if behaviour.page else None))
    if behaviour.page and len(page) > behaviour.page:
        page.pop()
        query = {"last": page[-1]["digest"], **({"artifactType": wanted} if wanted else {})}
        headers["Link"] = f'</v2/{repository}/referrers/{subject}?{urlencode(query)}>; rel="next"'
    body = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": page}
    return Reply(status=200, headers=headers, body=(json.dumps(body).encode(),))


def list_tags(contents: Contents, behaviour: Behaviour, call: Call, repository: str) -> Reply:
    """The tags of a repository, in lexical order."""
    if not contents.has_repository(repository):
        raise Refusal(404, "NAME_UNKNOWN")
    tags = [tag for tag in contents.tags(repository) if tag > (call.parameter("last"))]
    asked = call.parameter("n")
    limits = [
        limit for limit in (behaviour.page or None, int(asked) if asked.isdecimal() else None) if limit is not None
    ]
    headers = {"Content-Type": "application/json"}
    if limits and len(tags) > min(limits):
        tags = tags[: min(limits)]
        query = urlencode({"last": tags[-1] if tags else "", "n": min(limits)})
        headers["Link"] = f'</v2/{repository}/tags/list?{query}>; rel="next"'
    return Reply(status=200, headers=headers, body=(json.dumps({"name": repository, "tags": tags}).encode(),))


def _parse(data: bytes, media_type: str) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except ValueError as err:
        raise Refusal(400, "MANIFEST_INVALID", "expected JSON") from err
    if not isinstance(manifest, dict) or manifest.get("schemaVersion") != 2:
        raise Refusal(400, "MANIFEST_INVALID", "expected a JSON object with schemaVersion 2")
    if not media_type or manifest.get("mediaType", media_type) != media_type:
        raise Refusal(400, "MANIFEST_INVALID", "expected the mediaType that Content-Type names")
    return manifest


def _refuse_missing(contents: Contents, repository: str, manifest: Mapping[str, Any]) -> None:
    try:
        blobs = [part["digest"] for part in [manifest.get("config"), *manifest.get("layers", [])] if part]
        children = [part["digest"] for part in manifest.get("manifests", [])]
    except (LookupError, TypeError) as err:
        raise Refusal(400, "MANIFEST_INVALID", "expected descriptors") from err
    missing = [digest for digest in blobs if not contents.has_blob(repository, digest)]
    missing += [digest for digest in children if contents.manifest(repository, digest) is None]
    if missing:
        raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"expected {missing[0]} in this repository")


def _refuse_condition(call: Call, current: str | None) -> None:
    """Refuse to write over what the client has not seen."""
    expected, excluded = call.header("If-Match"), call.header("If-None-Match")
    if (expected and not _names(expected, current)) or (excluded and _names(excluded, current)):
        raise Refusal(412, "PRECONDITION_FAILED")


def _names(condition: str, current: str | None) -> bool:
    """Whether a list of entity tags names this one."""
    listed = [tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")]
    return current is not None and ("*" in listed or current in listed)


def _descriptor(behaviour: Behaviour, kept: KeptManifest) -> dict[str, Any]:
    manifest = json.loads(kept.data)
    of_config = manifest.get("config", {}).get("mediaType")
    own = manifest.get("artifactType") or of_config
    descriptor = {
        "mediaType": kept.media_type,
        "digest": kept.digest,
        "size": len(kept.data),
        "artifactType": of_config if behaviour.reported_type == "config" else own,
        "annotations": manifest.get("annotations"),
    }
    return {name: value for name, value in descriptor.items() if value}
