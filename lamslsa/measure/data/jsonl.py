"""Format ``jsonl`` of tables: one flat JSON object a line, with exactly the declared columns, in any order.

UTF-8 without byte order mark; lines end in LF, the last one perhaps in nothing. Values are what they are spelled:
``1.0`` is no integer, ``"1"`` no number, ``1`` no truth value. Refused: NaN and its like, numbers beyond a double,
integers beyond 2^53, a key that stands twice, half a surrogate pair, objects and lists inside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.schema import ColumnType, Schema
from lamslsa.measure.data.typed import MAX_INTEGER, insert_batches

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["JsonLines"]

_TOO_LONG: Final = 40


class JsonLines:
    """A file of JSON Lines, ready to be read; DuckDB opens nothing of it."""

    paths: tuple[str, ...] = ()

    def __init__(self, file: VerifiedFile, schema: Schema, stack: ExitStack) -> None:
        self._path = file.entry.path
        self._schema = schema
        self._names = [column.name for column in schema.columns]
        self._keys = frozenset(self._names)
        self._fits = [_FITS[column.type] for column in schema.columns]
        self._stream = stack.enter_context(file.open())
        self._number = 0

    def load(self, connection: Any, sql_name: str) -> int:
        """Make the table ``sql_name`` and return its number of rows.

        Raises:
            FormatError: a line breaks one of the rules of this module; the message names it.
        """
        rows = insert_batches(connection, sql_name, self._schema, self._batches(), self._path)
        if rows == 0:
            raise FormatError(f"{self._path}: expected at least one row, got none", reason="jsonl-rows")
        return rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        rows: list[list[Any]] = []
        size = 0
        while line := self._stream.readline(limits.MAX_LINE_BYTES + 1):
            self._number += 1
            rows.append(self._row(line))
            size += len(line)
            if len(rows) == limits.BATCH_ROWS or size > limits.CHUNK_BYTES:
                yield self._batch(rows)
                rows, size = [], 0
        if rows:
            yield self._batch(rows)

    def _batch(self, rows: list[list[Any]]) -> pa.RecordBatch:
        import pyarrow as pa

        types = {"integer": pa.int64(), "number": pa.float64(), "string": pa.large_string(), "boolean": pa.bool_()}
        columns = zip(*rows, strict=True)
        arrays = [
            pa.array(values, type=types[column.type])
            for values, column in zip(columns, self._schema.columns, strict=True)
        ]
        return pa.record_batch(arrays, names=[f"c{index}" for index in range(len(arrays))])

    def _row(self, line: bytes) -> list[Any]:
        found = self._object(line)
        if found.keys() != self._keys:
            self._refuse("expected the declared columns, each once, got others", "jsonl-columns")
        row = []
        for name, fits, column in zip(self._names, self._fits, self._schema.columns, strict=True):
            value = found[name]
            if value is not None and not fits(value):
                got = str(value)[:_TOO_LONG] if isinstance(value, (str, bool, int, float)) else type(value).__name__
                self._refuse(f"column {name!a}: expected {column.type}, got {got!a}", "table-type")
            row.append(value)
        return row

    def _object(self, line: bytes) -> Mapping[str, Any]:
        if len(line) > limits.MAX_LINE_BYTES:
            self._refuse(f"expected at most {limits.MAX_LINE_BYTES} bytes, got more", "jsonl-line-size")
        try:
            found = json.loads(line.decode("utf-8"), object_pairs_hook=self._pairs, parse_constant=self._constant)
        except (ValueError, RecursionError) as err:
            raise FormatError(
                f"{self._path}: line {self._number}: expected a JSON object, got other bytes", reason="jsonl-syntax"
            ) from err
        if not isinstance(found, dict):
            self._refuse("expected a JSON object, got another value", "jsonl-syntax")
        return found

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self._refuse("expected each key once, got one twice", "jsonl-columns")
        return found

    def _constant(self, text: str) -> NoReturn:
        self._refuse(f"expected a finite number, got {text}", "table-type")

    def _refuse(self, message: str, reason: str) -> NoReturn:
        raise FormatError(f"{self._path}: line {self._number}: {message}", reason=reason)


def _is_integer(value: object) -> bool:
    return type(value) is int and abs(value) <= MAX_INTEGER


def _is_number(value: object) -> bool:
    return _is_integer(value) or (type(value) is float and math.isfinite(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value))


_FITS: Final[Mapping[ColumnType, Callable[[object], bool]]] = {
    "integer": _is_integer,
    "number": _is_number,
    "string": _is_text,
    "boolean": lambda value: isinstance(value, bool),
}
