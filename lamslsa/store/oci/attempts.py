"""Trying again, as `lamslsa._attempts` has it, until an attempt succeeds or was the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from lamslsa import _attempts
from lamslsa._attempts import TryAgainError, pause_after, refuse_stopped
from lamslsa.errors import UnavailableError
from lamslsa.store.oci.options import Options

__all__ = ["GIVEN_UP", "Attempts"]

GIVEN_UP: Final = "registry-connection"
"""The reason of what was tried for long, and in vain."""
_FIRST_PAUSE_S: Final = 0.5

_T = TypeVar("_T")


class Attempts:
    """How often something is tried, and with which pauses."""

    def __init__(self, options: Options) -> None:
        self._most = options.attempts
        self._notify = options.notify
        self._sleep = options.sleep
        self._clock = options.clock

    def persist(self, attempt: Callable[[], _T], *, what: str) -> _T:
        """What an attempt gives, after a few of them.

        Raises:
            UnavailableError: every attempt failed.
        """
        for number in range(1, self._most + 1):
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
        refuse_stopped()
        if number >= self._most:
            raise UnavailableError(
                f"expected an answer from {what}, got {err} after {number} attempts",
                reason="registry-connection",
                hint="try again later; what is complete is kept",
            ) from err
        seconds = pause_after(number, err.pause, first=_FIRST_PAUSE_S)
        self._notify(f"{what}: {err}; trying again in {seconds:.1f} s")
        self._sleep(seconds)
        refuse_stopped()

    def retry_after(self, text: str) -> float | None:
        """The pause that a server asks for; None where it asks for none that can be read."""
        return _attempts.retry_after(text, self._clock())
