"""ZIP files in one spelling: entries stored one after another, sorted by name, and nothing else.

A ZIP file can say different things to different readers: in its local headers and in its directory, before its first
entry and behind its last one. Here a file is read only if writing what was read gives the same bytes again. Any unzip
reads such a file.

Rules: names in printable ASCII without a backslash, each once and in order; no compression, encryption, comments,
extra fields, times or gaps; at most 65,535 entries and 2 GiB. The work is linear in the size of the file.

Spec: PKWARE APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16.

>>> read(write({"b": b"2", "a": b"1"}))
{'a': b'1', 'b': b'2'}
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final, NoReturn

from lamslsa.errors import FormatError

__all__ = ["first_name", "read", "write"]

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_CENTRAL_MAGIC: Final = b"PK\x01\x02"
_END_MAGIC: Final = b"PK\x05\x06"
_VERSION: Final = 20
_UNIX: Final = 3 << 8
_FIRST_DAY: Final = 0x21  # 1980-01-01
_MODE: Final = 0o100644 << 16
_MAX_BYTES: Final = 2**31
_MAX_ENTRIES: Final = 2**16 - 1
_MAX_NAME: Final = 1024


def write(entries: Mapping[str, bytes]) -> bytes:
    """The ZIP file with these entries, from name to content.

    Raises:
        FormatError: a name, a count or a size that it does not take.
    """
    total = sum(len(name) * 2 + len(data) + _LOCAL.size + _CENTRAL.size for name, data in entries.items())
    if len(entries) > _MAX_ENTRIES or total + _END.size > _MAX_BYTES:
        _refuse("fewer or smaller files")
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, data in sorted(entries.items()):
        encoded = _encoded(name)
        crc, size = zlib.crc32(data), len(data)
        common = (0, 0, 0, _FIRST_DAY, crc, size, size, len(encoded), 0)
        parts += (_LOCAL.pack(_LOCAL_MAGIC, _VERSION, *common), encoded, data)
        directory += (
            _CENTRAL.pack(_CENTRAL_MAGIC, _UNIX | _VERSION, _VERSION, *common, 0, 0, 0, _MODE, offset),
            encoded,
        )
        offset += _LOCAL.size + len(encoded) + size
    length = sum(map(len, directory))
    end = _END.pack(_END_MAGIC, 0, 0, len(entries), len(entries), length, offset, 0)
    return b"".join((*parts, *directory, end))


def first_name(data: bytes) -> str | None:
    """The name of the first entry; None where the file does not begin with one."""
    if len(data) < _LOCAL.size or not data.startswith(_LOCAL_MAGIC):
        return None
    length = _LOCAL.unpack_from(data)[9]
    return data[_LOCAL.size : _LOCAL.size + length].decode("ascii", "replace")


def read(data: bytes) -> dict[str, bytes]:
    """The entries of a ZIP file, from name to content, in the order of their names.

    Raises:
        FormatError: not a ZIP file in the one spelling.
    """
    entries: dict[str, bytes] = {}
    offset = 0
    while data.startswith(_LOCAL_MAGIC, offset):
        if len(data) < offset + _LOCAL.size or len(entries) == _MAX_ENTRIES:
            _refuse("a ZIP file")
        fields = _LOCAL.unpack_from(data, offset)
        size, length = fields[7], fields[9]
        start = offset + _LOCAL.size + length
        name = data[offset + _LOCAL.size : start].decode("latin-1")
        if name in entries:
            _refuse("each file once")
        entries[name] = data[start : start + size]
        offset = start + size
    if write(entries) != data:
        _refuse("a ZIP file that lamslsa wrote, to the byte")
    return entries


def _encoded(name: str) -> bytes:
    if not (0 < len(name) <= _MAX_NAME and name.isascii() and name.isprintable()) or "\\" in name:
        _refuse("names in printable ASCII")
    return name.encode("ascii")


def _refuse(expected: str) -> NoReturn:
    raise FormatError(f"expected {expected}, got another or a damaged one", reason="zip-spelling")
