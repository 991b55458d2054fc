"""Code of others as its sources say it: what is measured beside us is what is run.

Byte code is left out where code is measured, and links lead out of what is measured. So a folder with either is
refused, and while such code runs nothing takes byte code from where it lies: the interpreter looks for it in an empty
folder of ours, and writes none.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["from_source", "is_byte_code", "unmeasured"]

_BYTE_CODE_FOLDER: Final = "__pycache__"
_BYTE_CODE: Final = ".pyc"


def is_byte_code(path: Path | os.PathLike[str]) -> bool:
    """Whether a path is that of byte code, or of a folder for it.

    >>> is_byte_code(Path("a/__pycache__/b.cpython-311.pyc")), is_byte_code(Path("a/b.py"))
    (True, False)
    """
    parts = Path(path).parts
    return _BYTE_CODE_FOLDER in parts or bool(parts and parts[-1].endswith(_BYTE_CODE))


def unmeasured(folder: Path) -> Path | None:
    """The first thing below a folder of code that its measurement would not cover: byte code, a link, or no file.

    Raises:
        OSError: the folder, or one below it, cannot be read.
    """
    for where, folders, names in os.walk(folder, onerror=_again):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = Path(where, name)
            mode = path.lstat().st_mode
            if is_byte_code(path.relative_to(folder)) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def _again(err: OSError) -> None:
    raise err


@contextmanager
def from_source() -> Iterator[None]:
    """Have what is imported to the end of the block compiled from its sources, and no byte code written."""
    writing, prefix = sys.dont_write_bytecode, sys.pycache_prefix
    with tempfile.TemporaryDirectory(prefix="lamslsa-sources-") as empty:
        sys.dont_write_bytecode, sys.pycache_prefix = True, empty
        try:
            yield
        finally:
            sys.dont_write_bytecode, sys.pycache_prefix = writing, prefix
