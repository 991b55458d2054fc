"""The classes of rows with the same quasi-identifiers, numbered, and how often each sensitive value occurs in each.

The rows are read twice, once for the classes and once for a sensitive column; all else is done on counts.
"""

# ruff: noqa: S608 - queries hold positions of columns and names made here, never a declared name

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset.reading import columns

__all__ = ["cells", "classes"]

_CLASSES: Final = "anonymity_classes"
_CELLS: Final = "anonymity_cells"


@contextmanager
def classes(table: Table, quasi_identifiers: Sequence[str]) -> Iterator[tuple[Any, str]]:
    """The database, and the name of a table in it: the quasi-identifiers, ``id`` of the class and its ``n`` rows."""
    keys = columns(table, quasi_identifiers)
    query = f"select {keys}, count(*) as n, row_number() over () as id from {table.relation[1]} group by {keys}"
    with _temporary(table, _CLASSES, query) as connection:
        yield connection, _CLASSES


@contextmanager
def cells(table: Table, quasi_identifiers: Sequence[str], sensitive: str) -> Iterator[tuple[Any, str]]:
    """Within `classes`: the database, and the name of a table in it.

    It has ``id`` and ``n`` of the class, ``s``, the sensitive value, and ``c``, the rows of the class that have it;
    "missing" is a value as any other.
    """
    keys = [f"c{table.schema.position(name)}" for name in quasi_identifiers]
    counts = (
        f"select {', '.join(keys)}, {columns(table, [sensitive])} as s, count(*) as c"
        f" from {table.relation[1]} group by {', '.join(keys)}, s"
    )
    same = " and ".join(f"a.{key} is not distinct from b.{key}" for key in keys)
    query = f"select id, n, s, c from ({counts}) a join {_CLASSES} b on {same}"
    with _temporary(table, _CELLS, query) as connection:
        yield connection, _CELLS


@contextmanager
def _temporary(table: Table, name: str, query: str) -> Iterator[Any]:
    connection, _ = table.relation
    connection.execute(f"create temp table {name} as {query}")
    try:
        yield connection
    finally:
        connection.execute(f"drop table {name}")
