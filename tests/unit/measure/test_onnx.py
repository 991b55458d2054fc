"""ONNX from a hostile provider: nothing but plain arithmetic reaches the runtime, and answers are what they claim."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.models import onnx_graph, onnx_model
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.onnx_graph import OPERATORS, parse_onnx

Read = Callable[..., VerifiedArtifact]
WEIGHT = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], dtype=np.float32)
BIAS = np.array([0.1, -0.2, 0.3], dtype=np.float32)
DESCRIPTION = {
    "architecture": "onnx/1",
    "reads": {
        "type": "table",
        "features": [
            {"type": "number", "name": "a", "mean": 0.0, "deviation": 1.0},
            {"type": "number", "name": "b", "mean": 0.0, "deviation": 1.0},
        ],
    },
    "label": "y",
    "classes": 3,
}


def graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gemm", ["input", "w", "b"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
        initializer=[numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model


def files(model: onnx.ModelProto | bytes, **changes: Any) -> dict[str, bytes]:
    data = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    return {"model.json": json.dumps({**DESCRIPTION, **changes}).encode(), "model.onnx": data}


def refusal(read: Read, given: dict[str, bytes]) -> str:
    with pytest.raises(FormatError) as caught:
        load_model(read(given, "model"))
    assert len(str(caught.value)) < 500
    return caught.value.reason


def test_answers_are_those_of_the_formula(read: Read) -> None:
    loaded = load_model(read(files(graph()), "model"))
    inputs = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    logits = inputs.astype(np.float64) @ WEIGHT + BIAS
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loaded.answer(inputs), expected, atol=1e-6)
    assert loaded.network is None
    assert str(loaded.task) == "multiclass"
    assert loaded.label == "y"


def test_no_example_sees_another(read: Read) -> None:
    """A graph whose answer depends on the batch gives each row the answer that it has by itself."""
    model = graph()
    model.graph.node[1].ClearField("attribute")
    model.graph.node[1].attribute.append(helper.make_attribute("axis", 1))
    spy = helper.make_node("Softmax", ["input"], ["mixed"], axis=0)  # over the batch
    model.graph.node.insert(0, spy)
    model.graph.node[1].input[0] = "mixed"
    loaded = load_model(read(files(model), "model"))
    inputs = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    together = loaded.answer(inputs)
    alone = np.concatenate([loaded.answer(inputs[index : index + 1]) for index in range(5)])
    assert np.array_equal(together, alone)
    assert np.ptp(together, axis=0).max() == 0  # the softmax over a batch of one is 1 everywhere


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def external_attribute(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(WEIGHT, "w")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    del model.graph.initializer[0]
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))


def named_but_inside(model: onnx.ModelProto) -> None:
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "x"


def subgraph(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node[1].attribute.append(helper.make_attribute("body", inner))


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().dims.append(1)


def function(model: onnx.ModelProto) -> None:
    model.functions.add().name = "f"


def metadata(model: onnx.ModelProto) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = "ort_config", "{}"


def _operator(name: str, domain: str = "") -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].op_type, model.graph.node[1].domain = name, domain

    return change


def _domain(domain: str, version: int = 1) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import.add(domain=domain, version=version)

    return change


def _weight(place: tuple[int, int], value: float) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        altered = WEIGHT.copy()
        altered[place] = value
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(altered, "w"))

    return change


def _do(call: Callable[[onnx.ModelProto], Any]) -> Callable[[onnx.ModelProto], Any]:
    return call


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (external, "onnx-external-data"),
        (external_attribute, "onnx-external-data"),
        (named_but_inside, "onnx-external-data"),
        (subgraph, "onnx-attribute"),
        (sparse, "onnx-beside"),
        (function, "onnx-beside"),
        (metadata, "onnx-beside"),
        (_do(lambda m: m.training_info.add()), "onnx-beside"),
        (_do(lambda m: m.graph.quantization_annotation.add()), "onnx-beside"),
        (_do(lambda m: m.graph.node[0].metadata_props.add()), "onnx-beside"),
        (_operator("RandomNormalLike"), "onnx-operator"),
        (_operator("If"), "onnx-operator"),
        (_operator("Loop"), "onnx-operator"),
        (_operator("Dropout"), "onnx-operator"),
        (_operator("Softmax", "com.microsoft"), "onnx-operator"),
        (_operator("Softmax", "ai.onnx.ml"), "onnx-operator"),
        (_domain("com.microsoft"), "onnx-operator"),
        (_domain("evil.custom"), "onnx-operator"),
        (_domain("", 21), "onnx-version"),
        (_domain("ai.onnx.ml", 99), "onnx-version"),
        (_do(lambda m: setattr(m, "ir_version", 99)), "onnx-version"),
        (_weight((0, 0), float("nan")), "model-not-finite"),
        (_weight((1, 2), float("inf")), "model-not-finite"),
        (
            _do(lambda m: m.graph.node[0].attribute.append(helper.make_attribute("alpha", float("inf")))),
            "model-not-finite",
        ),
        (_do(lambda m: m.graph.node[0].attribute.append(helper.make_attribute("training_mode", 1))), "onnx-attribute"),
        (_do(lambda m: m.graph.node[0].attribute.append(helper.make_attribute("x", "y" * 2000))), "onnx-attribute"),
        (_do(lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**40)), "onnx-tensor"),
        (_do(lambda m: m.graph.initializer[0].dims.__setitem__(0, -2)), "onnx-tensor"),
        (_do(lambda m: m.graph.initializer[0].dims.extend([1] * 8)), "onnx-tensor"),
        (_do(lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING)), "onnx-tensor"),
        (_do(lambda m: m.graph.initializer[0].float_data.append(1.0)), "onnx-tensor"),
        (_do(lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 4)), "onnx-tensor"),
        (_do(lambda m: setattr(m.graph.input[0], "name", "x")), "onnx-edges"),
        (_do(lambda m: m.graph.input.add().CopyFrom(m.graph.input[0])), "onnx-edges"),
        (_do(lambda m: m.graph.output.add().CopyFrom(m.graph.output[0])), "onnx-edges"),
        (_do(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE)), "onnx-edges"),
        (_do(lambda m: m.graph.initializer.add().CopyFrom(numpy_helper.from_array(BIAS, "input"))), "onnx-edges"),
        (_do(lambda m: m.graph.node[0].input.__setitem__(0, "nowhere")), "onnx-edges"),
        (_do(lambda m: m.graph.node[1].output.__setitem__(0, "z")), "onnx-edges"),
        (_do(lambda m: m.graph.node[1].output.__setitem__(0, "other")), "onnx-edges"),
        (_do(lambda m: m.graph.node[0].attribute.append(helper.make_attribute("unheard", 1))), "onnx-graph"),
        (_do(lambda m: m.graph.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 5)), "onnx-graph"),
    ],
)
def test_graphs_that_are_more_than_arithmetic(
    read: Read, change: Callable[[onnx.ModelProto], Any], reason: str
) -> None:
    model = graph()
    change(model)
    assert refusal(read, files(model)) == reason


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_bytes_that_are_no_onnx(read: Read, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    good = graph().SerializeToString(deterministic=True)
    assert refusal(read, files(pickle.dumps(Bomb(mark)))) in {"onnx-syntax", "onnx-canonical"}
    assert refusal(read, files(b"PK\x03\x04" + bytes(64))) == "onnx-syntax"
    assert refusal(read, files(good[:-1])) == "onnx-syntax"
    assert refusal(read, files(b"")) in {"onnx-version", "onnx-edges"}
    assert not mark.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good + b"\x08\x0a",  # a field twice: the last one holds
        lambda good: good + bytes([0xFA, 0x7F, 0x01, 0x41]),  # a field that is not known
        lambda good: good[2:] + good[:2],  # another order
    ],
)
def test_bytes_that_another_parser_could_read_otherwise(read: Read, damage: Callable[[bytes], bytes]) -> None:
    assert refusal(read, files(damage(graph().SerializeToString(deterministic=True)))) == "onnx-canonical"


def test_sizes_are_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    given = files(graph())
    monkeypatch.setattr(onnx_graph, "MAX_ONNX_BYTES", len(given["model.onnx"]) - 1)
    assert refusal(read, given) == "model-size"
    monkeypatch.undo()
    monkeypatch.setattr(onnx_graph, "MAX_NODES", 1)
    assert refusal(read, given) == "onnx-nodes"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"classes": 2}, "model-shape"),
        ({"classes": None}, "onnx-edges"),
        ({"classes": 1}, "model-description"),
        ({"classes": "3"}, "model-description"),
        ({"auto_map": {}}, "model-description"),
        ({"reads": {"type": "images", "channels": 1, "height": 1, "width": 2}}, "model-shape"),
        ({"reads": {"type": "images", "channels": 2, "height": 1, "width": 2}}, "model-description"),
        ({"reads": {"type": "images", "channels": 3, "height": 4096, "width": 4096}}, "model-size"),
        ({"reads": {"type": "table", "features": []}}, "model-description"),
        ({"reads": {"type": "code"}}, "model-description"),
        ({"label": "a"}, "model-description"),
        ({"reads": {"type": "table", "features": DESCRIPTION["reads"]["features"][:1]}}, "model-shape"),  # type: ignore[index]
        ({"architecture": "onnx/2"}, "model-description"),
    ],
)
def test_descriptions_that_lie(read: Read, changes: dict[str, Any], reason: str) -> None:
    assert refusal(read, files(graph(), **changes)) == reason


@pytest.mark.parametrize("name", ["model.safetensors", "weights.bin", "model.onnx.data", "other.onnx", "lib.so"])
def test_any_other_file_is_refused(read: Read, name: str) -> None:
    assert refusal(read, {**files(graph()), name: b""}) in {"model-unsafe-file", "model-files"}


def test_weights_of_another_architecture(read: Read, model_files: dict[str, bytes]) -> None:
    """A description of a network beside an ONNX file: which weights were meant would be anybody's guess."""
    given = {"model.json": model_files["model.json"], "model.onnx": files(graph())["model.onnx"]}
    assert refusal(read, given) == "model-files"


@pytest.mark.parametrize("end", ["Relu", "Tanh", "Identity"])
def test_answers_that_are_no_probabilities(read: Read, end: str) -> None:
    model = graph()
    model.graph.node[1].CopyFrom(helper.make_node(end, ["z"], ["probabilities"]))
    loaded = load_model(read(files(model), "model"))
    with pytest.raises(FormatError) as caught:
        loaded.answer(np.ones((3, 2), dtype=np.float32))
    assert caught.value.reason == "onnx-probabilities"


def test_a_graph_that_fails_while_it_runs(read: Read) -> None:
    loaded = load_model(read(files(graph()), "model"))
    with pytest.raises(FormatError) as caught:
        loaded.answer(np.ones((1, 7), dtype=np.float32))
    assert caught.value.reason == "onnx-run"


def test_two_classes_and_numbers(read: Read) -> None:
    model = graph()
    del model.graph.node[1]
    model.graph.node[0].output[0] = "value"
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1]))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHT[:, :1], "w"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(BIAS[:1], "b"))
    loaded = load_model(read(files(model, classes=None), "model"))
    inputs = np.array([[1, 2], [3, -1]], dtype=np.float32)
    np.testing.assert_allclose(loaded.answer(inputs), inputs @ WEIGHT[:, 0] + BIAS[0], rtol=1e-6)
    assert str(loaded.task) == "regression"


def test_no_operator_draws_or_branches() -> None:
    names = set.union(*map(set, OPERATORS.values()))
    assert not {
        name for name in names if "Random" in name or name in ("If", "Loop", "Scan", "Multinomial", "Bernoulli")
    }
    for domain, operators in OPERATORS.items():
        for name in operators:
            onnx.defs.get_schema(name, max_inclusive_version=21 if not domain else 3, domain=domain)


def test_what_is_parsed_is_what_was_given() -> None:
    data = graph().SerializeToString(deterministic=True)
    assert parse_onnx(data, output="probabilities").SerializeToString(deterministic=True) == data
    assert onnx_model.ARCHITECTURE == "onnx/1"
