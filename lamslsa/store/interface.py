"""The plug points of storing: a store keeps an artifact and bundles beside it, and never decides about them.

Whatever a store says is untrusted. Files are read by digest and size out of a manifest, and whoever copies them
verifies both; bundles are opened and judged by `lamslsa.verification`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lamslsa.artifact.hashing import Progress
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import LamslsaError

__all__ = ["ArtifactStore", "Report", "Store", "StoredBundle"]

Report = Callable[[Progress], None]
"""Told how far a transfer has come: at most ten times a second, from any thread, never twice at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """The untrusted bytes of one bundle file and where they were found, for messages.

    Attributes:
        data: the bytes, or why they could not be read: one bad file never hides the others.
    """

    source: str
    data: bytes | LamslsaError


class Store(Protocol):
    """Keeps bundles."""

    def bundles(self) -> Iterator[StoredBundle]:
        """Every bundle, unfiltered, in a stable order.

        Raises:
            UnavailableError: the store cannot be listed.
            FormatError: more bundles, or more bytes of them, than the limits allow.
        """
        ...

    def put(self, bundle: bytes, *, name: str) -> str:
        """Keep a bundle and say where; atomic, and nothing happens when the same bytes are there already.

        Raises:
            FormatError: not a bundle that the store takes, or there is no artifact that it could be kept beside.
            UnavailableError: the store cannot be written, or lost the bundle to another writer.
        """
        ...


@runtime_checkable
class ArtifactStore(Store, Protocol):
    """Keeps one artifact, model or dataset, and the bundles beside it."""

    @property
    def reference(self) -> str:
        """Where this is, as a user would write it, with the digest where that is known; without credentials."""
        ...

    def manifest(self, report: Report | None = None) -> Manifest:
        """The canonical manifest of the artifact: of a folder computed from its bytes, elsewhere read and verified.

        Raises:
            FormatError: what is there is no artifact, or not the one whose digest the reference names.
            UnavailableError: it cannot be reached.
        """
        ...

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        """The bytes of one file from an offset on, in blocks of at most 1 MiB; **not** compared with the digest.

        Raises:
            FormatError: there is no such file.
            UnavailableError: the connection broke; call again with the offset that was reached.
        """
        ...

    def receive(self, manifest: Manifest, source: ArtifactStore, report: Report | None = None) -> str:
        """Take over an artifact from another store and say the reference it has here, digest included.

        Every file is verified against the manifest while it arrives. Under its final name there is the complete
        artifact or nothing; what was interrupted is resumed by calling again. A place that another artifact has is
        refused, save for the tag of a registry, which is moved: there the other one stays under its digest.

        Raises:
            FormatError: a file of the source has other bytes, or the place is taken by another artifact.
            UnavailableError: one of the stores cannot be reached.
        """
        ...
