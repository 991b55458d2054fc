"""Bundles as referrers: descriptors, indexes, and the manifests that attach a bundle to an artifact; no I/O.

Rules:
- One manifest per bundle, as cosign v3 and ``@sigstore/oci`` write them: the empty config, one layer with the bundle,
  the artifact as ``subject``, content and predicate type in annotations.
- What a listing or annotation says of a referrer counts for nothing; the manifest itself says what its subject is and
  which layer is a bundle. A manifest without such a layer is another kind of referrer and no business of ours.
- In an index each entry stands alone: a bad one is a result of its own and never hides another one. Of more than 100
  bad ones the rest is one result.
- A predicate type of more than 1,024 characters is left out of the annotations: they are copied into every index.
- Digests are SHA-256.

Specs: https://github.com/opencontainers/image-spec/blob/main/manifest.md (subject, empty descriptor), image-index.md,
and https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema

>>> fallback_tag("0" * 64)[:12]
'sha256-00000'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lamslsa import _codec
from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES, Manifest
from lamslsa.errors import FormatError
from lamslsa.store.contents import about
from lamslsa.store.detached import detached

__all__ = [
    "ARTIFACT_TYPE",
    "BUNDLE_FAMILY",
    "BUNDLE_TYPE",
    "EMPTY_CONFIG",
    "EMPTY_TYPE",
    "INDEX_TYPE",
    "MANIFEST_TYPE",
    "MAX_INDEX_BYTES",
    "Descriptor",
    "MadeReferrer",
    "Referrer",
    "artifact_descriptor",
    "creation_time",
    "fallback_tag",
    "make_referrer",
    "parse_descriptor",
    "parse_entries",
    "parse_index",
    "parse_referrer",
    "source_of",
]

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
BUNDLE_FAMILY: Final = "application/vnd.dev.sigstore.bundle"
BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY_CONFIG: Final = b"{}"
MAX_INDEX_BYTES: Final = 4 * 1024 * 1024

_MAX_BAD_ENTRIES: Final = 100
_MAX_ANNOTATION: Final = 1024
_CONTENT: Final = "dev.sigstore.bundle.content"
_PREDICATE_TYPE: Final = "dev.sigstore.bundle.predicateType"
_CREATED: Final = "org.opencontainers.image.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What one document says of another: its media type, SHA-256 in hexadecimal and size.

    Attributes:
        artifact_type: empty where nothing is said.
    """

    media_type: str
    sha256: str
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Descriptor:
        """The descriptor of these bytes."""
        return cls(media_type=media_type, sha256=_codec.sha256_hex(data), size=len(data))

    def wire(self) -> dict[str, Any]:
        """The JSON object."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": f"sha256:{self.sha256}",
            "size": self.size,
        }
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """What a manifest says that it attaches to what.

    Attributes:
        subject: None where the manifest refers to nothing.
        bundle: the layer that holds a bundle; None in referrers of other kinds.
    """

    subject: Descriptor | None
    bundle: Descriptor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReferrer:
    """A referrer manifest to store, after its config and the bundle.

    Attributes:
        manifest: the bytes.
        descriptor: of the manifest, as an index lists it: with artifact type and annotations.
        config: descriptor of `EMPTY_CONFIG`.
        bundle: descriptor of the bundle.
    """

    manifest: bytes
    descriptor: Descriptor
    config: Descriptor
    bundle: Descriptor


def artifact_descriptor(manifest: Manifest) -> Descriptor:
    """The descriptor of an artifact's manifest, as a referrer has it for its subject."""
    return Descriptor.of(manifest.canonical, MANIFEST_TYPE)


def fallback_tag(sha256: str) -> str:
    """The tag under which registries without the referrers API keep the index of an artifact's referrers."""
    return f"sha256-{sha256}"


def source_of(reference: str, sha256: str) -> str:
    """How messages name a bundle found in the referrer manifest of this digest; says that it is a single bundle.

    >>> source_of("oci://registry.example/model", "ab12")
    'oci://registry.example/model@sha256:ab12/bundle.sigstore.json'
    """
    return f"{reference}@sha256:{sha256}/bundle.sigstore.json"


def creation_time(at: dt.datetime) -> str:
    """A time as a referrer says when it was made: RFC 3339 in UTC, to the second.

    Args:
        at: timezone-aware.
    """
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_referrer(subject: Descriptor, bundle: bytes, *, created: str) -> MadeReferrer:
    """The manifest that attaches a bundle to an artifact.

    Args:
        subject: the artifact's manifest.
        bundle: with an in-toto statement in it, which has the predicate type that tools show.
        created: of `creation_time`.

    Raises:
        FormatError: the bytes hold no in-toto statement in a Sigstore bundle.
    """
    predicate_type = about(bundle).predicate_type
    config = Descriptor.of(EMPTY_CONFIG, EMPTY_TYPE)
    layer = Descriptor.of(bundle, BUNDLE_TYPE)
    shown = {_PREDICATE_TYPE: predicate_type} if len(predicate_type) <= _MAX_ANNOTATION else {}
    annotations = {_CONTENT: "dsse-envelope", **shown, _CREATED: created}
    manifest = _codec.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": BUNDLE_TYPE,
            "config": config.wire(),
            "layers": [layer.wire()],
            "subject": {"mediaType": subject.media_type, "digest": f"sha256:{subject.sha256}", "size": subject.size},
            "annotations": annotations,
        }
    )
    descriptor = Descriptor(
        media_type=MANIFEST_TYPE,
        sha256=_codec.sha256_hex(manifest),
        size=len(manifest),
        artifact_type=BUNDLE_TYPE,
        annotations=annotations,
    )
    return MadeReferrer(manifest=manifest, descriptor=descriptor, config=config, bundle=layer)


def parse_referrer(data: bytes) -> Referrer:
    """What an untrusted image manifest refers to, and which of its layers is a bundle.

    Raises:
        FormatError: not an image manifest, or one that says it holds a bundle and has not exactly one layer of it.
    """
    value = _codec.loads(data, max_bytes=MAX_MANIFEST_BYTES)
    if not isinstance(value, dict) or not isinstance(value.get("layers"), list):
        raise FormatError("expected an image manifest, got another document", reason="referrer-shape")
    subject = value.get("subject")
    if subject is None:
        return Referrer(subject=None, bundle=None)
    said = parse_descriptor(subject, what="a subject")
    claims = [value.get("artifactType"), *(item.get("mediaType") for item in value["layers"] if isinstance(item, dict))]
    if not any(isinstance(claim, str) and claim.startswith(BUNDLE_FAMILY) for claim in claims):
        return Referrer(subject=said, bundle=None)
    if len(value["layers"]) != 1:
        raise FormatError(
            f"expected one layer in the referrer of a bundle, got {len(value['layers'])}", reason="referrer-layers"
        )
    layer = parse_descriptor(value["layers"][0], what="a layer")
    if not layer.media_type.startswith(BUNDLE_FAMILY):
        raise FormatError(
            f"expected a bundle in the layer of the referrer of one, got {layer.media_type[:80]!r}",
            reason="referrer-layer-type",
        )
    return Referrer(subject=said, bundle=layer)


def parse_index(data: bytes) -> tuple[Descriptor | FormatError, ...]:
    """The entries of an untrusted image index, such as a list of referrers; a bad entry yields its error.

    Raises:
        FormatError: not an image index, or larger than the limit.
    """
    value = _codec.loads(data, max_bytes=MAX_INDEX_BYTES)
    if not isinstance(value, dict) or not isinstance(value.get("manifests"), list):
        raise FormatError("expected an image index, got another document", reason="index-shape")
    return parse_entries(value["manifests"])


def parse_entries(values: Sequence[Any]) -> tuple[Descriptor | FormatError, ...]:
    """The entries of an index that is parsed already; a bad entry yields its error, as far as they are not too many."""
    entries: list[Descriptor | FormatError] = []
    bad = 0
    for value in values:
        entry = _entry(value) if isinstance(value, dict) or bad < _MAX_BAD_ENTRIES else None
        if not isinstance(entry, Descriptor):
            bad += 1
        if entry is not None and (isinstance(entry, Descriptor) or bad <= _MAX_BAD_ENTRIES):
            entries.append(entry)
    if bad > _MAX_BAD_ENTRIES:
        entries.append(
            FormatError(
                f"expected descriptors in the index, got {bad - _MAX_BAD_ENTRIES} more that are none",
                reason="index-bad-entries",
            )
        )
    return tuple(entries)


def _entry(value: Any) -> Descriptor | FormatError:
    try:
        return parse_descriptor(value, what="an entry of the index")
    except FormatError as err:
        return detached(err)


def parse_descriptor(value: Any, *, what: str) -> Descriptor:
    """A descriptor out of parsed JSON.

    Raises:
        FormatError: a field is missing or of another type, or the digest is none of SHA-256.
    """
    if not isinstance(value, dict):
        raise FormatError(f"expected a descriptor as {what}, got another type", reason="descriptor-shape")
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    artifact_type, annotations = value.get("artifactType", ""), value.get("annotations") or {}
    if (
        not isinstance(media_type, str)
        or not isinstance(digest, str)
        or not isinstance(artifact_type, str)
        or isinstance(size, bool)
        or not isinstance(size, int)
        or size < 0
    ):
        raise FormatError(
            f"expected mediaType, digest and size in {what}, got other fields", reason="descriptor-fields"
        )
    if not isinstance(annotations, dict) or not all(isinstance(item, str) for item in annotations.values()):
        raise FormatError(f"expected strings as annotations of {what}, got others", reason="descriptor-annotations")
    return Descriptor(
        media_type=media_type,
        sha256=_codec.parse_digest(digest, what=what),
        size=size,
        artifact_type=artifact_type,
        annotations=annotations,
    )
