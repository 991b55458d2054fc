"""Numbers for Prometheus, in its text format (version 0.0.4).

>>> metrics = Metrics()
>>> metrics.count("lamslsa_admission_refusals_total", reason="model-refused")
>>> print(metrics.render().splitlines()[-1])
lamslsa_admission_refusals_total{reason="model-refused"} 1
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Final

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SECONDS: Final = "lamslsa_admission_seconds"


class Metrics:
    """Counters, one histogram of how long answers take, and numbers that are asked for when they are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0
        self._gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, **labels: str) -> None:
        """Count one more; labels are words of this program, of which there are only so many."""
        with self._lock:
            self._counts[name, ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))] += 1

    def took(self, seconds: float) -> None:
        """One more answer, and how long it took."""
        with self._lock:
            self._buckets[bisect_left(_BOUNDS, seconds)] += 1
            self._sum += seconds

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """A number that is asked for when somebody reads."""
        self._gauges[name] = read

    def render(self) -> str:
        """All of it as text."""
        with self._lock:
            counts, buckets, total = dict(self._counts), list(self._buckets), self._sum
        lines: list[str] = [f"# TYPE {_SECONDS} histogram"]
        reached = 0
        for bound, number in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
            reached += number
            lines.append(f'{_SECONDS}_bucket{{le="{bound}"}} {reached}')
        lines += [f"{_SECONDS}_sum {total:.6f}", f"{_SECONDS}_count {reached}"]
        for name, read in sorted(self._gauges.items()):
            lines += [f"# TYPE {name} gauge", f"{name} {read():g}"]
        told = ""
        for (name, labels), number in sorted(counts.items()):
            if name != told:
                lines.append(f"# TYPE {name} counter")
                told = name
            lines.append(f"{name}{f'{{{labels}}}' if labels else ''} {number}")
        return "\n".join(lines) + "\n"
