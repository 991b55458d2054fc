"""The metadata of a Parquet file, read strictly and written anew with nothing in it but where the values lie.

Specification: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift

Rules:
- A footer also says what the values are like: statistics, indexes, Bloom filters, sorting. Readers believe it, answer
  from it or skip rows by it, so whoever writes a file could have it counted wrongly. None of it is kept.
- The columns are those declared, each once, without nesting, of a physical and logical type that fits.
- Every page header is read: pages fill their column chunk exactly, hold as many values as the row group has rows, stay
  below the limits of size, and no two chunks share bytes.
- Encrypted files, and chunks that lie in other files, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.parquet_types import Element, read_element
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.data.thrift import BINARY, I32, I64, LIST, STRUCT, Budget, Reader, Struct, structs, take, write
from lamslsa.measure.data.typed import Ranges

__all__ = ["MAGIC", "Footer", "RowGroup", "read_footer"]

MAGIC: Final = b"PAR1"
_HEADER_BYTES: Final = 64 * 1024
_DATA_PAGE: Final = 0
_DICTIONARY_PAGE: Final = 2
_DATA_PAGE_2: Final = 3
_RLE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows that lie together.

    Attributes:
        start: offset of the first byte of its pages, as ``end`` is of what follows the last.
        fields: its metadata, with the columns in declared order.
    """

    rows: int
    start: int
    end: int
    fields: tuple[Struct, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What is kept of a footer: the columns are called ``c0`` and so on, in declared order.

    Attributes:
        end: offset of the footer that was read, where the pages end.
    """

    rows: int
    end: int
    elements: tuple[Element, ...]
    groups: tuple[RowGroup, ...]

    @property
    def allowed(self) -> Ranges:
        """The values that the types in the file can hold, for the columns where DuckDB is told of wider types."""
        return {index: element.allowed for index, element in enumerate(self.elements) if element.allowed is not None}

    def written(self, groups: Sequence[RowGroup], *, shift: int) -> bytes:
        """The end of a file that holds these row groups, each ``shift`` bytes further to the front."""
        rows = sum(group.rows for group in groups)
        root: Struct = {4: (BINARY, b"rows"), 5: (I32, len(self.elements))}
        fields: Struct = {
            1: (I32, 2),
            2: (LIST, (STRUCT, [root, *(element.fields for element in self.elements)])),
            3: (I64, rows),
            4: (LIST, (STRUCT, [_moved(group, shift) for group in groups])),
        }
        data = write(fields)
        return data + len(data).to_bytes(4, "little") + MAGIC


def _moved(group: RowGroup, shift: int) -> Struct:
    chunks: list[Struct] = []
    size = 0
    for fields in group.fields:
        moved = {
            key: (kind, value - shift) if key in (9, 11) else (kind, value) for key, (kind, value) in fields.items()
        }
        size += fields[6][1]
        chunks.append({2: (I64, 0), 3: (STRUCT, moved)})
    return {1: (LIST, (STRUCT, chunks)), 2: (I64, size), 3: (I64, group.rows)}


def read_footer(stream: BinaryIO, size: int, schema: Schema, path: str) -> Footer:
    """Read and refuse; ``stream`` is the whole file, of ``size`` bytes, and ``path`` stands in messages.

    Raises:
        FormatError: the file is not the Parquet that the schema declares, or exceeds a limit.
    """
    try:
        return _Parquet(stream, size, schema).footer()
    except FormatError as err:
        raise FormatError(f"{path}: {err}", reason=err.reason, hint=err.hint) from err


class _Parquet:
    def __init__(self, stream: BinaryIO, size: int, schema: Schema) -> None:
        self._stream = stream
        self._size = size
        self._schema = schema
        self._pages = Budget(limits.MAX_PAGE_VALUES)
        self._unpacked = 0

    def footer(self) -> Footer:
        fields, end = self._metadata()
        for number, what in ((8, "an encrypted one"), (9, "a signed one")):
            if number in fields:
                _refuse(f"expected a plain footer, got {what}", "parquet-encrypted")
        elements, order = self._elements(structs(fields, 2))
        found = structs(fields, 4)
        rows = take(fields, 3, I64)
        if rows != sum(take(group, 3, I64) for group in found) or not 0 < rows <= limits.MAX_ROWS:
            _refuse(f"expected 1 to {limits.MAX_ROWS} rows, all in row groups, got {rows}", "parquet-rows")
        groups = tuple(self._group(group, order, elements, end) for group in found)
        chunks = sorted(_span(chunk) for group in groups for chunk in group.fields)
        if any(before[1] > after[0] for before, after in pairwise(chunks)):
            _refuse("expected column chunks apart from each other, got some that share bytes", "parquet-overlap")
        return Footer(rows=rows, end=end, elements=tuple(elements), groups=groups)

    def _metadata(self) -> tuple[Struct, int]:
        if self._size < 12 or self._read(0, 4) != MAGIC or self._read(self._size - 4, 4) != MAGIC:
            _refuse("expected a Parquet file, got other bytes", "parquet-magic")
        length = int.from_bytes(self._read(self._size - 8, 4), "little")
        if length > min(limits.MAX_FOOTER_BYTES, self._size - 12):
            _refuse(
                f"expected a footer of at most {limits.MAX_FOOTER_BYTES} bytes within the file, got {length}",
                "parquet-metadata-size",
            )
        end = self._size - 8 - length
        reader = Reader(self._read(end, length), Budget(limits.MAX_FOOTER_VALUES))
        fields = reader.struct()
        if reader.position != length:
            _refuse("expected a footer as long as it says, got more", "parquet-metadata")
        return fields, end

    def _read(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(size)

    def _elements(self, elements: Sequence[Struct]) -> tuple[list[Element], list[int]]:
        """The schema elements in declared order, and the position that each has in the file."""
        columns = self._schema.columns
        names = [column.name for column in columns]
        if len(elements) != len(names) + 1 or take(elements[0], 5, I32) != len(names):
            _refuse(f"expected {len(names)} columns without nesting, got others", "parquet-columns")
        found = [take(element, 4, BINARY) for element in elements[1:]]
        order: list[int] = []
        for name in names:
            if found.count(name.encode()) != 1:
                _refuse(f"expected the column {name!a} once, got others", "parquet-columns")
            order.append(found.index(name.encode()))
        kept = [read_element(elements[1 + at], columns[index], b"c%d" % index) for index, at in enumerate(order)]
        return kept, order

    def _group(self, group: Struct, order: Sequence[int], elements: Sequence[Element], end: int) -> RowGroup:
        rows = take(group, 3, I64)
        chunks = structs(group, 1)
        if len(chunks) != len(order) or rows < 1:
            _refuse(f"expected row groups of {len(order)} column chunks, got {len(chunks)}", "parquet-columns")
        kept = tuple(
            self._chunk(chunks[at], index, elements[index], rows=rows, end=end) for index, at in enumerate(order)
        )
        spans = [_span(chunk) for chunk in kept]
        return RowGroup(
            rows=rows, start=min(span[0] for span in spans), end=max(span[1] for span in spans), fields=kept
        )

    def _chunk(self, chunk: Struct, index: int, element: Element, *, rows: int, end: int) -> Struct:
        if 1 in chunk:
            _refuse("expected column chunks within the file, got one in another file", "parquet-external")
        if 8 in chunk or 9 in chunk:
            _refuse("expected plain column chunks, got an encrypted one", "parquet-encrypted")
        fields: Struct = take(chunk, 3, STRUCT)
        path = take(fields, 3, LIST)
        name = self._schema.columns[index].name.encode()
        if path != (BINARY, [name]) or take(fields, 1, I32) != element.physical or take(fields, 5, I64) != rows:
            _refuse("expected column chunks as the schema and the row group say, got others", "parquet-columns")
        element_kind, encodings = take(fields, 2, LIST)
        if element_kind != I32 and encodings:
            _refuse("expected encodings by their numbers, got others", "parquet-metadata")
        kept: Struct = {key: (I32, take(fields, key, I32)) for key in (1, 4)}
        kept |= {key: (I64, take(fields, key, I64)) for key in (5, 6, 7, 9)}
        kept |= {2: (LIST, (I32, encodings)), 3: (LIST, (BINARY, [b"c%d" % index]))}
        if 11 in fields and take(fields, 11, I64) > 0:
            kept[11] = (I64, take(fields, 11, I64))
        start, stop = _span(kept)
        if not 4 <= start <= kept[9][1] < stop <= end:
            _refuse("expected column chunks between the magic bytes and the footer, got others", "parquet-columns")
        self._walk(kept, rows=rows, optional=element.optional)
        return kept

    def _walk(self, chunk: Struct, *, rows: int, optional: bool) -> None:
        position, stop = _span(chunk)
        values = unpacked = 0
        first = True
        while position < stop:
            window = self._read(position, min(_HEADER_BYTES, stop - position))
            reader = Reader(window, self._pages)
            page = reader.struct()
            unpacked_size, size = take(page, 2, I32), take(page, 3, I32)
            if not 0 <= unpacked_size <= limits.MAX_PAGE_BYTES:
                _refuse(
                    f"expected pages of at most {limits.MAX_PAGE_BYTES} bytes, got {unpacked_size}", "parquet-page-size"
                )
            unpacked += unpacked_size
            kind = take(page, 1, I32)
            if kind == _DICTIONARY_PAGE and first and 11 in chunk:
                if not 0 <= take(take(page, 7, STRUCT), 1, I32) <= limits.MAX_PAGE_BYTES:
                    _refuse("expected a dictionary of values that it can hold, got others", "parquet-page")
            elif kind in (_DATA_PAGE, _DATA_PAGE_2):
                if values == 0 and position != chunk[9][1]:
                    _refuse("expected the first data page where the footer says, got it elsewhere", "parquet-page")
                values += _count(page, kind, rows, optional=optional)
            else:
                _refuse(f"expected dictionary and data pages, got one of type {kind}", "parquet-page")
            if size < 0:
                _refuse("expected pages of some size, got a negative one", "parquet-page")
            position += reader.position + size
            first = False
        self._unpacked += unpacked
        if position != stop or values != rows:
            _refuse(f"expected pages of {rows} values that fill their chunk, got {values}", "parquet-page")
        if self._unpacked > limits.MAX_UNCOMPRESSED_BYTES:
            _refuse(
                f"expected at most {limits.MAX_UNCOMPRESSED_BYTES} bytes when unpacked, got more",
                "parquet-unpacked-size",
            )


def _count(page: Struct, kind: int, rows: int, *, optional: bool) -> int:
    """How many values a data page has, which must be some: other readers end at a page without."""
    header: Struct = take(page, 5 if kind == _DATA_PAGE else 8, STRUCT)
    values: int = take(header, 1, I32)
    if not 1 <= values <= rows:
        _refuse(f"expected pages of 1 to {rows} values, got {values}", "parquet-page")
    if kind == _DATA_PAGE and optional and take(header, 3, I32) != _RLE:
        _refuse("expected nulls to be told in runs, got another encoding", "parquet-page", "DuckDB reads no other")
    return values


def _span(chunk: Struct) -> tuple[int, int]:
    start = chunk[11][1] if 11 in chunk else chunk[9][1]
    return start, start + chunk[7][1]


def _refuse(message: str, reason: str, hint: str | None = None) -> NoReturn:
    raise FormatError(message, reason=reason, hint=hint)
