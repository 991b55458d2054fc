"""Trying again, and ceasing to: pauses that grow, servers that say when to come back, and work that is stopped.

Rules:
- What is tried again has `MAX_ATTEMPTS`, with pauses that grow and are of random length, so that clients do not come
  back together. A server that says when (``Retry-After``, RFC 9110 section 10.2.3) is believed up to `MAX_PAUSE_S`.
- Only `PROGRESS` bytes give new patience: a server that hands out a byte at a time is given up like a silent one.
- Work of several threads has one `Stop`: the first error, or ctrl-C, ends the pauses and connections of all of them.

>>> retry_after("7", dt.datetime(2026, 11, 22, tzinfo=dt.UTC)), retry_after("soon", dt.datetime(2026, 11, 22))
(7.0, None)
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_PAUSE_S",
    "PROGRESS",
    "RETRIED",
    "Stop",
    "StoppedError",
    "TryAgainError",
    "current_stop",
    "pause_after",
    "refuse_stopped",
    "retry_after",
    "sleep",
]

MAX_ATTEMPTS: Final = 6
MAX_PAUSE_S: Final = 60.0
PROGRESS: Final = 1024 * 1024
RETRIED: Final = frozenset({408, 429, *range(500, 600)})
"""Statuses that another attempt may not meet."""


class TryAgainError(Exception):
    """This attempt failed in a way that another one may not.

    Args:
        message: what happened.
        pause: what the server asked for, in seconds.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class StoppedError(Exception):
    """Somebody else failed, or the user has had enough: the error that counts is another one."""


class Stop:
    """Ends together what several threads do."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []

    def set(self) -> None:
        """End every pause and every connection of the threads that this covers."""
        self._event.set()
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            end()

    def is_set(self) -> bool:
        """Whether everybody is to cease."""
        return self._event.is_set()

    def add(self, end: Callable[[], None]) -> None:
        """Call this when everybody is to cease; at once where that was said already."""
        with self._lock:
            self._ends.append(end)
        if self.is_set():
            end()

    def discard(self, end: Callable[[], None]) -> None:
        """Call this no more."""
        with self._lock, contextlib.suppress(ValueError):
            self._ends.remove(end)

    def wait(self, seconds: float) -> None:
        """A pause that ends early when everybody is to cease."""
        self._event.wait(seconds)

    @contextlib.contextmanager
    def covering(self) -> Iterator[None]:
        """What this thread does in this block ends with the others."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


_CURRENT: Final[ContextVar[Stop | None]] = ContextVar("stop", default=None)


def current_stop() -> Stop | None:
    """What ends the work of this thread; None where it works alone."""
    return _CURRENT.get()


def refuse_stopped() -> None:
    """Go no further where everybody is to cease.

    Raises:
        StoppedError: so it is.
    """
    stop = current_stop()
    if stop is not None and stop.is_set():
        raise StoppedError


def sleep(seconds: float) -> None:
    """A pause of this thread, which ends early when everybody is to cease."""
    stop = current_stop()
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


def pause_after(number: int, asked: float | None, *, first: float) -> float:
    """The pause after the failed attempt of this number, in seconds.

    Args:
        number: from 1 on.
        asked: what the server asks for.
        first: the longest that the first one may be.
    """
    if asked is not None:
        return min(MAX_PAUSE_S, asked)
    doubled: float = first * 2 ** (number - 1)
    return min(MAX_PAUSE_S, doubled) * secrets.SystemRandom().uniform(0.5, 1)


def retry_after(text: str, now: dt.datetime) -> float | None:
    """The pause that a server asks for, as seconds or as a date; None where it asks for none that can be read."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):  # a date without time zone cannot be subtracted
        return None
