"""What every architecture offers: a strict description of a model, and what the model makes of it.

``model.json`` is a description: data and no code, tagged by ``architecture``. Parsing it is two steps: its fields, each
required and none unknown, and then `Description.refuse`, which holds them against each other and bounds what would be
built. Only then is memory taken.

An architecture is a module with a `msgspec.Struct` that is a `Description`, and one line in
`lamslsa.measure.models.loading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task

if TYPE_CHECKING:
    import torch

    from lamslsa.measure.models.features import Feature

__all__ = [
    "DESCRIPTION_FILE",
    "MAX_PARAMETERS",
    "WEIGHTS_FILE",
    "Answer",
    "Classes",
    "Description",
    "ImageInputs",
    "Inputs",
    "Name",
    "Number",
    "Shapes",
    "TableInputs",
    "TextInputs",
    "TorchDescription",
    "dump_description",
    "load_description",
    "parse_as",
    "refuse_parameters",
]

DESCRIPTION_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "model.safetensors"
MAX_PARAMETERS: Final = 2**28
_MAX_DESCRIPTION_BYTES: Final = 16 * 1024 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Shapes = dict[str, tuple[int, ...]]
D = TypeVar("D", bound="Description")


class Classes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="classes"):
    """The model says classes: of two one output, the logit of class 1; of more one logit for each."""

    classes: Annotated[int, msgspec.Meta(ge=2, le=10_000)]

    @property
    def task(self) -> Task:
        """What the model says."""
        return Task(classes=self.classes)

    @property
    def outputs(self) -> int:
        """How many numbers the last layer gives."""
        return 1 if self.classes == 2 else self.classes


class Number(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="number"):
    """The model says a number: mean + deviation x the output of the last layer, both learned from the labels."""

    mean: float
    deviation: Annotated[float, msgspec.Meta(gt=0)]

    @property
    def task(self) -> Task:
        """What the model says."""
        return Task(classes=None)

    @property
    def outputs(self) -> int:
        """How many numbers the last layer gives."""
        return 1


Answer = Classes | Number


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInputs:
    """Columns of a table become float32 (n, width)."""

    features: tuple[Feature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInputs:
    """Images become float32 (n, channels, height, width) in 0 to 1; what standardises them is part of the network."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInputs:
    """A column of texts becomes int64 (n, length): numbers of words.

    Attributes:
        vocabulary: the words that have a number; the first has number 2, after padding (0) and unknown words (1).
        length: how many words of a text are read.
    """

    column: str
    vocabulary: tuple[str, ...]
    length: int


Inputs = TableInputs | ImageInputs | TextInputs


class Description(Protocol):
    """What ``model.json`` says, whatever the architecture."""

    @property
    def architecture(self) -> str:
        """By name and version."""
        ...

    @property
    def label(self) -> str:
        """The column that the model predicts; ``folder`` for images."""
        ...

    @property
    def task(self) -> Task:
        """What the model says about an example."""
        ...

    @property
    def inputs(self) -> Inputs:
        """What the model reads, and so which encoder reads it (`lamslsa.measure.models.examples`)."""
        ...

    def refuse(self) -> None:
        """Return if the fields agree with each other and what would be built is small enough.

        Raises:
            FormatError: they contradict each other (``model-description``), or it is too large (``model-size``).
        """
        ...


class TorchDescription(Description, Protocol):
    """A description whose weights are safetensors and whose network is torch's."""

    @property
    def answer(self) -> Answer:
        """What the outputs of the network mean."""
        ...

    def shapes(self) -> Shapes:
        """Name and shape of every tensor that the weights must hold, and no other; all are float32."""
        ...

    def network(self) -> torch.nn.Module:
        """The network with fresh weights, drawn from torch's global generator.

        It takes what `inputs` says, and gives logits (n, outputs) or numbers (n, 1).
        """
        ...


def dump_description(description: msgspec.Struct) -> bytes:
    """The bytes of ``model.json``: RFC 8785, so that equal models are equal files."""
    return _codec.canonical_with_fractions(msgspec.to_builtins(description))


def load_description(data: bytes) -> Any:
    """The untrusted bytes of ``model.json`` as JSON values.

    Raises:
        FormatError: not strict JSON, or too long.
    """
    return _codec.loads(data, max_bytes=_MAX_DESCRIPTION_BYTES)


def parse_as(value: Any, kind: type[D]) -> D:
    """A parsed ``model.json`` as a description of one architecture.

    Raises:
        FormatError: a field is missing, unknown or out of bounds, or `Description.refuse` refuses.
    """
    try:
        description = msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as err:
        message = str(err)
        raise FormatError(
            f"expected a model description, got {message[:1].lower()}{message[1:200]}", reason="model-description"
        ) from err
    description.refuse()
    return description


def refuse_parameters(shapes: Shapes) -> None:
    """Bound the weights before memory is taken for them.

    Raises:
        FormatError: too many parameters.
    """
    parameters = 0
    for shape in shapes.values():
        size = 1
        for length in shape:
            size *= length
        parameters += size
    if parameters > MAX_PARAMETERS:
        raise FormatError(f"expected at most {MAX_PARAMETERS} parameters, got {parameters}", reason="model-size")
