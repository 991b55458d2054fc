"""The few DER encodings (ITU-T X.690) that this package writes itself; it reads DER through libraries only.

>>> sequence(integer(1), octets(b"a")).hex()
'3006020101040161'
"""

from __future__ import annotations

from typing import Final

__all__ = ["element", "integer", "object_identifier", "octets", "sequence"]

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_OID: Final = 0x06
_SEQUENCE: Final = 0x30


def element(tag: int, body: bytes) -> bytes:
    """One element with the short or the minimal long form of its length."""
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return element(_OCTETS, value)


def sequence(*items: bytes) -> bytes:
    """SEQUENCE of encoded items."""
    return element(_SEQUENCE, b"".join(items))


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *others = map(int, dotted.split("."))
    body = bytearray((first * 40 + second,))
    for arc in others:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        body += bytes(reversed(groups))
    return element(_OID, bytes(body))
