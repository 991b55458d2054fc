"""What a Parquet file says about the type of a column, and how much of it DuckDB is told.

Specification: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md and parquet.thrift beside it.

Rules:
- The old way to say a type (``ConvertedType``) and the new one (``LogicalType``) must agree.
- DuckDB and others differ in what they make of a value that its type cannot hold: 300 in eight bits, or 70000 in four
  decimal digits. So DuckDB is told the widest type that the bytes can hold, and values beyond the one in the file are
  refused.
- Decimals in byte arrays of any length are refused: readers differ in how short or long they may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Column, ColumnType
from lamslsa.measure.data.thrift import BINARY, BYTE, FALSE, I32, STRUCT, TRUE, Struct, take
from lamslsa.measure.data.typed import Range

__all__ = ["Element", "read_element"]

_TYPES: Final = ("boolean", "int32", "int64", "int96", "float", "double", "byte array", "fixed byte array")
_INT64: Final = 2
_FIXED: Final = 7
_UTF8: Final = 0
_DECIMAL: Final = 5
_INTEGERS: Final = range(11, 19)
_WIDTHS: Final = (8, 16, 32, 64)
_SIGNED: Final = 15
_MAX_PRECISION: Final = 15
_MAX_DECIMAL_BYTES: Final = 16
# The most decimal digits of which every number fits into the physical type.
_DIGITS: Final[Mapping[str, int]] = {"int32": 9, "int64": 18, "fixed byte array": 18}
_NAMES: Final[Mapping[int, str]] = {_UTF8: "UTF8", _DECIMAL: "DECIMAL", **dict.fromkeys(_INTEGERS, "INTEGER")}
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
            ("fixed byte array", "DECIMAL"),
        }
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A column.

    Attributes:
        fields: what DuckDB is told of it.
        optional: whether it may hold nulls.
        allowed: the values that its type in the file can hold; None if the bytes hold no others.
    """

    fields: Struct
    optional: bool
    allowed: Range | None

    @property
    def physical(self) -> int:
        """The number of the physical type."""
        number: int = self.fields[1][1]
        return number


def read_element(element: Struct, column: Column, new_name: bytes) -> Element:
    """A schema element for a declared column, which DuckDB is to call ``new_name``.

    Raises:
        FormatError: the column is nested, says its type in ways that differ, or has one that does not fit.
    """
    physical, repetition = take(element, 1, I32), take(element, 3, I32)
    if repetition not in (0, 1) or element.get(5, (I32, 0)) != (I32, 0) or not 0 <= physical < len(_TYPES):
        _refuse(f"expected {column.name!a} without nesting, got a group or list", "parquet-columns")
    for key in element.keys() & {2, 6, 7, 8}:
        take(element, key, I32)
    annotation = _annotation(element, column.name)
    if (_TYPES[physical], annotation) not in _PHYSICAL[column.type]:
        _refuse(
            f"expected {column.name!a} to be {column.type}, got {_TYPES[physical]} {annotation}".rstrip(),
            "parquet-type",
            "convert the column, or declare another type",
        )
    fields: Struct = {1: (I32, physical), 3: (I32, repetition), 4: (BINARY, new_name)}
    allowed = None
    if annotation == "UTF8":
        fields[6] = (I32, _UTF8)
    elif annotation == "DECIMAL":
        allowed = _decimal(element, fields, column.name)
    elif annotation == "INTEGER":
        allowed = _whole(element, fields, column.name)
    return Element(fields=fields, optional=repetition == 1, allowed=allowed)


def _annotation(element: Struct, name: str) -> str:
    """``UTF8``, ``INTEGER``, ``DECIMAL`` or nothing."""
    found = {_NAMES.get(take(element, 6, I32), "OTHER")} if 6 in element else set()
    union: Struct = take(element, 10, STRUCT) if 10 in element else {}
    for key in union:
        take(union, key, STRUCT)
        found.add(_LOGICAL.get(key, "OTHER"))
    if len(found) > 1 or len(union) > 1:
        _refuse(f"expected one type of {name!a}, got several", "parquet-type")
    return next(iter(found), "")


def _decimal(element: Struct, fields: Struct, name: str) -> Range:
    scale, precision = take(element, 7, I32), take(element, 8, I32)
    if 10 in element:
        details: Struct = take(take(element, 10, STRUCT), 5, STRUCT)
        if (take(details, 1, I32), take(details, 2, I32)) != (scale, precision):
            _refuse(f"expected one type of {name!a}, got several", "parquet-type")
    physical = fields[1][1]
    most = min(_MAX_PRECISION, _DIGITS[_TYPES[physical]])
    if not 0 <= scale <= precision <= most or precision < 1:
        _refuse(
            f"expected decimals of at most {most} digits in {name!a}, got {precision}",
            "parquet-type",
            "more digits have no exact double",
        )
    if physical == _FIXED:
        fields[2] = (I32, take(element, 2, I32))
        if not 1 <= fields[2][1] <= _MAX_DECIMAL_BYTES:
            _refuse(f"expected decimals of 1 to {_MAX_DECIMAL_BYTES} bytes in {name!a}, got others", "parquet-type")
    # DuckDB goes by the old type, and takes no decimals from the new one alone.
    fields |= {6: (I32, _DECIMAL), 7: (I32, scale), 8: (I32, _DIGITS[_TYPES[physical]])}
    largest = Decimal(10**precision - 1).scaleb(-scale)
    return -largest, largest


def _whole(element: Struct, fields: Struct, name: str) -> Range | None:
    bits, signed = _width(element, name)
    if (fields[1][1] == _INT64) != (bits == 64):
        _refuse(f"expected {name!a} to be as wide as it says, got another width", "parquet-type")
    if bits >= 32:
        if not signed:
            fields[6] = (I32, _INTEGERS[_WIDTHS.index(bits)])
        return None
    low = -(1 << bits - 1) if signed else 0
    return Decimal(low), Decimal(low + (1 << bits) - 1)


def _width(element: Struct, name: str) -> tuple[int, bool]:
    """Bits of a whole number, and whether it has a sign; UINT_8 is 11 and INT_8 is 15 among the old types."""
    found: set[tuple[int, bool]] = set()
    if 6 in element:
        old = take(element, 6, I32)
        found.add((_WIDTHS[(old - _INTEGERS[0]) % len(_WIDTHS)], old >= _SIGNED))
    if 10 in element:
        details: Struct = take(take(element, 10, STRUCT), 10, STRUCT)
        kind, bits = details.get(1, (0, 0))
        truth, signed = details.get(2, (0, False))
        if kind != BYTE or bits not in _WIDTHS or truth not in (TRUE, FALSE):
            _refuse(f"expected a whole number of 8 to 64 bits in {name!a}, got another", "parquet-type")
        found.add((bits, signed))
    if len(found) != 1:
        _refuse(f"expected one type of {name!a}, got several", "parquet-type")
    return found.pop()


def _refuse(message: str, reason: str, hint: str | None = None) -> NoReturn:
    raise FormatError(message, reason=reason, hint=hint)
