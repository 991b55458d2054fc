"""Minimum, maximum, mean and deviation of many numbers, by sums that are exact and so the same on every machine.

A finite float64 is m * 2^(e - 53) with an integer m of at most 53 bits. Its sum over all values is one integer sum of m
for each e, which is exact in float64 as long as parts of m stay below 2^27 and few enough are added; squares likewise.
Only the result, a fraction, is rounded to float64, once:

    mean = S1 / n        deviation = sqrt(S2 / n - (S1 / n)^2)        of the population

>>> import numpy as np
>>> total = Sums()
>>> total.add(np.array([1.0, 2.0, 3.0, 0.0, np.inf]))
>>> result = total.result()
>>> result.mean, result.zeros, result.non_finite
(1.5, 1, 1)
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from lamslsa.predicates.model import Statistics

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["CHUNK", "Sums"]

CHUNK: Final = 2**20  # parts below 2^27, so that sums of 2^20 of them stay below 2^53
_LOW: Final = 26
_OFFSET: Final = 1100


class Sums:
    """Adds up values; `result` may be asked for at any time."""

    def __init__(self) -> None:
        self.elements = 0
        self._zeros = 0
        self._finite = 0
        self._minimum = math.inf
        self._maximum = -math.inf
        self._sums: dict[int, int] = {}
        self._squares: dict[int, int] = {}

    def add(self, values: Array) -> None:
        """Add values of a type that float64 holds exactly."""
        flat = values.reshape(-1)
        for start in range(0, len(flat), CHUNK):
            self._add(flat[start : start + CHUNK])

    def merge(self, other: Sums) -> None:
        """Add what another has added."""
        self.elements += other.elements
        self._zeros += other._zeros
        self._finite += other._finite
        self._minimum = min(self._minimum, other._minimum)
        self._maximum = max(self._maximum, other._maximum)
        for mine, theirs in ((self._sums, other._sums), (self._squares, other._squares)):
            for exponent, value in theirs.items():
                mine[exponent] = mine.get(exponent, 0) + value

    def result(self) -> Statistics:
        """What was added so far."""
        if not self._finite:
            return Statistics(
                elements=self.elements,
                zeros=0,
                non_finite=self.elements,
                undefined="no finite values" if self.elements else "no values",
            )
        mean = _total(self._sums, factors=1) / self._finite
        variance = _total(self._squares, factors=2) / self._finite - mean * mean
        return Statistics(
            elements=self.elements,
            zeros=self._zeros,
            non_finite=self.elements - self._finite,
            minimum=self._minimum + 0.0,
            maximum=self._maximum + 0.0,
            mean=float(mean),
            deviation=_root(variance),
        )

    def _add(self, values: Array) -> None:
        import numpy as np

        with np.errstate(invalid="ignore"):  # of NaNs that signal
            wide = values.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        self.elements += len(wide)
        self._finite += len(finite)
        self._zeros += int((finite == 0).sum())
        if not len(finite):
            return
        self._minimum = min(self._minimum, float(finite.min()))
        self._maximum = max(self._maximum, float(finite.max()))
        fractions, exponents = np.frexp(finite)
        whole = np.ldexp(fractions, 53).astype(np.int64)
        sign, size = np.sign(whole), np.abs(whole)
        high, low = size >> _LOW, size & (2**_LOW - 1)
        index = exponents.astype(np.int64) + _OFFSET
        _collect(self._sums, index, (sign * high, _LOW), (sign * low, 0))
        # (h * 2^26 + l)^2, each product cut in two once more
        for product, shift in ((high * high, 2 * _LOW), (high * low, _LOW + 1), (low * low, 0)):
            upper, lower = product >> 27, product & (2**27 - 1)
            _collect(self._squares, 2 * index, (upper, shift + 27), (lower, shift))


def _collect(sums: dict[int, int], index: Array, *parts: tuple[Array, int]) -> None:
    """Add integers below 2^27 to the sum of their exponent, each shifted to its place."""
    import numpy as np

    for values, shift in parts:
        if not values.any():
            continue
        totals = np.bincount(index, weights=values.astype(np.float64))
        for place in np.flatnonzero(totals).tolist():
            sums[place] = sums.get(place, 0) + (int(totals[place]) << shift)


def _total(sums: dict[int, int], *, factors: int) -> Fraction:
    """The sum that was collected from products of so many integers of 53 bits."""
    lowest = factors * (_OFFSET + 53)
    return sum((Fraction(value) * Fraction(2) ** (place - lowest) for place, value in sums.items()), Fraction(0))


def _root(variance: Fraction) -> float:
    """The square root, taken of an integer of 128 bits or so and then rounded: no step overflows."""
    if variance <= 0:
        return 0.0
    shift = 64 - (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
    scaled = variance * Fraction(4) ** shift
    return float(Fraction(math.isqrt(scaled.numerator // scaled.denominator)) / Fraction(2) ** shift)
