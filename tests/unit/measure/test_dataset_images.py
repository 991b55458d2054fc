"""Datasheets of images: scikit-learn's digits as PNG files, against NumPy."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import load_job
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset

Read = Callable[..., VerifiedArtifact]
Array = np.ndarray[Any, Any]

JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  grey: {format: images, channels: 1, height: 8, width: 8, classes: {c0: 0, c1: 1, c2: 2}}
  colour: {format: images, channels: 3, height: 2, width: 3, classes: {c0: 0, c1: 1}}
datasets:
  digits: {schema: grey, overlap: [others], properties: {}}
  others: {schema: grey, overlap: []}
  colours: {schema: colour, overlap: []}
"""


def png(pixels: Array, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def folder_of(images: Array, labels: Array, **options: Any) -> dict[str, bytes]:
    return {
        f"c{label}/{number:04d}.png": png(image, **options)
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    }


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    found = load_digits(n_class=3)
    return (found.images * 15).astype(np.uint8), found.target


def sheet_of(artifact: VerifiedArtifact, name: str, **others: VerifiedArtifact) -> Dataset:
    job = load_job(JOB.encode(), "job.yaml")
    parsed = predicates.parse(statement.parse(measure_dataset(artifact, name=name, job=job, others=others)))
    assert isinstance(parsed, Dataset)
    return parsed


def test_digits_against_numpy(read: Read, digits: tuple[Array, Array]) -> None:
    images, labels = digits
    files = folder_of(images[:200], labels[:200])
    files["c0/copy of another class.png"] = png(images[1], compress_level=0)  # the same pixels in other bytes
    pixels = np.concatenate([images[:200], images[1:2]]).astype(np.float64)
    sheet = sheet_of(read(files), "digits", others=read(folder_of(images[190:230], labels[190:230])))
    assert str(sheet.measurer) == "image-dataset/1"
    assert sheet.rows == 201
    assert sheet.duplicates is not None
    assert sheet.duplicates.rows == 201 - len({image.tobytes() for image in images[:200]}) == 1
    assert sheet.label_balance is not None
    counted = Counter([*labels[:200].tolist(), 0])
    assert {cell.values[0]: cell.count for cell in sheet.label_balance.cells} == counted
    assert sheet.images is not None
    assert (sheet.images.height, sheet.images.width, sheet.images.pixels) == (8, 8, 201 * 64)
    (channel,) = sheet.images.channels
    assert (channel.sum, channel.sum_of_squares) == (int(pixels.sum()), int((pixels**2).sum()))
    assert channel.mean == pytest.approx(pixels.mean(), rel=1e-14)
    assert channel.deviation == pytest.approx(pixels.std(), rel=1e-12)
    (overlap,) = sheet.overlaps
    assert (overlap.rows, overlap.distinct, overlap.samples, overlap.columns) == (10, 10, 201, ("pixels",))


def test_channels_are_kept_apart(read: Read) -> None:
    source = np.random.default_rng(3)
    images = source.integers(0, 256, size=(5, 2, 3, 3), dtype=np.uint8)
    sheet = sheet_of(read(folder_of(images, np.array([0, 1, 0, 1, 1]))), "colours")
    assert sheet.images is not None
    found = [(channel.mean, channel.deviation) for channel in sheet.images.channels]
    wide = images.astype(np.float64)
    assert found == [pytest.approx((wide[..., c].mean(), wide[..., c].std()), rel=1e-12) for c in range(3)]


def test_one_image_has_no_deviation(read: Read) -> None:
    sheet = sheet_of(
        read(
            {
                "c0/a.png": png(np.full((2, 3, 3), 7, dtype=np.uint8)),
                "c1/b.png": png(np.full((2, 3, 3), 7, dtype=np.uint8)),
            }
        ),
        "colours",
    )
    assert sheet.images is not None
    assert [(channel.mean, channel.deviation) for channel in sheet.images.channels] == [(7.0, 0.0)] * 3
    assert sheet.duplicates is not None
    assert sheet.duplicates.rows == 1


@pytest.mark.parametrize(
    "files",
    [
        {"c0/a.png": b"\x89PNG\r\n\x1a\n", "c1/b.png": b""},
        {"c0/a.png": png(np.zeros((8, 9), dtype=np.uint8)), "c1/b.png": png(np.zeros((8, 8), dtype=np.uint8))},
        {"c0/a.png": png(np.zeros((8, 8, 3), dtype=np.uint8)), "c1/b.png": png(np.zeros((8, 8), dtype=np.uint8))},
        {"c9/a.png": png(np.zeros((8, 8), dtype=np.uint8)), "c1/b.png": png(np.zeros((8, 8), dtype=np.uint8))},
        {"a.png": png(np.zeros((8, 8), dtype=np.uint8)), "c1/b.png": png(np.zeros((8, 8), dtype=np.uint8))},
    ],
)
def test_what_is_not_declared_is_refused(read: Read, files: dict[str, bytes]) -> None:
    with pytest.raises(FormatError):
        sheet_of(read(files), "others")


@pytest.mark.parametrize("key", ["shares", "summaries", "nearDuplicates"])
def test_properties_of_tables_are_none_of_images(key: str) -> None:
    with pytest.raises(FormatError) as caught:
        load_job(JOB.replace("properties: {}", f"properties: {{{key}: []}}").encode(), "job.yaml")
    assert caught.value.reason == "yaml-unknown-key"


def test_overlap_of_images_has_no_columns_to_choose() -> None:
    with pytest.raises(FormatError) as caught:
        load_job(JOB.replace("overlap: [others]", "overlap: [{dataset: others, columns: [pixels]}]").encode(), "job")
    assert caught.value.reason == "job-overlap"
