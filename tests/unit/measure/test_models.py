"""Architectures: what is built is what is described, held against arithmetic by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context
from lamslsa.measure.models import cnn, lstm, mlp, vgg, weights
from lamslsa.measure.models.features import NumberFeature
from lamslsa.measure.models.interface import (
    Classes,
    ImageInputs,
    Number,
    TextInputs,
    TorchDescription,
    dump_description,
)
from lamslsa.measure.models.loading import load_model, parse_description
from lamslsa.measure.models.predict import predict
from lamslsa.measure.models.words import encode_texts, learn_words, words
from lamslsa.measure.training.images import learn_normalization

Read = Callable[..., VerifiedArtifact]

TEN = Classes(classes=10)
NUMBER = Number(mean=150.0, deviation=77.0)


def a_cnn(**changes: Any) -> cnn.Description:
    fields: dict[str, Any] = {
        "channels": 1,
        "height": 6,
        "width": 5,
        "mean": (0.25,),
        "deviation": (0.5,),
        "widths": (2, 3),
        "batch_norm": False,
        "hidden": (4,),
        "dropout": 0.0,
        "answer": Classes(classes=3),
        "label": "folder",
    }
    return cnn.Description(architecture=cnn.ARCHITECTURE, **{**fields, **changes})


def a_vgg(**changes: Any) -> vgg.Description:
    fields: dict[str, Any] = {
        "channels": 3,
        "height": 32,
        "width": 32,
        "mean": (0.5, 0.5, 0.5),
        "deviation": (0.5, 0.5, 0.5),
        "depth": 11,
        "first_width": 2,
        "batch_norm": True,
        "hidden": (8,),
        "dropout": 0.5,
        "answer": TEN,
        "label": "folder",
    }
    return vgg.Description(architecture=vgg.ARCHITECTURE, **{**fields, **changes})


def an_lstm(**changes: Any) -> lstm.Description:
    fields: dict[str, Any] = {
        "text_column": "text",
        "tokens": "casefold-words",
        "vocabulary": ("a", "b", "c"),
        "length": 4,
        "embedding": 3,
        "hidden": 2,
        "layers": 1,
        "bidirectional": False,
        "dropout": 0.0,
        "answer": Classes(classes=2),
        "label": "y",
    }
    return lstm.Description(architecture=lstm.ARCHITECTURE, **{**fields, **changes})


def an_mlp(**changes: Any) -> mlp.Description:
    age = NumberFeature(name="age", mean=38.5, deviation=2.0)
    fields: dict[str, Any] = {"features": (age,), "hidden": (4,), "label": "y"}
    return mlp.Description(architecture=mlp.ARCHITECTURE, **{**fields, **changes})


EVERY: list[Any] = [
    an_mlp(),
    an_mlp(says=Classes(classes=3)),
    an_mlp(says=NUMBER, hidden=()),
    a_cnn(),
    a_cnn(batch_norm=True, hidden=(), answer=Classes(classes=2)),
    a_vgg(),
    a_vgg(depth=19, batch_norm=False, hidden=(), height=28, width=17),
    an_lstm(),
    an_lstm(layers=3, bidirectional=True, answer=NUMBER),
    an_lstm(vocabulary=(), answer=Classes(classes=4)),
]


def stored(description: Any, seed: int = 0) -> dict[str, bytes]:
    """The files of a model with random weights, statistics of batch normalisation included."""
    import torch

    source = torch.Generator().manual_seed(seed)
    state = {
        name: torch.rand(shape, generator=source) + 0.5
        if "running_var" in name
        else torch.randn(shape, generator=source) / 2
        for name, shape in description.shapes().items()
    }
    return {"model.json": dump_description(description), "model.safetensors": weights.dump(state)}


def numpy_weights(files: dict[str, bytes]) -> dict[str, np.ndarray[Any, Any]]:
    import safetensors.numpy

    loaded: dict[str, np.ndarray[Any, Any]] = safetensors.numpy.load(files["model.safetensors"])
    return {name: value.astype(np.float64) for name, value in loaded.items()}


@pytest.mark.parametrize("description", EVERY, ids=lambda item: item.architecture)
def test_shapes_are_those_of_the_network(description: TorchDescription) -> None:
    state = weights.state_of(description.network())
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == description.shapes()
    again = parse_description(dump_description(description))  # type: ignore[arg-type]  # all of them are structs
    assert again == description
    assert dump_description(again) == dump_description(description)  # type: ignore[arg-type]


@pytest.mark.parametrize("description", EVERY, ids=lambda item: item.architecture)
def test_every_architecture_answers(read: Read, description: TorchDescription) -> None:
    loaded = load_model(read(stored(description), "model"))
    what = description.inputs
    inputs: np.ndarray[Any, Any]
    if isinstance(what, ImageInputs):
        inputs = np.random.default_rng(0).random((5, what.channels, what.height, what.width), dtype=np.float32)
    elif isinstance(what, TextInputs):
        inputs = np.random.default_rng(0).integers(0, len(what.vocabulary) + 2, (5, what.length))
    else:
        inputs = np.random.default_rng(0).normal(size=(5, 1)).astype(np.float32)
    answers = predict(loaded, inputs, Context())
    classes = loaded.task.classes
    assert answers.dtype == np.float32
    assert answers.shape == ((5, classes) if classes is not None and classes > 2 else (5,))
    if classes is not None:
        assert (answers >= 0).all()
        assert (answers <= 1).all()
    if classes is not None and classes > 2:
        assert answers.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("depth", "parameters"), [(11, 132_863_336), (13, 133_047_848), (16, 138_357_544), (19, 143_667_240)]
)
def test_vgg_has_the_parameters_of_the_paper(depth: int, parameters: int) -> None:
    """Simonyan and Zisserman 2015, table 2: 133, 133, 138 and 144 million; the counts are those of its layers."""
    description = a_vgg(
        depth=depth, first_width=64, height=224, width=224, hidden=(4096, 4096), batch_norm=False,
        answer=Classes(classes=1000),
    )  # fmt: skip
    description.refuse()
    assert sum(math.prod(shape) for shape in description.shapes().values()) == parameters
    convolutions = sum(len(shape) == 4 for shape in description.shapes().values())
    assert convolutions + 3 == depth


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(224, 224, (7, 7)), (32, 32, (1, 1)), (28, 28, (1, 1)), (8, 8, (1, 1)), (1, 9, (1, 9))],
)
def test_vgg_halves_while_there_is_something_to_halve(height: int, width: int, sides: tuple[int, int]) -> None:
    description = a_vgg(height=height, width=width, hidden=())
    assert description.shapes()["linear0.weight"] == (10, 16 * sides[0] * sides[1])


def convolved(pixels: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> Any:
    """3x3 cross-correlation with a border of zeros, one image (channels, height, width)."""
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, kernel) + bias[:, None, None]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_cnn_by_hand(read: Read, batch_norm: bool) -> None:
    description = a_cnn(batch_norm=batch_norm, dropout=0.5)
    files = stored(description)
    w = numpy_weights(files)
    images = np.random.default_rng(1).random((4, 1, 6, 5), dtype=np.float32)
    expected = []
    for image in images.astype(np.float64):
        layer = (image - 0.25) / 0.5
        for index in range(2):
            layer = convolved(layer, w[f"conv{index}.weight"], w[f"conv{index}.bias"])
            if batch_norm:
                mean, variance, scale, shift = (
                    w[f"norm{index}.{name}"][:, None, None]
                    for name in ("running_mean", "running_var", "weight", "bias")
                )
                layer = (layer - mean) / np.sqrt(variance + 1e-5) * scale + shift
            layer = np.maximum(layer, 0)
            height, width = layer.shape[1] // 2 * 2, layer.shape[2] // 2 * 2
            layer = layer[:, :height, :width].reshape(len(layer), height // 2, 2, width // 2, 2).max(axis=(2, 4))
        hidden = np.maximum(w["linear0.weight"] @ layer.ravel() + w["linear0.bias"], 0)
        logits = w["linear1.weight"] @ hidden + w["linear1.bias"]
        expected.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
    found = predict(load_model(read(files, "model")), images, Context())
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def last_state(w: dict[str, Any], vectors: list[Any], suffix: str, hidden: int) -> Any:
    """Hochreiter and Schmidhuber's cell with a forget gate, gates in the order i, f, g, o."""
    h, c = np.zeros(hidden), np.zeros(hidden)
    for vector in vectors:
        gates = w[f"lstm.weight_ih_{suffix}"] @ vector + w[f"lstm.bias_ih_{suffix}"]
        gates = gates + w[f"lstm.weight_hh_{suffix}"] @ h + w[f"lstm.bias_hh_{suffix}"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_by_hand_reads_no_padding(read: Read, bidirectional: bool) -> None:
    description = an_lstm(bidirectional=bidirectional, dropout=0.5)
    files = stored(description)
    w = numpy_weights(files)
    inputs = np.array([[2, 3, 4, 2], [4, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 0]], dtype=np.int64)
    expected = []
    for row in inputs:
        vectors = [w["embedding.weight"][number] for number in row if number] or [w["embedding.weight"][0]]
        state = last_state(w, vectors, "l0", 2)
        if bidirectional:
            state = np.concatenate([state, last_state(w, vectors[::-1], "l0_reverse", 2)])
        expected.append(float(sigmoid(w["linear.weight"] @ state + w["linear.bias"])[0]))
    assert predict(load_model(read(files, "model")), inputs, Context()).tolist() == pytest.approx(expected, abs=1e-6)


def test_numbers_are_answered_in_the_unit_of_the_label(read: Read) -> None:
    files = stored(an_mlp(says=NUMBER, hidden=()))
    w = numpy_weights(files)
    loaded = load_model(read(files, "model"))
    expected = 150 + 77 * (w["0.weight"][0, 0] * 2 + w["0.bias"][0])
    assert predict(loaded, np.array([[2.0]], dtype=np.float32), Context()).tolist() == pytest.approx(
        [expected], rel=1e-6
    )
    assert str(loaded.task) == "regression"


@pytest.mark.parametrize("description", [a_cnn(batch_norm=True, dropout=0.5), a_vgg()], ids=["cnn", "vgg"])
def test_accuracy_is_measured_in_eval_mode(read: Read, description: Any) -> None:
    """Laminator: accuracy was measured without eval mode; here it cannot be, whatever mode the network is in."""
    import torch

    loaded = load_model(read(stored(description), "model"))
    assert loaded.network is not None
    shape = (8, description.channels, description.height, description.width)
    images = np.random.default_rng(2).random(shape, dtype=np.float32)
    in_eval_mode = predict(loaded, images, Context())
    loaded.network.train()
    with torch.no_grad():
        in_training_mode = torch.softmax(loaded.network(torch.from_numpy(images)), dim=1).numpy()
    assert not np.allclose(in_eval_mode, in_training_mode, atol=1e-3)
    fresh = load_model(read(stored(description), "model"))
    assert fresh.network is not None
    fresh.network.train()
    assert np.array_equal(predict(fresh, images, Context()), in_eval_mode)
    # what one image is answered does not depend on those beside it
    alone = np.concatenate([predict(fresh, images[i : i + 1], Context()) for i in range(8)])
    assert alone == pytest.approx(in_eval_mode, abs=1e-5)


def test_words_are_cut_folded_and_counted() -> None:
    assert words("Don't STOP -- Straße 42, naïve\u00a0x_y") == ["don't", "stop", "strasse", "42", "naïve", "x_y"]
    assert words("") == words("... !?") == []
    assert words("x" * 100) == ["x" * 64]
    assert learn_words(["b a", "A c b", "d"], size=3, minimum=1) == ("a", "b", "c")
    assert learn_words(["b a", "A c b", "d"], size=9, minimum=2) == ("a", "b")
    assert learn_words(["b a"], size=0, minimum=1) == ()
    inputs = TextInputs(column="t", vocabulary=("a", "b"), length=3)
    assert encode_texts(["b a", "z b z a", ""], inputs).tolist() == [[3, 2, 0], [1, 3, 1], [0, 0, 0]]


def test_texts_are_bounded_before_memory_is_taken() -> None:
    with pytest.raises(FormatError) as caught:
        encode_texts([""] * 10_000, TextInputs(column="t", vocabulary=(), length=65_536))
    assert caught.value.reason == "feature-size"


def test_normalization_is_that_of_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), dtype=np.uint8)
    pixels[:, 2] = 7
    found = learn_normalization(pixels)
    expected = pixels.astype(np.float64) / 255
    assert found.mean == pytest.approx(expected.mean(axis=(0, 2, 3)), rel=1e-12)
    assert found.deviation[:2] == pytest.approx(expected.std(axis=(0, 2, 3))[:2], rel=1e-9)
    assert found.deviation[2] == 1.0
    with pytest.raises(FormatError) as caught:
        learn_normalization(np.zeros((0, 1, 2, 2), dtype=np.uint8))
    assert caught.value.reason == "training-empty"


BREAKING: list[tuple[Any, dict[str, Any], str]] = [
    (an_mlp(), {"says": {"type": "classes", "classes": 2}}, "model-description"),
    (an_mlp(), {"says": {"type": "number", "mean": 0, "deviation": 0}}, "model-description"),
    (an_mlp(), {"says": {"type": "classes", "classes": 10_001}}, "model-description"),
    (an_mlp(), {"says": None}, "model-description"),
    (an_mlp(), {"architecture": "tabular-mlp/2"}, "model-description"),
    (an_mlp(), {"architecture": ["tabular-mlp/1"]}, "model-description"),
    (a_cnn(), {"channels": 2}, "model-description"),
    (a_cnn(), {"mean": [0.1, 0.2]}, "model-description"),
    (a_cnn(), {"deviation": [0]}, "model-description"),
    (a_cnn(), {"widths": []}, "model-description"),
    (a_cnn(), {"dropout": 1}, "model-description"),
    (a_cnn(), {"batchNorm": 1}, "model-description"),
    (a_cnn(), {"batch_norm": False}, "model-description"),
    (a_cnn(), {"height": 0}, "model-description"),
    (a_cnn(), {"height": 4096, "width": 4096, "widths": [8192], "hidden": [8192]}, "model-size"),
    (a_cnn(), {"answer": {"type": "number", "mean": 0, "deviation": 1}}, "model-description"),
    (a_vgg(), {"depth": 12}, "model-description"),
    (a_vgg(), {"depth": "11"}, "model-description"),
    (a_vgg(), {"firstWidth": 512, "hidden": [8192, 8192]}, "model-size"),
    (a_vgg(), {"channels": 1}, "model-description"),
    (an_lstm(), {"vocabulary": ["a", "a"]}, "model-description"),
    (an_lstm(), {"vocabulary": ["x" * 65]}, "model-description"),
    (an_lstm(), {"label": "text"}, "model-description"),
    (an_lstm(), {"tokens": "eval"}, "model-description"),
    (an_lstm(), {"length": 0}, "model-description"),
    (an_lstm(), {"embedding": 8192, "hidden": 8192, "layers": 8}, "model-size"),
    (an_lstm(), {"code": "import os"}, "model-description"),
]


@pytest.mark.parametrize(("description", "change", "reason"), BREAKING)
def test_descriptions_are_parsed_strictly(read: Read, description: Any, change: dict[str, Any], reason: str) -> None:
    files = stored(description)
    document = {**json.loads(files["model.json"]), **change}
    with pytest.raises(FormatError) as caught:
        load_model(read({**files, "model.json": json.dumps(document).encode()}, "model"))
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("description", EVERY[3:], ids=lambda item: item.architecture)
def test_weights_are_those_of_the_description_and_no_others(read: Read, description: Any) -> None:
    import safetensors.torch
    import torch

    files = stored(description)
    last = max(description.shapes())
    changes: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda state: state.pop(last), "model-shape"),
        (lambda state: state.update({"norm0.num_batches_tracked": torch.zeros(())}), "model-shape"),
        (lambda state: state.update({last: state[last].double()}), "model-type"),
        (lambda state: state[last].fill_(math.inf), "model-not-finite"),
    ]
    for change, reason in changes:
        state = safetensors.torch.load(files["model.safetensors"])
        change(state)
        with pytest.raises(FormatError) as caught:
            load_model(read({**files, "model.safetensors": safetensors.torch.save(state)}, "model"))
        assert caught.value.reason == reason
