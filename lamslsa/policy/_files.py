"""The files that a policy names, and other policies: relative to it, small, and read once, while the policy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from lamslsa._yaml import MAX_YAML_BYTES, Node
from lamslsa.errors import FormatError

if TYPE_CHECKING:
    from lamslsa.policy.model import Policy

__all__ = ["MAX_FILE_BYTES", "Files", "PolicyFile", "Read", "Sources", "local_policy", "read_file"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A policy that another one names.

    Attributes:
        data: its bytes.
        source: what messages call it.
        directory: what the files that it names are relative to.
        read: how those are read.
        check: raises a LamslsaError where the policy that was read is not the one that is pinned.
    """

    data: bytes
    source: str
    directory: Path
    read: Read
    check: Callable[[Policy], object] | None = None


class Sources(Protocol):
    """Finds the policies that a policy names."""

    def __call__(self, name: str, /, *, directory: Path, read: Read) -> PolicyFile:
        """The policy of this name, or an OSError, FormatError or UnavailableError.

        Args:
            name: as the policy writes it.
            directory: of the policy that names it.
            read: how files beside that one are read.
        """
        ...


def local_policy(name: str, /, *, directory: Path, read: Read) -> PolicyFile:
    """The policy in a file beside the one that names it.

    Raises:
        OSError: it cannot be read.
        FormatError: the name is no relative path, or the file is too large.
    """
    path = Path(name)
    if path.is_absolute() or "://" in name:
        raise FormatError(
            f"expected a path relative to the policy, got {name[:200]!r}",
            reason="policy-source",
            hint="here only files are read, and nothing is fetched",
        )
    data = read(directory / path, MAX_YAML_BYTES)
    return PolicyFile(data=data, source=str(directory / path), directory=(directory / path).parent, read=read)
