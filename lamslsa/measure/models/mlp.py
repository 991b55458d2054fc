"""The architecture ``tabular-mlp/1`` and its declarative description ``model.json``: data, and no code.

    {"architecture": "tabular-mlp/1", "features": […], "hidden": [128, 256], "label": "income"}

A feature is ``{"type": "number", "name", "mean", "deviation"}``, one input (value - mean) / deviation, or
``{"type": "category", "name", "categories"}``, one input for each category. Missing is zero in every input of the
feature, and so is a category that the training data did not hold. The network is Linear, ReLU, …, Linear with one
output, the logit of class 1; its tensors are named as in a ``torch.nn.Sequential``: ``0.weight``, ``0.bias``,
``2.weight`` … , all float32.

Rules: a description is parsed strictly, every field required and none unknown, and bounded before anything is built.

>>> age = NumberFeature(name="age", mean=38.5, deviation=2.0)
>>> description = Description(architecture=ARCHITECTURE, features=(age,), hidden=(4,), label="income")
>>> parse_description(dump_description(description)) == description
True
>>> shapes(description)
{'0.weight': (4, 1), '0.bias': (4,), '2.weight': (1, 4), '2.bias': (1,)}
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError

if TYPE_CHECKING:
    import torch

__all__ = [
    "ARCHITECTURE",
    "DESCRIPTION_FILE",
    "MAX_PARAMETERS",
    "WEIGHTS_FILE",
    "CategoryFeature",
    "Description",
    "Feature",
    "NumberFeature",
    "dump_description",
    "input_width",
    "network",
    "parse_description",
    "shapes",
]

ARCHITECTURE: Final = "tabular-mlp/1"
DESCRIPTION_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "model.safetensors"
MAX_PARAMETERS: Final = 2**28
_MAX_INPUTS: Final = 2**20
_MAX_DESCRIPTION_BYTES: Final = 16 * 1024 * 1024

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Width = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class NumberFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="number"
):
    """One standardised input; a truth value counts as 0 or 1, and a constant column has deviation 1."""

    name: _Name
    mean: float
    deviation: Annotated[float, msgspec.Meta(gt=0)]


class CategoryFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="category"
):
    """One input for each category, in code-point order."""

    name: _Name
    categories: tuple[str, ...]


Feature = NumberFeature | CategoryFeature


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``model.json`` says."""

    architecture: Literal["tabular-mlp/1"]
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1, max_length=2048)]
    hidden: Annotated[tuple[_Width, ...], msgspec.Meta(max_length=32)]
    label: _Name


def dump_description(description: Description) -> bytes:
    """The bytes of ``model.json``: RFC 8785, so that equal models are equal files."""
    return _codec.canonical_with_fractions(msgspec.to_builtins(description))


def parse_description(data: bytes) -> Description:
    """Parse the untrusted bytes of ``model.json``.

    Raises:
        FormatError: not strict JSON, a field missing, unknown or out of bounds, or features that contradict each other.
    """
    value = _codec.loads(data, max_bytes=_MAX_DESCRIPTION_BYTES)
    try:
        description = msgspec.convert(value, Description, strict=True)
    except msgspec.ValidationError as err:
        message = str(err)
        raise FormatError(
            f"expected a model description, got {message[:1].lower()}{message[1:200]}", reason="model-description"
        ) from err
    names = [feature.name for feature in description.features]
    if len(set(names)) != len(names) or description.label in names:
        raise FormatError("expected each feature once and no label among them, got others", reason="model-description")
    for feature in description.features:
        if isinstance(feature, CategoryFeature) and list(feature.categories) != sorted(set(feature.categories)):
            raise FormatError(
                f"expected sorted and unique categories of {feature.name!r}, got others", reason="model-description"
            )
    refuse_large(description)
    return description


def refuse_large(description: Description) -> None:
    """Bound the network before memory is taken for it.

    Raises:
        FormatError: too many inputs or parameters.
    """
    width = input_width(description.features)
    widths = [width, *description.hidden, 1]
    parameters = sum((below + 1) * above for below, above in pairwise(widths))
    if not 1 <= width <= _MAX_INPUTS or parameters > MAX_PARAMETERS:
        raise FormatError(
            f"expected 1 to {_MAX_INPUTS} inputs and at most {MAX_PARAMETERS} parameters, got {width} and {parameters}",
            reason="model-size",
            hint="drop features with many categories",
        )


def input_width(features: tuple[Feature, ...]) -> int:
    """How many inputs the features make."""
    return sum(len(feature.categories) if isinstance(feature, CategoryFeature) else 1 for feature in features)


def shapes(description: Description) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the weights must hold, and no other."""
    widths = [input_width(description.features), *description.hidden, 1]
    expected: dict[str, tuple[int, ...]] = {}
    for index, (below, above) in enumerate(pairwise(widths)):
        expected[f"{2 * index}.weight"] = (above, below)
        expected[f"{2 * index}.bias"] = (above,)
    return expected


def network(description: Description) -> torch.nn.Sequential:
    """The network with fresh weights, drawn from torch's global generator."""
    import torch

    widths = [input_width(description.features), *description.hidden, 1]
    layers: list[torch.nn.Module] = []
    for below, above in pairwise(widths):
        layers += [torch.nn.Linear(below, above), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
