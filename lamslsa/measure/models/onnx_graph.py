"""Untrusted ONNX bytes to a graph of plain arithmetic, before any runtime sees them.

Rules, each of which refuses:
1. At most `MAX_ONNX_BYTES` and `MAX_NODES`; the bytes are the canonical serialisation of what was parsed, so that no
   other parser reads something else in them (fields twice, unknown fields, another order).
2. One graph and nothing beside it: no functions, training, metadata or device configuration, no sparse or quantised
   tensors, no subgraphs. Metadata too is refused since a runtime may read settings from it.
3. Operators of `OPERATORS` alone, of the domains ``""`` and ``ai.onnx.ml`` in the versions of `OPSETS`: all of them
   give the same result for the same input, keep no state and reach nothing outside the graph.
4. Tensors lie in the file (no external data), hold as many elements as their shape says, one or more, and finite
   numbers.
5. One input called ``input`` and one output called as wanted, float32; every input of a node comes from before it.
6. The full check of the package onnx passes: types and shapes of everything.
7. Types, shapes and the work that they ask for are those of `lamslsa.measure.models.onnx_work`.

Spec: https://onnx.ai/onnx/repo-docs/IR.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lamslsa.errors import FormatError
from lamslsa.measure.models.interface import MAX_PARAMETERS
from lamslsa.measure.models.onnx_work import refuse_sizes, refuse_work

if TYPE_CHECKING:
    import onnx

__all__ = ["INPUT", "MAX_NODES", "MAX_ONNX_BYTES", "OPERATORS", "OPSETS", "parse_onnx"]

INPUT: Final = "input"
MAX_ONNX_BYTES: Final = 4 * MAX_PARAMETERS + 16 * 1024 * 1024
MAX_NODES: Final = 10_000
_MAX_RANK: Final = 8
_MAX_TEXT: Final = 1024
_IR_VERSIONS: Final = range(7, 12)

OPSETS: Final[Mapping[str, range]] = MappingProxyType({"": range(13, 24), "ai.onnx.ml": range(1, 5)})

OPERATORS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "": frozenset(
            {
                *("Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv"),
                *("DequantizeLinear", "Div", "Flatten", "Gemm", "GlobalAveragePool", "Identity", "LeakyRelu"),
                *("MatMul", "MaxPool", "Mul", "Neg", "Relu", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Sub"),
                *("Tanh", "Transpose", "Unsqueeze"),
            }
        ),
        "ai.onnx.ml": frozenset(
            {"LinearClassifier", "LinearRegressor", "Normalizer", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}
        ),
    }
)


def parse_onnx(data: bytes, *, output: str) -> onnx.ModelProto:
    """Parse a model.

    Args:
        data: the untrusted bytes.
        output: the name that its only output must have.

    Raises:
        FormatError: one of the rules of this module refused.
    """
    import onnx
    from google.protobuf.message import DecodeError

    # (1) canonical bytes of a bounded size
    if len(data) > MAX_ONNX_BYTES:
        raise FormatError(f"expected at most {MAX_ONNX_BYTES} bytes of ONNX, got {len(data)}", reason="model-size")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as err:
        raise FormatError("expected an ONNX model, got other bytes", reason="onnx-syntax") from err
    model.DiscardUnknownFields()
    if model.SerializeToString(deterministic=True) != data:
        raise FormatError(
            "expected the canonical bytes of an ONNX model, got others",
            reason="onnx-canonical",
            hint="load and save the model with the package onnx",
        )
    # (2), (3) one graph of known operators
    _refuse_beside(model)
    for node in model.graph.node:
        _refuse_node(node)
    # (4) finite numbers in the file
    for tensor in _tensors(model.graph):
        _refuse_tensor(tensor)
    for node in model.graph.node:
        _refuse_numbers(node)
        refuse_sizes(node)
    # (5) what goes in and comes out
    _refuse_edges(model.graph, output)
    # (6) types and shapes
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as err:
        message = " ".join(str(err).split())[:200]
        raise FormatError(f"expected a sound ONNX graph, got one that is not: {message}", reason="onnx-graph") from err
    # (7) work
    refuse_work(model)
    return model


def _refuse_beside(model: onnx.ModelProto) -> None:
    graph = model.graph
    beside = {
        "functions": model.functions,
        "training": model.training_info,
        "metadata": [*model.metadata_props, *graph.metadata_props],
        "device configurations": getattr(model, "configuration", ()),
        "sparse tensors": graph.sparse_initializer,
        "quantization annotations": graph.quantization_annotation,
    }
    for what, items in beside.items():
        if len(items):
            raise FormatError(f"expected one plain graph, got {what} beside it", reason="onnx-beside")
    if len(graph.node) > MAX_NODES or len(graph.initializer) > MAX_NODES or len(graph.value_info) > 4 * MAX_NODES:
        raise FormatError(f"expected at most {MAX_NODES} nodes and tensors, got more", reason="onnx-nodes")
    if model.ir_version not in _IR_VERSIONS:
        raise FormatError(f"expected an IR version of 7 to 11, got {model.ir_version}", reason="onnx-version")
    domains = [opset.domain for opset in model.opset_import]
    for opset in model.opset_import:
        if opset.domain not in OPSETS:
            raise FormatError(
                f"expected operators of ONNX alone, got the domain {opset.domain[:80]!a}",
                reason="onnx-operator",
                hint="custom operators are code",
            )
        if opset.version not in OPSETS[opset.domain]:
            wanted = OPSETS[opset.domain]
            raise FormatError(
                f"expected version {wanted[0]} to {wanted[-1]} of the operators {opset.domain!a}, got {opset.version}",
                reason="onnx-version",
            )
    if len(set(domains)) != len(domains):
        raise FormatError("expected each operator set once, got one twice", reason="onnx-version")


def _refuse_node(node: onnx.NodeProto) -> None:
    import onnx

    if node.op_type not in OPERATORS.get(node.domain, ()) or node.overload:
        raise FormatError(
            f"expected one of the operators that are known to be plain arithmetic, got {node.op_type[:80]!a} of "
            f"{node.domain[:80]!a}",
            reason="onnx-operator",
        )
    plain = {
        onnx.AttributeProto.FLOAT,
        onnx.AttributeProto.INT,
        onnx.AttributeProto.STRING,
        onnx.AttributeProto.TENSOR,
        onnx.AttributeProto.FLOATS,
        onnx.AttributeProto.INTS,
        onnx.AttributeProto.STRINGS,
    }
    for attribute in node.attribute:
        if attribute.type not in plain or attribute.ref_attr_name or attribute.HasField("g") or attribute.graphs:
            raise FormatError(
                f"expected numbers, texts and tensors as attributes, got another {attribute.name[:80]!a}",
                reason="onnx-attribute",
            )
        if attribute.sparse_tensors or attribute.HasField("sparse_tensor") or attribute.tensors:
            raise FormatError(f"expected one plain tensor in {attribute.name[:80]!a}", reason="onnx-attribute")
        if attribute.name == "training_mode" and attribute.i:
            raise FormatError("expected a graph for inference, got one for training", reason="onnx-attribute")
    if len(node.metadata_props) or len(getattr(node, "device_configurations", ())):
        raise FormatError("expected nodes without metadata, got some", reason="onnx-beside")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _refuse_tensor(tensor: onnx.TensorProto) -> None:
    import numpy as np
    import onnx
    from onnx import numpy_helper

    name = tensor.name[:80]
    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data or tensor.HasField("segment"):
        raise FormatError(
            f"expected the tensor {name!a} in the file itself, got external data",
            reason="onnx-external-data",
            hint="save the model with its weights inside",
        )
    plain = {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.BOOL,
    }
    if tensor.data_type not in plain or len(tensor.metadata_props):
        raise FormatError(f"expected numbers in {name!a}, got another type", reason="onnx-tensor")
    if len(tensor.dims) > _MAX_RANK or any(size < 1 for size in tensor.dims):
        raise FormatError(
            f"expected at most {_MAX_RANK} dimensions of one or more in {name!a}, got others", reason="onnx-tensor"
        )
    count = math.prod(tensor.dims)
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    held = sum(len(values) for values in fields)
    if tensor.string_data or (held and tensor.raw_data) or max(held, len(tensor.raw_data)) < count:
        raise FormatError(f"expected {count} numbers in {name!a}, got others", reason="onnx-tensor")
    try:
        values = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as err:
        raise FormatError(f"expected {count} numbers in {name!a}, got others", reason="onnx-tensor") from err
    if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
        raise FormatError(f"expected finite weights in {name!a}, got others", reason="model-not-finite")


def _refuse_numbers(node: onnx.NodeProto) -> None:
    import numpy as np

    for attribute in node.attribute:
        if not np.isfinite(attribute.f) or not bool(np.isfinite(np.array(attribute.floats, dtype=np.float64)).all()):
            raise FormatError(
                f"expected finite numbers in {attribute.name[:80]!a}, got others", reason="model-not-finite"
            )
        if len(attribute.s) > _MAX_TEXT or any(len(text) > _MAX_TEXT for text in attribute.strings):
            raise FormatError(
                f"expected short texts in {attribute.name[:80]!a}, got long ones", reason="onnx-attribute"
            )


def _refuse_edges(graph: onnx.GraphProto, output: str) -> None:
    import onnx

    for kind, values, wanted in (("input", graph.input, INPUT), ("output", graph.output, output)):
        if [value.name for value in values] != [wanted]:
            raise FormatError(
                f"expected the one {kind} {wanted!r}, got {[value.name[:40] for value in values][:4]!a}",
                reason="onnx-edges",
            )
        if values[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise FormatError(f"expected an {kind} of float32, got another", reason="onnx-edges")
        if not values[0].type.tensor_type.shape.dim:
            raise FormatError(f"expected an {kind} of a shape, got none", reason="onnx-edges")
    if output not in _computed(graph):
        raise FormatError(f"expected something to compute {output!r}, got nothing", reason="onnx-edges")


def _computed(graph: onnx.GraphProto) -> set[str]:
    """The names of all values, each defined once and before it is used."""
    known = {INPUT}

    def define(name: str) -> None:
        if name in known:
            raise FormatError(f"expected unique names, got {name[:80]!a} twice", reason="onnx-edges")
        known.add(name)

    for tensor in graph.initializer:
        define(tensor.name)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in known:
                raise FormatError(f"expected a value from before, got {name[:80]!a}", reason="onnx-edges")
        for name in filter(None, node.output):
            define(name)
    return known
