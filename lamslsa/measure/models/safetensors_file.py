"""Safetensors, read strictly: where each tensor lies, and the bytes it holds.

Format: https://github.com/huggingface/safetensors#format. Read more strictly than by its library, so that no two
readers find different weights in one file: JSON without repeated keys, at most `MAX_TENSORS`, tensors that fill the
file without gaps or overlaps, and no field that the format does not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = ["BITS", "MAX_TENSORS", "Entry", "MalformedError", "parse_safetensors"]

MAX_TENSORS: Final = 2**17
_MAX_HEADER: Final = 16 * 1024 * 1024
_MAX_RANK: Final = 32
BITS: Final = dict(
    zip(
        (
            "BOOL",
            "U8",
            "I8",
            "F8_E4M3",
            "F8_E5M2",
            "I16",
            "U16",
            "F16",
            "BF16",
            "I32",
            "U32",
            "F32",
            "I64",
            "U64",
            "F64",
        ),
        (8, 8, 8, 8, 8, 16, 16, 16, 16, 32, 32, 32, 64, 64, 64),
        strict=True,
    )
)


class MalformedError(Exception):
    """Why bytes are no safetensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor; ``data`` are its bytes as the type says, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def parse_safetensors(content: memoryview) -> tuple[Entry, ...]:
    """The tensors of a file, by name.

    Raises:
        MalformedError: the file is not sound.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_MAX_HEADER, len(content) - 8):
        raise MalformedError("a header past the end or too long")
    try:
        header = _codec.loads(bytes(content[8 : 8 + length]).rstrip(b" "), max_bytes=_MAX_HEADER)
    except FormatError as err:
        raise MalformedError(f"a header that is no strict JSON ({err.reason})") from err
    if not isinstance(header, dict):
        raise MalformedError("a header that is no object")
    if len(header) > MAX_TENSORS:
        raise MalformedError(f"more than {MAX_TENSORS} tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedError("metadata that are no texts")
    body = content[8 + length :]
    spans = sorted((_span(name, item, len(body)) for name, item in header.items()), key=lambda span: span[3:])
    end = 0
    for name, _, _, start, stop in spans:
        if start != end:
            raise MalformedError(f"a gap or an overlap at {name!a:.80}")
        end = stop
    if end != len(body):
        raise MalformedError("bytes that no tensor holds")
    found = (
        Entry(name=name, dtype=dtype, shape=shape, data=body[start:stop]) for name, dtype, shape, start, stop in spans
    )
    return tuple(sorted(found, key=lambda entry: entry.name))


def _span(name: str, item: Any, size: int) -> tuple[str, str, tuple[int, ...], int, int]:
    if not isinstance(item, dict) or set(item) != {"dtype", "shape", "data_offsets"}:
        raise MalformedError(f"other fields than dtype, shape and data_offsets in {name!a:.80}")
    dtype, shape, offsets = item["dtype"], item["shape"], item["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise MalformedError(f"the type {dtype!a:.40} in {name!a:.80}")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(offsets) != 2:
        raise MalformedError(f"shape or offsets that are no counts in {name!a:.80}")
    start, stop = offsets
    if len(shape) > _MAX_RANK or not start <= stop <= size or (stop - start) * 8 != math.prod(shape) * BITS[dtype]:
        raise MalformedError(f"another number of bytes than the shape says in {name!a:.80}")
    return name, dtype, tuple(shape), start, stop
