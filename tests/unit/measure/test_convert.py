"""torch to ONNX: onnxruntime by itself answers as torch does, for every layer and every kind of answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import Context
from lamslsa.measure.models import cnn, mlp, onnx_model, vgg, weights
from lamslsa.measure.models.features import NumberFeature, input_width
from lamslsa.measure.models.interface import Answer, Classes, Number, TorchDescription, dump_description
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import predict
from lamslsa.measure.transform.convert import to_graph
from tests.unit.measure.transforming import DIFFERENCE, content, transformed

Read = Callable[..., VerifiedArtifact]
TEXT = f"{{transform: convert-onnx/1, model: small, opset: 21, tolerance: 1e-5, {DIFFERENCE}}}"


def test_the_child_answers_as_its_parent(read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact) -> None:
    parent = read(model_files, "model")
    predicate, files = transformed(TEXT, {"parent": parent, "difference": test_set})
    assert set(files) == {"model.json", "model.onnx"}
    before, after = load_model(parent), load_model(read(files, "model"))
    assert isinstance(before.description, mlp.Description)
    width = input_width(before.description.features)
    inputs = np.random.default_rng(0).normal(size=(50, width)).astype(np.float32)
    np.testing.assert_allclose(predict(after, inputs, Context()), predict(before, inputs, Context()), atol=1e-6)
    found = content(predicate, "difference")["from"]["parent"]
    assert found["maximum"] < 1e-6
    assert found["changed"]["rows"] == 0
    assert after.network is None
    again = transformed(TEXT, {"parent": parent, "difference": test_set})
    assert again == (predicate, files)


def _mlp(answer: Answer) -> mlp.Description:
    features = tuple(NumberFeature(name=f"f{index}", mean=0.0, deviation=1.0) for index in range(6))
    says = {} if answer == Classes(classes=2) else {"says": answer}
    return mlp.Description(architecture="tabular-mlp/1", features=features, hidden=(5, 4), label="y", **says)


def _image(*, batch_norm: bool, channels: int, classes: int) -> cnn.Description:
    return cnn.Description(
        architecture="image-cnn/1",
        channels=channels,
        height=9,
        width=8,
        mean=(0.3, 0.2, 0.1)[:channels],
        deviation=(0.5, 0.4, 0.3)[:channels],
        widths=(3, 4),
        batch_norm=batch_norm,
        hidden=(6,),
        dropout=0.5,
        answer=Classes(classes=classes),
        label="folder",
    )


VGG = vgg.Description(
    architecture="image-vgg/1",
    channels=1,
    height=8,
    width=8,
    mean=(0.3,),
    deviation=(0.4,),
    depth=11,
    first_width=2,
    batch_norm=True,
    hidden=(8, 8),
    dropout=0.5,
    answer=Classes(classes=10),
    label="folder",
)


@pytest.mark.parametrize(
    "description",
    [
        _mlp(Classes(classes=2)),
        _mlp(Classes(classes=3)),
        _mlp(Number(mean=150.0, deviation=70.0)),
        _image(batch_norm=False, channels=1, classes=2),
        _image(batch_norm=True, channels=3, classes=4),
        VGG,
    ],
)
def test_onnxruntime_agrees_with_torch(read: Read, description: Any) -> None:
    torch.manual_seed(2)
    network = description.network()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    network.eval()
    parent = load_model(
        read(
            {
                "model.json": dump_description(description),
                "model.safetensors": weights.dump(weights.state_of(network)),
            },
            "model",
        )
    )
    child = onnx_model.Description(
        architecture="onnx/1",
        reads=onnx_model.Rows(features=description.features)
        if isinstance(description, mlp.Description)
        else onnx_model.Images(channels=description.channels, height=description.height, width=description.width),
        label=description.label,
        classes=description.task.classes,
    )
    data = to_graph(network, description, child)
    inputs = np.random.default_rng(3).uniform(size=(20, *child.shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"input": inputs})
    with torch.inference_mode():
        outputs = network(torch.from_numpy(inputs))
    if description.task.classes is None:
        expected = outputs.numpy()
    elif description.task.classes == 2:
        positive = torch.sigmoid(outputs)
        expected = torch.cat([1 - positive, positive], dim=1).numpy()
    else:
        expected = torch.softmax(outputs, dim=1).numpy()
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)
    loaded = load_model(read({"model.json": dump_description(child), "model.onnx": data}, "model"))
    np.testing.assert_allclose(loaded.answer(inputs), parent.answer(inputs), rtol=1e-5, atol=1e-5)


def test_a_layer_that_is_not_known_is_refused() -> None:
    description: TorchDescription = _mlp(Classes(classes=2))
    child = onnx_model.Description(
        architecture="onnx/1", reads=onnx_model.Images(channels=1, height=1, width=6), label="y", classes=2
    )
    for layer in (
        torch.nn.GELU(),
        torch.nn.Conv2d(2, 2, 1, groups=2),
        torch.nn.MaxPool2d(2, ceil_mode=True),
        torch.nn.LSTM(2, 2),
    ):
        with pytest.raises(FormatError) as caught:
            to_graph(torch.nn.Sequential(layer), description, child)
        assert caught.value.reason == "transform-architecture"


def test_a_converted_model_is_not_converted_again(
    read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact
) -> None:
    _, files = transformed(TEXT, {"parent": read(model_files, "model"), "difference": test_set})
    with pytest.raises(FormatError) as caught:
        transformed(TEXT, {"parent": read(files, "model"), "difference": test_set})
    assert caught.value.reason == "transform-architecture"


def test_a_difference_above_the_tolerance_is_no_conversion(
    read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact
) -> None:
    with pytest.raises(FormatError) as caught:
        transformed(TEXT.replace("1e-5", "1e-12"), {"parent": read(model_files, "model"), "difference": test_set})
    assert caught.value.reason == "transform-difference"
