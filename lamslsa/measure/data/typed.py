"""Columns of a physical type to columns of the declared type, for the formats that have types of their own.

Rules:
- integer: a whole number within ±2^53. number: finite; a whole number within ±2^53, where doubles are exact; minus zero
  is zero. string, boolean: as they are. A null is missing, and so is a text that equals the null token.
- The label is never missing: a text that is mapped becomes its class, a number stays one; anything else is refused.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.data.database import first_line, literal
from lamslsa.measure.data.schema import ColumnType, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MAX_INTEGER",
    "SQL_TYPES",
    "Range",
    "Ranges",
    "create",
    "expected_words",
    "insert_batches",
    "is_label",
    "refuse_others",
    "typed",
]

Range = tuple[Decimal, Decimal]
"""The least and the largest of some numbers."""
Ranges = Mapping[int, Range]
"""Of the columns at some positions."""

MAX_INTEGER: Final = 2**53
SQL_TYPES: Final[dict[ColumnType, str]] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
}
_WHOLE: Final = frozenset({f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG")}) | {
    "INTEGER",
    "UINTEGER",
}


def is_label(schema: Schema, index: int) -> bool:
    """Whether the column at ``index`` is the label."""
    return schema.label is not None and schema.columns[index].name == schema.label.column


def typed(schema: Schema) -> str:
    """The columns of a query that turns ``c0`` and so on, of a physical type, into those of the declared type."""
    return ", ".join(f"{_value(schema, index)} as c{index}" for index in range(len(schema.columns)))


def create(connection: Any, sql_name: str, schema: Schema) -> None:
    """An empty table of the declared types."""
    columns = ", ".join(f"c{index} {_sql_type(schema, index)}" for index in range(len(schema.columns)))
    connection.execute(f"create table {sql_name} ({columns})")


def refuse_others(
    connection: Any,
    relation: str,
    schema: Schema,
    path: str,
    *,
    before: int = 0,
    allowed: Ranges = MappingProxyType({}),
) -> None:
    """Return if every value of ``relation`` has the declared type.

    ``relation`` is a table, a view or a table function with columns ``c0`` and so on; ``path`` stands in messages, and
    ``before`` rows of the file come before those of ``relation``. Values outside ``allowed`` are refused too.

    Raises:
        FormatError: a value has another type; the first row that has one is named.
    """
    kinds = [row[1] for row in connection.execute(f"describe select * from {relation}").fetchall()]
    wrong = {index: _wrong(schema, index, kinds[index]) for index in range(len(kinds))}
    for index, (least, largest) in allowed.items():
        outside = f"c{index} < {least:f} or c{index} > {largest:f}"
        wrong[index] = f"({wrong[index]}) or {outside}" if wrong[index] else outside
    rules = {index: rule for index, rule in wrong.items() if rule}
    if not rules:
        return
    counts = ", ".join(f"count(*) filter (where {rule})" for rule in rules.values())
    found = connection.execute(f"select {counts} from {relation}").fetchone()
    rules = {index: rule for (index, rule), count in zip(rules.items(), found, strict=True) if count}
    if not rules:
        return
    numbered = f"(select row_number() over () as n, {', '.join(f'c{index}' for index in rules)} from {relation})"
    firsts = ", ".join(f"min(n) filter (where {rule})" for rule in rules.values())
    rows = connection.execute(f"select {firsts} from {numbered}").fetchone()
    row, index = min(zip(rows, rules, strict=True))
    value = connection.execute(f"select c{index}::VARCHAR from {numbered} where n = {row}").fetchone()[0]
    got = "null" if value is None else ascii(value[:40])
    raise FormatError(
        f"{path}: row {before + row}: column {schema.columns[index].name!a}: "
        f"expected {expected_words(schema, index)}, got {got}",
        reason="table-label" if is_label(schema, index) else "table-type",
    )


def expected_words(schema: Schema, index: int) -> str:
    """What a column holds, for messages: its type, and of the label that it is one."""
    if not is_label(schema, index):
        return schema.columns[index].type
    if schema.target.classes is not None:
        return "a declared label"
    return (
        "a label that is an integer" if schema.columns[index].type == "integer" else "a label that is a finite number"
    )


def insert_batches(connection: Any, sql_name: str, schema: Schema, batches: Iterable[pa.RecordBatch], path: str) -> int:
    """Make the table ``sql_name`` of Arrow batches with columns ``c0`` and so on, and return its number of rows.

    Raises:
        FormatError: a value has not the declared type, or is of an Arrow type that DuckDB does not know.
    """
    import duckdb
    import pyarrow as pa

    create(connection, sql_name, schema)
    relation = f"{sql_name}_batch"
    rows = 0
    for batch in batches:
        try:
            connection.register(relation, pa.Table.from_batches([batch]))
            refuse_others(connection, relation, schema, path, before=rows)
            connection.execute(f"insert into {sql_name} select {typed(schema)} from {relation}")
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as err:
            raise FormatError(
                f"{path}: expected values that DuckDB takes, got {first_line(err)}", reason="table-type"
            ) from err
        connection.unregister(relation)
        rows += batch.num_rows
    return rows


def _sql_type(schema: Schema, index: int) -> str:
    if is_label(schema, index) and schema.target.classes is not None:
        return "BIGINT"
    return SQL_TYPES[schema.columns[index].type]


def _value(schema: Schema, index: int) -> str:
    kind = schema.columns[index].type
    if is_label(schema, index) and schema.target.classes is not None:
        cases = " ".join(f"when {literal(text)} then {number}" for text, number in schema.target.classes.items())
        return f"(case c{index} {cases} end)::BIGINT"
    if kind == "number":
        return f"c{index}::DOUBLE + 0.0::DOUBLE"
    if kind == "string" and schema.null_token is not None:
        return f"nullif(c{index}, {literal(schema.null_token)})"
    return f"c{index}::{SQL_TYPES[kind]}"


def _wrong(schema: Schema, index: int, kind: str) -> str:
    """The condition under which a value is refused; empty if none is."""
    label = is_label(schema, index)
    if label and schema.target.classes is not None:
        return f"c{index} is null or {_value(schema, index)} is null"
    missing = f"c{index} is null or " if label else ""
    if schema.columns[index].type in ("integer", "number") and kind in _WHOLE:
        if kind in ("BIGINT", "UBIGINT"):
            return f"{missing}c{index} > {MAX_INTEGER} or c{index}::HUGEINT < {-MAX_INTEGER}"
        return f"c{index} is null" if label else ""
    if kind in ("FLOAT", "DOUBLE"):
        return f"{missing}not isfinite(c{index})"
    return f"c{index} is null" if label else ""
