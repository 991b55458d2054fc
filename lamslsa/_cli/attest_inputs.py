"""What the options of ``lamslsa attest`` name: inputs by role or name, outputs by name, each once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa._files import refuse_existing
from lamslsa.artifact.manifest import Kind
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES
from lamslsa.artifact.spool import Spool
from lamslsa.attest import Planned

__all__ = ["InputPath", "Inputs", "Size", "memory_options", "refuse_nested", "refuse_other_kinds", "refuse_spool"]

F = TypeVar("F", bound=Callable[..., Any])
_PATHS: Final = ("/", "./", "../")
_SIZE: Final = re.compile(r"([1-9][0-9]{0,11})([KMGT]?)")
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_MAX_SIZE: Final = 1024**5


class InputPath(click.ParamType[tuple[str | None, Path]]):
    """``[ROLE=]PATH``; a path with an equals sign begins with ``/``, ``./`` or ``../``."""

    name = "[role=]path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str | None, Path]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        role, equals, path = text.partition("=")
        if not equals or text.startswith(_PATHS):
            role, path = "", text
        if not path or (equals and not role and path != text):
            self.fail(f"expected PATH or ROLE=PATH, got {value!r}", param, ctx)
        return role or None, Path(path)


class Size(click.ParamType[int]):
    """A number of bytes, such as ``512M`` or ``8G``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value))
        if match is None or (number := int(match[1]) * _UNITS[match[2]]) > _MAX_SIZE:
            self.fail(f"expected a size such as 512M or 8G, got {value!r}", param, ctx)
        return number


def memory_options(command: F) -> F:
    """Add ``--memory-limit`` and ``--spool``, handed on as ``memory_limit`` and ``spool``."""
    spool = click.option(
        "--spool",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder for an encrypted copy of tables larger than that; its key lives in this process alone.",
    )
    limit = click.option(
        "--memory-limit",
        type=Size(),
        default=f"{DEFAULT_MAX_BYTES // _UNITS['G']}G",
        show_default=True,
        metavar="SIZE",
        help="The most that a model or dataset may have in memory.",
    )
    return limit(spool(command))


def refuse_spool(folder: Path | None) -> None:
    """Return if files can be made in the folder of a spool.

    Raises:
        UnavailableError: they cannot.
    """
    if folder is not None:
        Spool(folder).create().close()


class Inputs:
    """Paths by role or name, as the options give them, with the kind of artifact that each option means."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}
        self.kinds: dict[str, Kind] = {}

    def add(self, kind: Kind, word: str, path: Path) -> None:
        """Take one path.

        Raises:
            click.UsageError: the word has been given a path already.
        """
        if word in self.paths:
            raise click.UsageError(f"expected each role once, got {word!r} twice")
        self.paths[word], self.kinds[word] = path, kind

    def add_all(self, kind: Kind, pairs: Iterable[tuple[str | None, Path]], *, default: str | None = None) -> None:
        """Take the paths of an option; one without a role has the default one.

        Raises:
            click.UsageError: a role is missing, or was given twice.
        """
        for word, path in pairs:
            if word is None and default is None:
                raise click.UsageError(f"expected --{kind} ROLE=PATH, got {str(path)!r}")
            self.add(kind, word or default or "", path)


def refuse_other_kinds(planned: Iterable[Planned], inputs: Inputs) -> None:
    """Return if what is read as a model was given as one, and datasets likewise.

    Raises:
        click.UsageError: a dataset was given as a model, or the other way round.
    """
    for item in planned:
        for wanted in item.plan.inputs:
            path = item.paths.get(wanted.role)
            words = [word for word, kind in inputs.kinds.items() if inputs.paths[word] == path and kind == wanted.kind]
            if path is not None and not words:
                raise click.UsageError(f"expected a {wanted.kind} as {wanted.role!r}: --{wanted.kind} ROLE=PATH")


def refuse_nested(folders: Mapping[str, Path]) -> None:
    """Return if no output exists yet, and none lies in another; by the options that name them.

    Raises:
        FormatError: something of such a name exists.
        click.UsageError: one is, or lies in, another.
    """
    there = {option: path.absolute() for option, path in folders.items()}
    for option, path in there.items():
        refuse_existing(path)
        for other, its in there.items():
            if option != other and (path == its or path in its.parents):
                raise click.UsageError(f"expected {option} and {other} apart, got one inside the other")
