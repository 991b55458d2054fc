"""Copy a tree whose links leave it, such as a snapshot in a Hugging Face cache, into a folder that stands by itself.

Rules:
- Links to files are resolved wherever they lead; links to folders and special files are refused as everywhere.
- The target must not exist. It is written under another name beside it and renamed at the end, so that a target that
  exists is complete.
- What is no part of an artifact (``.attestations/`` and ``.git/`` directly below the source) is not copied.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from lamslsa._files import new_folder, refuse_existing
from lamslsa.artifact._walk import Tree, open_file, opened, read_blocks
from lamslsa.errors import FormatError

__all__ = ["materialize"]

_BUFFER: Final = 1024 * 1024


def materialize(source: Path, target: Path) -> None:
    """Copy the folder ``source`` to the new folder ``target``, with links to files resolved.

    Raises:
        FormatError: ``source`` is no folder or holds what an artifact may not hold; ``target`` exists or cannot be
            written.
    """
    refuse_existing(target)
    with opened(source, links="anywhere") as tree:
        if tree.fd is None:
            raise FormatError(
                f"expected a folder, got a file at {str(source)!a}", reason="artifact-not-folder", hint="copy the file"
            )
        try:
            with new_folder(target) as spool:
                _copy_all(tree, spool)
        except OSError as err:
            raise FormatError(
                f"expected to write {str(target)!a}, got {err.strerror or type(err).__name__}",
                reason="materialize-write",
            ) from err


def _copy_all(tree: Tree, spool: Path) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    for file in tree.files:
        copy = spool / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        source = open_file(tree, file)
        try:
            with copy.open("xb") as stream:
                for block in read_blocks(source, buffer, file):
                    stream.write(block)
        finally:
            os.close(source)
