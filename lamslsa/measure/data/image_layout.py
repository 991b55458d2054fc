"""PNG and BMP read strictly before Pillow unpacks them, so that every reader sees the same pixels.

Specifications: https://www.w3.org/TR/png-3/ and, for BMP, https://learn.microsoft.com/windows/win32/gdi/bitmap-storage.

Rules:
- PNG: eight bits, grey or RGB, not interlaced; every checksum is right; no animation, palette or transparency; the
  packed rows have exactly the length that the header implies.
- BMP: 24 bits of colour, or 8 bits of grey with all 256 greys in their order; not packed; no row is missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import ImageSchema

__all__ = ["refuse_bmp", "refuse_png"]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2}
_ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
_BMP_HEADERS: Final = (40, 108, 124)
_GREYS: Final = b"".join(bytes((level, level, level)) for level in range(256))


def refuse_png(data: memoryview, schema: ImageSchema) -> None:
    """Return if these are the bytes of such an image.

    Raises:
        FormatError: they are not.
    """
    chunks = _chunks(data)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR" or len(header) != 13:
        _refuse("a PNG header", "others", "image-syntax")
    width, height, depth, colours, *methods = struct.unpack(">IIBBBBB", header)
    _refuse_size(width, height, schema)
    if (depth, colours) != (8, _COLOUR_TYPES[schema.channels]) or methods != [0, 0, 0]:
        _refuse("eight bits for each channel, not interlaced", "another layout", "image-mode")
    expected = height * (1 + width * schema.channels)
    unpack = zlib.decompressobj()
    unpacked = 0
    before = b"IHDR"
    seen = False
    for kind, body in chunks:
        if kind in _ANIMATION:
            _refuse("one still image", "an animation", "image-frames")
        if kind == b"tRNS":
            _refuse("an image without transparency", "one with it", "image-mode")
        if kind == b"IDAT":
            if seen and before != kind:
                _refuse("the pixels in one place", "several", "image-syntax")
            seen = True
            unpacked += _inflated(unpack, body, expected + 1 - unpacked)
        elif not kind[0] & 32 and kind != b"IEND":
            _refuse("chunks of pixels", "others that must be understood", "image-syntax")
        before = kind
    if before != b"IEND" or not unpack.eof or unpack.unused_data or unpacked != expected:
        _refuse(f"{expected} bytes of rows and the end", "others", "image-syntax")


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview | bytes]]:
    """Type and content of each, until nothing follows ``IEND``."""
    if bytes(data[: len(_SIGNATURE)]) != _SIGNATURE:
        _refuse("a PNG file", "other bytes", "image-syntax")
    position = len(_SIGNATURE)
    kind = b""
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + size
        named = data[position + 4 : end - 4]
        kind, whole = bytes(named[:4]), kind != b"IEND" and end <= len(data)
        if not whole or not kind.isalpha() or zlib.crc32(named) != int.from_bytes(data[end - 4 : end], "big"):
            _refuse("whole chunks with their checksums", "others", "image-syntax")
        yield kind, named[4:]
        position = end


def _inflated(unpack: zlib._Decompress, body: memoryview | bytes, most: int) -> int:
    """How many bytes this part of the rows has when unpacked, as far as ``most``."""
    try:
        found = len(unpack.decompress(body, most)) if most > 0 else 0
    except zlib.error as err:
        raise FormatError("expected packed rows, got others", reason="image-syntax") from err
    if unpack.unconsumed_tail:
        _refuse("as many bytes of rows as the header says", "more", "image-syntax")
    return found


def refuse_bmp(data: memoryview, schema: ImageSchema) -> None:
    """Return if these are the bytes of such an image.

    Raises:
        FormatError: they are not.
    """
    if len(data) < 54 or bytes(data[:2]) != b"BM":
        _refuse("a BMP file", "other bytes", "image-syntax")
    start, size, width, height, planes, bits, packing = struct.unpack_from("<IIiiHHI", data, 10)
    colours = struct.unpack_from("<I", data, 46)[0]
    _refuse_size(width, abs(height), schema)
    if size not in _BMP_HEADERS or planes != 1 or packing != 0 or bits != 8 * schema.channels:
        _refuse("eight bits for each channel, not packed", "another layout", "image-mode")
    palette = bytes(data[14 + size : 14 + size + 4 * 256]) if bits == 8 else b""
    if bits == 8:
        levels = bytes(level for index, level in enumerate(palette) if index % 4 != 3)
        if colours not in (0, 256) or levels != _GREYS:
            _refuse("all greys in their order", "others", "image-mode")
    row = (width * bits + 31) // 32 * 4
    if start < 14 + size + len(palette) or start + row * abs(height) > len(data):
        _refuse("all rows behind the header", "others", "image-syntax")


def _refuse_size(width: int, height: int, schema: ImageSchema) -> None:
    if (width, height) != (schema.width, schema.height):
        _refuse(f"{schema.width} x {schema.height} pixels", f"{width} x {height}", "image-shape")


def _refuse(expected: str, got: str, reason: str) -> NoReturn:
    raise FormatError(f"expected {expected}, got {got}", reason=reason)
