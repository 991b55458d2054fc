"""Options and files that several subcommands read.

Where a file is expected, a secret may be given by mistake: the text of a key, a token. One that can be told by its
looks is refused, and none of it is shown.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa import _files
from lamslsa.errors import FormatError

__all__ = [
    "NamedPaths",
    "UtcTime",
    "has_secret",
    "looks_secret",
    "passphrase_option",
    "platform_option",
    "read_capped",
    "read_passphrase",
    "read_trusted_root",
    "refuse_secret",
    "unique",
]

F = TypeVar("F", bound=Callable[..., Any])
_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_MAX_PASSPHRASE_BYTES: Final = 4096
_MAX_NAME: Final = 1024
# PEM, PEM in base64, and a JWT, whose header is a JSON object in base64url.
_SECRET: Final = re.compile(
    r"-----BEGIN|LS0tLS1CRUdJTi|(?<![\w-])(?:eyJ|eyA|ewo|ewk|ew0)[\w-]{6,}\.[\w-]{6,}\.", re.ASCII
)


def has_secret(text: str) -> bool:
    """Whether there is a key in PEM or a token in a text."""
    return _SECRET.search(text) is not None


def looks_secret(name: str) -> bool:
    """Whether what was given as the name of a file is rather the content of one."""
    return len(name) > _MAX_NAME or "\n" in name or has_secret(name)


def refuse_secret(name: str, *, what: str) -> None:
    """Refuse what was given as the name of a file, or as a reference, and looks like the secret itself.

    Raises:
        FormatError: it does; the message shows none of it.
    """
    if looks_secret(name):
        raise FormatError(
            f"expected the name of a file with the {what}, got what looks like its content",
            reason="input-secret",
            hint="others can see command lines: if this was a secret, replace it, and name a file that holds it",
        )


def read_capped(path: Path, *, what: str, limit: int = _MAX_FILE_BYTES) -> bytes:
    """Read a small file that the user named, or that lies in a folder that the user named.

    A pipe is refused even where the user means it, as in ``--policy <(…)``: it could keep one waiting for ever, and
    nobody can look later at what was read.

    Raises:
        FormatError: no regular file (input-kind), larger than ``limit`` bytes (input-size), or rather the content of a
            file than its name (input-secret).
        OSError: it cannot be read.
    """
    refuse_secret(str(path), what=what)
    return _files.read_regular(path, what=what, limit=limit)


def read_trusted_root(path: Path, *, what: str = "trusted root") -> bytes:
    """The bytes of a trusted root of Sigstore, or of the root of a TUF repository.

    Raises:
        FormatError: as `read_capped`.
        OSError: it cannot be read.
    """
    from lamslsa.sign.keyless.root import MAX_ROOT_BYTES

    return read_capped(path, what=what, limit=MAX_ROOT_BYTES)


def read_passphrase(path: Path | None) -> bytes | None:
    """The first line of a passphrase file, without its line end.

    This one may be a pipe, as in ``--passphrase-file <(…)``: the user alone names it, and it need not lie on a disk.

    Raises:
        FormatError: an empty passphrase, which would only look like protection, or a file that cannot be read: it is
            not named, since it may be the passphrase.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = _files.read_capped(file, path, what="passphrase", limit=_MAX_PASSPHRASE_BYTES)
    except OSError as err:
        raise FormatError(
            f"expected a file with a passphrase, got: {err.strerror}",
            reason="passphrase-file",
            hint="name a file whose first line is the passphrase, never the passphrase itself",
        ) from err
    passphrase = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if not passphrase:
        raise FormatError(f"expected a passphrase in the first line of {path}, got none", reason="key-passphrase")
    return passphrase


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
