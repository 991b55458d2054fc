"""A folder of images to numbers: what is not exactly as declared is refused before it is unpacked."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.images import read_images
from lamslsa.measure.data.schema import ImageSchema

Read = Callable[..., VerifiedArtifact]
GREY = ImageSchema(channels=1, height=4, width=6, classes={"cat": 0, "dög": 1})
RGB = ImageSchema(channels=3, height=4, width=6, classes={"cat": 0, "dög": 1})
_RNG = np.random.default_rng(1)
_GREY: np.ndarray[Any, Any] = _RNG.integers(0, 256, (4, 6), dtype=np.uint8)
_RGB: np.ndarray[Any, Any] = _RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def written(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


PNG = written(Image.fromarray(_GREY))


def huge_png(width: int, height: int) -> bytes:
    """A header that promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_digits_come_back_as_they_were(read: Read) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    drawn = (digits.images[:200] * 16).clip(0, 255).astype(np.uint8)
    files = {
        f"{label}/{index:04}.png": written(Image.fromarray(image))
        for index, (image, label) in enumerate(zip(drawn, digits.target[:200], strict=True))
    }
    schema = ImageSchema(channels=1, height=8, width=8, classes={str(digit): digit for digit in range(10)})
    images = read_images(read(files), schema)
    assert images.names == tuple(sorted(files))
    order = [int(name[2:6]) for name in images.names]
    assert (images.pixels[:, 0] == drawn[order]).all()
    assert (images.labels == digits.target[order]).all()
    assert (images.pixels.dtype, images.labels.dtype, images.pixels.flags.writeable) == (np.uint8, np.int64, False)


@pytest.mark.parametrize(("form", "suffix"), [("PNG", "png"), ("BMP", "BMP")])
def test_colours_are_channels_first(read: Read, form: str, suffix: str) -> None:
    images = read_images(read({f"dög/a.{suffix}": written(Image.fromarray(_RGB), form), "cat/b.png": PNG_RGB}), RGB)
    assert (images.pixels[1] == _RGB.transpose(2, 0, 1)).all()
    assert images.labels.tolist() == [0, 1]


PNG_RGB = written(Image.fromarray(_RGB))


def test_jpeg_is_read_and_exif_is_not_applied(read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    data = written(Image.fromarray(_RGB), "JPEG", quality=100, exif=exif)
    images = read_images(read({"cat/a.jpg": data, "cat/b.JPEG": data}), RGB)
    assert images.pixels.shape == (2, 3, 4, 6)
    with Image.open(io.BytesIO(data)) as image:
        assert (images.pixels[0] == np.asarray(image).transpose(2, 0, 1)).all()


def _zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil.png", PNG)
    return stream.getvalue()


ANIMATED = written(Image.fromarray(_GREY), save_all=True, append_images=[Image.fromarray(255 - _GREY)])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", PNG, "image-class"),
        ("mouse/a.png", PNG, "image-class"),
        ("CAT/a.png", PNG, "image-class"),
        ("cat/a.gif", written(Image.fromarray(_GREY), "GIF"), "image-format"),
        ("cat/a", PNG, "image-format"),
        ("cat/labels.csv", b"a,b\n", "image-format"),
        ("cat/a.jpg", PNG, "image-syntax"),
        ("cat/a.png", written(Image.fromarray(_GREY), "GIF"), "image-syntax"),
        ("cat/a.png", written(Image.fromarray(_GREY), "TIFF"), "image-syntax"),
        ("cat/a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n", "image-syntax"),
        ("cat/a.png", pickle.dumps(print), "image-syntax"),
        ("cat/a.png", _zipped(), "image-syntax"),
        ("cat/a.png", b"", "image-syntax"),
        ("cat/a.png", PNG[:-30], "image-syntax"),
        ("cat/a.png", PNG[:45] + bytes([PNG[45] ^ 255]) + PNG[46:], "image-syntax"),
        ("cat/a.png", huge_png(6, 4)[:33], "image-syntax"),
        ("cat/a.png", huge_png(10_000, 10_000), "image-syntax"),
        ("cat/a.png", huge_png(2**31 - 1, 2**31 - 1), "image-syntax"),
        ("cat/a.png", huge_png(9000, 9000), "image-shape"),
        ("cat/a.png", written(Image.fromarray(_GREY.T.copy())), "image-shape"),
        ("cat/a.png", PNG_RGB, "image-mode"),
        ("cat/a.png", written(Image.fromarray(_RGB).convert("RGBA")), "image-mode"),
        ("cat/a.png", written(Image.fromarray(_RGB).convert("P")), "image-mode"),
        ("cat/a.png", written(Image.fromarray(_GREY).convert("1")), "image-mode"),
        ("cat/a.png", written(Image.fromarray(_GREY.astype(np.uint16) * 257)), "image-mode"),
        ("cat/a.png", written(Image.fromarray(_GREY), transparency=0), "image-mode"),
        ("cat/a.png", ANIMATED, "image-frames"),
    ],
)
def test_hostile_images_are_refused(read: Read, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_images(read({"cat/0.png": PNG, name: data}), GREY)
    assert caught.value.reason == reason


def test_sizes_are_capped(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = read({"cat/a.png": PNG, "cat/b.png": PNG})
    monkeypatch.setattr(limits, "MAX_IMAGES_BYTES", 47)
    with pytest.raises(FormatError) as caught:
        read_images(artifact, GREY)
    assert caught.value.reason == "image-total-size"
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_IMAGE_FILE_BYTES", len(PNG) - 1)
    with pytest.raises(FormatError) as caught:
        read_images(artifact, GREY)
    assert caught.value.reason == "image-size"
