"""The identity of code: the canonical manifest of an installed package's files.

Byte code is left out: it is derived, and differs between machines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry, Manifest

__all__ = ["HOST_ONLY", "package_files", "package_manifest"]

HOST_ONLY: Final = frozenset({"sigstore", "urllib3"})
"""Requirements of publishers and verifiers: clients of services, which nothing that measures imports. An import
contract holds that; so they are no part of an enclave, nor of what surrounds a computation."""

_BYTE_CODE_FOLDER: Final = "__pycache__"
_BYTE_CODE: Final = ".pyc"


def package_files(package: Path) -> Iterator[Path]:
    """Every file of a package that is no byte code, sorted."""
    found = []
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != _BYTE_CODE_FOLDER]
        found += [Path(folder, name) for name in names if name != _BYTE_CODE_FOLDER]
    yield from (path for path in sorted(found) if path.suffix != _BYTE_CODE and path.is_file())


def package_manifest(package: Path) -> Manifest:
    """The canonical manifest of a package's files, paths relative to the package.

    Raises:
        FormatError: a path that cannot stand in a manifest.
    """
    return Manifest.of("model", (_entry(path, package) for path in package_files(package)))


def _entry(path: Path, package: Path) -> FileEntry:
    data = path.read_bytes()
    return FileEntry(path=path.relative_to(package).as_posix(), sha256=_codec.sha256_hex(data), size=len(data))
