"""The architecture ``tabular-mlp/1`` and its declarative description ``model.json``: data, and no code.

    {"architecture": "tabular-mlp/1", "features": […], "hidden": [128, 256], "label": "income"}

Features are those of `lamslsa.measure.models.features`. The network is Linear, ReLU, …, Linear; its tensors are named
as in a ``torch.nn.Sequential``: ``0.weight``, ``0.bias``, ``2.weight`` … , all float32. It has one output, the logit of
class 1, unless ``says`` is there: ``{"type": "classes", "classes": 10}`` (three or more, one logit each) or
``{"type": "number", "mean", "deviation"}`` (one output, scaled back to the label's own unit).

>>> from lamslsa.measure.models.features import NumberFeature
>>> from lamslsa.measure.models.interface import dump_description
>>> age = NumberFeature(name="age", mean=38.5, deviation=2.0)
>>> description = Description(architecture=ARCHITECTURE, features=(age,), hidden=(4,), label="income")
>>> parse_description(dump_description(description)) == description
True
>>> description.shapes()
{'0.weight': (4, 1), '0.bias': (4,), '2.weight': (1, 4), '2.bias': (1,)}
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.features import (
    MAX_INPUTS,
    Feature,
    input_width,
    refuse_features,
)
from lamslsa.measure.models.interface import (
    MAX_PARAMETERS,
    Answer,
    Classes,
    Inputs,
    Name,
    Number,
    Shapes,
    TableInputs,
    load_description,
    parse_as,
)

if TYPE_CHECKING:
    import torch

__all__ = ["ARCHITECTURE", "Description", "parse_description"]

ARCHITECTURE: Final = "tabular-mlp/1"
_BINARY: Final = Classes(classes=2)

_Width = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What ``model.json`` says; two classes are said by leaving ``says`` out, and in no other way."""

    architecture: Literal["tabular-mlp/1"]
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1, max_length=2048)]
    hidden: Annotated[tuple[_Width, ...], msgspec.Meta(max_length=32)]
    label: Name
    says: Answer | msgspec.UnsetType = msgspec.UNSET

    @property
    def answer(self) -> Answer:
        """What the outputs of the network mean."""
        return _BINARY if isinstance(self.says, msgspec.UnsetType) else self.says

    @property
    def task(self) -> Task:
        """What the model says about a row."""
        return self.answer.task

    @property
    def inputs(self) -> Inputs:
        """Columns of a table."""
        return TableInputs(features=self.features)

    def refuse(self) -> None:
        """Return if the fields agree and the network is small enough; see `lamslsa.measure.models.interface`."""
        refuse_features(self.features, label=self.label)
        if self.says == _BINARY:
            raise FormatError("expected two classes by no word, got another spelling", reason="model-description")
        widths = self._widths()
        parameters = sum((below + 1) * above for below, above in pairwise(widths))
        if not 1 <= widths[0] <= MAX_INPUTS or parameters > MAX_PARAMETERS:
            raise FormatError(
                f"expected 1 to {MAX_INPUTS} inputs and at most {MAX_PARAMETERS} parameters, got {widths[0]} and "
                f"{parameters}",
                reason="model-size",
                hint="drop features with many categories",
            )

    def shapes(self) -> Shapes:
        """Name and shape of every tensor that the weights must hold, and no other."""
        expected: Shapes = {}
        for index, (below, above) in enumerate(pairwise(self._widths())):
            expected[f"{2 * index}.weight"] = (above, below)
            expected[f"{2 * index}.bias"] = (above,)
        return expected

    def network(self) -> torch.nn.Sequential:
        """The network with fresh weights, drawn from torch's global generator."""
        import torch

        from lamslsa.measure.models.layers import rescale

        layers: list[torch.nn.Module] = []
        for below, above in pairwise(self._widths()):
            layers += [torch.nn.Linear(below, above), torch.nn.ReLU()]
        layers.pop()
        if isinstance(self.answer, Number):
            layers.append(rescale(self.answer))
        return torch.nn.Sequential(*layers)

    def _widths(self) -> list[int]:
        return [input_width(self.features), *self.hidden, self.answer.outputs]


def parse_description(data: bytes) -> Description:
    """Parse the untrusted bytes of a ``model.json`` of this architecture.

    Raises:
        FormatError: not strict JSON, a field missing, unknown or out of bounds, or features that contradict each other.
    """
    return parse_as(load_description(data), Description)
