"""Strict CBOR (RFC 8949) for documents of tags, maps and byte strings: one value has one spelling.

Refused: indefinite lengths, lengths and integers that are not in their shortest form, floats, undefined and other
simple values, map keys that are neither integer nor text, the same key twice, and bytes after the value. Tags are kept
as they stand, so nothing is turned into a date, a pattern or a reference on the way in.

>>> loads(bytes.fromhex("a10081d9022843616263"), what="an example")
{0: [Tagged(tag=552, value=b'abc')]}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lamslsa.errors import FormatError

__all__ = ["MAX_CBOR_BYTES", "Tagged", "dumps", "head", "loads"]

MAX_CBOR_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 24
_SIMPLE: Final = {20: False, 21: True, 22: None}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value and the number of its tag."""

    tag: int
    value: Any


def loads(data: bytes, *, what: str, max_bytes: int = MAX_CBOR_BYTES) -> Any:
    """Parse untrusted CBOR bytes strictly.

    Raises:
        FormatError: the bytes break one of the rules of this module, or there are more than ``max_bytes``.
    """
    if len(data) > max_bytes:
        raise FormatError(f"expected at most {max_bytes} bytes of {what}, got {len(data)}", reason="cbor-size")
    reader = _Reader(data, what)
    value = reader.value(0)
    if reader.at != len(data):
        raise FormatError(f"expected {what} to end after {reader.at} bytes, got {len(data)}", reason="cbor-trailing")
    return value


def dumps(value: Any) -> bytes:
    """A value of our own in its one spelling: None, booleans, integers, bytes, text, lists, maps in their order.

    >>> dumps({"nonce": None, "data": b"x"}).hex()
    'a2656e6f6e6365f664646174614178'
    """
    match value:
        case None | bool():
            data = {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
        case bytes():
            data = head(2, len(value)) + value
        case str():
            text = value.encode("utf-8")
            data = head(3, len(text)) + text
        case int():
            data = head(0, value) if value >= 0 else head(1, -1 - value)
        case list() | tuple():
            data = head(4, len(value)) + b"".join(map(dumps, value))
        case dict():
            data = head(5, len(value)) + b"".join(dumps(key) + dumps(item) for key, item in value.items())
        case _:
            raise TypeError(f"expected a value that CBOR is written of here, got {type(value).__name__}")
    return data


def head(major: int, argument: int) -> bytes:
    """The first bytes of an item, in their shortest form."""
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(size for size in (1, 2, 4, 8) if argument < 1 << 8 * size)
    return bytes([major << 5 | 23 + size.bit_length()]) + argument.to_bytes(size, "big")


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise FormatError(f"expected at most {_MAX_DEPTH} levels in {self._what}, got more", reason="cbor-depth")
        start = self.at
        major, argument = self._head()
        if major < 2:
            return -1 - argument if major else argument
        if major < 4:
            data = self._take(argument)
            return self._text(data) if major == 3 else data
        if major == 4:
            self._need(argument)
            return [self.value(depth + 1) for _ in range(argument)]
        if major == 5:
            self._need(2 * argument)
            return self._map(argument, depth + 1)
        if major == 6:
            return Tagged(argument, self.value(depth + 1))
        if self.at != start + 1 or argument not in _SIMPLE:
            raise self._refuse("a value without fractions", reason="cbor-simple")
        return _SIMPLE[argument]

    def _head(self) -> tuple[int, int]:
        start = self.at
        first = self._take(1)[0]
        major, argument = first >> 5, first & 0x1F
        if 24 <= argument < 28:
            argument = int.from_bytes(self._take(1 << argument - 24), "big")
        elif argument >= 28:
            raise self._refuse("definite lengths", reason="cbor-indefinite")
        if major != 7 and head(major, argument) != self._data[start : self.at]:
            raise self._refuse("the shortest form of every length and integer", reason="cbor-length")
        return major, argument

    def _map(self, count: int, depth: int) -> dict[int | str, Any]:
        result: dict[int | str, Any] = {}
        for _ in range(count):
            key = self.value(depth)
            if type(key) not in (int, str):
                raise self._refuse("integers or texts as keys", reason="cbor-key")
            if key in result:
                raise self._refuse("every key once", reason="cbor-duplicate-key")
            result[key] = self.value(depth)
        return result

    def _text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as err:
            raise self._refuse("texts in UTF-8", reason="cbor-utf8") from err

    def _take(self, size: int) -> bytes:
        self._need(size)
        self.at += size
        return self._data[self.at - size : self.at]

    def _need(self, size: int) -> None:
        """Refuse what cannot be there, before it takes memory: every item has a byte at least."""
        if size > len(self._data) - self.at:
            raise self._refuse("a whole value", reason="cbor-truncated")

    def _refuse(self, expected: str, *, reason: str) -> FormatError:
        return FormatError(f"expected {expected} in {self._what}, got something else at byte {self.at}", reason=reason)
