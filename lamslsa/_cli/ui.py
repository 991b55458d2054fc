"""How the command line speaks; every subcommand goes through here.

- stdout carries the result and nothing else; progress, notes and errors go to stderr.
- ``--format json`` prints one JSON document, refusals and errors included; ``--quiet`` silences stderr but for errors,
  and for a timestamp that was wanted and missed.
- Colour only on a terminal, and never under NO_COLOR (https://no-color.org) or TERM=dumb; no meaning hangs on colour.
- Text from attestations is hostile: control and bidirectional characters are shown escaped.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, TypeVar

import click

from lamslsa._pace import Pace, memory_in_use
from lamslsa._plain import hanging, plain, table
from lamslsa.errors import LamslsaError

__all__ = [
    "Output",
    "ProgressLine",
    "StdoutClosedError",
    "coloured",
    "error",
    "failure",
    "hanging",
    "note",
    "options",
    "plain",
    "style",
    "table",
    "terminable",
    "wants_json",
    "write",
]

F = TypeVar("F", bound=Callable[..., Any])
_SPARE_INTERVAL_S: Final = 0.1


class StdoutClosedError(Exception):
    """Nobody reads stdout any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where a subcommand puts its result.

    Attributes:
        as_json: print one JSON document in place of text.
        quiet: no progress and no notes.
    """

    as_json: bool
    quiet: bool

    def result(self, text: str, document: Any) -> None:
        """Print the result, as text or as JSON."""
        if self.as_json:
            text = _json(document)
        write((text if text.endswith("\n") else text + "\n").encode(errors="backslashreplace"))

    def note(self, text: str) -> None:
        """Say something that is not the result."""
        if not self.quiet:
            note(text)

    def progress(self) -> ProgressLine:
        """A progress line; silent under ``--quiet``."""
        return ProgressLine(silent=self.quiet)


def options(command: F) -> F:
    """Add ``--format`` and ``--quiet``, handed on as one `Output` named ``output``."""

    @functools.wraps(command)
    def decorated(*args: Any, form: str, quiet: bool, **kwargs: Any) -> Any:
        return command(*args, output=Output(as_json=form == "json", quiet=quiet), **kwargs)

    quiet_option = click.option("--quiet", is_flag=True, help="No progress and no notes on stderr.")
    forms = click.Choice(["text", "json"])
    format_option = click.option(
        "--format", "form", type=forms, default="text", show_default=True, help="Form of the result."
    )
    return format_option(quiet_option(decorated))  # type: ignore[return-value]  # click keeps the callable


def wants_json(argv: Sequence[str]) -> bool:
    """Whether the arguments ask for JSON, for errors that happen before they are parsed."""
    return "--format=json" in argv or ("--format", "json") in pairwise(argv)


def _colour(stream: Any) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured() -> bool:
    """Whether colour is wanted on stdout."""
    return _colour(sys.stdout)


def style(text: str, colour: str, *, bold: bool = False) -> str:
    """Colour for stdout where colour is wanted."""
    return click.style(text, fg=colour, bold=bold) if coloured() else text


def note(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(plain(text) + "\n")


def _json(document: Any) -> str:
    """JSON in ASCII: a file name that is not Unicode has no other spelling."""
    return json.dumps(document, indent=2, allow_nan=False)


def failure(
    kind: str, message: str, *, exit_code: int, as_json: bool, reason: str | None = None, hint: str | None = None
) -> None:
    """The JSON document of a failure on stdout, where JSON is wanted."""
    if as_json:
        details = {"class": kind, "reason": reason, "message": message, "hint": hint}
        document = {"error": details, "exitCode": exit_code}
        write((_json(document) + "\n").encode())


def error(err: LamslsaError, *, as_json: bool) -> None:
    """Say what was refused, why and what to do; as JSON also on stdout."""
    message, kind = str(err), type(err).__name__
    failure(kind, message, exit_code=err.exit_code, as_json=as_json, reason=err.reason, hint=err.hint)
    label = click.style("error", fg="red", bold=True) if _colour(sys.stderr) else "error"
    sys.stderr.write(f"{label}[{err.reason}]: {plain(message)}\n")
    if err.hint:
        sys.stderr.write(f"  hint: {hanging(err.hint, 8)}\n")


def write(data: bytes) -> None:
    """Write exact bytes to stdout.

    Raises:
        StdoutClosedError: nobody reads them; click would make a bug of it.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it ends
        raise StdoutClosedError from err


@dataclass(slots=True, kw_only=True)
class ProgressLine:
    """Progress on stderr: one line that is rewritten on a terminal, one line a stage elsewhere."""

    silent: bool
    _stage: str = ""
    _pace: Pace = field(default_factory=lambda: Pace(0.0))
    _drawn: float = 0.0
    _ended: bool = False

    def __call__(self, stage: str, done: float, total: float, unit: str = "") -> None:
        """Show how far a stage is; the rate and the remaining time come from when it began."""
        if self.silent:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._pace, self._drawn, self._ended = stage, Pace(now), 0.0, False
        if self._ended:
            return
        self._ended = last = done >= total
        if sys.stderr.isatty():
            if last or now - self._drawn >= _SPARE_INTERVAL_S:
                self._drawn = now
                sys.stderr.write(f"\r\x1b[K{self._line(done, total, unit, now)}" + ("\n" if last else ""))
                sys.stderr.flush()
        elif last:
            sys.stderr.write(self._line(done, total, unit, now) + "\n")

    def _line(self, done: float, total: float, unit: str, now: float) -> str:
        words = self._pace.words(done=done, total=total, unit=unit, now=now, memory=memory_in_use())
        return f"  {plain(self._stage)}: {words}"


@contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, so that what it started is ended and what it staged is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt
