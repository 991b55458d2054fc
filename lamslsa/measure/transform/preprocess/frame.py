"""Typed rows in their order, inside the locked DuckDB that read them.

Columns are addressed by position and texts are escaped literals, so nothing that a job file or a row says becomes part
of a query. Every frame with rows of its own is a table, so ``rowid`` counts its rows from 0 in their order.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.data.schema import Column, ColumnType
from lamslsa.measure.data.table import Table

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Field", "Frame", "Value", "Workspace", "literal"]

Value = str | int | float | bool | None
_BATCH_ROWS: Final = 8192
_SQL_TYPES: Final[dict[ColumnType, str]] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column, and the expression of its values over the table below.

    Attributes:
        origin: the name by which steps speak of it: its own, or that of the column that one-hot encoding took apart.
    """

    column: Column
    sql: str
    origin: str

    @classmethod
    def of(cls, column: Column, sql: str) -> Field:
        """A column of its own name."""
        return cls(column=column, sql=sql, origin=column.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Rows in their order.

    Attributes:
        table: the name of a table; several frames may look at one.
        fields: the columns that belong to this frame; each is a column of the table.
    """

    table: str
    fields: tuple[Field, ...]
    rows: int

    def field(self, name: str) -> Field:
        """The one field of that name; a KeyError for any other name is a bug of the caller."""
        (field,) = self.named([name])
        return field

    def named(self, names: Iterable[str]) -> tuple[Field, ...]:
        """The fields of these names, in the order of the names."""
        found: dict[str, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.origin, []).append(field)
        return tuple(field for name in names for field in found[name])

    def sql(self, names: Iterable[str]) -> str:
        """A list of columns for a query."""
        return ", ".join(field.sql for field in self.named(names))

    def with_fields(self, fields: Iterable[Field]) -> Frame:
        """The same rows with some of the columns, in another order or under other names."""
        return replace(self, fields=tuple(fields))


class Workspace:
    """Where tables are made and dropped.

    Attributes:
        joined: the datasets that steps may join, by name.
    """

    def __init__(self, connection: Any, joined: Mapping[str, Table]) -> None:
        self._connection = connection
        self.joined = {name: self.frame(table) for name, table in joined.items()}
        self._made: set[str] = set()
        self._count = 0

    def frame(self, table: Table) -> Frame:
        """A table that was read."""
        fields = tuple(Field.of(column, f"c{index}") for index, column in enumerate(table.schema.columns))
        return Frame(table=table.relation[1], fields=fields, rows=table.rows)

    def make(self, fields: Sequence[Field], rest: str) -> Frame:
        """A frame with rows of its own from expressions; ``rest`` is the query from ``from`` on and orders the rows."""
        table = f"w{self._count}"
        self._count += 1
        texts = ", ".join(
            f"({field.sql})::{_SQL_TYPES[field.column.type]} as c{index}" for index, field in enumerate(fields)
        )
        self._connection.execute(f"create table {table} as select {texts} {rest}")
        self._made.add(table)
        made = tuple(replace(field, sql=f"c{index}") for index, field in enumerate(fields))
        return Frame(table=table, fields=made, rows=int(self.one(f"select count(*) from {table}")))

    def keep_rows(self, frame: Frame, condition: str) -> Frame:
        """The rows for which a condition is true; it may end in an order."""
        return self.make(frame.fields, f"from {frame.table} where {condition}")

    def change(self, frame: Frame, changed: Mapping[str, Sequence[Field]]) -> Frame:
        """The same rows with some columns computed anew, each by the fields that take its place."""
        fields = [new for field in frame.fields for new in changed.get(field.origin, [field])]
        return self.make(fields, f"from {frame.table}")

    def drop_all_but(self, frames: Iterable[Frame]) -> None:
        """Give memory back: drop every table made here that none of these frames looks at."""
        used = {frame.table for frame in frames}
        for table in self._made - used:
            self._connection.execute(f"drop table {table}")
        self._made &= used

    def one(self, query: str) -> Any:
        """The first value of the first row."""
        return self._connection.execute(query).fetchone()[0]

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """Every row."""
        rows: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return rows

    def batches(self, query: str) -> Iterator[list[tuple[Any, ...]]]:
        """Every row, some thousands at a time."""
        result = self._connection.execute(query)
        while rows := result.fetchmany(_BATCH_ROWS):
            yield rows

    def numbers(self, frame: Frame, name: str) -> np.ndarray[Any, Any]:
        """The values of a numeric column that are not missing, as float64 in the order of rows."""
        sql = frame.field(name).sql
        query = f"select {sql}::DOUBLE as v from {frame.table} where {sql} is not null"
        values: np.ndarray[Any, Any] = self._connection.execute(query).fetchnumpy()["v"]
        return values


def literal(value: Value) -> str:
    """A SQL literal of exactly this value: numbers are read from their shortest decimal, which comes back the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"'{value!r}'::{'BIGINT' if isinstance(value, int) else 'DOUBLE'}"
