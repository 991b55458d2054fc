"""Format ``arrow`` of tables: the Arrow IPC file format and the IPC stream format.

Rules:
- Columns are exactly those declared, in any order. Plain types only: nothing nested, no binary, no extension types,
  whether registered in this process or only named in the metadata.
- The layout is walked first (`lamslsa.measure.data.arrow_blocks`), then pyarrow reads the messages in order; every
  batch is examined in full (offsets, UTF-8, dictionary indices) before a value of it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.arrow_blocks import Blocks, find_blocks
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.data.typed import insert_batches

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Arrow"]

_EXTENSION: Final = b"ARROW:extension:name"
_MAX_PRECISION: Final = 15
_MAX_DECIMAL_BITS: Final = 128


class Arrow:
    """An Arrow file or stream, ready to be read; DuckDB opens nothing of it."""

    paths: tuple[str, ...] = ()

    def __init__(self, file: VerifiedFile, schema: Schema, stack: ExitStack) -> None:
        self._path = file.entry.path
        self._schema = schema
        self._file = file
        self._stream: BinaryIO = stack.enter_context(file.open())
        try:
            self._blocks: Blocks = find_blocks(self._stream, file.entry.size)
        except FormatError as err:
            raise FormatError(f"{self._path}: {err}", reason=err.reason, hint=err.hint) from err

    def load(self, connection: Any, sql_name: str) -> int:
        """Make the table ``sql_name`` and return its number of rows.

        Raises:
            FormatError: the columns are not those declared, or the bytes break the format.
        """
        import pyarrow as pa

        try:
            rows = insert_batches(connection, sql_name, self._schema, self._batches(), self._path)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
            raise FormatError(
                f"{self._path}: expected Arrow batches, got {str(err)[:160]!a}", reason="arrow-syntax"
            ) from err
        if rows == 0:
            raise FormatError(f"{self._path}: expected at least one row, got none", reason="arrow-rows")
        return rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with pa.ipc.open_stream(self._source()) as reader:
            order = self._order(reader.schema)
            self._refuse_footer(reader.schema)
            names = [f"c{index}" for index in range(len(order))]
            read = 0
            for batch in reader:
                read += 1
                batch.validate(full=True)
                if batch.num_rows > limits.MAX_ROWS:
                    raise FormatError(
                        f"{self._path}: expected at most {limits.MAX_ROWS} rows, got more", reason="arrow-rows"
                    )
                yield pa.record_batch([batch.column(at) for at in order], names=names)
        if read != self._blocks.batches:
            raise FormatError(
                f"{self._path}: expected {self._blocks.batches} batches, got {read}", reason="arrow-message"
            )

    def _refuse_footer(self, schema: pa.Schema) -> None:
        """Whoever reads a file by its footer takes the schema from there too."""
        import pyarrow as pa

        if not self._blocks.is_file:
            return
        whole = pa.BufferReader(pa.py_buffer(self._file.view())) if self._file.in_memory else self._file.open()
        with whole, pa.ipc.open_file(whole) as reader:
            if not reader.schema.equals(schema, check_metadata=True):
                raise FormatError(
                    f"{self._path}: expected the schema of the footer to be that of the stream, got another",
                    reason="arrow-footer",
                )

    def _source(self) -> Any:
        """The stream alone: in place where it lies in memory."""
        import pyarrow as pa

        if self._file.in_memory:
            return pa.BufferReader(pa.py_buffer(self._file.view()[self._blocks.start : self._blocks.end]))
        self._stream.seek(self._blocks.start)
        return self._stream

    def _order(self, schema: pa.Schema) -> list[int]:
        import pyarrow as pa

        names = [column.name for column in self._schema.columns]
        if sorted(schema.names) != sorted(names):
            raise FormatError(
                f"{self._path}: expected the declared columns, each once, got others", reason="arrow-columns"
            )
        for column in self._schema.columns:
            field = schema.field(column.name)
            extension = isinstance(field.type, pa.BaseExtensionType) or _EXTENSION in (field.metadata or {})
            if extension or not _fits(field.type, column.type):
                raise FormatError(
                    f"{self._path}: expected {column.name!a} to be {column.type}, got {str(field.type)[:80]!a}",
                    reason="arrow-type",
                    hint="convert the column, or declare another type",
                )
        return [schema.names.index(name) for name in names]


def _fits(found: pa.DataType, wanted: str) -> bool:
    from pyarrow import types

    if wanted == "string":
        if types.is_dictionary(found):
            found = found.value_type
        return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))
    if wanted == "boolean":
        return bool(types.is_boolean(found))
    if wanted == "integer" or types.is_integer(found):
        return bool(types.is_integer(found))
    if types.is_decimal(found):
        return bool(found.bit_width <= _MAX_DECIMAL_BITS and 0 <= found.scale <= found.precision <= _MAX_PRECISION)
    return bool(types.is_float32(found) or types.is_float64(found))
