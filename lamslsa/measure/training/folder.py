"""Write a folder so that it is either complete or absent, whatever interrupts the writing.

The files go into a hidden neighbour that is renamed into place once they are on disk. What a killed process leaves is
such a neighbour, which nobody reads.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from lamslsa.errors import FormatError

__all__ = ["refuse_existing", "write_folder"]


def refuse_existing(folder: Path) -> None:
    """Refuse a target that is there already.

    Raises:
        FormatError: something of that name exists, be it a dangling link.
    """
    if os.path.lexists(folder):
        raise FormatError(
            f"expected a model folder that does not exist yet, got {folder}",
            reason="model-out-exists",
            hint="choose another --model-out, or remove the folder",
        )


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` into a new folder.

    Raises:
        FormatError: the folder exists.
        OSError: the file system refused; nothing is left under the final name.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    partial = parent / f".{folder.name}.{secrets.token_hex(8)}.partial"
    partial.mkdir()
    try:
        for path, data in files.items():
            _write(partial / path, data)
        _sync(partial)
        refuse_existing(folder)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
