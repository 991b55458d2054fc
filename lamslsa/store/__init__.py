"""Keeping bundles beside a model: folders, and single files to read.

>>> open_store("oci://registry.example/model")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected a folder or a bundle file, got 'oci://registry.example/model'
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.store.directory import BundleFile, DirectoryStore
from lamslsa.store.interface import Store, StoredBundle
from lamslsa.store.naming import DEFAULT_FOLDER, is_bundle_name

__all__ = ["DEFAULT_FOLDER", "BundleFile", "DirectoryStore", "Store", "StoredBundle", "open_store"]

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|.*@sha256:)")


def open_store(reference: str) -> Store:
    """The store that a reference names: a folder, which need not exist yet, or one bundle file, which is only read.

    Raises:
        FormatError: an address (``oci://``, ``https://``), an empty reference, or a file that is no bundle file.
    """
    if not reference or _SCHEME.match(reference):
        raise FormatError(
            f"expected a folder or a bundle file, got {reference[:120]!r}",
            reason="store-reference",
            hint="this release reads attestations from the file system only",
        )
    path = Path(reference)
    if path.is_dir():
        return DirectoryStore(path)
    if is_bundle_name(path.name):
        return BundleFile(path)
    if path.exists():
        raise FormatError(
            f"expected a folder or a bundle file, got {reference[:120]!r}",
            reason="store-reference",
            hint="bundle files end in .sigstore.json or .intoto.jsonl",
        )
    return DirectoryStore(path)
