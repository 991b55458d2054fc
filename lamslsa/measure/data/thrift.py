"""Thrift's compact protocol, as far as Parquet's metadata needs it: read into plain values, and written again.

Specification: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md

Rules:
- Every value that is read counts against one budget, so that neither a list of 2^31 elements nor a nest of structures
  costs more than the bytes that spell it.
- A structure maps field numbers to (type, value); a field that stands twice is refused.

>>> data = write({1: (I32, 2), 4: (BINARY, b"x")})
>>> Reader(data, Budget(10)).struct()
{1: (5, 2), 4: (8, b'x')}
"""

from __future__ import annotations

import struct as packing
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from lamslsa.errors import FormatError

__all__ = [
    "BINARY",
    "BYTE",
    "FALSE",
    "I32",
    "I64",
    "LIST",
    "STRUCT",
    "TRUE",
    "Budget",
    "Reader",
    "Struct",
    "structs",
    "take",
    "write",
]

Struct = dict[int, tuple[int, Any]]

TRUE: Final = 1
FALSE: Final = 2
BYTE: Final = 3
_I16: Final = 4
I32: Final = 5
I64: Final = 6
_DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
_SET: Final = 10
_MAP: Final = 11
STRUCT: Final = 12
_MAX_DEPTH: Final = 16
_BITS: Final = {_I16: 16, I32: 32, I64: 64}


@dataclass(slots=True)
class Budget:
    """How many more values may be read."""

    values: int

    def spend(self) -> None:
        """Count one value.

        Raises:
            FormatError: there are none left.
        """
        self.values -= 1
        if self.values < 0:
            raise FormatError("expected metadata of fewer values, got more", reason="parquet-metadata-size")


class Reader:
    """Reads values from ``data``, beginning at ``position``.

    Attributes:
        position: of the next byte.
    """

    __slots__ = ("_budget", "_data", "_depth", "position")

    def __init__(self, data: memoryview | bytes, budget: Budget, position: int = 0) -> None:
        self._data = data
        self._budget = budget
        self._depth = 0
        self.position = position

    def struct(self) -> Struct:
        """A structure.

        Raises:
            FormatError: the bytes are none, or nest too deeply, or the budget is spent.
        """
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            _refuse("structures nested less deeply")
        fields: Struct = {}
        number = 0
        while header := self._byte():
            kind, delta = header & 15, header >> 4
            number = number + delta if delta else self._signed(16)
            if number in fields:
                _refuse("each field once")
            if kind in (TRUE, FALSE):
                self._budget.spend()
                fields[number] = (kind, kind == TRUE)
            else:
                fields[number] = (kind, self._value(kind))
        self._depth -= 1
        return fields

    def _value(self, kind: int) -> Any:  # noqa: PLR0911 - one for each type
        self._budget.spend()
        if kind in _BITS:
            return self._signed(_BITS[kind])
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind == BINARY:
            return self._take(self._varint(32))
        if kind == _DOUBLE:
            return packing.unpack("<d", self._take(8))[0]
        if kind in (LIST, _SET):
            return self._list()
        if kind == STRUCT:
            return self.struct()
        if kind == _MAP:
            return self._map()
        return _refuse("a known type of value")

    def _list(self) -> tuple[int, list[Any]]:
        header = self._byte()
        size = self._varint(32) if header >> 4 == 15 else header >> 4
        if size > len(self._data) - self.position:
            _refuse("a list that ends with the bytes")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            _refuse("lists nested less deeply")
        values = [self._value(header & 15) for _ in range(size)]
        self._depth -= 1
        return header & 15, values

    def _map(self) -> list[tuple[Any, Any]]:
        size = self._varint(32)
        if size == 0:
            return []
        kinds = self._byte()
        if size > len(self._data) - self.position:
            _refuse("a map that ends with the bytes")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            _refuse("maps nested less deeply")
        pairs = [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(size)]
        self._depth -= 1
        return pairs

    def _byte(self) -> int:
        if self.position >= len(self._data):
            _refuse("more bytes")
        value = self._data[self.position]
        self.position += 1
        return value

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.position:
            _refuse("more bytes")
        self.position += size
        return bytes(self._data[self.position - size : self.position])

    def _varint(self, bits: int) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                _refuse("shorter integers")
        if value >> bits:
            _refuse(f"integers of at most {bits} bits")
        return value

    def _signed(self, bits: int) -> int:
        value = self._varint(bits)
        return (value >> 1) ^ -(value & 1)


def take(fields: Struct, number: int, kind: int) -> Any:
    """The value of a field, which must be of exactly this type: readers pass over fields of another one.

    Raises:
        FormatError: the field is missing or of another type.
    """
    found, value = fields.get(number, (0, None))
    if found != kind:
        _refuse(f"field {number} with type {kind}")
    return value


def structs(fields: Struct, number: int) -> list[Struct]:
    """The structures in a list.

    Raises:
        FormatError: the field is missing, or no list of structures.
    """
    element, values = take(fields, number, LIST)
    if element != STRUCT and values:
        _refuse("a list of structures")
    found: list[Struct] = values
    return found


def write(fields: Struct) -> bytes:
    """A structure of numbers, truth values, texts, lists and structures in the compact protocol."""
    parts = bytearray()
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        delta = number - last
        parts += bytes([delta << 4 | kind]) if 0 < delta < 16 else bytes([kind]) + _zigzag(number)
        last = number
        if kind not in (TRUE, FALSE):
            parts += _written(kind, value)
    return bytes(parts + b"\0")


def _written(kind: int, value: Any) -> bytes:
    if kind in _BITS:
        return _zigzag(value)
    if kind in (TRUE, FALSE, BYTE):
        return bytes([value])
    if kind == BINARY:
        return _unsigned(len(value)) + bytes(value)
    if kind == LIST:
        element, values = value
        size = len(values)
        header = bytes([size << 4 | element]) if size < 15 else bytes([0xF0 | element]) + _unsigned(size)
        return header + b"".join(_written(element, item) for item in values)
    if kind == STRUCT:
        return write(value)
    raise TypeError(f"no value of type {kind} is written")


def _zigzag(value: int) -> bytes:
    return _unsigned(value << 1 if value >= 0 else (-value << 1) - 1)


def _unsigned(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _refuse(expected: str) -> NoReturn:
    raise FormatError(f"expected {expected} in Parquet metadata, got others", reason="parquet-metadata")
