"""Tensors of safe formats, and their values as numbers that NumPy knows.

Safetensors are read by `lamslsa.measure.models.safetensors_file`, as they are before a model is built from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.models.safetensors_file import BITS, Entry, MalformedError, parse_safetensors

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["FLOATING", "Entry", "MalformedError", "onnx_tensors", "parse_safetensors", "values"]

FLOATING: Final = frozenset({"F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64"})
_NUMPY: Final = dict(
    zip(
        ("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "F16", "F32", "F64"),
        ("u1", "u1", "i1", "<i2", "<u2", "<i4", "<u4", "<f2", "<f4", "<f8"),
        strict=True,
    )
)


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
        if not isinstance(tensor.name, str):  # protobuf gives the bytes of what is no UTF-8
            raise MalformedError("a tensor whose name is no text")
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

    size = BITS[entry.dtype] // 8
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
