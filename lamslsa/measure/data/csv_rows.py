"""Format ``csv`` of tables: lines that were held against the format (`lamslsa.measure.data.lines`) to typed rows.

Whole lines are copied into a memory file, some at a time; DuckDB splits them into texts, and the number of rows must
come out equal. Then every text has the declared type, or the table is refused and the line named.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final, NoReturn

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.database import first_line, literal
from lamslsa.measure.data.lines import measure_lines
from lamslsa.measure.data.schema import ColumnType, Schema
from lamslsa.measure.data.typed import MAX_INTEGER, SQL_TYPES, create, expected_words, is_label

__all__ = ["Csv"]

_PATTERNS: Final[dict[ColumnType, str]] = {
    "integer": "-?[0-9]{1,16}",
    "number": r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,4})?",
    "boolean": "true|false",
}


class Csv:
    """A CSV file, ready to be read.

    Attributes:
        paths: the memory file that DuckDB is to open.
    """

    def __init__(self, file: VerifiedFile, schema: Schema, stack: ExitStack) -> None:
        self._path = file.entry.path
        self._schema = schema
        self._layout = measure_lines(file, schema)
        self._stream = stack.enter_context(file.open())
        self._lines = file.scratch()
        stack.callback(self._lines.close)
        self.paths = (self._lines.path,)

    def load(self, connection: Any, sql_name: str) -> int:
        """Make the table ``sql_name`` and return its number of rows.

        Raises:
            FormatError: a field has not the declared type, or DuckDB reads other records than there are lines.
        """
        create(connection, sql_name, self._schema)
        for _ in range(self._layout.first_line - 1):
            self._stream.readline()
        before = 0
        while before < self._layout.rows:
            rows = self._copy_lines(self._layout.rows - before)
            if rows == 0:
                raise FormatError(
                    f"{self._path}: expected {self._layout.rows} rows, as many as lines, got {before}",
                    reason="csv-rows",
                )
            self._read(connection, sql_name, rows=rows, before=before)
            before += rows
        return before

    def _copy_lines(self, most: int) -> int:
        """Replace the content of the memory file by the next lines, ``most`` of them or fewer."""
        self._lines.empty()
        rows = size = 0
        while rows < most and size < limits.CHUNK_BYTES:
            block = b"".join(self._stream.readlines(limits.CHUNK_BYTES // 32))
            if not block:
                break
            found = block.count(b"\n") + (not block.endswith(b"\n"))
            if rows + found > most:  # empty lines at the end are no records
                block = b"\n".join(block.split(b"\n")[: most - rows]) + b"\n"
                found = most - rows
            self._lines.write(block)
            rows += found
            size += len(block)
        return rows

    def _read(self, connection: Any, sql_name: str, *, rows: int, before: int) -> None:
        """Add the rows of the memory file, each value typed; one that has another type is looked for afterwards."""
        import duckdb

        typed = f"{sql_name}_typed"
        width = range(len(self._schema.columns))
        values = ", ".join(f"{_typed(self._schema, index)} as v{index}" for index in width)
        wrong = " or ".join(f"({_present(self._schema, index)} and v{index} is null)" for index in width)
        try:
            connection.execute(
                f"create table {typed} as select {values}, {wrong} as wrong from ({self._select_texts()})"
            )
        except (duckdb.InvalidInputException, duckdb.ConversionException) as err:
            raise FormatError(
                f"{self._path}: expected records of the declared format, got {first_line(err)}",
                reason="csv-syntax",
            ) from err
        read, mistyped = connection.execute(f"select count(*), count(*) filter (where wrong) from {typed}").fetchone()
        if read != rows:
            raise FormatError(f"{self._path}: expected {rows} rows, as many as lines, got {read}", reason="csv-rows")
        if mistyped:
            self._refuse_first(connection, before)
        connection.execute(f"insert into {sql_name} select {', '.join(f'v{index}' for index in width)} from {typed}")
        connection.execute(f"drop table {typed}")

    def _select_texts(self) -> str:
        """All fields as text; empty fields come back from DuckDB as NULL and are empty texts again."""
        width = len(self._schema.columns)
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(width))
        # DuckDB takes LF only when told so, and CRLF only when told nothing; the line ends were measured before.
        new_line = "" if self._layout.carriage_return else r", new_line = '\n'"
        texts = ", ".join(f"coalesce(c{index}, '') as c{index}" for index in range(width))
        if self._schema.trim:
            texts = ", ".join(f"trim(coalesce(c{index}, ''), ' \t') as c{index}" for index in range(width))
        return (
            f"select {texts} from read_csv({literal(self._lines.path)},"
            f" auto_detect = false, columns = {{{columns}}}, header = false, skip = 0,"
            f" delim = {literal(self._schema.delimiter)}, quote = '\"', escape = '\"', comment = '', nullstr = '',"
            f" strict_mode = true, null_padding = false, ignore_errors = false, parallel = false,"
            f" max_line_size = {limits.MAX_LINE_BYTES}, encoding = 'utf-8', compression = 'none'{new_line})"
        )

    def _refuse_first(self, connection: Any, before: int) -> NoReturn:
        """Refuse the first value that has not its type: of the first row, the first column."""
        width = range(len(self._schema.columns))
        connection.execute(f"create table texts as {self._select_texts()}")
        offending = ", ".join(
            f"min(rowid) filter (where {_present(self._schema, index)} and ({_typed(self._schema, index)}) is null)"
            for index in width
        )
        firsts = connection.execute(f"select {offending} from texts").fetchone()
        row, index = min((row, index) for index, row in enumerate(firsts) if row is not None)
        text = connection.execute(f"select c{index} from texts where rowid = {row}").fetchone()[0]
        self._refuse_value(before + row, index, text)

    def _refuse_value(self, row: int, index: int, text: str) -> NoReturn:
        column = self._schema.columns[index]
        raise FormatError(
            f"{self._path}: line {self._layout.first_line + row}: column {column.name!r}: "
            f"expected {expected_words(self._schema, index)}, got {text[:40]!a}",
            reason="table-label" if is_label(self._schema, index) else "table-type",
        )


def _present(schema: Schema, index: int) -> str:
    if schema.null_token is None or is_label(schema, index):
        return "true"
    return f"c{index} <> {literal(schema.null_token)}"


def _typed(schema: Schema, index: int) -> str:
    """The SQL expression of a column's value: NULL where missing, and where the text has another type."""
    column = schema.columns[index]
    if is_label(schema, index) and schema.target.classes is not None:
        cases = " ".join(f"when {literal(text)} then {number}" for text, number in schema.target.classes.items())
        return f"(case c{index} {cases} end)::BIGINT"
    there = _present(schema, index)
    if column.type == "string":
        return f"case when {there} then c{index} end"
    fits = f"{there} and regexp_full_match(c{index}, {literal(_PATTERNS[column.type])})"
    value = f"try_cast(c{index} as {SQL_TYPES[column.type]})"
    if column.type == "integer":
        return f"case when {fits} and abs({value}) <= {MAX_INTEGER} then {value} end"
    if column.type == "number":
        return f"case when {fits} and isfinite({value}) then {value} + 0.0::DOUBLE end"
    return f"case when {fits} then {value} end"
