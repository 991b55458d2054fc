"""Options and files that several subcommands read."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from lamslsa._files import open_regular
from lamslsa.errors import FormatError

__all__ = [
    "NamedPaths",
    "UtcTime",
    "passphrase_option",
    "platform_option",
    "read_capped",
    "read_passphrase",
    "unique",
]

F = TypeVar("F", bound=Callable[..., Any])
_MAX_FILE_BYTES = 16 * 1024 * 1024
_MAX_PASSPHRASE_BYTES = 4096


def read_capped(path: Path, *, what: str, limit: int = _MAX_FILE_BYTES) -> bytes:
    """Read a small file that the user named, or that lies in a folder that the user named.

    A pipe is refused even where the user means it, as in ``--policy <(…)``: it could keep one waiting for ever, and
    nobody can look later at what was read.

    Raises:
        FormatError: no regular file (input-kind), or larger than ``limit`` bytes (input-size).
        OSError: it cannot be read.
    """
    with open_regular(path, what=what) as file:
        return _capped(file, path, what, limit)


def read_passphrase(path: Path | None) -> bytes | None:
    """The first line of a passphrase file, without its line end.

    This one may be a pipe, as in ``--passphrase-file <(…)``: the user alone names it, and it need not lie on a disk.

    Raises:
        FormatError: an empty passphrase, which would only look like protection.
        OSError: it cannot be read.
    """
    if path is None:
        return None
    with path.open("rb") as file:
        data = _capped(file, path, "passphrase", _MAX_PASSPHRASE_BYTES)
    passphrase = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if not passphrase:
        raise FormatError(f"expected a passphrase in the first line of {path}, got none", reason="key-passphrase")
    return passphrase


def _capped(file: BinaryIO, path: Path, what: str, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes of {what}, got more in {path}", reason="input-size")
    return data


def passphrase_option(command: F) -> F:
    """``--passphrase-file``."""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        help="File whose first line is the passphrase of the private key.",
    )(command)


def _default_platform() -> str:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "lamslsa" / "simulated")


def platform_option(command: F) -> F:
    """``--simulated-platform``."""
    return click.option(
        "--simulated-platform",
        type=click.Path(path_type=Path),
        envvar="LAMSLSA_SIMULATED_PLATFORM",
        show_envvar=True,
        default=_default_platform,
        show_default="~/.local/state/lamslsa/simulated",
        help="Folder of the simulated platform's keys and certificates; made on first use.",
    )(command)


class UtcTime(click.ParamType[dt.datetime]):
    """An RFC 3339 time with its offset, as UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        try:
            parsed = dt.datetime.fromisoformat(value)
            utc = None if parsed.tzinfo is None else parsed.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            self.fail(f"expected a time such as 2026-11-22T12:00:00Z, got {value!r}", param, ctx)
        if utc is None:
            self.fail(f"expected a time with its offset (Z for UTC), got {value!r}", param, ctx)
        return utc


class NamedPaths(click.ParamType[tuple[str, Path]]):
    """``NAME=PATH``."""

    name = "name=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        name, equals, path = str(value).partition("=")
        if not (name and equals and path):
            self.fail(f"expected NAME=PATH, got {value!r}", param, ctx)
        return name, Path(path)


def unique(pairs: Sequence[tuple[str, Path]], option: str) -> dict[str, Path]:
    """The pairs as a mapping; a name given twice is a usage error."""
    result: dict[str, Path] = {}
    for name, path in pairs:
        if name in result:
            raise click.UsageError(f"expected each name once in {option}, got {name!r} twice")
        result[name] = path
    return result
