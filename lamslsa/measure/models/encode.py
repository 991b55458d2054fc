"""Typed columns to the inputs of the network; what is learned from the training data stands in ``model.json``.

Mean and deviation (of the population) are exact sums (`math.fsum`) over the values that are there, so they do not
depend on the order of summation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.data.table import Table
from lamslsa.measure.models.features import CategoryFeature, Feature, NumberFeature, input_width

if TYPE_CHECKING:
    import numpy as np

__all__ = ["encode", "learn", "mean_and_deviation"]

_MAX_BYTES: Final = 4 * 1024**3


def learn(table: Table, columns: tuple[str, ...]) -> tuple[Feature, ...]:
    """Learn the features of the given columns from a table.

    Raises:
        FormatError: the numbers of a column are too large to be standardised.
    """
    types = {column.name: column.type for column in table.schema.columns}
    features: list[Feature] = []
    for name in columns:
        if types[name] == "string":
            categories = tuple(sorted({value for value in table.values(name).tolist() if value is not None}))
            features.append(CategoryFeature(name=name, categories=categories))
        else:
            features.append(_number(name, _numbers(table, name)))
    return tuple(features)


def encode(table: Table, features: tuple[Feature, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The inputs of the network: float32, one row per row of the table.

    Raises:
        FormatError: a column is missing, has another type than the feature, or does not fit into float32 or memory.
    """
    import numpy as np

    width = input_width(features)
    if 4 * width * table.rows > _MAX_BYTES:
        raise FormatError(
            f"expected at most {_MAX_BYTES} bytes of inputs, got {table.rows} rows of {width}",
            reason="feature-size",
            hint="drop features with many categories",
        )
    _refuse_other_types(table, features)
    inputs = np.zeros((table.rows, width), dtype=np.float32)
    offset = 0
    for feature in features:
        if isinstance(feature, CategoryFeature):
            positions = {category: offset + index for index, category in enumerate(feature.categories)}
            found = np.array([positions.get(value, -1) for value in table.values(feature.name).tolist()])
            rows = np.flatnonzero(found >= 0)
            inputs[rows, found[rows]] = 1
            offset += len(feature.categories)
        else:
            inputs[:, offset] = _standardised(feature, _numbers(table, feature.name))
            offset += 1
    return inputs


def mean_and_deviation(name: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Mean and deviation of numbers, none of them missing; of none 0 and 1, and a constant has deviation 1.

    Raises:
        FormatError: they are too large.
    """
    if not values.size:
        return 0.0, 1.0
    try:
        mean = math.fsum(values) / values.size
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values.tolist()) / values.size)
    except OverflowError as err:
        raise FormatError(
            f"expected numbers of usual size in {name!r}, got larger ones", reason="feature-range"
        ) from err
    return mean, deviation or 1.0


def _numbers(table: Table, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    values = table.values(name)
    if values.dtype == np.float64:
        return values
    return np.array([np.nan if value is None else float(value) for value in values.tolist()], dtype=np.float64)


def _number(name: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> NumberFeature:
    import numpy as np

    present = values[~np.isnan(values)]
    mean, deviation = mean_and_deviation(name, present)
    return NumberFeature(name=name, mean=mean, deviation=deviation)


def _standardised(
    feature: NumberFeature, values: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    import numpy as np

    with np.errstate(over="ignore"):
        scaled = ((values - feature.mean) / feature.deviation).astype(np.float32)
    scaled[np.isnan(values)] = 0
    if not np.isfinite(scaled).all():
        raise FormatError(
            f"expected numbers in {feature.name!r} that fit into float32, got larger ones", reason="feature-range"
        )
    return scaled


def _refuse_other_types(table: Table, features: tuple[Feature, ...]) -> None:
    types = {column.name: column.type for column in table.schema.features}
    for feature in features:
        kind = types.get(feature.name)
        if kind is None or (kind == "string") != isinstance(feature, CategoryFeature):
            wanted = "string" if isinstance(feature, CategoryFeature) else "number"
            raise FormatError(
                f"expected a feature column {feature.name!r} of type {wanted}, got {kind or 'none'}",
                reason="feature-column",
                hint="the dataset must have the columns that the model was trained on",
            )
