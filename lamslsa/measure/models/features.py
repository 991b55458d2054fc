"""What a table's columns become: features, learned from the training data, that stand in ``model.json``.

A feature is ``{"type": "number", "name", "mean", "deviation"}``, one input (value - mean) / deviation, or
``{"type": "category", "name", "categories"}``, one input for each category. Missing is zero in every input of the
feature, and so is a category that the training data did not hold.

>>> age = NumberFeature(name="age", mean=38.5, deviation=2.0)
>>> input_width((age, CategoryFeature(name="sex", categories=("F", "M"))))
3
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from lamslsa.errors import FormatError
from lamslsa.measure.models.interface import Name

__all__ = ["MAX_INPUTS", "CategoryFeature", "Feature", "NumberFeature", "input_width", "refuse_features"]

MAX_INPUTS: Final = 2**20


class NumberFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="number"
):
    """One standardised input; a truth value counts as 0 or 1, and a constant column has deviation 1."""

    name: Name
    mean: float
    deviation: Annotated[float, msgspec.Meta(gt=0)]


class CategoryFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="category"
):
    """One input for each category, in code-point order."""

    name: Name
    categories: tuple[str, ...]


Feature = NumberFeature | CategoryFeature


def input_width(features: tuple[Feature, ...]) -> int:
    """How many inputs the features make."""
    return sum(len(feature.categories) if isinstance(feature, CategoryFeature) else 1 for feature in features)


def refuse_features(features: tuple[Feature, ...], *, label: str) -> None:
    """Return if the features do not contradict each other.

    Raises:
        FormatError: a feature twice, the label among them, or categories that are not in order.
    """
    names = [feature.name for feature in features]
    if len(set(names)) != len(names) or label in names:
        raise FormatError("expected each feature once and no label among them, got others", reason="model-description")
    for feature in features:
        if isinstance(feature, CategoryFeature) and list(feature.categories) != sorted(set(feature.categories)):
            raise FormatError(
                f"expected sorted and unique categories of {feature.name!r}, got others", reason="model-description"
            )
