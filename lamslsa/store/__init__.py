"""Keeping artifacts, and bundles beside them: folders, hub repositories, image layouts and registries.

>>> open_store("https://registry.example/model")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected a folder, a bundle file or a store, got 'https://registry.example/model'
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lamslsa import _codec
from lamslsa.artifact.manifest import Kind
from lamslsa.errors import FormatError
from lamslsa.store.directory import BundleFile, DirectoryStore
from lamslsa.store.folder import FolderStore
from lamslsa.store.hub import SCHEME as HUB
from lamslsa.store.hub import HubStore
from lamslsa.store.image_layout import SCHEME as IMAGE_LAYOUT
from lamslsa.store.image_layout import ImageLayoutStore
from lamslsa.store.interface import ArtifactStore, Store, StoredBundle
from lamslsa.store.naming import DEFAULT_FOLDER, REGISTRY, SIGNATURE_SUFFIX, is_bundle_name

if TYPE_CHECKING:
    from lamslsa.store.oci import Options

__all__ = [
    "DEFAULT_FOLDER",
    "ArtifactStore",
    "BundleFile",
    "DirectoryStore",
    "FolderStore",
    "HubStore",
    "ImageLayoutStore",
    "Store",
    "StoredBundle",
    "is_scheme",
    "open_artifact_store",
    "open_store",
]

_KNOWN: Final = (HUB, IMAGE_LAYOUT, REGISTRY)
_PLAIN: Final = ("/", "./", "../")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|.*@sha256:)")
_HINT: Final = "oci://HOST/REPOSITORY[:TAG] for a registry, oci-layout:PATH[:TAG], hub:PATH, ./PATH for a folder"


def is_scheme(reference: str) -> bool:
    """Whether a reference names its kind of store, and so is no path."""
    return reference.startswith(_KNOWN)


def open_store(reference: str, *, options: Options | None = None) -> Store:
    """The store of bundles that a reference names.

    A path is a folder of bundles, which need not exist yet, or one bundle file, which is only read; every other
    reference is that of an artifact, with the bundles that are kept beside it.

    Args:
        reference: as a user wrote it.
        options: how a registry is reached.

    Raises:
        FormatError: an unknown address, an empty reference, or a file that is no bundle file.
    """
    if is_scheme(reference):
        return open_artifact_store(reference, options=options)
    if not reference or _SCHEME.match(reference) or _is_address(reference):
        raise _unknown(reference)
    path = Path(reference)
    if path.is_dir():
        return DirectoryStore(path)
    if is_bundle_name(path.name) or (path.name.endswith(SIGNATURE_SUFFIX) and path.exists()):
        return BundleFile(path)
    if path.exists():
        raise FormatError(
            f"expected a folder or a bundle file, got {reference[:120]!r}",
            reason="store-reference",
            hint="bundle files end in .sigstore.json, .intoto.jsonl or .sig",
        )
    return DirectoryStore(path)


def open_artifact_store(reference: str, *, kind: Kind = "model", options: Options | None = None) -> ArtifactStore:
    """The store of the artifact that a reference names.

    Args:
        reference: ``PATH``, ``hub:PATH``, ``oci-layout:PATH[:TAG]`` or ``oci://HOST/REPOSITORY[:TAG]``; with
            ``@sha256:…`` at its end it names exactly that artifact.
        kind: what a folder on disk holds; elsewhere the manifest says so.
        options: how a registry is reached.

    Raises:
        FormatError: an unknown address, an empty reference, or a digest that is none.
    """
    if reference.startswith(REGISTRY):
        from lamslsa.store.oci import OciStore, Options

        return OciStore(reference, options or Options())
    place, at, digest = reference.rpartition("@sha256:")
    if at:
        pinned = _codec.parse_digest(f"sha256:{digest}", what="a reference")
    else:
        place, pinned = reference, ""
    if place.startswith(IMAGE_LAYOUT):
        return ImageLayoutStore.named(place.removeprefix(IMAGE_LAYOUT), pinned)
    if place.startswith(HUB) and place != HUB:
        return HubStore(path=Path(place.removeprefix(HUB)), kind=kind, pinned=pinned)
    if not place or place == HUB or _SCHEME.match(place) or _is_address(place):
        raise _unknown(reference)
    return FolderStore(path=Path(place), kind=kind, pinned=pinned)


def _is_address(place: str) -> bool:
    """Whether a name with a colon is none of a path: ``HOST:PORT/NAME:TAG`` would quietly become a folder."""
    return ":" in place and not place.startswith(_PLAIN) and not os.path.lexists(place)


def _unknown(reference: str) -> FormatError:
    return FormatError(
        f"expected a folder, a bundle file or a store, got {reference[:120]!r}", reason="store-reference", hint=_HINT
    )
