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

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset.reading import columns, query

if TYPE_CHECKING:
    import numpy as np

__all__ = ["equal", "ordered"]


def equal(table: Table, quasi_identifiers: Sequence[str], sensitive: str) -> Fraction:
    """The largest variational distance; "missing" is a value as any other."""
    keys, rows, name = columns(table, quasi_identifiers), table.rows, table.relation[1]
    s = columns(table, [sensitive])
    # With c rows of n in the class and t of N in the table: 2 n N d = n N + the sum over its values of |cN - tn| - tn.
    found = query(
        table,
        f"with cells as (select {keys}, {s} as s, count(*)::HUGEINT as c from {name} group by {keys}, {s}),"
        f" totals as (select {s} as s, count(*)::HUGEINT as t from {name} group by {s}),"
        f" sized as (select {_prefixed(table, quasi_identifiers)}, cells.c as c, totals.t as t,"
        f" sum(cells.c) over (partition by {_prefixed(table, quasi_identifiers)}) as n"
        f" from cells join totals on cells.s is not distinct from totals.s),"
        f" classes as (select any_value(n) as n, sum(abs(c * {rows} - t * n) - t * n) as d from sized group by {keys})"
        f" select n::BIGINT, max(d + n * {rows})::VARCHAR from classes group by n",
    )
    return max(Fraction(int(distance), 2 * size * rows) for size, distance in found)


def ordered(table: Table, quasi_identifiers: Sequence[str], sensitive: str) -> Fraction:
    """The largest earth mover's distance of a column of numbers without missing values."""
    import numpy as np

    connection, name = table.relation
    keys, s = columns(table, quasi_identifiers), columns(table, [sensitive])
    totals = connection.execute(f"select {s} as s, count(*) as t from {name} group by {s} order by {s}").fetchnumpy()
    if len(totals["s"]) == 1:
        return Fraction(0)
    cells = connection.execute(
        f"with cells as (select {keys}, {s} as s, count(*) as c from {name} group by {keys}, {s})"
        f" select s, c, row_number() over (partition by {keys} order by s) = 1 as first"
        f" from cells order by {_each(table, quasi_identifiers)}, s"
    ).fetchnumpy()
    ranks = np.searchsorted(np.asarray(totals["s"]), np.asarray(cells["s"]))
    starts = np.append(np.flatnonzero(np.asarray(cells["first"])), len(ranks))
    # Sums of cumulative counts: below[i] = Q_0 + … + Q_(i-1), where Q_i counts the rows up to the value of rank i.
    cumulative = np.cumsum(np.asarray(totals["t"], dtype=np.int64))
    below = [0, *_running(cumulative.tolist())]
    largest = Fraction(0)
    for start, end in pairwise(starts.tolist()):
        counts = cells["c"][start:end].tolist()
        distance = _moved(ranks[start:end].tolist(), counts, cumulative, below, rows=table.rows)
        largest = max(largest, Fraction(distance, sum(counts) * table.rows * (len(cumulative) - 1)))
    return largest


def _running(values: list[int]) -> Iterator[int]:
    total = 0
    for value in values:
        total += value
        yield total


def _moved(
    ranks: list[int], counts: list[int], cumulative: np.ndarray[Any, Any], below: list[int], *, rows: int
) -> int:
    """The distance of one class, times n N (m - 1): the sum over ranks i of |A_i N - n Q_i|.

    A_i counts the rows of the class up to rank i and stays the same between two of its values, while Q_i rises: so
    each such run is summed up on either side of the rank where the sign turns.
    """
    size, reached, total = sum(counts), 0, 0
    edges = [0, *ranks, len(cumulative)]
    for number, (start, end) in enumerate(pairwise(edges)):
        if number:
            reached += counts[number - 1]
        turn = int(cumulative.searchsorted(reached * rows // size, side="right"))
        turn = min(max(turn, start), end)
        total += (turn - start) * reached * rows - size * (below[turn] - below[start])
        total += size * (below[end] - below[turn]) - (end - turn) * reached * rows
    return total


def _prefixed(table: Table, names: Sequence[str]) -> str:
    return ", ".join(f"cells.c{table.schema.position(name)}" for name in names)


def _each(table: Table, names: Sequence[str]) -> str:
    return ", ".join(f"c{table.schema.position(name)} asc nulls first" for name in names)
