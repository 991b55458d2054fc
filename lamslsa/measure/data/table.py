"""Verified CSV bytes to typed rows, inside a DuckDB that can reach nothing else.

Rules:
- DuckDB sees only sealed memory files, by descriptor; it can open no path, load no extension and change no setting.
- Nothing is sniffed. Every line is held against the format first (`lamslsa.measure.data.lines`), and the row counts
  must agree.
- Every field has the declared type, or the table is refused and the row named; nothing is skipped or repaired.
- Trimming removes spaces and tabs; then the null token, compared to the letter, is "missing". Types: ``integer``
  (decimal, within ±2^53), ``number`` (decimal or scientific, finite, minus zero is zero), ``boolean`` (``true`` or
  ``false``), ``string``. The label becomes its class; a label that is missing or not mapped is an error.
- Rows keep their order. What a field says is data, whatever a spreadsheet would make of it.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.lines import MAX_LINE_BYTES, Layout, measure_lines
from lamslsa.measure.data.schema import ColumnType, Schema

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Source", "Table", "open_tables"]

_MEMORY_LIMIT: Final = "2GB"
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "preserve_insertion_order": "true",  # so that no query has to sort rows to have them in the file's order
    "memory_limit": _MEMORY_LIMIT,
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_SQL_TYPES: Final[dict[ColumnType, str]] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
}
_PATTERNS: Final[dict[ColumnType, str]] = {
    "integer": "-?[0-9]{1,16}",
    "number": r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,4})?",
    "boolean": "true|false",
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
        """The locked database and the table's name in it: columns are ``c0``, ``c1`` …, ``rowid`` counts rows from 0."""
        return self._connection, self._sql_name

    def column_counts(self) -> list[tuple[int, int]]:
        """For each column in declared order: missing rows, and different values that are not missing."""
        width = len(self.schema.columns)
        parts = ", ".join(f"count(*) - count(c{index}), count(distinct c{index})" for index in range(width))
        row = self._query(f"select {parts} from {self._sql_name}")[0]
        return [(int(row[2 * index]), int(row[2 * index + 1])) for index in range(width)]

    def duplicates(self) -> int:
        """Rows that equal an earlier row in every column, label included."""
        everything = self._columns([column.name for column in self.schema.columns])
        query = f"select count(*) from (select distinct {everything} from {self._sql_name})"
        return self.rows - int(self._query(query)[0][0])

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

    def overlap(self, other: Table) -> tuple[int, int]:
        """Rows of this table whose features occur in ``other``, and how many different such tuples there are.

        Missing equals missing. The schemas must have the same feature columns.
        """
        names = [column.name for column in self.schema.features]
        mine = [self.schema.position(name) for name in names]
        theirs = [other.schema.position(name) for name in names]
        left, right = (", ".join(f"c{index}" for index in side) for side in (mine, theirs))
        same = " and ".join(f"a.c{m} is not distinct from b.c{t}" for m, t in zip(mine, theirs, strict=True))
        rows = self._query(
            f"select count(*) from {self._sql_name} a where exists (select 1 from {other._sql_name} b where {same})"
        )
        distinct = self._query(
            f"select count(*) from (select {left} from {self._sql_name}"
            f" intersect select {right} from {other._sql_name})"
        )
        return int(rows[0][0]), int(distinct[0][0])

    def values(self, column: str) -> np.ndarray[Any, Any]:
        """A column in row order: numbers as float64 with NaN for missing, texts and truth values as objects with None.

        The label is int64 and has nothing missing. The array is read-only, and the same at each call.
        """
        if column not in self._values:
            self._values[column] = self._fetch(column)
            self._values[column].flags.writeable = False
        return self._values[column]

    def _fetch(self, column: str) -> np.ndarray[Any, Any]:
        import numpy as np

        index = self.schema.position(column)
        kind = self.schema.columns[index].type
        result = self._connection.execute(f"select c{index} from {self._sql_name}").fetchnumpy()
        array = np.ma.asarray(result[f"c{index}"])
        label = self.schema.label
        if label is not None and column == label.column and label.classes is not None:
            return np.asarray(array.data, dtype=np.int64)
        numeric = kind in ("integer", "number")
        values = array.data.astype(np.float64 if numeric else object)
        values[np.ma.getmaskarray(array)] = np.nan if numeric else None
        return values

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
    import duckdb

    connection = duckdb.connect(config=_CONFIG)
    try:
        _lock(connection, [source.file.library_path for source in sources.values()])
        yield {name: _load(connection, f"t{number}", source) for number, (name, source) in enumerate(sources.items())}
    except duckdb.OutOfMemoryException as err:
        raise FormatError(
            f"expected tables that fit into {_MEMORY_LIMIT}, got larger ones", reason="table-memory"
        ) from err
    finally:
        connection.close()


def _lock(connection: Any, paths: Sequence[str]) -> None:
    connection.execute(f"set allowed_paths = [{', '.join(_literal(path) for path in paths)}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _load(connection: Any, sql_name: str, source: Source) -> Table:
    import duckdb

    layout = measure_lines(source.file, source.schema)
    try:
        _read_texts(connection, f"{sql_name}_text", source, layout)
    except (duckdb.InvalidInputException, duckdb.ConversionException) as err:
        raise FormatError(
            f"{source.file.entry.path}: expected records of the declared format, got {_first_line(err)}",
            reason="csv-syntax",
        ) from err
    read = connection.execute(f"select count(*) from {sql_name}_text").fetchone()[0]
    if read != layout.rows:
        raise FormatError(
            f"{source.file.entry.path}: expected {layout.rows} rows, as many as lines, got {read}", reason="csv-rows"
        )
    _type_texts(connection, sql_name, source, layout)
    return Table(connection, sql_name, source.schema, layout.rows)


def _read_texts(connection: Any, sql_name: str, source: Source, layout: Layout) -> None:
    """All fields as text; empty fields come back from DuckDB as NULL and are empty texts again."""
    width = len(source.schema.columns)
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(width))
    # DuckDB takes LF only when told so, and CRLF only when told nothing; the line ends were measured before.
    new_line = "" if layout.carriage_return else r", new_line = '\n'"
    texts = ", ".join(f"coalesce(c{index}, '') as c{index}" for index in range(width))
    if source.schema.trim:
        texts = ", ".join(f"trim(coalesce(c{index}, ''), ' \t') as c{index}" for index in range(width))
    connection.execute(
        f"create table {sql_name} as select {texts} from read_csv({_literal(source.file.library_path)},"
        f" auto_detect = false, columns = {{{columns}}}, header = false, skip = {layout.first_line - 1},"
        f" delim = {_literal(source.schema.delimiter)}, quote = '\"', escape = '\"', comment = '', nullstr = '',"
        f" strict_mode = true, null_padding = false, ignore_errors = false, parallel = false,"
        f" max_line_size = {MAX_LINE_BYTES}, encoding = 'utf-8', compression = 'none'{new_line})"
    )


def _type_texts(connection: Any, sql_name: str, source: Source, layout: Layout) -> None:
    values = [_typed(source.schema, index) for index in range(len(source.schema.columns))]
    present = [_present(source.schema, index) for index in range(len(source.schema.columns))]
    offending = ", ".join(
        f"min(rowid) filter (where {there} and ({value}) is null)" for value, there in zip(values, present, strict=True)
    )
    firsts = connection.execute(f"select {offending} from {sql_name}_text").fetchone()
    rows = [(row, index) for index, row in enumerate(firsts) if row is not None]
    if rows:
        row, index = min(rows)
        _refuse_value(connection, sql_name, source, layout, row=row, index=index)
    typed = ", ".join(f"{value} as c{index}" for index, value in enumerate(values))
    connection.execute(f"create table {sql_name} as select {typed} from {sql_name}_text")
    connection.execute(f"drop table {sql_name}_text")


def _refuse_value(connection: Any, sql_name: str, source: Source, layout: Layout, *, row: int, index: int) -> NoReturn:
    column = source.schema.columns[index]
    text = connection.execute(f"select c{index} from {sql_name}_text where rowid = {row}").fetchone()[0]
    where = f"{source.file.entry.path}: line {layout.first_line + row}: column {column.name!r}"
    if _is_label(source.schema, index):
        raise FormatError(f"{where}: expected a declared label, got {text[:40]!a}", reason="table-label")
    raise FormatError(f"{where}: expected {column.type}, got {text[:40]!a}", reason="table-type")


def _is_label(schema: Schema, index: int) -> bool:
    return schema.label is not None and schema.columns[index].name == schema.label.column


def _present(schema: Schema, index: int) -> str:
    if schema.null_token is None or _is_label(schema, index):
        return "true"
    return f"c{index} <> {_literal(schema.null_token)}"


def _typed(schema: Schema, index: int) -> str:
    """The SQL expression of a column's value: NULL where missing, and where the text has another type."""
    column = schema.columns[index]
    if _is_label(schema, index) and schema.target.classes is not None:
        cases = " ".join(f"when {_literal(text)} then {number}" for text, number in schema.target.classes.items())
        return f"(case c{index} {cases} end)::BIGINT"
    there = _present(schema, index)
    if column.type == "string":
        return f"case when {there} then c{index} end"
    fits = f"{there} and regexp_full_match(c{index}, {_literal(_PATTERNS[column.type])})"
    value = f"try_cast(c{index} as {_SQL_TYPES[column.type]})"
    if column.type == "integer":
        return f"case when {fits} and abs({value}) <= {2**53} then {value} end"
    if column.type == "number":
        return f"case when {fits} and isfinite({value}) then {value} + 0.0::DOUBLE end"
    return f"case when {fits} then {value} end"


def _literal(text: str) -> str:
    """A SQL string literal: DuckDB knows no escape in it but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(err: Exception) -> str:
    """What DuckDB says about a line, without the line itself."""
    message = str(err)
    with suppress(IndexError):
        message = next((part for part in message.splitlines() if "CSV Error on Line" in part), message.splitlines()[0])
    return ascii(message[:160])
