"""Verified bytes to a typed table, whatever the format; and what can be asked of it.

Rules:
- Nothing is sniffed, skipped or repaired: columns and types are as declared, or the file is refused.
- DuckDB reaches nothing but memory files of this process (`lamslsa.measure.data.database`).
- Types: ``integer`` (within ±2^53), ``number`` (finite, minus zero is zero), ``boolean``, ``string``. A string that
  equals the null token is missing, as is a null. The label becomes its class, or is a number; it is never missing.
- Rows keep their order. What a field says is data, whatever a spreadsheet would make of it.

What is refused of each format stands in `csv_rows`, `parquet`, `jsonl` and `arrow`; how much is read, in `limits`.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.arrow import Arrow
from lamslsa.measure.data.csv_rows import Csv
from lamslsa.measure.data.database import locked
from lamslsa.measure.data.exact import common_rows, different_rows, different_values
from lamslsa.measure.data.jsonl import JsonLines
from lamslsa.measure.data.parquet import Parquet
from lamslsa.measure.data.schema import Schema, TableFormat
from lamslsa.measure.data.typed import is_label

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Source", "Table", "open_tables"]


class _Ready(Protocol):
    """A file whose layout is known, before DuckDB is locked.

    Attributes:
        paths: what DuckDB is to open.
    """

    @property
    def paths(self) -> tuple[str, ...]: ...

    def load(self, connection: Any, sql_name: str) -> int:
        """Make the table or view ``sql_name`` and return its number of rows."""
        ...


_FORMATS: Final[Mapping[TableFormat, Callable[[VerifiedFile, Schema, ExitStack], _Ready]]] = {
    "csv": Csv,
    "parquet": Parquet,
    "jsonl": JsonLines,
    "arrow": Arrow,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A verified file and the schema under which it is read."""

    file: VerifiedFile
    schema: Schema


class Table:
    """A typed table; its columns are addressed by position, so no declared name ever becomes part of a query."""

    def __init__(self, connection: Any, sql_name: str, schema: Schema, rows: int) -> None:
        self.schema = schema
        self.rows = rows
        self._connection = connection
        self._sql_name = sql_name
        self._values: dict[str, np.ndarray[Any, Any]] = {}

    @property
    def relation(self) -> tuple[Any, str]:
        """The locked database and the table's name in it: columns ``c0``, ``c1`` …, and ``rowid`` counts from 0."""
        return self._connection, self._sql_name

    def column_counts(self) -> list[tuple[int, int]]:
        """For each column in declared order: missing rows, and different values that are not missing."""
        names = [f"c{index}" for index in range(len(self.schema.columns))]
        present = self._query(f"select {', '.join(f'count({name})' for name in names)} from {self._sql_name}")[0]
        return [
            (self.rows - int(count), different_values(self._connection, self._sql_name, name, self.rows))
            for name, count in zip(names, present, strict=True)
        ]

    def duplicates(self) -> int:
        """Rows that equal an earlier row in every column, label included."""
        names = [f"c{index}" for index in range(len(self.schema.columns))]
        return self.rows - different_rows(self._connection, self._sql_name, names, self.rows)

    def cells(self, columns: Sequence[str], *, limit: int) -> list[tuple[tuple[Any, ...], int]]:
        """Joint counts over ``columns``, sorted by value in column order, missing first.

        Raises:
            FormatError: more than ``limit`` different cells.
        """
        names = self._columns(columns)
        order = ", ".join(f"c{self.schema.position(name)} asc nulls first" for name in columns)
        query = f"select {names}, count(*) from {self._sql_name} group by {names} order by {order} limit {limit + 1}"
        rows = self._query(query)
        if len(rows) > limit:
            raise FormatError(
                f"expected at most {limit} groups over {', '.join(columns)}, got more",
                reason="table-groups",
                hint="group by columns with few values",
            )
        return [(tuple(row[:-1]), int(row[-1])) for row in rows]

    def overlap(self, other: Table, columns: Sequence[str] | None = None) -> tuple[int, int]:
        """Rows of this table whose features occur in ``other``, and how many different such tuples there are.

        Missing equals missing. The schemas must have the same feature columns; ``columns`` are those that count, None
        for all of them.
        """
        names = [column.name for column in self.schema.features] if columns is None else columns
        pairs = [(f"c{self.schema.position(name)}", f"c{other.schema.position(name)}") for name in names]
        return common_rows(self._connection, self._sql_name, other._sql_name, pairs, self.rows + other.rows)

    def values(self, column: str) -> np.ndarray[Any, Any]:
        """A column in row order: numbers as float64 with NaN for missing, texts and truth values as objects with None.

        A label of classes is int64, one of numbers float64, and neither has anything missing. The array is read-only,
        and the same at each call.
        """
        if column not in self._values:
            query = f"select {self._columns([column])} from {self._sql_name}"
            (array,) = self._arrays([column], self._connection.execute(query).fetchnumpy())
            array.flags.writeable = False
            self._values[column] = array
        return self._values[column]

    def numbers(self, column: str) -> np.ndarray[Any, Any]:
        """The values of a numeric column that are not missing, in row order, as float64; read-only.

        Raises:
            FormatError: the column is of another type.
        """
        import numpy as np

        declared = self.schema.columns[self.schema.position(column)]
        if declared.type not in ("integer", "number"):
            raise FormatError(f"expected numbers in {column!a}, got {declared.type}", reason="table-not-numbers")
        values = self.values(column)
        present: np.ndarray[Any, Any] = values[~np.isnan(values)]
        present.flags.writeable = False
        return present

    def batches(
        self, columns: Sequence[str], *, rows: int = limits.BATCH_ROWS
    ) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        """Columns in row order as `values` gives them, about ``rows`` rows at a time, without holding all.

        No other query may be made of tables opened together before the last batch was taken.
        """
        import numpy as np

        kinds = [self._dtype(column) for column in columns]
        cursor = self._connection.execute(f"select {self._columns(columns)} from {self._sql_name}")
        while found := cursor.fetchmany(rows):
            yield {
                column: np.array([np.nan if value is None and kind is float else value for value in values], dtype=kind)
                for column, kind, values in zip(columns, kinds, zip(*found, strict=True), strict=True)
            }

    def _dtype(self, column: str) -> type:
        index = self.schema.position(column)
        if is_label(self.schema, index) and self.schema.target.classes is not None:
            return int
        return float if self.schema.columns[index].type in ("integer", "number") else object

    def _arrays(self, columns: Sequence[str], found: Mapping[str, Any]) -> list[np.ndarray[Any, Any]]:
        import numpy as np

        arrays = []
        for column in columns:
            index = self.schema.position(column)
            array = np.ma.asarray(found[f"c{index}"])
            if is_label(self.schema, index) and self.schema.target.classes is not None:
                arrays.append(np.asarray(array.data, dtype=np.int64))
                continue
            numeric = self.schema.columns[index].type in ("integer", "number")
            values = array.data.astype(np.float64 if numeric else object)
            values[np.ma.getmaskarray(array)] = np.nan if numeric else None
            arrays.append(values)
        return arrays

    def _columns(self, names: Sequence[str]) -> str:
        return ", ".join(f"c{self.schema.position(name)}" for name in names)

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        return rows


@contextmanager
def open_tables(sources: Mapping[str, Source]) -> Iterator[dict[str, Table]]:
    """Read verified files into one locked DuckDB; the tables live as long as the context.

    Raises:
        FormatError: a file is not the table that its schema declares, or does not fit into memory.
    """
    with ExitStack() as stack:
        ready = {name: _ready(source, stack) for name, source in sources.items()}
        connection = stack.enter_context(locked([path for one in ready.values() for path in one.paths]))
        tables = {}
        for number, (name, one) in enumerate(ready.items()):
            rows = one.load(connection, f"t{number}")
            tables[name] = Table(connection, f"t{number}", sources[name].schema, rows)
        yield tables


def _ready(source: Source, stack: ExitStack) -> _Ready:
    if source.file.entry.size > limits.MAX_TABLE_BYTES:
        raise FormatError(
            f"{source.file.entry.path}: expected at most {limits.MAX_TABLE_BYTES} bytes, got {source.file.entry.size}",
            reason="table-size",
        )
    return _FORMATS[source.schema.format](source.file, source.schema, stack)
