"""Damaged images of digits and photographs, by other libraries and by hand."""

from __future__ import annotations

import colorsys
import io
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from scipy.signal import convolve2d
from scipy.stats import chisquare, poisson

from lamslsa.measure.evaluation.corruption_images import IMAGES
from tests.unit.measure.real_world import (
    ADAM,
    HEAD,
    REST,
    SAMPLING,
    TEN,
    Array,
    Make,
    Tensors,
    World,
    draws,
    example,
    near,
    percentiles,
)

SEVERITIES = (1, 3)
# As the specification has them, for severity 1 to 5.
AMOUNTS: dict[str, tuple[float, ...]] = {
    "gaussian-noise": (0.04, 0.06, 0.08, 0.09, 0.1),
    "shot-noise": (500, 250, 100, 75, 50),
    "impulse-noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus-blur": (1, 1.5, 2, 2.5, 3),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg": (80, 65, 58, 50, 40),
}
JOB = f"""{HEAD}
schemas:
  images: {{{{format: images, channels: %d, height: %d, width: %d, classes: {{{{%s}}}}}}}}
datasets:
  train: {{{{schema: images, overlap: []}}}}
  test: {{{{schema: images, overlap: []}}}}
training: {{{{trainer: image-cnn/1, model: m, dataset: train, widths: [4, 8], batchNorm: false, hidden: [], dropout: 0,
  normalization: learned, epochs: 3, {ADAM}, seed: 1, {REST}}}}}
evaluations:
  damaged: {{{{measurer: corruptions/1, dataset: test, {SAMPLING}, corruptions: all, severities: {list(SEVERITIES)},
    columns: all}}}}
""".replace("{{", "{").replace("}}", "}")


@dataclass
class Pictures:
    """A network of images, and the images as Pillow reads them.

    Attributes:
        pixels: of each dataset, 0 to 1, of shape (images, channels, height, width).
        labels: of the test images.
    """

    world: World
    pixels: dict[str, Array]
    labels: Array

    def answers(self, images: Array) -> Array:
        """Of each image the logits."""
        return convolved(self.world.tensors, json.loads(self.world.files["model.json"]), images)

    def right(self, images: Array) -> Array:
        """Which images get their class."""
        logits = self.answers(images)
        said = logits[:, 0] >= 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
        found: Array = said == self.labels
        return found


def pictures(make_world: Make, text: str, files: Mapping[str, Mapping[str, bytes]], classes: list[str]) -> Pictures:
    pixels = {}
    for name, each in files.items():
        read = [np.asarray(Image.open(io.BytesIO(data))) for _, data in sorted(each.items())]
        pixels[name] = np.stack([image.reshape(*image.shape[:2], -1).transpose(2, 0, 1) for image in read]) / 255
    labels = np.array([classes.index(path.split("/")[0]) for path in sorted(files["test"])])
    return Pictures(make_world(text, files), pixels, labels)


@pytest.fixture(scope="module")
def digits(make_world: Make) -> Pictures:
    """Of the digits of the examples, in grey."""
    folder = example("digits")
    files: dict[str, dict[str, bytes]] = {}
    for name, count in (("train", 60), ("test", 15)):
        chosen = [path for k in range(10) for path in sorted((folder / name / str(k)).glob("*.png"))[:count]]
        files[name] = {path.relative_to(folder / name).as_posix(): path.read_bytes() for path in chosen}
    return pictures(make_world, JOB % (1, 28, 28, TEN), files, [str(k) for k in range(10)])


def photographs() -> dict[str, Array]:
    """The two that scikit-learn has: a temple and a flower, 427 x 640 pixels in colour."""
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    return {"china": china, "flower": flower}


@pytest.fixture(scope="module")
def photos(make_world: Make) -> Pictures:
    """Of pieces of photographs."""
    files: dict[str, dict[str, bytes]] = {"train": {}, "test": {}}
    for name, photo in photographs().items():
        corners = itertools.product(range(0, 427 - 31, 56), range(0, 640 - 31, 40))
        for number, (row, column) in enumerate(corners):
            stream = io.BytesIO()
            Image.fromarray(photo[row : row + 32, column : column + 32]).save(stream, "PNG")
            files["test" if number % 2 else "train"][f"{name}/{number:03}.png"] = stream.getvalue()
    return pictures(make_world, JOB % (3, 32, 32, "china: 0, flower: 1"), files, ["china", "flower"])


def damaged(name: str, severity: int, images: Array, random: np.random.Generator) -> Array:
    """The images after a corruption, as the table of the measurer's documentation defines it."""
    amount = AMOUNTS[name][severity - 1]
    match name:
        case "gaussian-noise":
            found = images + random.normal(size=images.shape) * amount
        case "shot-noise":
            found = random.poisson(amount * images) / amount
        case "impulse-noise":
            draws = random.random(images.shape)
            found = images.copy()
            found[draws < amount / 2] = 0
            found[draws >= 1 - amount / 2] = 1
        case "defocus-blur":
            kernel = disk(amount)
            found = each_plane(images, lambda plane: convolve2d(plane, kernel, mode="same", boundary="symm"))
        case "brightness":
            found = np.stack([brighter(image, amount) for image in images])
        case "contrast":
            found = amount * images + (1 - amount) * images.mean(axis=(2, 3))[:, :, None, None]
        case "pixelate":
            found = each_plane(images, lambda plane: squeezed(plane, int(plane.shape[0] * amount)))
        case _:
            found = np.stack([compressed(image, int(amount)) for image in images])
    as_a_file: Array = np.rint(found.clip(0, 1) * 255) / 255
    return as_a_file


def each_plane(images: Array, change: Any) -> Array:
    return np.stack([np.stack([change(plane) for plane in image]) for image in images])


def disk(radius: float) -> Array:
    """What a disk covers of each pixel, point by point."""
    reach = math.ceil(radius - 0.5)
    side = range(-reach, reach + 1)
    points = [(k + 0.5) / 16 - 0.5 for k in range(16)]
    covered = [
        [sum(math.hypot(row + y, column + x) <= radius for y in points for x in points) for column in side]
        for row in side
    ]
    kernel: Array = np.array(covered) / np.sum(covered)
    return kernel


def brighter(image: Array, amount: float) -> Array:
    """In HSV, by the standard library; grey has no hue."""
    if len(image) == 1:
        return image + amount
    colours = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(3, -1).T.tolist()]
    raised = [colorsys.hsv_to_rgb(hue, saturation, min(1, value + amount)) for hue, saturation, value in colours]
    return np.array(raised).T.reshape(image.shape)


def squeezed(image: Array, side: int) -> Array:
    """Down to so many pixels, each the mean of those whose middle it covers, and back by the nearest.

    Row by row and then column by column in float32, as Pillow does it: the mean of two values may lie in their middle.
    """
    size = len(image)
    middles = (np.arange(size) + 0.5) * side / size
    cover = (np.floor(middles) == np.arange(side)[:, None]).astype(float)
    cover /= cover.sum(axis=1, keepdims=True)
    back = np.floor(middles).astype(int)
    narrow = (image.astype(np.float32) @ cover.T).astype(np.float32)
    small: Array = (cover @ narrow).astype(np.float32)
    large: Array = small[back][:, back]
    return large


def compressed(image: Array, quality: int) -> Array:
    """Written as a JPEG by Pillow, and read again."""
    pixels = np.rint(255 * image).astype(np.uint8).transpose(1, 2, 0)
    size = pixels.shape[1], pixels.shape[0]
    stream = io.BytesIO()
    Image.frombytes("L" if len(image) == 1 else "RGB", size, pixels.tobytes()).save(stream, "JPEG", quality=quality)
    read = Image.open(stream)
    return np.frombuffer(read.tobytes(), dtype=np.uint8).reshape(pixels.shape).transpose(2, 0, 1) / 255


def convolved(tensors: Tensors, description: dict[str, Any], images: Array) -> Array:
    """What the network says: two blocks of convolution, ReLU and pooling, then one linear layer."""
    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    mean, deviation = (np.array(description[key])[:, None, None] for key in ("mean", "deviation"))
    values = torch.tensor((images - mean) / deviation, dtype=torch.float32)
    for block in range(2):
        values = torch.conv2d(values, weights[f"conv{block}.weight"], weights[f"conv{block}.bias"], padding=1)
        values = torch.max_pool2d(values.relu(), 2)
    return (values.flatten(1) @ weights["linear0.weight"].T + weights["linear0.bias"]).numpy()


@pytest.mark.parametrize("which", ["digits", "photos"])
def test_corruptions(request: pytest.FixtureRequest, which: str) -> None:
    them: Pictures = request.getfixturevalue(which)
    statement_, found = them.world.evaluate("damaged")
    description = json.loads(them.world.files["model.json"])
    assert description["mean"] == near(them.pixels["train"].mean(axis=(0, 2, 3)).tolist(), 1e-6)
    assert description["deviation"] == near(them.pixels["train"].std(axis=(0, 2, 3)).tolist(), 1e-6)
    images = them.pixels["test"]
    clean = them.right(images)
    assert found("accuracy") == near(clean.mean())
    assert 0.5 < clean.mean() < 1, "a model that damage can hurt"
    parts = []
    for name, severity in itertools.product(AMOUNTS, SEVERITIES):
        random = draws(statement_, "corruption", name, str(severity))
        parts.append(them.right(damaged(name, severity, images, random)))
        assert found("corruption_accuracy", corruption=name, severity=severity) == near(parts[-1].mean())
    assert len({part.mean() for part in parts}) > 5, "damage that can be told apart"
    over = {"corruptions": ",".join(AMOUNTS)}
    assert found("mean_corruption_accuracy", **over) == near(np.mean(parts))
    assert found("relative_corruption_drop", **over) == near(1 - np.mean(parts) / clean.mean())
    assert found.all_asked()
    for name in ("mean_corruption_accuracy", "relative_corruption_drop"):
        random = draws(statement_, name)
        again = []
        for _ in range(20):
            rows = random.integers(0, len(clean), size=len(clean))
            kept = np.mean([part[rows].mean() for part in parts])
            again.append(kept if name.startswith("mean") else 1 - kept / clean[rows].mean())
        assert found.interval(name, **over) == percentiles(again)


def corrupted(name: str, images: Array, severity: int) -> Array:
    """The same by the measurer, in whole steps of 1/255."""
    corruption, amounts = IMAGES[name]
    found: Array = corruption(images.astype(np.float32), np.random.default_rng(0), amounts[severity - 1])
    return np.rint(255 * found.astype(np.float64)).astype(int)


@pytest.fixture(scope="module")
def large() -> Array:
    """Both photographs whole, of shape (2, 3, 427, 640)."""
    return np.stack([photo.transpose(2, 0, 1) for photo in photographs().values()]) / 255


def test_shot_noise_of_photographs_is_poisson(large: Array) -> None:
    """Counts of photons: of each value's pixels as many have each count as the distribution says."""
    values, places = np.unique(large, return_inverse=True)
    rows = np.bincount(places.reshape(-1))
    many = rows > 1000
    assert many.sum() > 200
    for severity, amount in enumerate(AMOUNTS["shot-noise"], 1):
        noisy = corrupted("shot-noise", large, severity).reshape(-1) / 255
        counts = np.arange(3 * int(amount))
        chances = poisson.pmf(counts, amount * values[:, None])
        stored = np.minimum(np.rint(255 * counts / amount), 255) / 255
        expected = chances @ stored
        variances = chances @ stored**2 - expected**2
        means = np.bincount(places.reshape(-1), noisy) / rows
        errors = np.sqrt(variances / rows)
        assert (np.abs(means - expected) < 5 * errors + 1e-12)[many].all()
        squares = np.bincount(places.reshape(-1), (noisy - expected[places.reshape(-1)]) ** 2) / rows
        assert squares[many] == pytest.approx(variances[many], rel=0.2, abs=1e-12)
        assert (rows * squares).sum() == pytest.approx((rows * variances).sum(), rel=0.01)
        mid = np.argmax(np.where((values > 0.3) & (values < 0.5), rows, 0))
        seen = np.bincount(np.rint(255 * noisy[places.reshape(-1) == mid]).astype(int), minlength=256)
        wanted = np.bincount(np.rint(255 * stored).astype(int), chances[mid], minlength=256) * rows[mid]
        common = wanted > 10
        observed = np.append(seen[common], rows[mid] - seen[common].sum())
        assert chisquare(observed, np.append(wanted[common], rows[mid] - wanted[common].sum())).pvalue > 1e-4


@pytest.mark.parametrize(("severity", "radius"), [*enumerate(AMOUNTS["defocus-blur"], 1)])
def test_defocus_of_photographs_is_a_mean_over_a_disk(large: Array, severity: int, radius: float) -> None:
    """Brute force: every point of the disk moved over the mirrored picture, and all of them added up."""
    part = large[:, :, 40:120, 60:150]
    kernel = disk(radius)
    reach = len(kernel) // 2
    assert kernel[reach, reach] == pytest.approx(1 / (np.pi * radius**2), rel=0.02), "as large as a disk"
    mirrored = np.concatenate([part[..., :reach, :][..., ::-1, :], part, part[..., -reach:, :][..., ::-1, :]], axis=-2)
    mirrored = np.concatenate([mirrored[..., :reach][..., ::-1], mirrored, mirrored[..., -reach:][..., ::-1]], axis=-1)
    expected = np.zeros(part.shape)
    for row, column in itertools.product(range(2 * reach + 1), repeat=2):
        expected += kernel[row, column] * mirrored[..., row : row + 80, column : column + 90]
    found = corrupted("defocus-blur", part, severity)
    assert np.abs(found - 255 * expected).max() < 0.5 + 1e-3
    assert np.abs(found - 255 * part).max() > 20, "a blur that can be seen"


def test_jpeg_of_photographs_is_that_of_a_file(large: Array, tmp_path: Path) -> None:
    for (severity, quality), (number, photo) in itertools.product(enumerate(AMOUNTS["jpeg"], 1), enumerate(large)):
        pixels = np.rint(255 * photo).astype(np.uint8).transpose(1, 2, 0)
        path = tmp_path / f"{number}-{quality}.jpg"
        Image.fromarray(pixels).save(path, quality=int(quality))
        with Image.open(path) as read:
            assert read.format == "JPEG"
            expected = np.array(read, dtype=int)
        found = corrupted("jpeg", photo[None], severity)[0].transpose(1, 2, 0)
        assert np.array_equal(found, expected)
        assert not np.array_equal(found, pixels)


# ITU-T T.81, table K.1.
LUMINANCE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""


def test_jpeg_of_digits_is_its_quantised_cosines(digits: Pictures) -> None:
    """The standard by hand: blocks of 8 x 8, cosines in steps of the table, back again."""
    images = digits.pixels["test"][:60]
    table = np.array(LUMINANCE.split(), dtype=int).reshape(8, 8)

    def by_hand(quality: int) -> Array:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        steps = ((table * scale + 50) // 100).clip(1, 255)
        padded = np.pad(255 * images[:, 0] - 128, ((0, 0), (0, 4), (0, 4)), mode="edge")
        blocks = padded.reshape(-1, 4, 8, 4, 8).transpose(0, 1, 3, 2, 4)
        kept = np.rint(dctn(blocks, axes=(-2, -1), norm="ortho") / steps) * steps
        whole = idctn(kept, axes=(-2, -1), norm="ortho").transpose(0, 1, 3, 2, 4).reshape(-1, 32, 32)
        found: Array = (whole[:, :28, :28] + 128).clip(0, 255)
        return found

    for severity, quality in enumerate(AMOUNTS["jpeg"], 1):
        found = corrupted("jpeg", images, severity)[:, 0]
        # libjpeg's cosines are whole numbers, so here and there a coefficient is rounded to its neighbour.
        alike = [(np.abs(found - by_hand(int(quality) + more)) < 1.5).mean() for more in (-1, 0, 1)]
        assert alike[1] > 0.95
        assert max(alike[0], alike[2]) < 0.9, "no other quality would do"
