"""How much work an ONNX graph asks for, from the types and shapes of all its values, before any runtime sees it.

Some operators on integers end a process (the least integer divided by -1), and a few bytes can ask for any amount of
memory or time (the outer product of two columns, a pooling window of 2^15 by 2^15). Rules, each of which refuses:
1. Attributes that say sizes lie in `_SIZES`.
2. Every computed value is float32 or float64; integers are constants, and only where `_INTEGERS` has them: shapes,
   axes, and what is dequantised or cast. Labels of a classifier may be computed, and nothing may read them.
3. The shape of every value follows from the graph alone, for one example; shapes that the file claims are not read.
   What a model of ``ai.onnx.ml`` says goes to `_SHAPELESS` alone: the runtime decides how long it is.
4. At most `MAX_ELEMENTS` numbers in a value, `MAX_ALL_ELEMENTS` in all, `MAX_WORK` multiply-adds an example, of which
   each step of a pooling window counts as `_POOL`, and each further matrix of a product as `_PRODUCT`.

Shapes by the inference of the package onnx in strict mode, whose types the full check has compared before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from lamslsa.errors import FormatError

if TYPE_CHECKING:
    import onnx

__all__ = ["MAX_ALL_ELEMENTS", "MAX_ELEMENTS", "MAX_WORK", "refuse_sizes", "refuse_work"]

MAX_ELEMENTS: Final = 2**26
MAX_ALL_ELEMENTS: Final = 2**29
MAX_WORK: Final = 2**37
_MAX_RANK: Final = 8
_POOL: Final = 64
_PRODUCT: Final = 2**14
_MODELS: Final = "ai.onnx.ml"

# https://onnx.ai/onnx/repo-docs/Operators.html: the least and the largest value of each
_SIZES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "kernel_shape": (1, 4096),
        "strides": (1, 4096),
        "dilations": (1, 4096),
        "pads": (0, 4096),
        "group": (1, 2**20),
        "axis": (-_MAX_RANK, _MAX_RANK),
        "perm": (0, _MAX_RANK),
        "block_size": (0, 2**20),
        "n_targets": (1, 10_000),
        "targets": (1, 10_000),
    }
)
_INTEGERS: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "Cast": frozenset({0}),
        "DequantizeLinear": frozenset({0, 2}),
        "Reshape": frozenset({1}),
        "Squeeze": frozenset({1}),
        "Unsqueeze": frozenset({1}),
    }
)
_SHAPELESS: Final = frozenset({"Cast", "Identity", "Normalizer", "Sigmoid", "Softmax"})
_CLASSIFIERS: Final = frozenset({"LinearClassifier", "TreeEnsembleClassifier"})


class _Value(NamedTuple):
    """A type of the package onnx, and the shape; None where the runtime decides."""

    type: int
    shape: tuple[int, ...] | None


def refuse_sizes(node: onnx.NodeProto) -> None:
    """Rule 1, which also keeps the sums of the package onnx from wrapping around.

    Raises:
        FormatError: a size that no network has.
    """
    for attribute in node.attribute:
        limits = _SIZES.get(attribute.name)
        sizes = [attribute.i] if attribute.type == attribute.INT else list(attribute.ints)
        if limits is not None and not (len(sizes) <= 2 * _MAX_RANK and all(limits[0] <= x <= limits[1] for x in sizes)):
            raise FormatError(
                f"expected {attribute.name} of {limits[0]} to {limits[1]}, got {sizes[:4]}"[:200],
                reason="onnx-size",
            )


def refuse_work(model: onnx.ModelProto) -> None:
    """Rules 2 to 4, of a model that passed the full check.

    Raises:
        FormatError: one of the rules refused.
    """
    values = _values(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    elements = work = 0
    for node in model.graph.node:
        if node.op_type == "Constant":
            _refuse_texts(node, values)
            constants.update(node.output)
        else:
            _refuse_types(node, values, constants)
        for name, value in _shapes(node, values):
            size = _size(node, name, value)
            elements += size
            work += size
        work += _work(node, values)
        if elements > MAX_ALL_ELEMENTS or work > MAX_WORK:
            raise FormatError(
                f"expected a graph of at most {MAX_ALL_ELEMENTS} numbers and {MAX_WORK} multiply-adds an example, "
                f"got one with more up to {node.op_type}",
                reason="onnx-work",
            )


def _values(model: onnx.ModelProto) -> dict[str, _Value]:
    """Every value by name, for one example."""
    import onnx

    one = onnx.ModelProto()
    one.CopyFrom(model)
    del one.graph.value_info[:]
    for edge in (*one.graph.input, *one.graph.output):
        edge.type.tensor_type.shape.dim[0].dim_value = 1
    try:
        inferred = onnx.shape_inference.infer_shapes(one, check_type=True, strict_mode=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as err:
        message = " ".join(str(err).split())[:200]
        raise FormatError(f"expected shapes that fit one example, got others: {message}", reason="onnx-shape") from err
    found = {tensor.name: _Value(tensor.data_type, tuple(tensor.dims)) for tensor in model.graph.initializer}
    for info in (*inferred.value_info, *inferred.input, *inferred.output):
        tensor = info.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        known = tuple(dim for dim in dims if dim is not None)
        complete = tensor.HasField("shape") and len(known) == len(dims)
        found[info.name] = _Value(tensor.elem_type, known if complete else None)
    return found


def _refuse_types(node: onnx.NodeProto, values: Mapping[str, _Value], constants: set[str]) -> None:
    import onnx

    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    integers = _INTEGERS.get(node.op_type, frozenset())
    for position, name in enumerate(node.input):
        if not name or (position in integers and name in constants):
            continue
        must = position in integers and node.op_type not in ("Cast", "DequantizeLinear")
        if must or values.get(name, _Value(0, None)).type not in floats:
            raise FormatError(
                f"expected {'constants' if must else 'floating-point numbers'} as input {position} of {node.op_type}, "
                "got others",
                reason="onnx-type",
                hint="integers are shapes, axes, and what is dequantised, and they are constants",
            )
    for position, name in enumerate(node.output):
        label = node.op_type in _CLASSIFIERS and position == 0
        if name and not label and values.get(name, _Value(0, None)).type not in floats:
            raise FormatError(
                f"expected floating-point numbers as output {position} of {node.op_type}, got others",
                reason="onnx-type",
            )


def _refuse_texts(node: onnx.NodeProto, values: Mapping[str, _Value]) -> None:
    import onnx

    if any(values.get(name, _Value(0, None)).type in (0, onnx.TensorProto.STRING) for name in node.output):
        raise FormatError("expected constants that are numbers, got others", reason="onnx-type")


def _shapes(node: onnx.NodeProto, values: dict[str, _Value]) -> Iterator[tuple[str, _Value]]:
    """The outputs of a node; those whose length the runtime decides are marked in ``values``."""
    read = [values[name] for name in node.input if name]
    shapeless = any(value.shape is None for value in read)
    if node.domain == _MODELS and node.op_type != "Normalizer":
        if any(value.shape is None or len(value.shape) != 2 or value.shape[0] != 1 for value in read):
            raise FormatError(f"expected one row of numbers into {node.op_type}, got others", reason="onnx-shape")
        shapeless = True
    elif shapeless and node.op_type not in _SHAPELESS:
        raise FormatError(
            f"expected values of known shapes into {node.op_type}, got others",
            reason="onnx-shape",
            hint="what a tree or linear model says may be cast, normalised, or be the answer",
        )
    for name in filter(None, node.output):
        value = values.get(name, _Value(0, None))
        if node.op_type == "Normalizer":
            value = value._replace(shape=read[0].shape)
        elif shapeless:
            value = value._replace(shape=None)
        elif value.shape is None:
            raise FormatError(f"expected a shape for what {node.op_type} computes, got none", reason="onnx-shape")
        values[name] = value
        yield name, value


def _size(node: onnx.NodeProto, name: str, value: _Value) -> int:
    """How many numbers a value holds; what a tree or linear model says is bounded by its file and `_SIZES`."""
    if value.shape is None:
        return 0
    size = math.prod(value.shape)
    if len(value.shape) > _MAX_RANK or not 1 <= size <= MAX_ELEMENTS:
        raise FormatError(
            f"expected 1 to {MAX_ELEMENTS} numbers of at most {_MAX_RANK} dimensions in {name[:80]!a}, which "
            f"{node.op_type} computes, got others",
            reason="onnx-work",
        )
    return size


def _work(node: onnx.NodeProto, values: Mapping[str, _Value]) -> int:
    """Multiply-adds of a node beyond one for each number that it computes."""
    outputs = math.prod(values[node.output[0]].shape or ())
    inputs = [values[name].shape or () for name in node.input if name]
    match node.op_type:
        case "Conv":
            window = math.prod(inputs[1][1:])
            if outputs * window // max(1, inputs[1][0]) > MAX_ALL_ELEMENTS:
                raise FormatError("expected windows of Conv that fit in memory, got larger ones", reason="onnx-work")
            return outputs * window
        case "Gemm" | "MatMul":
            transposed = any(item.name == "transA" and item.i for item in node.attribute)
            products = math.prod((values[node.output[0]].shape or ())[:-2])
            return outputs * inputs[0][0 if transposed else -1] + _PRODUCT * (products - 1)
        case "AveragePool" | "MaxPool":
            window = math.prod(next(item.ints for item in node.attribute if item.name == "kernel_shape"))
            return _POOL * outputs * window
        case _:
            return sum(math.prod(shape) for shape in inputs)
