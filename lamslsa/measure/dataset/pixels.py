"""The images of a dataset: PNG files of the declared shape, in the folder of their class."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import ImageSchema

if TYPE_CHECKING:
    import numpy as np

__all__ = ["images_of"]

_MODES: Final = {1: "L", 3: "RGB"}


def images_of(artifact: VerifiedArtifact, schema: ImageSchema) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """Class and pixels (height, width, channels; 8 bits a value) of every image, by path.

    Raises:
        FormatError: a file is in the folder of no class, or no image of the declared shape.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    for entry in artifact.manifest.files:
        folder = entry.path.split("/", 1)[0] if "/" in entry.path else ""
        if folder not in schema.classes:
            raise FormatError(f"{entry.path}: expected the folder of a class, got another", reason="image-class")
        try:
            with Image.open(io.BytesIO(artifact.file(entry.path).view()), formats=["PNG"]) as image:
                shape = (image.width, image.height, image.mode)
                if shape != (schema.width, schema.height, _MODES[schema.channels]):
                    raise FormatError(
                        f"{entry.path}: expected {schema.width}x{schema.height} {_MODES[schema.channels]}, got"
                        f" {shape[0]}x{shape[1]} {shape[2]}",
                        reason="image-shape",
                    )
                pixels = np.asarray(image, dtype=np.uint8).reshape(schema.height, schema.width, schema.channels)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as err:
            raise FormatError(f"{entry.path}: expected a PNG image, got other bytes", reason="image-format") from err
        yield schema.classes[folder], pixels
