"""Format ``parquet`` of tables: read by DuckDB, behind a footer of our own (`lamslsa.measure.data.footer`).

A file in memory is queried where it lies: its pages are copied once into a further memory file, with that footer behind
them. A file in the spool is read row group by row group. DuckDB sees no other bytes of either.
"""

# ruff: noqa: S608 - queries hold paths of memory files and positions of columns, never a declared name

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO, Final

from lamslsa.artifact.memory import MemoryFile
from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.database import first_line, literal
from lamslsa.measure.data.footer import MAGIC, Footer, RowGroup, read_footer
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.data.typed import create, refuse_others, typed

__all__ = ["Parquet"]

_BLOCK_BYTES: Final = 1024 * 1024


class Parquet:
    """A Parquet file, ready to be read.

    Attributes:
        paths: the memory file that DuckDB is to open.
    """

    def __init__(self, file: VerifiedFile, schema: Schema, stack: ExitStack) -> None:
        self._path = file.entry.path
        self._schema = schema
        self._stream = stack.enter_context(file.open())
        self._footer = read_footer(self._stream, file.entry.size, schema, self._path)
        self._spooled = not file.in_memory
        self._copy = file.scratch()
        stack.callback(self._copy.close)
        self.paths = (self._copy.path,)

    def load(self, connection: Any, sql_name: str) -> int:
        """Make the table or view ``sql_name`` and return its number of rows.

        Raises:
            FormatError: a value has not the declared type, or DuckDB cannot read the pages.
        """
        import duckdb

        try:
            return self._load(connection, sql_name)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as err:
            raise FormatError(
                f"{self._path}: expected pages of Parquet, got {first_line(err)}", reason="parquet-syntax"
            ) from err

    def _load(self, connection: Any, sql_name: str) -> int:
        relation = f"read_parquet({literal(self._copy.path)})"
        allowed = self._footer.allowed
        if self._spooled:
            create(connection, sql_name, self._schema)
            before = 0
            for group in self._footer.groups:
                self._copy.empty()
                _copy(self._stream, self._copy, self._footer, [group], start=group.start, end=group.end)
                refuse_others(connection, relation, self._schema, self._path, before=before, allowed=allowed)
                connection.execute(f"insert into {sql_name} select {typed(self._schema)} from {relation}")
                before += group.rows
            return self._footer.rows
        _copy(self._stream, self._copy, self._footer, self._footer.groups, start=len(MAGIC), end=self._footer.end)
        self._copy.seal()
        refuse_others(connection, relation, self._schema, self._path, allowed=allowed)
        numbered = f"read_parquet({literal(self._copy.path)}, file_row_number = true)"
        connection.execute(
            f"create view {sql_name} as select {typed(self._schema)}, file_row_number as rowid from {numbered}"
        )
        width = range(len(self._schema.columns))
        # Every page is read once, so that none that cannot be read is found later, when half is counted.
        connection.execute(f"select {', '.join(f'count(c{index})' for index in width)} from {sql_name}").fetchall()
        return self._footer.rows


def _copy(
    stream: BinaryIO,
    copy: MemoryFile,
    footer: Footer,
    groups: Sequence[RowGroup],
    *,
    start: int,
    end: int,
) -> None:
    end_of_copy = footer.written(groups, shift=start - len(MAGIC))
    copy.write(MAGIC)
    stream.seek(start)
    while start < end:
        block = stream.read(min(_BLOCK_BYTES, end - start))
        copy.write(block)
        start += len(block)
    copy.write(end_of_copy)
