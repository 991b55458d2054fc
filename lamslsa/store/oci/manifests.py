"""Reading and writing manifests and indexes by tag and digest.

Rules:
- At most 4 MiB, strict JSON, an object that is an image manifest or an index and not both, whose ``mediaType`` is the
  ``Content-Type`` it came with (CVE-2021-41190: or else one sees layers and another a list).
- What is asked for by digest has that digest; what is asked for by tag has the one that the registry says, if it does.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci.answers import Answer, Call
from lamslsa.store.oci.transport import Transport

__all__ = ["INDEX", "MANIFEST", "MAX_DOCUMENT_BYTES", "Document", "Manifests", "refuse_digest"]

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPT: Final = f"{MANIFEST}, {INDEX}, {_DOCKER_MANIFEST}, {_DOCKER_LIST}"
_FOUND: Final = 200
_MISSING: Final = 404
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_CREATED: Final = frozenset({200, 201, 202})
_CONFLICTS: Final = frozenset({409, 412})


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or an index as it came.

    Attributes:
        digest: of ``raw``, with its prefix.
        etag: what the registry takes in ``If-Match``; empty where it says none.
    """

    digest: str
    media_type: str
    raw: bytes = field(repr=False)
    value: Mapping[str, Any] = field(repr=False, hash=False)
    etag: str = ""


class Manifests:
    """The manifests of one repository."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, reference: str) -> Document | None:
        """What lies under a tag or a digest; None where there is nothing.

        Raises:
            FormatError: something that breaks a rule of this module.
            UnavailableError: the registry cannot be reached, or refuses.
        """
        answer = self._transport.request(
            Call(
                method="GET",
                target=self._transport.path(f"manifests/{reference}"),
                expected=frozenset({_FOUND, _MISSING}),
                headers={"Accept": _ACCEPT},
                limit=MAX_DOCUMENT_BYTES,
            )
        )
        if answer.status == _MISSING:
            return None
        return self._parse(answer, reference)

    def digest(self, tag: str) -> str:
        """The digest that the registry says a tag leads to; empty where it leads nowhere, or nothing is said.

        Raises:
            UnavailableError: the registry cannot be reached, or refuses.
        """
        answer = self._transport.request(
            Call(
                method="HEAD",
                target=self._transport.path(f"manifests/{tag}"),
                expected=frozenset({_FOUND, _MISSING}),
                headers={"Accept": _ACCEPT},
            )
        )
        found = answer.headers.get("docker-content-digest", "") if answer.status == _FOUND else ""
        return found if _DIGEST.fullmatch(found) else ""

    def quoted(self, text: str) -> str:
        """A text of the registry as messages show it."""
        return self._transport.quoted(text, 100)

    def put(
        self, raw: bytes, media_type: str, reference: str, *, if_match: str = "", if_none: bool = False
    ) -> Mapping[str, str] | None:
        """Store a manifest under a tag or its digest; the headers of the answer, or None when a condition was not met.

        Args:
            raw: its bytes.
            media_type: the one that it says itself.
            reference: a tag or its digest.
            if_match: the ETag that what is there has to have.
            if_none: whether nothing may be there.

        Raises:
            FormatError: too large to be read again.
            UnavailableError: the registry cannot be reached, refuses, or has stored something else.
        """
        if len(raw) > MAX_DOCUMENT_BYTES:
            raise FormatError(
                f"expected a manifest or an index of at most {MAX_DOCUMENT_BYTES} bytes, got {len(raw)}",
                reason="registry-manifest-size",
            )
        condition = {"If-Match": if_match} if if_match else {"If-None-Match": "*"} if if_none else {}
        answer = self._transport.request(
            Call(
                method="PUT",
                target=self._transport.path(f"manifests/{reference}"),
                expected=_CREATED | (_CONFLICTS if condition else frozenset()),
                headers={"Content-Type": media_type, **condition},
                body=raw,
                length=len(raw),
                writing=True,
                # So says docker-registry while somebody else stores the same blob; ours were all there.
                again="MANIFEST_BLOB_UNKNOWN",
            )
        )
        if answer.status in _CONFLICTS:
            return None
        refuse_digest(self._transport, answer, f"sha256:{_codec.sha256_hex(raw)}")
        return answer.headers

    def _parse(self, answer: Answer, reference: str) -> Document:
        shown = self._transport.shown(answer.url)
        digest = f"sha256:{_codec.sha256_hex(answer.body)}"
        stated = reference if ":" in reference else answer.headers.get("docker-content-digest", digest)
        if digest != stated:
            raise FormatError(
                f"expected {self._transport.quoted(stated, 80)} at {shown}, got {digest}", reason="registry-digest"
            )
        with self._transport.redacting():
            value = _codec.loads(answer.body, max_bytes=MAX_DOCUMENT_BYTES)
        if not isinstance(value, dict):
            raise FormatError(f"expected a manifest at {shown}, got something else", reason="registry-manifest")
        carried = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        media_type = value.get("mediaType", carried)
        if not isinstance(media_type, str) or media_type != carried or not media_type:
            named = self.quoted(media_type) if isinstance(media_type, str) else "no text"
            raise FormatError(
                f"expected one media type of {shown}, got {self.quoted(carried)} and {named}",
                reason="registry-media-type",
            )
        if "manifests" in value and ("layers" in value or "config" in value):
            raise FormatError(f"expected a manifest or an index at {shown}, got both", reason="registry-manifest")
        return Document(
            digest=digest, media_type=media_type, raw=answer.body, value=value, etag=answer.headers.get("etag", "")
        )


def refuse_digest(transport: Transport, answer: Answer, digest: str) -> None:
    """Refuse an answer that says to have stored something else.

    Raises:
        UnavailableError: another digest.
    """
    stored = answer.headers.get("docker-content-digest", digest)
    if stored != digest:
        raise UnavailableError(
            f"expected the registry to store {digest}, got {transport.quoted(stored, 80)}",
            reason="registry-stored",
            hint="the registry is broken, or something between changes what is sent",
        )
