"""How long built-in work takes on one core of a server, from the bytes of what is read and what a job declares.

Nothing is read for it: rows are guessed from bytes, the inputs and layers of a network from its declaration or the
bytes of its weights. The rates were measured on one core of a virtual server: tables on UCI Adult (32,561 rows of 15
columns, in all four formats) and Statlog German Credit (1,000 rows of 21), images on MNIST digits (4,000 of 28 x 28,
PNG), texts on 10,605 snippets of reviews. There an estimate is within a factor of three of the CPU time. Elsewhere
values may be longer, files smaller for their content, and solvers slower to converge.

What every measurement begins with, that is loading its libraries and looking at the packages it runs with, is counted
each time; of several measurements in one run only the first has to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lamslsa.measure.data.schema import AnySchema, ImageSchema, Schema, TableFormat, TextSchema

if TYPE_CHECKING:
    from lamslsa.measure.training.settings import Settings

__all__ = [
    "LOADING",
    "Network",
    "asking",
    "attacking",
    "comparing",
    "convolutions",
    "counting",
    "dense",
    "described",
    "evaluating",
    "fitting",
    "inputs",
    "reading",
    "recurrent",
    "resampling",
    "rows",
    "training",
]

LOADING: Final[Mapping[str, float]] = MappingProxyType(
    {"duckdb": 0.15, "torch": 2.4, "scikit-learn": 2.0, "torch and scikit-learn": 3.4}
)
"""Seconds, by the libraries that a measurement loads."""

_BYTES_PER_FIELD: Final[Mapping[TableFormat, float]] = {"csv": 8, "parquet": 0.8, "arrow": 11, "jsonl": 14}
_TYPED_S: Final[Mapping[TableFormat, float]] = {"csv": 0.6e-6, "parquet": 0.3e-6, "arrow": 0.5e-6, "jsonl": 3e-6}
_ENCODED_S: Final = 1e-6  # a field as numbers for a model
_TEXT_BYTES: Final[Mapping[TableFormat, float]] = {"csv": 120, "parquet": 60, "arrow": 125, "jsonl": 150}
_TEXT_COLUMNS: Final = 2  # features of a table that is taken for texts
_IMAGE_BYTES: Final = 1.1  # of PNG or JPEG, each value of each pixel, of which small images have the most
_IMAGE_S, _PIXEL_S = 60e-6, 0.1e-6  # opened and decoded
_CHARACTER_S: Final = 30e-9
_TEXT_PROPERTIES: Final = {"nearDuplicates": 2.5e-6, "ngramOverlap": 0.2e-6}  # a byte
_INPUTS_PER_FEATURE: Final = 7  # most features are categories, and each category is an input
_OPERATIONS_PER_S: Final = 5e10
_FORWARD, _BACKWARD = 2, 4  # operations for each weight and time that it is used
_LAYER_S: Final = 0.2e-3  # a layer, called forwards and backwards
_PRIVATE_TIMES, _PRIVATE_LAYERS = 3, 12  # gradients of each row by itself
_PRIVATE_S: Final = 1.0  # loading opacus, accounting
_CONVOLVED_S: Final = 0.08e-6  # a pixel, forwards, besides what weights cost
_BYTES_PER_WEIGHT: Final = 4
_PLACES: Final = 0.4
_LAYERS, _DENSE_LAYERS, _WORDS = 10, 4, 50  # of a network that is known by its bytes
_WORDS_PER_WEIGHT, _TEXT_S = 3, 0.1e-3
_RESAMPLED_S: Final = 1e-8
_ATTACKED_ROWS: Final = 250  # at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a row costs.

    Attributes:
        weights: how many are used, each as often as it is.
        layers: how many are called one after the other, a step of a recurrent one each time.
        row: seconds besides, forwards.
    """

    weights: float
    layers: float
    row: float = 0.0

    @property
    def forward(self) -> float:
        """Seconds to ask about one row of many."""
        return _FORWARD * self.weights / _OPERATIONS_PER_S + self.row

    @property
    def step(self) -> float:
        """Seconds of one row of many forwards and backwards."""
        return (_FORWARD + _BACKWARD) * self.weights / _OPERATIONS_PER_S + 3 * self.row


def rows(schema: AnySchema, size: int) -> float:
    """How many rows, images or documents so many bytes may be.

    >>> from lamslsa.measure.data.schema import ImageSchema
    >>> round(rows(ImageSchema(channels=1, height=28, width=28, classes={"a": 0, "b": 1}), 862_400))
    1000
    """
    match schema:
        case ImageSchema():
            return size / (_IMAGE_BYTES * schema.channels * schema.height * schema.width)
        case TextSchema():
            return size / _TEXT_BYTES["csv"]
        case Schema():
            if _is_texts(schema):
                return size / _TEXT_BYTES[schema.format]
            names = sum(len(column.name) for column in schema.columns) if schema.format == "jsonl" else 0
            return size / (_BYTES_PER_FIELD[schema.format] * len(schema.columns) + names)


def _is_texts(schema: Schema) -> bool:
    features = schema.features
    return len(features) <= _TEXT_COLUMNS and any(column.type == "string" for column in features)


def inputs(features: int) -> int:
    """How many inputs a model may have for so many features of a table."""
    return _INPUTS_PER_FEATURE * features


def counting(schema: AnySchema, size: int) -> float:
    """Seconds to read and count as a datasheet does, or to read, change and write."""
    match schema:
        case ImageSchema():
            return rows(schema, size) * (_IMAGE_S + _PIXEL_S * schema.channels * schema.height * schema.width)
        case TextSchema():
            return size * _CHARACTER_S
        case Schema():
            texts = size * _CHARACTER_S if _is_texts(schema) else 0.0
            return rows(schema, size) * len(schema.columns) * _TYPED_S[schema.format] + texts


def comparing(family: str, schema: AnySchema, size: int) -> float:
    """Seconds for a property of a datasheet, on each dataset that it reads."""
    if family not in _TEXT_PROPERTIES:
        return counting(schema, size) / 2
    columns = len(schema.columns) if isinstance(schema, Schema) and not _is_texts(schema) else 1
    return _TEXT_PROPERTIES[family] * size / columns


def reading(schema: AnySchema, size: int) -> float:
    """Seconds to read for a model: fields, pixels or words as numbers."""
    encoded = rows(schema, size) * len(schema.columns) * _ENCODED_S if isinstance(schema, Schema) else 0.0
    return counting(schema, size) + encoded


def dense(widths: Sequence[int]) -> Network:
    """A network of layers of these widths, the inputs first.

    >>> dense([10, 4, 1]).weights
    44
    """
    return Network(weights=sum(a * b for a, b in itertools.pairwise(widths)), layers=len(widths))


def convolutions(schema: ImageSchema, blocks: Sequence[Sequence[int]], hidden: Sequence[int]) -> Network:
    """A network of blocks of 3 x 3 convolutions of these widths, each block followed by a halving of the image.

    >>> from lamslsa.measure.data.schema import ImageSchema
    >>> tiny = ImageSchema(channels=1, height=4, width=4, classes={"a": 0, "b": 1})
    >>> convolutions(tiny, [[2]], []).weights
    304
    """
    weights, layers, below = 0, 0, int(schema.channels)
    height, width = schema.height, schema.width
    for block in blocks:
        for wide in block:
            weights, layers, below = weights + 9 * below * wide * height * width, layers + 1, wide
        height, width = max(1, height // 2), max(1, width // 2)
    classifier = dense([below * height * width, *hidden, len(schema.classes)])
    return Network(weights=weights + classifier.weights, layers=layers + classifier.layers, row=_of_pixels(schema))


def recurrent(*, embedding: int, hidden: int, layers: int, directions: int, length: int) -> Network:
    """An LSTM over so many words of a text."""
    below = [embedding, *[hidden * directions] * (layers - 1)]
    cells = sum(directions * 4 * hidden * (width + hidden) for width in below)
    return Network(weights=cells * length, layers=layers * directions * length)


def described(schema: AnySchema, size: int) -> Network:
    """A network of which only the bytes of its weights are known, and the data that it reads.

    A convolution uses a weight at many places of an image, the more the larger that is; most weights of an LSTM are the
    vectors of words, and the others are used for each word.
    """
    weights = size / _BYTES_PER_WEIGHT
    if isinstance(schema, ImageSchema):
        places = _PLACES * math.sqrt(schema.height * schema.width)
        return Network(weights=weights * places, layers=_LAYERS, row=_of_pixels(schema))
    if isinstance(schema, Schema) and _is_texts(schema):
        return Network(weights=weights * _WORDS_PER_WEIGHT, layers=_WORDS, row=_TEXT_S)
    return Network(weights=weights, layers=_DENSE_LAYERS)


def _of_pixels(schema: ImageSchema) -> float:
    return _CONVOLVED_S * schema.height * schema.width


def asking(schema: AnySchema, size: int, *, models: Sequence[int]) -> float:
    """Seconds to read so many bytes of rows and have models of so many bytes answer each."""
    found = rows(schema, size)
    return reading(schema, size) + sum(described(schema, model).forward * found for model in models)


def fitting(network: Network, settings: Settings, *, rows: float) -> float:
    """Seconds of all epochs; with privacy each row has a gradient of its own.

    >>> from types import SimpleNamespace
    >>> told = SimpleNamespace(epochs=3, batch_size=256, privacy=None)
    >>> round(fitting(dense([98, 1024, 1024, 1]), told, rows=33_000))
    14
    """
    calls = math.ceil(rows / settings.batch_size) * network.layers * _LAYER_S
    if settings.privacy is None:
        return settings.epochs * (calls + rows * network.step)
    return _PRIVATE_S + settings.epochs * (_PRIVATE_LAYERS * calls + _PRIVATE_TIMES * rows * network.step)


def resampling(rows: float, resamples: int, *, metrics: float) -> float:
    """Seconds to resample rows so often, for metrics as costly as so many means."""
    return rows * resamples * metrics * _RESAMPLED_S


def training(network: Network, settings: Settings, schema: AnySchema, size: int) -> float:
    """Seconds to read so many bytes and fit a network to them."""
    return LOADING["torch"] + reading(schema, size) + fitting(network, settings, rows=rows(schema, size))


def evaluating(schema: AnySchema, size: int, *, models: Sequence[int], resamples: int, metrics: float) -> float:
    """Seconds to ask models about so many bytes of rows, and to resample what they say."""
    found = resampling(rows(schema, size), resamples, metrics=metrics)
    return LOADING["torch and scikit-learn"] + asking(schema, size, models=models) + found


def attacking(schema: AnySchema, size: int, *, model: int, limit: int | None, passes: int) -> float:
    """Seconds to read so many bytes, and to have a model answer each row, or so many of them, so often."""
    found = rows(schema, size) if limit is None else min(limit, rows(schema, size))
    network = described(schema, model)
    calls = math.ceil(found / _ATTACKED_ROWS) * network.layers * _LAYER_S / 3
    return LOADING["torch"] + reading(schema, size) + passes * (calls + found * network.forward)
