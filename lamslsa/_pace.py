"""How fast long work goes: rate, remaining time and memory in use, in words for whoever waits.

>>> Pace(began=10.0).words(done=50, total=200, unit="rows", now=20.0, memory=None)
'25% of 200 rows in 10 s, 5 rows/s, 30 s left'
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Pace", "duration", "memory_in_use", "size"]

_STATM: Final = Path("/proc/self/statm")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """A stage of work, by when it began on a clock of its caller's."""

    began: float

    def words(self, *, done: float, total: float, unit: str, now: float, memory: int | None) -> str:
        """One line: share, rate, time that remains at that rate, memory."""
        elapsed = now - self.began
        named = f" {unit}" if unit else ""
        share = f"{done / total:.0%}" if total else "100%"
        parts = [f"{share} of {total:,.0f}{named} in {duration(elapsed)}"]
        if done > 0 and elapsed > 0:
            rate = done / elapsed
            parts.append(f"{rate:,.0f}{named}/s" if rate >= 1 else f"{duration(1 / rate)} each")
            if done < total:
                parts.append(f"{duration((total - done) / rate)} left")
        if memory is not None:
            parts.append(f"{size(memory)} in use")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(3.21), duration(75), duration(7500)
    ('3.2 s', '75 s', '2 h 5 min')
    """
    if seconds < 600:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def size(number: int) -> str:
    """Bytes in the unit that leaves few digits.

    >>> size(999), size(5 * 1024**2), size(1536 * 1024**2)
    ('999 B', '5.0 MiB', '1.5 GiB')
    """
    value = float(number)
    for unit in _UNITS[:-1]:
        if value < _STEP:
            return f"{value:.1f} {unit}" if unit != "B" else f"{number} B"
        value /= _STEP
    return f"{value:.1f} {_UNITS[-1]}"


def memory_in_use() -> int | None:
    """Resident bytes of this process; None where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
