"""A folder of images to numbers: every file is one still image of exactly the declared size and mode, in its class.

Rules:
- PNG, JPEG and BMP, by content as well as by suffix; Pillow tries no other format.
- PNG and BMP are read strictly first (`lamslsa.measure.data.image_layout`).
- Size and mode are read before a pixel is unpacked: ``L`` for one channel, ``RGB`` for three. Nothing is resized,
  converted, rotated by EXIF or taken from an animation; a truncated file is refused.
- ``<class>/<anything>``: the first folder is the class, a declared one, and no file lies outside.
- Images keep the order of the manifest. PNG and BMP give the same pixels everywhere; JPEG depends on the libjpeg inside
  Pillow, so a statement about JPEG names the package ``pillow`` in its environment.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data import image_layout, limits
from lamslsa.measure.data.schema import ImageSchema

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PACKAGES", "Images", "read_images"]

PACKAGES: Final = ("numpy", "pillow")
_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}
_MODES: Final = {1: "L", 3: "RGB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images of one size, in the order of the manifest.

    Attributes:
        pixels: uint8 of shape (n, channels, height, width); read-only.
        labels: int64 classes of shape (n,); read-only.
        names: the path of each in the artifact.
    """

    pixels: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    names: tuple[str, ...]


def read_images(artifact: VerifiedArtifact, schema: ImageSchema) -> Images:
    """Read every image of a dataset.

    Raises:
        FormatError: a file is not an image as declared, or lies outside the classes, or there are too many.
    """
    import numpy as np

    names = tuple(entry.path for entry in artifact.manifest.files)
    labels = np.array([_class(name, schema) for name in names], dtype=np.int64)
    shape = (len(names), schema.channels, schema.height, schema.width)
    size = shape[0] * shape[1] * shape[2] * shape[3]
    if size > limits.MAX_IMAGES_BYTES:
        raise FormatError(
            f"expected at most {limits.MAX_IMAGES_BYTES} bytes of pixels, got {size}", reason="image-total-size"
        )
    pixels = np.empty(shape, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as Pillow's of an image's size
        for index, name in enumerate(names):
            pixels[index] = _pixels(artifact.file(name), schema)
    pixels.flags.writeable = labels.flags.writeable = False
    return Images(pixels=pixels, labels=labels, names=names)


def _class(name: str, schema: ImageSchema) -> int:
    folder, _, rest = name.partition("/")
    if not rest or folder not in schema.classes:
        _refuse(name, "the folder of a declared class", "another place", "image-class")
    return schema.classes[folder]


def _pixels(file: VerifiedFile, schema: ImageSchema) -> np.ndarray[Any, Any]:
    name = file.entry.path
    if file.entry.size > limits.MAX_IMAGE_FILE_BYTES:
        _refuse(name, f"at most {limits.MAX_IMAGE_FILE_BYTES} bytes", str(file.entry.size), "image-size")
    suffix = name[name.rfind(".") :].lower()
    if suffix not in _FORMATS:
        _refuse(name, "a PNG, JPEG or BMP file", "another suffix", "image-format")
    _refuse_layout(file, _FORMATS[suffix], schema)
    try:
        return _unpacked(file, _FORMATS[suffix], schema)
    except FormatError:
        raise
    except Exception as err:  # Pillow's plug-ins raise nearly anything on broken files
        raise FormatError(f"{name}: expected a whole image, got {type(err).__name__}", reason="image-syntax") from err


def _unpacked(file: VerifiedFile, form: str, schema: ImageSchema) -> np.ndarray[Any, Any]:
    import numpy as np
    from PIL import Image

    name = file.entry.path
    with Image.open(io.BytesIO(file.view()), formats=[form]) as image:
        if image.size != (schema.width, schema.height):
            got = f"{image.size[0]} x {image.size[1]}"
            _refuse(name, f"{schema.width} x {schema.height} pixels", got, "image-shape")
        if image.mode != _MODES[schema.channels] or "transparency" in image.info:
            _refuse(name, f"mode {_MODES[schema.channels]}", f"{image.mode} or transparency", "image-mode")
        if getattr(image, "n_frames", 1) != 1:
            _refuse(name, "one image", "several frames", "image-frames")
        if [each[1] for each in image.tile] != [(0, 0, *image.size)]:  # Pillow may be led to draw elsewhere
            _refuse(name, "pixels for the whole image", "others", "image-frames")
        found = np.frombuffer(image.tobytes(), dtype=np.uint8)
    return found.reshape(schema.height, schema.width, schema.channels).transpose(2, 0, 1)


def _refuse_layout(file: VerifiedFile, form: str, schema: ImageSchema) -> None:
    try:
        if form == "PNG":
            image_layout.refuse_png(file.view(), schema)
        elif form == "BMP":
            image_layout.refuse_bmp(file.view(), schema)
    except FormatError as err:
        raise FormatError(f"{file.entry.path}: {err}", reason=err.reason, hint=err.hint) from err


def _refuse(name: str, expected: str, got: str, reason: str) -> NoReturn:
    raise FormatError(f"{name}: expected {expected}, got {got}", reason=reason)
