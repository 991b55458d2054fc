"""Attaching a bundle to an artifact in a registry.

Rules:
- The same bytes are attached once: where a referrer of this artifact holds them, nothing is written.
- A registry that lists referrers by itself, and says at once whose referrer it has taken, needs nothing more than to be
  asked whether it lists this one. In all others the manifest is added to the index under the fallback tag, as the
  distribution specification asks.
- That index is read, changed and written by many. It is written under the condition that it is still the one that was
  read, where the registry gives an ETag; since registries ignore the condition, it is read back after a while, and what
  has been lost meanwhile, of this writer's or of any that it has seen, is written again. The while is longer than
  reading and writing took, so that a slower writer of the same kind is noticed. What stays lost is an error.
- A tag that leads to anything but an index is never written.

Spec: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci.blobs import Blobs
from lamslsa.store.oci.manifests import Document, Manifests
from lamslsa.store.oci.referrers import Referrers
from lamslsa.store.referrer import EMPTY_CONFIG, INDEX_TYPE, Descriptor, MadeReferrer, fallback_tag

__all__ = ["MAX_ROUNDS", "Attacher"]

MAX_ROUNDS: Final = 40
_API_ROUNDS: Final = 6
_READ_BACK: Final = 2
_FIRST_WAIT_S: Final = 0.08
_LONGEST_WAIT_S: Final = 5.0
_MARGIN: Final = 3


class Attacher:
    """Attaches bundles to one artifact.

    Args:
        manifests: of the repository.
        blobs: of the repository.
        referrers: of the repository.
        subject: SHA-256 of the artifact's manifest in hexadecimal.
        sleep: pauses, in seconds.
        now: seconds that only grow.
    """

    def __init__(
        self,
        manifests: Manifests,
        blobs: Blobs,
        referrers: Referrers,
        *,
        subject: str,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._referrers = referrers
        self._subject = subject
        self._sleep = sleep
        self._now = now
        self._lock = threading.Lock()
        self._own: dict[str, Any] = {}

    def attach(self, made: MadeReferrer, bundle: bytes) -> str:
        """Attach a bundle, and say the digest of the manifest that does, in hexadecimal.

        Raises:
            FormatError: the fallback tag is taken by something else, or its index is full.
            UnavailableError: the registry cannot be reached, refuses, or lost the bundle to other writers.
        """
        if self._blobs.has(f"sha256:{made.bundle.sha256}"):
            for sha256 in self._referrers.holders(self._subject, made.bundle.sha256):
                return sha256
        else:
            self._blobs.put(bundle)
        self._blobs.put(EMPTY_CONFIG)
        digest = f"sha256:{made.descriptor.sha256}"
        headers = self._manifests.put(made.manifest, made.descriptor.media_type, digest) or {}
        if headers.get("oci-subject") != f"sha256:{self._subject}" or not self._is_listed(made.descriptor.sha256):
            self._list(made.descriptor)
        return made.descriptor.sha256

    def _is_listed(self, sha256: str) -> bool:
        """Whether the registry itself lists a referrer that it has taken; False where it lists none at all."""
        for number in range(_API_ROUNDS):
            listed = self._referrers.by_api(self._subject)
            if listed is None:
                return False
            if sha256 in listed:
                return True
            self._sleep(_FIRST_WAIT_S * 2**number)
        raise self._lost(sha256, "the list of referrers")

    @staticmethod
    def _lost(sha256: str, where: str) -> UnavailableError:
        return UnavailableError(
            f"expected sha256:{sha256} to stay in {where}, got it lost",
            reason="store-lost-update",
            hint="run the same again when fewer others write; nothing is attached twice",
        )

    def _list(self, descriptor: Descriptor) -> None:
        """Add an entry to the index under the fallback tag, and see that it stays."""
        tag = fallback_tag(self._subject)
        digest = f"sha256:{descriptor.sha256}"
        with self._lock:
            self._own[digest] = descriptor.wire()
            known, wait, seen = dict(self._own), _FIRST_WAIT_S, 0
            for _ in range(MAX_ROUNDS):
                began = self._now()
                document = self._manifests.get(tag)
                entries = self._entries(document, tag)
                missing = [known[each] for each in known if each not in entries]
                known |= entries
                if missing:
                    seen = 0
                    self._write(tag, document, missing)
                    wait = min(_LONGEST_WAIT_S, max(wait, _MARGIN * (self._now() - began)))
                elif seen >= _READ_BACK:
                    return
                seen += 1
                self._sleep(wait * secrets.SystemRandom().uniform(1, 2))
        raise self._lost(descriptor.sha256, f"the list of referrers under {tag}")

    def _write(self, tag: str, document: Document | None, missing: Sequence[Any]) -> None:
        """Write what was read with what is missing in it; where somebody was faster, nothing happens."""
        before: Mapping[str, Any] = document.value if document else {"schemaVersion": 2, "mediaType": INDEX_TYPE}
        index = _codec.dumps({**before, "manifests": [*before.get("manifests", ()), *missing]})
        condition = document.etag if document else ""
        self._manifests.put(index, INDEX_TYPE, tag, if_match=condition, if_none=document is None)

    def _entries(self, document: Document | None, tag: str) -> dict[str, Any]:
        """The entries of an index by digest; what has none stays in the index and is no entry."""
        if document is None:
            return {}
        listed = document.value.get("manifests")
        if document.media_type != INDEX_TYPE or not isinstance(listed, list):
            raise FormatError(
                f"expected a list of referrers under the tag {tag}, got {self._manifests.quoted(document.media_type)}",
                reason="store-fallback-tag",
                hint="somebody has given this tag to something else; remove it",
            )
        named = (entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("digest"), str))
        return {entry["digest"]: entry for entry in named}
