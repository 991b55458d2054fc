"""Distances of t-closeness: of the classes of a table from the whole table, in one sensitive column.

Li, Li and Venkatasubramanian (2007), with P the distribution in a class, Q that of the table, over the m different
values of the column in the table:

- ``equal`` (section 5.2): half the sum of |P(v) - Q(v)|, the variational distance.
- ``ordered`` (section 5.1): the sum over i < m of |the sum over j <= i of P(v_j) - Q(v_j)|, by m - 1, with the values
  in rising order; 0 where m is 1, since the distributions are then the same.

Both are quotients of integers; the largest is found in exact arithmetic and rounded once.
"""

# ruff: noqa: S608 - queries hold positions of columns, never a declared name

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["equal", "ordered"]

_SAFE: Final = 2**62


def equal(connection: Any, cells: str, *, rows: int) -> Fraction:
    """The largest variational distance; "missing" is a value as any other.

    Args:
        connection: the database.
        cells: a table of `lamslsa.measure.dataset.classes.cells`.
        rows: of the whole table, N.
    """
    # With c rows of n in the class and t of N in the table: n N d is the sum of cN - tn over the values where it is
    # positive, and those are all in the class. It is at most n N, and N at most a billion.
    found = connection.execute(
        f"with totals as (select s as value, sum(c)::BIGINT as t from {cells} group by s),"
        f" more as (select id, n, greatest(c * {rows} - t * n, 0) as d"
        f" from {cells} join totals on s is not distinct from value),"
        f" distances as (select any_value(n) as n, sum(d) as d from more group by id)"
        f" select n, max(d)::BIGINT from distances group by n"
    ).fetchall()
    return max(Fraction(int(distance), size * rows) for size, distance in found)


def ordered(connection: Any, cells: str, *, rows: int) -> Fraction:
    """The largest earth mover's distance of a column of numbers without missing values; arguments as of `equal`."""
    import numpy as np

    totals = connection.execute(f"select s, sum(c)::BIGINT as t from {cells} group by s order by s").fetchnumpy()
    if len(totals["s"]) == 1:
        return Fraction(0)
    found = connection.execute(f"select id, s, c from {cells} order by id, s").fetchnumpy()
    starts = np.flatnonzero(np.diff(np.asarray(found["id"]), prepend=0))
    ranks = np.searchsorted(np.asarray(totals["s"]), np.asarray(found["s"]))
    counts, wide = np.asarray(found["c"], dtype=np.int64), np.asarray(totals["t"], dtype=np.int64)
    sizes = np.add.reduceat(counts, starts)
    # The largest number that comes up is at most n N m; beyond 64 bits the same sums are done on Python's integers.
    if int(sizes.max()) * rows * len(wide) >= _SAFE:
        counts, wide, sizes = (array.astype(object) for array in (counts, wide, sizes))
    moved = _moved(ranks, counts, starts, sizes, np.cumsum(wide), rows=rows)
    order = np.argsort(sizes, kind="stable")
    different, first = np.unique(sizes[order], return_index=True)
    largest = np.maximum.reduceat(moved[order], first)
    denominator = rows * (len(wide) - 1)
    return max(
        Fraction(distance, size * denominator)
        for size, distance in zip(different.tolist(), largest.tolist(), strict=True)
    )


def _moved(ranks: Array, counts: Array, starts: Array, sizes: Array, cumulative: Array, *, rows: int) -> Array:
    """The distance of each class, times n N (m - 1): the sum over ranks i of |A_i N - n Q_i|.

    A_i counts the rows of the class up to rank i and Q_i those of the table. A_i stays the same from one value of the
    class to the next, while Q_i rises: so each such run is summed up on either side of the rank where the sign turns.

    Args:
        ranks: of the values of all classes, class by class and rising within one.
        counts: rows of the class with the value.
        starts: where each class begins in these two.
        sizes: rows of each class, n.
        cumulative: Q_i, for each of the m ranks.
        rows: of the table, N.
    """
    import numpy as np

    lengths = np.diff(np.append(starts, len(ranks)))
    before = np.cumsum(counts)
    before -= np.repeat(before[starts] - counts[starts], lengths)
    begins, ends = np.insert(ranks, starts, 0), np.insert(ranks, starts + lengths, len(cumulative))
    reached, size = np.insert(before, starts, 0), np.repeat(sizes, lengths + 1)
    below = np.insert(np.cumsum(cumulative), 0, 0)
    turns = np.clip(np.searchsorted(cumulative, reached * rows // size, side="right"), begins, ends)
    more = (turns - begins) * reached * rows - size * (below[turns] - below[begins])
    more += size * (below[ends] - below[turns]) - (ends - turns) * reached * rows
    moved: Array = np.add.reduceat(more, starts + np.arange(len(starts)))
    return moved
