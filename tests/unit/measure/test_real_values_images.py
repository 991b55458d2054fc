"""Damaged images of digits and photographs, by other libraries and by hand."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.unit.measure.real_world import ADAM, HEAD, REST, SAMPLING, TEN, Array, Make, Tensors, example, near

# Severities 1 and 3 move no pixel to the middle between two values, where rounding would be a matter of luck.
SEVERITIES = (1, 3)
DAMAGES = ("gaussian-noise", "impulse-noise", "brightness", "contrast", "pixelate")
IMAGES = f"""{HEAD}
schemas:
  digits: {{format: images, channels: 1, height: 28, width: 28, classes: {{{TEN}}}}}
datasets:
  train: {{schema: digits, overlap: []}}
  test: {{schema: digits, overlap: []}}
training: {{trainer: image-cnn/1, model: m, dataset: train, widths: [4, 8], batchNorm: false, hidden: [], dropout: 0,
  normalization: learned, epochs: 3, {ADAM}, seed: 1, {REST}}}
evaluation: {{measurer: corruptions/1, dataset: test, {SAMPLING}, corruptions: [{", ".join(DAMAGES)}],
  severities: {list(SEVERITIES)}, columns: all}}
"""


def damaged(name: str, severity: int, images: Array, seed: bytes) -> Array:
    """The images after a corruption, as the table of the measurer's documentation defines it."""
    key = json.dumps(["corruption", [name, str(severity)]], separators=(",", ":")).encode()
    bits = np.random.PCG64(int(hashlib.sha256(seed + key).hexdigest(), 16))
    random = np.random.Generator(bits)
    first = severity == 1
    match name:
        case "gaussian-noise":
            found = images + random.normal(size=images.shape) * (0.04 if first else 0.08)
        case "impulse-noise":
            amount = 0.01 if first else 0.03
            draws = random.random(images.shape)
            found = images.copy()
            found[draws < amount / 2] = 0
            found[draws >= 1 - amount / 2] = 1
        case "brightness":
            found = images + (0.05 if first else 0.15)
        case "contrast":
            kept = 0.75 if first else 0.4
            found = kept * images + (1 - kept) * images.mean(axis=(1, 2))[:, None, None]
        case _:
            found = np.stack([squeezed(image, 26 if first else 23) for image in images])
    as_a_file: Array = np.rint(found.clip(0, 1) * 255) / 255
    return as_a_file


def squeezed(image: Array, side: int) -> Array:
    """Down to so many pixels, each the mean of those whose middle it covers, and back by the nearest."""
    middles = (np.arange(28) + 0.5) * side / 28
    cover = (np.floor(middles) == np.arange(side)[:, None]).astype(float)
    cover /= cover.sum(axis=1, keepdims=True)
    back = np.floor((np.arange(28) + 0.5) * side / 28).astype(int)
    small: Array = cover @ image @ cover.T
    large: Array = small[back][:, back]
    return large


def convolved(tensors: Tensors, description: dict[str, Any], images: Array) -> Array:
    """What the network says: two blocks of convolution, ReLU and pooling, then one linear layer."""
    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    values = torch.tensor((images - description["mean"][0]) / description["deviation"][0], dtype=torch.float32)[:, None]
    for block in range(2):
        values = torch.conv2d(values, weights[f"conv{block}.weight"], weights[f"conv{block}.bias"], padding=1)
        values = torch.max_pool2d(values.relu(), 2)
    return (values.flatten(1) @ weights["linear0.weight"].T + weights["linear0.bias"]).numpy()


def test_corruptions_of_digits(make_world: Make) -> None:
    folder = example("digits")
    files: dict[str, dict[str, bytes]] = {}
    for name, count in (("train", 60), ("test", 25)):
        chosen = [path for k in range(10) for path in sorted((folder / name / str(k)).glob("*.png"))[:count]]
        files[name] = {path.relative_to(folder / name).as_posix(): path.read_bytes() for path in chosen}
    world = make_world(IMAGES, files)
    statement_, found = world.evaluate("evaluation")
    seed = bytes.fromhex(statement_.seed.value.sha256)
    description = json.loads(world.files["model.json"])
    pixels = {
        name: np.stack([np.asarray(Image.open(io.BytesIO(data))) for _, data in sorted(each.items())]) / 255
        for name, each in files.items()
    }
    assert description["mean"] == [near(pixels["train"].mean(), 1e-6)]
    assert description["deviation"] == [near(pixels["train"].std(), 1e-6)]
    labels = np.array([int(path.split("/")[0]) for path in sorted(files["test"])])

    def right(images: Array) -> Array:
        found: Array = convolved(world.tensors, description, images).argmax(axis=1) == labels
        return found

    clean = right(pixels["test"])
    assert found("accuracy") == near(clean.mean())
    assert 0.5 < clean.mean() < 1, "a model that damage can hurt"
    parts = []
    for name, severity in itertools.product(DAMAGES, SEVERITIES):
        parts.append(right(damaged(name, severity, pixels["test"], seed)).mean())
        assert found("corruption_accuracy", corruption=name, severity=severity) == near(parts[-1])
    assert len(set(parts)) > 3, "damage that can be told apart"
    over = {"corruptions": ",".join(DAMAGES)}
    assert found("mean_corruption_accuracy", **over) == near(np.mean(parts))
    assert found("relative_corruption_drop", **over) == near(1 - np.mean(parts) / clean.mean())
    assert found.all_asked()
