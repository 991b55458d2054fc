"""The values of a column of numbers, in order, with how often each occurs: sums, quantiles and distances from these.

Sums are exact until they are rounded once, so they depend neither on the order of rows nor on how values were counted.
A double is m * 2^e with a whole m of 53 bits; m is cut into three parts of 18 bits, and each part is summed up for each
e. With at most 2^35 rows such sums stay below 2^53, where doubles are exact too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset.reading import columns

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Tally", "distance", "exact_sum", "tally"]

_PART: Final = 18
_PARTS: Final = 3
_DIGITS: Final = _PART * _PARTS
_BLOCK: Final = 2**20
_SAFE: Final = 2**62
_FEW: Final = 8
"""Values that occur so often on average are counted by the database; the others are sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The different values, rising, as float64, and the rows up to each, as int64; missing ones left out."""

    values: Array
    up_to: Array

    @property
    def samples(self) -> int:
        """How many rows have a value."""
        return int(self.up_to[-1]) if len(self.up_to) else 0

    def ranked(self, rank: int) -> float:
        """The value at a rank from 1 among all rows."""
        import numpy as np

        return float(self.values[np.searchsorted(self.up_to, rank)])

    def rows_up_to(self, values: Sequence[float]) -> Array:
        """How many rows have at most each value, as int64."""
        import numpy as np

        return np.append(0, self.up_to)[np.searchsorted(self.values, values, side="right")]


def tally(table: Table, column: str) -> Tally:
    """Count a numeric column."""
    import numpy as np

    connection, name = table.relation
    value = f"{columns(table, [column])}::DOUBLE"
    present = f"from {name} where {columns(table, [column])} is not null"
    about = connection.execute(f"select approx_count_distinct({value}) {present}").fetchone()[0]
    if about * _FEW <= table.rows:
        found = connection.execute(f"select {value} as v, count(*) as n {present} group by v order by v").fetchnumpy()
        return Tally(values=np.asarray(found["v"]), up_to=np.cumsum(np.asarray(found["n"])))
    values = np.asarray(connection.execute(f"select {value} as v {present}").fetchnumpy()["v"])
    values.sort()
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    return Tally(values=values[last], up_to=last + 1)


def exact_sum(values: Array, counts: Array) -> Fraction:
    """The sum of finite ``values``, each as often as ``counts`` says; at most 2^35 in all."""
    import numpy as np

    total = Fraction(0)
    for start in range(0, len(values), _BLOCK):
        mantissas, exponents = np.frexp(values[start : start + _BLOCK])
        whole = np.ldexp(mantissas, _DIGITS).astype(np.int64)
        least = int(exponents.min())
        places, weights = exponents - least, counts[start : start + _BLOCK]
        for part in range(_PARTS):
            # The highest part has the sign; the others are what is left above it.
            digits = whole >> _PART * part
            if part < _PARTS - 1:
                digits &= 2**_PART - 1
            sums = np.bincount(places, weights=digits * weights)
            for place in np.flatnonzero(sums).tolist():
                power = least + place - _DIGITS + _PART * part
                total += int(sums[place]) * Fraction(2) ** power
    return total


def distance(one: Tally, other: Tally) -> Fraction:
    """The largest difference between two empirical distribution functions, neither of them empty.

    With the rows counted on both sides it is a quotient of integers. Between two values of the side that has fewer of
    them its function is constant and the other rises, so the largest difference is at or right before one of these.
    """
    import numpy as np

    few, many = (one, other) if len(one.values) <= len(other.values) else (other, one)
    before = np.append(0, many.up_to)
    at = before[np.searchsorted(many.values, few.values, side="right")]
    below = before[np.searchsorted(many.values, few.values, side="left")]
    mine, mine_below = few.up_to, np.append(0, few.up_to[:-1])
    n, m = few.samples, many.samples
    if n * m < _SAFE:
        largest = max(int((mine * m - at * n).max()), int((below * n - mine_below * m).max()))
    else:
        wide = [array.astype(object) for array in (mine, at, below, mine_below)]
        largest = max((wide[0] * m - wide[1] * n).max(), (wide[2] * n - wide[3] * m).max())
    return Fraction(largest, n * m)
