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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.schema import ColumnType, Schema
from lamslsa.measure.data.thrift import (
    BINARY,
    BYTE,
    FALSE,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    Budget,
    Reader,
    Struct,
    write,
)

__all__ = ["MAGIC", "Footer", "RowGroup", "read_footer"]

MAGIC: Final = b"PAR1"
_TYPES: Final = ("boolean", "int32", "int64", "int96", "float", "double", "byte array", "fixed byte array")
_UTF8: Final = 0
_DECIMAL: Final = 5
_INTEGERS: Final = range(11, 19)
_WIDTHS: Final = (8, 16, 32, 64)
_MAX_PRECISION: Final = 15
_NAMES: Final[Mapping[int, str]] = {0: "UTF8", 5: "DECIMAL", **dict.fromkeys(_INTEGERS, "INTEGER")}
_LOGICAL: Final[Mapping[int, str]] = {1: "UTF8", 5: "DECIMAL", 10: "INTEGER"}
_PHYSICAL: Final[Mapping[ColumnType, frozenset[tuple[str, str]]]] = {
    "boolean": frozenset({("boolean", "")}),
    "string": frozenset({("byte array", "UTF8")}),
    "integer": frozenset({(width, kind) for width in ("int32", "int64") for kind in ("", "INTEGER")}),
    "number": frozenset(
        {
            ("float", ""),
            ("double", ""),
            *((width, kind) for width in ("int32", "int64") for kind in ("", "INTEGER", "DECIMAL")),
            ("byte array", "DECIMAL"),
            ("fixed byte array", "DECIMAL"),
        }
    ),
}
_HEADER_BYTES: Final = 64 * 1024
_DATA_PAGE: Final = 0
_DICTIONARY_PAGE: Final = 2
_DATA_PAGE_2: Final = 3


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
    elements: tuple[Struct, ...]
    groups: tuple[RowGroup, ...]

    def written(self, groups: Sequence[RowGroup], *, shift: int) -> bytes:
        """The end of a file that holds these row groups, each ``shift`` bytes further to the front."""
        rows = sum(group.rows for group in groups)
        root: Struct = {4: (BINARY, b"rows"), 5: (I32, len(self.elements))}
        fields: Struct = {
            1: (I32, 2),
            2: (LIST, (STRUCT, [root, *self.elements])),
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
        elements, order = self._elements(_structs(fields, 2))
        found = _structs(fields, 4)
        rows = _number(fields, 3)
        if rows != sum(_number(group, 3) for group in found) or not 0 < rows <= limits.MAX_ROWS:
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

    def _elements(self, elements: Sequence[Struct]) -> tuple[list[Struct], list[int]]:
        """The schema elements in declared order, and the position that each has in the file."""
        names = [column.name for column in self._schema.columns]
        if len(elements) != len(names) + 1 or _number(elements[0], 5) != len(names):
            _refuse(f"expected {len(names)} columns without nesting, got others", "parquet-columns")
        found = [_take(element, 4, BINARY) for element in elements[1:]]
        order: list[int] = []
        for name in names:
            if found.count(name.encode()) != 1:
                _refuse(f"expected the column {name!a} once, got others", "parquet-columns")
            order.append(found.index(name.encode()))
        kept = [_element(elements[1 + at], index, self._schema) for index, at in enumerate(order)]
        return kept, order

    def _group(self, group: Struct, order: Sequence[int], elements: Sequence[Struct], end: int) -> RowGroup:
        rows = _number(group, 3)
        chunks = _structs(group, 1)
        if len(chunks) != len(order) or rows < 1:
            _refuse(f"expected row groups of {len(order)} column chunks, got {len(chunks)}", "parquet-columns")
        kept = tuple(
            self._chunk(chunks[at], index, elements[index], rows=rows, end=end) for index, at in enumerate(order)
        )
        spans = [_span(chunk) for chunk in kept]
        return RowGroup(
            rows=rows, start=min(span[0] for span in spans), end=max(span[1] for span in spans), fields=kept
        )

    def _chunk(self, chunk: Struct, index: int, element: Struct, *, rows: int, end: int) -> Struct:
        if 1 in chunk:
            _refuse("expected column chunks within the file, got one in another file", "parquet-external")
        if 8 in chunk or 9 in chunk:
            _refuse("expected plain column chunks, got an encrypted one", "parquet-encrypted")
        fields: Struct = _take(chunk, 3, STRUCT)
        path = _take(fields, 3, LIST)
        name = self._schema.columns[index].name.encode()
        if path != (BINARY, [name]) or _number(fields, 1) != element[1][1] or _number(fields, 5) != rows:
            _refuse("expected column chunks as the schema and the row group say, got others", "parquet-columns")
        element_kind, encodings = _take(fields, 2, LIST)
        if element_kind != I32 and encodings:
            _refuse("expected encodings by their numbers, got others", "parquet-metadata")
        kept: Struct = {key: (I32, _take(fields, key, I32)) for key in (1, 4)}
        kept |= {key: (I64, _number(fields, key)) for key in (5, 6, 7, 9)}
        kept |= {2: (LIST, (I32, encodings)), 3: (LIST, (BINARY, [b"c%d" % index]))}
        if 11 in fields and _number(fields, 11) > 0:
            kept[11] = (I64, _number(fields, 11))
        start, stop = _span(kept)
        if not 4 <= start <= kept[9][1] < stop <= end:
            _refuse("expected column chunks between the magic bytes and the footer, got others", "parquet-columns")
        self._walk(kept, rows=rows)
        return kept

    def _walk(self, chunk: Struct, *, rows: int) -> None:
        position, stop = _span(chunk)
        values = unpacked = 0
        first = True
        while position < stop:
            window = self._read(position, min(_HEADER_BYTES, stop - position))
            reader = Reader(window, self._pages)
            page = reader.struct()
            unpacked_size, size = _number(page, 2), _number(page, 3)
            if not 0 <= unpacked_size <= limits.MAX_PAGE_BYTES:
                _refuse(
                    f"expected pages of at most {limits.MAX_PAGE_BYTES} bytes, got {unpacked_size}", "parquet-page-size"
                )
            unpacked += unpacked_size
            kind = _number(page, 1)
            if kind == _DICTIONARY_PAGE and first and 11 in chunk:
                if not 0 <= _number(_take(page, 7, STRUCT), 1) <= limits.MAX_PAGE_BYTES:
                    _refuse("expected a dictionary of values that it can hold, got others", "parquet-page")
            elif kind in (_DATA_PAGE, _DATA_PAGE_2) and (position >= chunk[9][1]):
                if first and 11 not in chunk and position != chunk[9][1]:
                    _refuse("expected data pages where the footer says, got others", "parquet-page")
                values += _count(_take(page, 5 if kind == _DATA_PAGE else 8, STRUCT), rows)
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


def _count(header: Struct, rows: int) -> int:
    values = _number(header, 1)
    if not 0 <= values <= rows:
        _refuse(f"expected pages of at most {rows} values, got {values}", "parquet-page")
    return values


def _span(chunk: Struct) -> tuple[int, int]:
    start = chunk[11][1] if 11 in chunk else chunk[9][1]
    return start, start + chunk[7][1]


def _element(element: Struct, index: int, schema: Schema) -> Struct:
    column = schema.columns[index]
    physical = _number(element, 1)
    repetition = _number(element, 3)
    if repetition not in (0, 1) or element.get(5, (I32, 0)) != (I32, 0) or not 0 <= physical < len(_TYPES):
        _refuse(f"expected {column.name!a} without nesting, got a group or list", "parquet-columns")
    annotation = _annotation(element, column.name)
    if (_TYPES[physical], annotation) not in _PHYSICAL[column.type]:
        _refuse(
            f"expected {column.name!a} to be {column.type}, got {_TYPES[physical]} {annotation}".rstrip(),
            "parquet-type",
            "convert the column, or declare another type",
        )
    kept: Struct = {1: (I32, physical), 3: (I32, repetition), 4: (BINARY, b"c%d" % index)}
    for key in (2, 6, 7, 8):
        if key in element:
            kept[key] = (I32, _take(element, key, I32))
    # DuckDB goes by the old type, and takes no decimals and no unsigned numbers from the new one alone.
    if annotation == "UTF8":
        kept[6] = (I32, _UTF8)
    if annotation == "DECIMAL":
        kept[6] = (I32, _DECIMAL)
        kept[10] = (STRUCT, {5: (STRUCT, {1: kept[7], 2: kept[8]})})
    if annotation == "INTEGER" and 10 in element:
        details = _integer(element, column.name)
        kept[6] = (I32, _old_integer(details))
        kept[10] = (STRUCT, {10: (STRUCT, details)})
    return kept


def _annotation(element: Struct, name: str) -> str:
    """``UTF8``, ``INTEGER``, ``DECIMAL`` or nothing; the old and the new way to say it must agree."""
    found: set[str] = set()
    if 6 in element:
        found.add(_NAMES.get(_number(element, 6), "OTHER"))
    union: Struct = _take(element, 10, STRUCT) if 10 in element else {}
    for key in union:
        found.add(_LOGICAL.get(key, "OTHER"))
    if len(found) > 1 or len(union) > 1:
        _refuse(f"expected one type of {name!a}, got several", "parquet-type")
    annotation = next(iter(found), "")
    if annotation == "INTEGER" and 10 in union:
        details = _integer(element, name)
        if 6 in element and _number(element, 6) != _old_integer(details):
            _refuse(f"expected one type of {name!a}, got several", "parquet-type")
    if annotation == "DECIMAL":
        precision, scale = _number(element, 8), _number(element, 7)
        details = _take(union, 5, STRUCT) if 5 in union else {1: (I32, scale), 2: (I32, precision)}
        if (_number(details, 2), _number(details, 1)) != (precision, scale):
            _refuse(f"expected one type of {name!a}, got several", "parquet-type")
        if not 0 <= scale <= precision <= _MAX_PRECISION:
            _refuse(
                f"expected decimals of at most {_MAX_PRECISION} digits in {name!a}, got {precision}",
                "parquet-type",
                "more digits have no exact double",
            )
    return annotation


def _integer(element: Struct, name: str) -> Struct:
    """Width and sign of a whole number, as its logical type says them."""
    details: Struct = _take(_take(element, 10, STRUCT), 10, STRUCT)
    kind, width = details.get(1, (0, 0))
    signed = details.get(2, (0, False))
    if kind != BYTE or width not in _WIDTHS or signed[0] not in (TRUE, FALSE):
        _refuse(f"expected a whole number of 8 to 64 bits in {name!a}, got another", "parquet-type")
    return {1: (BYTE, width), 2: signed}


def _old_integer(details: Struct) -> int:
    """The same as a converted type: UINT_8 is 11, INT_8 is 15."""
    return (15 if details[2][1] else 11) + _WIDTHS.index(details[1][1])


def _structs(fields: Struct, number: int) -> list[Struct]:
    element, values = _take(fields, number, LIST)
    if element != STRUCT and values:
        _refuse("expected a list of structures, got others", "parquet-metadata")
    found: list[Struct] = values
    return found


def _number(fields: Struct, number: int) -> int:
    kind, value = fields.get(number, (0, None))
    if kind not in (I32, I64) or not isinstance(value, int):
        _refuse("expected a number that Parquet requires, got none", "parquet-metadata")
    return value


def _take(fields: Struct, number: int, kind: int) -> Any:
    found, value = fields.get(number, (0, None))
    if found != kind:
        _refuse("expected a field that Parquet requires, got none", "parquet-metadata")
    return value


def _refuse(message: str, reason: str, hint: str | None = None) -> NoReturn:
    raise FormatError(message, reason=reason, hint=hint)
