"""Corruptions of images, after Hendrycks and Dietterich (2019, https://arxiv.org/abs/1903.12261), for small images.

An image is float in 0 to 1; each result is cut to 0 to 1 and rounded to whole multiples of 1/255, as a file would hold
it. The table gives the parameter at severity 1 to 5. The corruptions are those of the paper; neither its images nor its
numbers are claimed: this is not ImageNet-C.

    gaussian-noise   x + N(0, a)                                               a    0.04 0.06 0.08 0.09 0.10
    shot-noise       Poisson(a x) / a                                          a    500 250 100 75 50
    impulse-noise    each value 0 or 1 with a / 2 each                         a    0.01 0.02 0.03 0.05 0.07
    defocus-blur     mean over a disk of radius a, edges mirrored              a    1 1.5 2 2.5 3
    brightness       V + a in HSV; grey: x + a                                 a    0.05 0.10 0.15 0.20 0.30
    contrast         (x - m) a + m, m the mean of the channel                  a    0.75 0.50 0.40 0.30 0.15
    pixelate         box filter to a times the size and back                   a    0.95 0.90 0.85 0.75 0.65
    jpeg             compressed at quality a, chroma halved as libjpeg does    a    80 65 58 50 40
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["IMAGES", "disk"]

Severities = tuple[float, float, float, float, float]
Corruption = Callable[["Array", "np.random.Generator", float], "Array"]


def _gaussian(images: Array, random: np.random.Generator, amount: float) -> Array:
    return images + amount * random.standard_normal(images.shape)


def _shot(images: Array, random: np.random.Generator, amount: float) -> Array:
    noisy: Array = random.poisson(images * amount) / amount
    return noisy


def _impulse(images: Array, random: np.random.Generator, amount: float) -> Array:
    import numpy as np

    draws = random.random(images.shape)
    return np.where(draws < amount / 2, 0, np.where(draws >= 1 - amount / 2, 1, images))


def disk(radius: float) -> Array:
    """The share of each pixel that a disk around the middle one covers, by 16 x 16 points in each; sums to 1."""
    import numpy as np

    reach = int(np.ceil(radius - 0.5))
    points = (np.arange(16 * (2 * reach + 1)) + 0.5) / 16 - reach - 0.5
    inside = points[:, None] ** 2 + points**2 <= radius**2
    covered = inside.reshape(2 * reach + 1, 16, 2 * reach + 1, 16).sum(axis=(1, 3))
    kernel: Array = covered / covered.sum()
    return kernel


def _defocus(images: Array, random: np.random.Generator, amount: float) -> Array:
    from scipy.ndimage import convolve

    del random
    blurred: Array = convolve(images, disk(amount)[None, None], mode="reflect")
    return blurred


def _brightness(images: Array, random: np.random.Generator, amount: float) -> Array:
    import numpy as np

    del random
    value = images.max(axis=1, keepdims=True)
    brighter = np.minimum(value + amount, 1)
    # Hue and saturation stay: all channels by one factor; black, which has neither, becomes grey.
    brightened: Array = np.where(value > 0, images * (brighter / np.where(value > 0, value, 1)), brighter)
    return brightened


def _contrast(images: Array, random: np.random.Generator, amount: float) -> Array:
    del random
    mean = images.mean(axis=(2, 3), keepdims=True)
    flat: Array = (images - mean) * amount + mean
    return flat


def _pixelate(images: Array, random: np.random.Generator, amount: float) -> Array:
    import numpy as np
    from PIL import Image

    del random
    height, width = images.shape[2:]
    small = max(1, int(width * amount)), max(1, int(height * amount))
    box = Image.Resampling.BOX
    planes = [
        np.asarray(Image.fromarray(plane).resize(small, box).resize((width, height), box))
        for plane in images.reshape(-1, height, width).astype(np.float32)
    ]
    return np.stack(planes).reshape(images.shape) if planes else images


def _jpeg(images: Array, random: np.random.Generator, amount: float) -> Array:
    import numpy as np
    from PIL import Image

    del random
    found = np.empty(images.shape, dtype=np.float64)
    pixels = np.round(images.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    for number, image in enumerate(pixels):
        stream = io.BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(stream, "JPEG", quality=int(amount))
        with Image.open(io.BytesIO(stream.getvalue()), formats=["JPEG"]) as decoded:
            found[number] = np.asarray(decoded).reshape(image.shape).transpose(2, 0, 1) / 255
    return found


def _as_a_file(corruption: Corruption) -> Corruption:
    def corrupted(images: Array, random: np.random.Generator, amount: float) -> Array:
        import numpy as np

        result = corruption(images.astype(np.float64), random, amount)
        rounded: Array = (np.round(np.clip(result, 0, 1) * 255) / 255).astype(np.float32)
        return rounded

    return corrupted


IMAGES: Final[Mapping[str, tuple[Corruption, Severities]]] = {
    "gaussian-noise": (_as_a_file(_gaussian), (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": (_as_a_file(_shot), (500, 250, 100, 75, 50)),
    "impulse-noise": (_as_a_file(_impulse), (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus-blur": (_as_a_file(_defocus), (1, 1.5, 2, 2.5, 3)),
    "brightness": (_as_a_file(_brightness), (0.05, 0.10, 0.15, 0.20, 0.30)),
    "contrast": (_as_a_file(_contrast), (0.75, 0.50, 0.40, 0.30, 0.15)),
    "pixelate": (_as_a_file(_pixelate), (0.95, 0.90, 0.85, 0.75, 0.65)),
    "jpeg": (_as_a_file(_jpeg), (80, 65, 58, 50, 40)),
}
