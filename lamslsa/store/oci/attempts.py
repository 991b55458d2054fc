"""Trying again: pauses that grow and are of random length, and a registry that says when to come back is believed."""

from __future__ import annotations

import email.utils
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from lamslsa.errors import UnavailableError
from lamslsa.store.oci.options import Options

__all__ = ["MAX_ATTEMPTS", "MAX_PAUSE_S", "Attempts", "TryAgainError"]

MAX_ATTEMPTS: Final = 6
MAX_PAUSE_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.5

_T = TypeVar("_T")


class TryAgainError(Exception):
    """This attempt failed in a way that another one may not.

    Args:
        message: what happened.
        pause: what the server asked for, in seconds.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class Attempts:
    """How often something is tried, and with which pauses."""

    def __init__(self, options: Options) -> None:
        self._notify = options.notify
        self._sleep = options.sleep
        self._clock = options.clock

    def persist(self, attempt: Callable[[], _T], *, what: str) -> _T:
        """What an attempt gives, after a few of them.

        Raises:
            UnavailableError: every attempt failed.
        """
        for number in range(1, MAX_ATTEMPTS + 1):
            try:
                return attempt()
            except TryAgainError as err:
                self.pause(number, err, what=what)
        raise AssertionError("unreachable")

    def pause(self, number: int, err: TryAgainError, *, what: str) -> None:
        """Wait after a failed attempt.

        Raises:
            UnavailableError: it was the last.
        """
        if number >= MAX_ATTEMPTS:
            raise UnavailableError(
                f"expected an answer from {what}, got {err} after {number} attempts",
                reason="registry-connection",
                hint="try again later; what is complete is kept",
            ) from err
        # Between half and all of twice the last pause, so that clients do not come back together.
        grown = _FIRST_PAUSE_S * 2 ** (number - 1) * secrets.SystemRandom().uniform(0.5, 1)
        seconds = min(MAX_PAUSE_S, grown if err.pause is None else err.pause)
        self._notify(f"{what}: {err}; trying again in {seconds:.1f} s")
        self._sleep(seconds)

    def retry_after(self, text: str) -> float | None:
        """The pause that a server asks for, as seconds or as a date; None where it asks for none that can be read."""
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (email.utils.parsedate_to_datetime(text) - self._clock()).total_seconds())
        except (TypeError, ValueError, OverflowError):  # a date without time zone cannot be subtracted
            return None
