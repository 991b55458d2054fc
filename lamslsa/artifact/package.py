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
    yield from sorted(package / path for path in _paths(package))


def package_manifest(package: Path) -> Manifest:
    """The canonical manifest of a package's files, paths relative to the package.

    Raises:
        FormatError: a path that cannot stand in a manifest.
    """
    return Manifest.of("model", [_entry(path, package) for path in _paths(package)])


def _paths(package: Path) -> Iterator[str]:
    """Relative to the package, as text: statements name the code's identity, so this is done for each of them."""
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != _BYTE_CODE_FOLDER]
        within = "".join(f"{part}/" for part in Path(folder).relative_to(package).parts)
        for name in names:
            is_code = name == _BYTE_CODE_FOLDER or os.path.splitext(name)[1] == _BYTE_CODE  # noqa: PTH122 - slower
            if not is_code and os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113
                yield within + name


def _entry(path: str, package: Path) -> FileEntry:
    with open(f"{package}/{path}", "rb") as stream:  # noqa: PTH123
        data = stream.read()
    return FileEntry(path=path, sha256=_codec.sha256_hex(data), size=len(data))
