"""Tensors of safe formats: where they lie, and their values as numbers that NumPy knows.

Format of safetensors: https://github.com/huggingface/safetensors#format. Read here more strictly than by its library:
JSON without repeated keys, and tensors that fill the file without gaps or overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["FLOATING", "Entry", "MalformedError", "onnx_tensors", "parse_safetensors", "values"]

_MAX_HEADER: Final = 16 * 1024 * 1024
_MAX_RANK: Final = 32
_BITS: Final = dict(
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
FLOATING: Final = frozenset({"F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64"})
_NUMPY: Final = dict(
    zip(
        ("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "F16", "F32", "F64"),
        ("u1", "u1", "i1", "<i2", "<u2", "<i4", "<u4", "<f2", "<f4", "<f8"),
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
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise MalformedError(f"the type {dtype!a:.40} in {name!a:.80}")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(offsets) != 2:
        raise MalformedError(f"shape or offsets that are no counts in {name!a:.80}")
    start, stop = offsets
    if len(shape) > _MAX_RANK or not start <= stop <= size or (stop - start) * 8 != math.prod(shape) * _BITS[dtype]:
        raise MalformedError(f"another number of bytes than the shape says in {name!a:.80}")
    return name, dtype, tuple(shape), start, stop


def onnx_tensors(content: memoryview) -> Iterator[Entry]:
    """The tensors of an ONNX model: its initializers, and lists of floats among the attributes of its nodes.

    Trees and linear models keep what they learned in such lists; each is called ``<node>.<attribute>`` by the position
    of the node. Subgraphs and sparse tensors are left out.

    Raises:
        MalformedError: a tensor lies elsewhere, or its type has no numbers.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    names = {"float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL", "bfloat16": "BF16"}
    names |= {
        f"{sign}int{bits}": f"{letter}{bits}" for sign, letter in (("", "I"), ("u", "U")) for bits in (8, 16, 32, 64)
    }
    model = onnx.ModelProto.FromString(bytes(content))
    for index, tensor in enumerate(model.graph.initializer):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise MalformedError("tensors that lie in other files")
        try:
            array = numpy_helper.to_array(tensor)
            dtype = names[array.dtype.name]
        except (ValueError, TypeError, KeyError, OverflowError) as err:
            raise MalformedError("a tensor that has no numbers") from err
        yield Entry(
            name=tensor.name or f"initializer{index}",
            dtype=dtype,
            shape=array.shape,
            data=memoryview(array.tobytes()),
        )
    for index, node in enumerate(model.graph.node):
        for attribute in node.attribute:
            if attribute.floats:
                numbers = np.array(attribute.floats, dtype="<f4")
                yield Entry(
                    name=f"{index}.{attribute.name}",
                    dtype="F32",
                    shape=numbers.shape,
                    data=memoryview(numbers.tobytes()),
                )


def values(entry: Entry, start: int, stop: int) -> Array | None:
    """Elements from start to stop as a type that float64 holds exactly; None for integers of 64 bits past 2^53."""
    import numpy as np

    size = _BITS[entry.dtype] // 8
    part = entry.data[start * size : stop * size]
    if entry.dtype in _NUMPY:
        return np.frombuffer(part, dtype=_NUMPY[entry.dtype])
    if entry.dtype == "BF16":
        return (np.frombuffer(part, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    if entry.dtype in ("I64", "U64"):
        whole = np.frombuffer(part, dtype="<i8" if entry.dtype == "I64" else "<u8")
        outside = (whole > 2**53) | (whole < -(2**53)) if entry.dtype == "I64" else whole > 2**53
        return None if bool(outside.any()) else whole.astype(np.float64)
    return _eight_bits(entry.dtype)[np.frombuffer(part, dtype=np.uint8)]


def _eight_bits(dtype: str) -> Array:
    """The 256 values of an 8-bit float (Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433)."""
    import numpy as np

    exponent_bits, bias = (4, 7) if dtype == "F8_E4M3" else (5, 15)
    mantissa_bits = 7 - exponent_bits
    table = np.empty(256)
    for code in range(256):
        exponent = (code >> mantissa_bits) & (2**exponent_bits - 1)
        mantissa = code & (2**mantissa_bits - 1)
        if exponent == 0:
            size = mantissa * 2.0 ** (1 - bias - mantissa_bits)
        elif dtype == "F8_E5M2" and exponent == 31:
            size = math.inf if mantissa == 0 else math.nan
        elif dtype == "F8_E4M3" and exponent == 15 and mantissa == 7:
            size = math.nan
        else:
            size = (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)
        table[code] = -size if code >> 7 else size
    return table
