"""The files that a policy names: relative to it, small, and read once, while the policy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from lamslsa._yaml import Node
from lamslsa.errors import FormatError

__all__ = ["MAX_FILE_BYTES", "Files", "Read", "read_file"]

T = TypeVar("T")

MAX_FILE_BYTES: Final = 64 * 1024


class Read(Protocol):
    """Reads a file up to a limit."""

    def __call__(self, path: Path, limit: int, /) -> bytes:
        """The bytes, or an OSError or FormatError."""
        ...


def read_file(path: Path, limit: int, /) -> bytes:
    """The bytes of a small regular file.

    Raises:
        OSError: it cannot be read.
        FormatError: it is larger than the limit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes, got more", reason="policy-file")
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Reads what the policy names, and says where it was named when that fails."""

    read: Read

    def load(self, node: Node, parse: Callable[[bytes], T], *, what: str, limit: int = MAX_FILE_BYTES) -> T:
        """The parsed content of the file that a node names.

        Raises:
            FormatError: it cannot be read or parsed; with line and column.
        """
        path = Path(node.string())
        if path.is_absolute():
            node.refuse(f"expected a path relative to the policy, got {str(path)!r}", reason="policy-file")
        try:
            return parse(self.read(path, limit))
        except (OSError, ValueError) as err:
            node.refuse(
                f"expected a file with {what}, got {str(path)!r}, which cannot be read: {type(err).__name__}",
                reason="policy-file",
                hint="files are relative to the policy",
            )
        except FormatError as err:
            node.refuse(f"expected a file with {what}, got {str(path)!r}: {err}", reason=err.reason, hint=err.hint)
