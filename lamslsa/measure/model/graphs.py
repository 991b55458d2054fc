"""Formats of whole models that are not safetensors: ONNX, GGUF, HDF5."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from lamslsa.measure.model.documents import Problem

__all__ = ["gguf", "hdf5", "onnx"]

_STANDARD: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
_MAX_PARSED: Final = 2**31 - 1
_MAX_GRAPHS: Final = 10_000
_FIXED: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_ENTRIES: Final = 1_000_000


def onnx(data: memoryview) -> list[Problem] | None:
    """What is to be said about an ONNX model; None if the bytes are none."""
    if len(data) > _MAX_PARSED or data[0] != 0x08:
        return None
    import onnx as library
    from google.protobuf.message import DecodeError

    model = library.ModelProto()
    try:
        model.ParseFromString(bytes(data))
    except (DecodeError, RuntimeError):
        return None
    if not model.opset_import or not (len(model.graph.node) or len(model.graph.initializer)):
        return None
    problems: dict[Problem, None] = {}
    graphs = [model.graph]
    functions = {(item.domain, item.name) for item in model.functions}
    nodes: list[Any] = [node for item in model.functions for node in item.node]
    for item in model.training_info:
        graphs += [item.initialization, item.algorithm]
    tensors: list[Any] = []
    seen = 0
    while (graphs or nodes) and seen < _MAX_GRAPHS * _MAX_GRAPHS:
        seen += 1
        if graphs:
            graph = graphs.pop()
            nodes.extend(graph.node)
            tensors = [*graph.initializer, *(part for item in graph.sparse_initializer for part in _dense(item))]
        else:
            node = nodes.pop()
            if node.domain not in _STANDARD and (node.domain, node.op_type) not in functions:
                problems["onnx-custom-operator", "code", f"{_text(node.op_type)} of {_text(node.domain)}"] = None
            tensors = []
            for attribute in node.attribute:
                graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
                tensors += [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
                tensors += [part for item in attribute.sparse_tensors for part in _dense(item)]
                if attribute.HasField("sparse_tensor"):
                    tensors += _dense(attribute.sparse_tensor)
        for tensor in tensors:
            if tensor.data_location == library.TensorProto.EXTERNAL or tensor.external_data:
                where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "?")
                problems["onnx-external-data", "code", f"reads the file {_text(where)}"] = None
    return list(problems)


def _text(value: str | bytes) -> str:
    """Of what is no UTF-8, protobuf gives the bytes."""
    return (value if isinstance(value, str) else value.decode("utf-8", "replace"))[:200]


def _dense(sparse: Any) -> list[Any]:
    return [sparse.values, sparse.indices]


def hdf5(data: memoryview) -> Problem:
    """What is to be said about an HDF5 file; its layers are found by their text, nothing else is read."""
    content = bytes(data)
    for word in (b'"class_name": "Lambda"', b'"class_name":"Lambda"', b'"class_name": "TFOpLambda"'):
        if word in content:
            return "keras-lambda", "code", "a Keras model with a Lambda layer"
    return "hdf5", "unknown", "the contents of HDF5 were not looked at"


def gguf(data: memoryview) -> Iterator[Problem]:
    """What is to be said about a GGUF file: its chat templates.

    Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
    """
    try:
        for key, value in _entries(data):
            if key.startswith("tokenizer.chat_template") and value:
                yield "chat-template", "notice", f"a Jinja template under {key[:100]}"
    except (struct.error, ValueError, UnicodeDecodeError):
        yield "malformed", "unknown", "metadata of GGUF that could not be read"


def _entries(data: memoryview) -> Iterator[tuple[str, bool]]:
    """Key, and whether the value is a text that is not empty."""
    version, _, count = struct.unpack_from("<IQQ", data, 4)
    if version not in (2, 3) or count > _MAX_ENTRIES:
        raise ValueError("another version or too many entries")
    at = 24
    for _ in range(count):
        key, at = _string(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        is_text = kind == _STRING and struct.unpack_from("<Q", data, at + 4)[0] > 0
        at = _skip(data, at + 4, kind)
        yield key, is_text


def _string(data: memoryview, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    if length > len(data) - at - 8:
        raise ValueError("a text past the end")
    return bytes(data[at + 8 : at + 8 + length]).decode(), at + 8 + length


def _skip(data: memoryview, at: int, kind: int) -> int:
    if kind in _FIXED:
        return at + _FIXED[kind]
    if kind == _STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        if length > len(data):
            raise ValueError("a text past the end")
        return at + 8 + int(length)
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if kind != _ARRAY or inner == _ARRAY or count > len(data):
        raise ValueError("an unknown type")
    if inner in _FIXED:
        return at + _FIXED[inner] * int(count)
    for _ in range(count):
        at = _skip(data, at, inner)
    return at
