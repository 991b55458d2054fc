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
from lamslsa.measure.data import image_layout, limits
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


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int = 6, height: int = 4, depth: int = 8, colours: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlace))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


ROWS = b"".join(b"\0" + row.tobytes() for row in _GREY)
PACKED = chunk(b"IDAT", zlib.compress(ROWS))


def frame(width: int, height: int, left: int, top: int) -> bytes:
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, left, top, 1, 1, 0, 0))


ANIMATION = chunk(b"acTL", struct.pack(">II", 1, 0))


def huge_png(width: int, height: int) -> bytes:
    """A header that promises many pixels."""
    return png(header(width, height), chunk(b"IDAT", zlib.compress(bytes(1000))))


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
        ("cat/a.png", huge_png(10_000, 10_000), "image-shape"),
        ("cat/a.png", huge_png(2**31 - 1, 2**31 - 1), "image-shape"),
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


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([header(), frame(2, 2, 1, 1), PACKED], "image-frames"),
        ([header(), ANIMATION, PACKED], "image-frames"),
        ([header(), ANIMATION, frame(6, 1, 0, 3), PACKED], "image-frames"),
        ([header(), PACKED, chunk(b"fdAT", bytes(4) + zlib.compress(ROWS))], "image-frames"),
        ([header(), chunk(b"tRNS", b"\0\1"), PACKED], "image-mode"),
        ([header(), PACKED, chunk(b"tRNS", b"\0\1")], "image-mode"),
        ([header(depth=16), chunk(b"IDAT", zlib.compress(bytes(4 * 13)))], "image-mode"),
        ([header(depth=4), chunk(b"IDAT", zlib.compress(bytes(4 * 4)))], "image-mode"),
        ([header(interlace=1), PACKED], "image-mode"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS[:-7]))], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS[:-1]))], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS + b"\0"))], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS + bytes(10**8)))], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS)[:-4] + bytes(4))], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(ROWS) + b"more")], "image-syntax"),
        ([header(), chunk(b"IDAT", zlib.compress(b"\x09" + ROWS[1:]))], "image-syntax"),
        ([header(), PACKED, PACKED], "image-syntax"),
        ([header(), PACKED, chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", b"")], "image-syntax"),
        ([header(), header(), PACKED], "image-syntax"),
        ([header(), chunk(b"PLTE", bytes(3)), PACKED], "image-syntax"),
        ([header(), PACKED[:-1] + bytes([PACKED[-1] ^ 1])], "image-syntax"),
        ([header(), chunk(b"tEXt", b"a\0b")[:-1] + b"?", PACKED], "image-syntax"),
        ([header(), PACKED, chunk(b"IEND", b"")], "image-syntax"),
        ([header()], "image-syntax"),
        ([PACKED], "image-syntax"),
    ],
)
def test_png_that_readers_take_differently_is_refused(read: Read, chunks: list[bytes], reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_images(read({"cat/0.png": PNG, "cat/a.png": png(*chunks)}), GREY)
    assert caught.value.reason == reason


def test_png_in_parts_and_with_notes_is_read(read: Read) -> None:
    packed = zlib.compress(ROWS)
    parts = [chunk(b"IDAT", packed[at : at + 5]) for at in range(0, len(packed), 5)]
    notes = [chunk(b"tEXt", b"a\0b"), chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"pHYs", bytes(9))]
    images = read_images(
        read({"cat/0.png": PNG, "cat/a.png": png(header(), *notes, *parts, chunk(b"tIME", bytes(7)))}), GREY
    )
    assert (images.pixels[1, 0] == _GREY).all()


def test_pixels_that_pillow_would_draw_elsewhere_are_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that stands behind the one about animations."""
    monkeypatch.setattr(image_layout, "refuse_png", lambda data, schema: None)
    with pytest.raises(FormatError) as caught:
        read_images(read({"cat/0.png": PNG, "cat/a.png": png(header(), frame(2, 2, 1, 1), PACKED)}), GREY)
    assert caught.value.reason == "image-frames"


GREYS = b"".join(bytes([level, level, level, 0]) for level in range(256))


def bmp(
    pixels: bytes, *, bits: int = 8, packing: int = 0, palette: bytes = b"", colours: int = 0, start: int | None = None
) -> bytes:
    at = 54 + len(palette) if start is None else start
    head = struct.pack("<IiiHHIIiiII", 40, 6, 4, 1, bits, packing, len(pixels), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(palette) + len(pixels), 0, 0, at) + head + palette + pixels


def test_grey_bmp_is_read_from_the_last_row(read: Read) -> None:
    padded = np.zeros((4, 8), dtype=np.uint8)
    padded[:, :6] = _GREY[::-1]
    files = {
        "cat/a.bmp": bmp(padded.tobytes(), palette=GREYS),
        "cat/b.bmp": bmp(padded.tobytes(), palette=GREYS, colours=256),
        "cat/c.bmp": written(Image.fromarray(_GREY), "BMP"),
    }
    assert (read_images(read(files), GREY).pixels[:, 0] == _GREY).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bmp(b"\x06\x01\x00\x00" * 4 + b"\x00\x01", packing=1, palette=GREYS), "image-mode"),
        (bmp(bytes(32), palette=GREYS[: 16 * 4], colours=16), "image-mode"),
        (bmp(bytes(32), palette=GREYS[: 16 * 4]), "image-mode"),
        (bmp(bytes(32), palette=GREYS[::-1]), "image-mode"),
        (bmp(bytes(32), palette=GREYS, colours=255), "image-mode"),
        (bmp(bytes(16), bits=4, palette=GREYS[: 16 * 4]), "image-mode"),
        (bmp(bytes(80), bits=24), "image-mode"),
        (bmp(bytes(31), palette=GREYS), "image-syntax"),
        (bmp(bytes(32), palette=GREYS, start=60), "image-syntax"),
        (bmp(bytes(32), palette=GREYS)[:50], "image-syntax"),
        (PNG, "image-syntax"),
    ],
)
def test_bmp_that_readers_take_differently_is_refused(read: Read, data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_images(read({"cat/0.png": PNG, "cat/a.bmp": data}), GREY)
    assert caught.value.reason == reason


def test_bmp_of_another_size_or_layout_is_refused(read: Read) -> None:
    for image, reason in ((_RGB.transpose(1, 0, 2).copy(), "image-shape"), (_RGB[:3], "image-shape")):
        with pytest.raises(FormatError) as caught:
            read_images(read({"cat/0.png": PNG_RGB, "cat/a.bmp": written(Image.fromarray(image), "BMP")}), RGB)
        assert caught.value.reason == reason
    with pytest.raises(FormatError) as caught:
        read_images(read({"cat/0.png": PNG_RGB, "cat/a.bmp": bmp(bytes(96), bits=32)}), RGB)
    assert caught.value.reason == "image-mode"


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
