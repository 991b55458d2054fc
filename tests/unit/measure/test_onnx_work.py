"""ONNX graphs that would end or hang the process, or take all its memory, are refused before any runtime sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.models import onnx_work
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.onnx_graph import parse_onnx

Read = Callable[..., VerifiedArtifact]
node = helper.make_node
NIL = np.zeros(1, dtype=np.float32)
WEIGHT = np.ones((2, 1), dtype=np.float32)
IMAGE = {"one": np.ones((1, 1, 1, 2), dtype=np.float32)}
POOLED = [node("GlobalAveragePool", ["p"], ["g"]), node("Reshape", ["g", "s"], ["z"])]
PRODUCT = node("MatMul", ["f", "w"], ["z"])
TREE: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "nodes_missing_value_tracks_true": [0, 0, 0],
    "target_treeids": [0, 0],
    "target_nodeids": [1, 2],
    "target_ids": [0, 0],
    "target_weights": [1.0, 2.0],
    "n_targets": 1,
}


def graph(nodes: Sequence[Any], tensors: dict[str, Any], *, end: bool = True) -> bytes:
    """``value`` is the input times a weight, plus ``z``."""
    tail = [node("MatMul", ["input", "w"], ["l"]), node("Add", ["l", "z"], ["value"])] if end else []
    made = helper.make_graph(
        [*nodes, *tail],
        "model",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
        + ([numpy_helper.from_array(WEIGHT, "w")] if end else []),
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    data: bytes = helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString(deterministic=True)
    return data


def load(read: Read, data: bytes) -> Any:
    features = [{"type": "number", "name": name, "mean": 0.0, "deviation": 1.0} for name in "ab"]
    described = {
        "architecture": "onnx/1",
        "reads": {"type": "table", "features": features},
        "label": "y",
        "classes": None,
    }
    return load_model(read({"model.json": json.dumps(described).encode(), "model.onnx": data}, "model"))


def reason(read: Read, data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        load(read, data)
    return caught.value.reason


def divided(least: Any) -> bytes:
    nodes = [
        node("Div", ["a", "b"], ["q"]),
        node("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "nil"], ["z"]),
    ]
    return graph(nodes, {"a": np.array([least]), "b": np.array([-1], dtype=np.asarray(least).dtype), "nil": NIL})


def windows(operator: str, **attributes: Any) -> bytes:
    return graph([node(operator, ["one"], ["p"], **attributes), *POOLED], {**IMAGE, "s": np.array([1])})


def outer(side: int, operator: str = "MatMul") -> bytes:
    nodes = [node(operator, ["c", "r"], ["m"]), node("Reshape", ["m", "s4"], ["p"]), *POOLED]
    column = np.ones((side, 1), dtype=np.float32)
    return graph(nodes, {"c": column, "r": column.T, "s4": np.array([1, 1, side, side]), "s": np.array([1])})


@pytest.mark.parametrize("least", [np.int64(-(2**63)), np.int32(-(2**31))])
def test_integers_whose_quotient_ends_the_process(read: Read, least: Any) -> None:
    assert reason(read, divided(least)) == "onnx-type"


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        ([node("Cast", ["input"], ["i"], to=TensorProto.INT64), node("Cast", ["i"], ["f"], to=1), PRODUCT], {}),
        ([node("Cast", ["input"], ["i"], to=TensorProto.BFLOAT16), node("Cast", ["i"], ["f"], to=1), PRODUCT], {}),
        ([node("Sub", ["s", "s"], ["t"]), node("Reshape", ["c", "t"], ["z"])], {"s": np.array([1]), "c": NIL}),
        ([node("Constant", [], ["k"], value_strings=[b"1"]), node("Cast", ["k"], ["z"], to=1)], {}),
        ([node("Relu", ["s"], ["t"]), node("Cast", ["t"], ["z"], to=1)], {"s": np.array([1], dtype=np.int32)}),
        (
            [node("MaxPool", ["one"], ["p", "i"], kernel_shape=[1, 1]), *POOLED],
            {**IMAGE, "s": np.array([1])},
        ),
    ],
)
def test_only_floating_point_is_computed(read: Read, nodes: list[Any], tensors: dict[str, Any]) -> None:
    assert reason(read, graph(nodes, tensors)) == "onnx-type"


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [2**15, 2**15], "pads": [2**15 - 1] * 4}),
        ("AveragePool", {"kernel_shape": [2**15, 2**15], "pads": [2**15 - 1] * 4}),
        ("MaxPool", {"kernel_shape": [1, 1], "strides": [0, 0]}),
        ("MaxPool", {"kernel_shape": [1, 2], "dilations": [1, 2**62]}),
        ("MaxPool", {"kernel_shape": [1, 1], "pads": [0, -1, 0, 1]}),
    ],
)
def test_sizes_that_no_network_has(read: Read, operator: str, attributes: dict[str, Any]) -> None:
    assert reason(read, windows(operator, **attributes)) == "onnx-size"


def test_a_pooling_window_that_takes_for_ever(read: Read) -> None:
    assert reason(read, windows("MaxPool", kernel_shape=[4096, 4096], pads=[4095] * 4)) == "onnx-work"
    assert reason(read, windows("AveragePool", kernel_shape=[4096, 4096], pads=[4095] * 4)) == "onnx-work"


@pytest.mark.parametrize("operator", ["MatMul", "Add"])
def test_a_product_that_takes_all_memory(read: Read, operator: str) -> None:
    assert reason(read, outer(2**17, operator)) == "onnx-work"
    assert load(read, outer(2**6, operator)).answer(np.zeros((1, 2), dtype=np.float32)) == (
        1 if operator == "MatMul" else 2
    )


def test_many_values_and_many_products(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times 512³, each small by itself."""
    nodes = [node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(1100)]
    nodes += [node("Reshape", ["m1100", "s4"], ["p"]), *POOLED]
    eye = np.eye(512, dtype=np.float32)
    data = graph(nodes, {"m0": eye, "s4": np.array([1, 1, 512, 512]), "s": np.array([1])})
    assert reason(read, data) == "onnx-work"
    monkeypatch.setattr(onnx_work, "MAX_ALL_ELEMENTS", 5000)
    assert reason(read, outer(2**6)) == "onnx-work"


def test_millions_of_small_products(read: Read) -> None:
    nodes = [node("MatMul", ["a", "b"], ["m"]), node("Reshape", ["m", "s4"], ["p"]), *POOLED]
    many = np.ones((3000, 1, 1, 1), dtype=np.float32)
    tensors = {"a": many, "b": many.reshape(1, 3000, 1, 1), "s4": np.array([1, 1, 3000, 3000]), "s": np.array([1])}
    assert reason(read, graph(nodes, tensors)) == "onnx-work"


def test_windows_of_convolutions_are_bounded(read: Read) -> None:
    """One filter of 2048 by 2048 at 2049 by 2049 places: 2^44 multiply-adds."""
    kernel = np.ones((1, 1, 2048, 2048), dtype=np.float32)
    nodes = [node("Conv", ["i", "k"], ["p"], pads=[2047] * 4), *POOLED]
    image = np.ones((1, 1, 3, 2), dtype=np.float32)
    assert reason(read, graph(nodes, {"i": image, "k": kernel, "s": np.array([1])})) == "onnx-work"


def test_empty_tensors(read: Read) -> None:
    data = graph([node("Add", ["e", "e"], ["z"])], {"e": np.zeros((1, 0), dtype=np.float32)})
    assert reason(read, data) == "onnx-tensor"


def test_shapes_that_the_file_claims_are_not_read(read: Read) -> None:
    model = onnx.ModelProto.FromString(outer(2**17))
    model.graph.value_info.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, [None, None]))
    assert reason(read, model.SerializeToString(deterministic=True)) == "onnx-work"


@pytest.mark.parametrize(
    "nodes",
    [
        # the runtime decides how long the answer of the trees is, so nothing may broadcast it
        [node("TreeEnsembleRegressor", ["input"], ["t"], domain="ai.onnx.ml", **TREE), node("Add", ["t", "c"], ["z"])],
        [node("TreeEnsembleRegressor", ["c"], ["z"], domain="ai.onnx.ml", **TREE)],
    ],
)
def test_answers_of_trees_are_not_calculated_with(read: Read, nodes: list[Any]) -> None:
    assert reason(read, graph(nodes, {"c": np.zeros((3, 1), dtype=np.float32)})) == "onnx-shape"


def test_trees_of_any_number_of_answers(read: Read) -> None:
    trees = {**TREE, "n_targets": 2**40}
    nodes = [node("TreeEnsembleRegressor", ["input"], ["value"], domain="ai.onnx.ml", **trees)]
    assert reason(read, graph(nodes, {}, end=False)) == "onnx-size"


def test_a_shape_that_fits_no_single_example(read: Read) -> None:
    nodes = [node("Reshape", ["input", "s"], ["r"]), node("MatMul", ["r", "v"], ["z"])]
    data = graph(nodes, {"s": np.array([-1, 4]), "v": np.ones((4, 1), dtype=np.float32)})
    assert reason(read, data) == "onnx-shape"


def test_constants_and_dequantised_weights_load(read: Read) -> None:
    """Integers where they belong: shapes, axes, int8 weights; trees whose answer is normalised by a cast."""
    nodes = [
        node("Constant", [], ["shape"], value_ints=[1, 2]),
        node("DequantizeLinear", ["q", "scale"], ["v"]),
        node("Unsqueeze", ["input", "axis"], ["u"]),
        node("Squeeze", ["u", "axis"], ["n"]),
        node("Reshape", ["n", "shape"], ["r"]),
        node("MatMul", ["r", "v"], ["z"]),
    ]
    tensors = {"q": np.array([[2], [3]], dtype=np.int8), "scale": np.float32(0.5), "axis": np.array([1])}
    answer = load(read, graph(nodes, tensors)).answer
    assert answer(np.array([[1, 10]], dtype=np.float32)) == pytest.approx([1 + 15 + 11])
    trees = [
        node("TreeEnsembleRegressor", ["input"], ["t"], domain="ai.onnx.ml", **TREE),
        node("Identity", ["t"], ["value"]),
    ]
    found = load(read, graph(trees, {}, end=False)).answer(np.array([[0, 0], [1, 0]], dtype=np.float32))
    assert found.tolist() == [1, 2]


def test_large_networks_of_ours_fit() -> None:
    """VGG with 19 layers over 224 by 224 pixels: 19.6 billion multiply-adds, without its 140 million weights."""
    widths = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, *[512] * 4, 0, *[512] * 4, 0]
    nodes, tensors, last, channels = [], {}, "input", 3
    for index, width in enumerate(widths):
        if width:
            nodes.append(node("Conv", [last, f"w{index}"], [f"v{index}"], pads=[1] * 4))
            tensors[f"w{index}"] = np.zeros((width, channels, 3, 3), dtype=np.float32)
            channels = width
        else:
            nodes.append(node("MaxPool", [last], [f"v{index}"], kernel_shape=[2, 2], strides=[2, 2]))
        last = f"v{index}"
    nodes += [
        node("GlobalAveragePool", [last], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w"], ["value"]),
    ]
    tensors["w"] = np.zeros((512, 1), dtype=np.float32)
    made = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3, 224, 224])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])],
        initializer=[numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    parse_onnx(model.SerializeToString(deterministic=True), output="value")
