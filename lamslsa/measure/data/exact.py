"""Exact counts over whole rows, without holding every row.

Rows that are equal have equal hashes. So a row whose 64-bit hash no other row has is certainly unlike every other one,
and only rows that share a hash are compared, value by value. Most data has few of those. Whoever crafts rows that share
hashes makes the comparison longer, and never the count wrong. What is compared is split by hash into as many parts as
keep each within `limits.PART_BYTES`.

The only thing held for every row is its hash.
"""

# ruff: noqa: S608 - queries hold positions of columns and names made here, never a declared name

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lamslsa.measure.data import limits

__all__ = ["common_rows", "different_rows", "different_values"]

_VALUE_BYTES: Final = 32
_HASH_BYTES: Final = 48


def different_rows(connection: Any, relation: str, columns: Sequence[str], rows: int) -> int:
    """How many different rows ``relation`` has, of ``rows`` in all; missing equals missing."""
    names = ", ".join(columns)
    hashed = f"hash({names})"
    found = rows
    for part in _parts(rows, _HASH_BYTES, hashed):
        with _counted(connection, f"select {hashed} as h from {relation} where {part}", least=2) as (shared, several):
            found -= shared
            for inner in _parts(shared, _VALUE_BYTES * (1 + len(columns)), "h", shift=16):
                wanted = f"{hashed} in (select h from {several} where {inner})"
                found += _one(
                    connection, f"select count(*) from (select distinct {names} from {relation} where {wanted})"
                )
    return found


def common_rows(
    connection: Any, left: str, right: str, columns: Sequence[tuple[str, str]], rows: int
) -> tuple[int, int]:
    """Rows of ``left`` that occur in ``right``, and how many different such rows; missing equals missing.

    ``columns`` has the name of each column on the left and on the right; ``rows`` counts those of both together.
    """
    mine, theirs = (", ".join(side) for side in zip(*columns, strict=True))
    same = " and ".join(f"a.{m} is not distinct from b.{t}" for m, t in columns)
    found = different = 0
    for part in _parts(rows, _HASH_BYTES, "h"):
        query = (
            f"select h from (select hash({mine}) as h from {left}) where {part}"
            f" and h in (select h from (select hash({theirs}) as h from {right}) where {part})"
        )
        with _counted(connection, query, least=1) as (candidates, common):
            for inner in _parts(candidates, 2 * _VALUE_BYTES * (1 + len(columns)), "h", shift=16):
                within = f"in (select h from {common} where {inner})"
                ours = f"(select {mine}, count(*) as n from {left} where hash({mine}) {within} group by {mine})"
                others = f"(select distinct {theirs} from {right} where hash({theirs}) {within})"
                row = connection.execute(
                    f"select coalesce(sum(n), 0), count(*) from {ours} a where exists (from {others} b where {same})"
                ).fetchone()
                found += int(row[0])
                different += int(row[1])
    return found, different


def different_values(connection: Any, relation: str, column: str, rows: int) -> int:
    """How many different values a column has, missing ones left out."""
    return sum(
        _one(connection, f"select count(distinct {column}) from {relation} where {part}")
        for part in _parts(rows, 2 * _VALUE_BYTES, f"hash({column})")
    )


def _parts(rows: int, bytes_each: int, hashed: str, *, shift: int = 0) -> list[str]:
    """Conditions on a hash that split rows into parts; ``shift`` takes other bits than the split around it."""
    if rows == 0:
        return []
    count = 1 + rows * bytes_each // limits.PART_BYTES
    return ["true"] if count == 1 else [f"({hashed} >> {shift}) % {count} = {number}" for number in range(count)]


@contextmanager
def _counted(connection: Any, hashes: str, *, least: int) -> Iterator[tuple[int, str]]:
    """The hashes that ``least`` rows of a query share: how many rows in all, and the table that holds each once."""
    table = "counted_hashes"
    connection.execute(
        f"create temp table {table} as select h, count(*) as n from ({hashes}) group by h having count(*) >= {least}"
    )
    try:
        yield _one(connection, f"select coalesce(sum(n), 0) from {table}"), table
    finally:
        connection.execute(f"drop table {table}")


def _one(connection: Any, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
