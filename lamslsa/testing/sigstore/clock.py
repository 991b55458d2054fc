"""A clock per service, so that services can disagree about the time.

>>> clock = Clock(lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
>>> clock.offset = dt.timedelta(hours=-1)
>>> clock.now().isoformat()
'2025-12-31T23:00:00+00:00'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

__all__ = ["Clock", "wall_clock"]


def wall_clock() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.UTC)


class Clock:
    """A clock that can be set.

    Args:
        base: what it shows without an offset.
    """

    def __init__(self, base: Callable[[], dt.datetime] = wall_clock) -> None:
        self._base = base
        self.offset = dt.timedelta(0)

    def now(self) -> dt.datetime:
        """The time that this clock shows."""
        return self._base() + self.offset
