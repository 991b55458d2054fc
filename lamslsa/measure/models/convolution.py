"""What the architectures on images share: blocks of 3x3 convolutions, halvings, and a classifier of linear layers.

    standardise, then for each block: (convolution 3x3, padding 1, [batch normalisation], ReLU) ..., [max pooling 2x2]
    then flatten, for each hidden width: linear, ReLU, [dropout]; linear

Tensors: ``conv<i>.weight``, ``conv<i>.bias``, ``norm<i>.weight|bias|running_mean|running_var``, ``linear<i>.…``, from 0
on. In evaluation mode dropout is off and batch normalisation uses its running statistics (Ioffe and Szegedy 2015),
which belong to the weights; the momentum is torch's 0.1.

>>> plan = Layers(channels=1, height=5, width=4, blocks=((2, 3),), batch_norm=False, hidden=(), outputs=1, dropout=0.0)
>>> plan.sides, plan.shapes()["linear0.weight"]
((2, 2), (1, 12))
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import msgspec

from lamslsa.errors import FormatError
from lamslsa.measure.models.interface import Shapes, refuse_parameters
from lamslsa.measure.models.layers import standardise

if TYPE_CHECKING:
    import torch

__all__ = ["Deviation", "Dropout", "Layers", "Side", "Width", "refuse_channels"]

Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Width = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Dropout = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Deviation = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A network, by its numbers.

    Attributes:
        blocks: the width of each convolution, block by block.
    """

    channels: int
    height: int
    width: int
    blocks: tuple[tuple[int, ...], ...]
    batch_norm: bool
    hidden: tuple[int, ...]
    outputs: int
    dropout: float

    @property
    def halvings(self) -> tuple[bool, ...]:
        """Whether each block ends in a pooling: as long as both sides have two pixels or more."""
        height, width, found = self.height, self.width, []
        for _ in self.blocks:
            found.append(height >= 2 and width >= 2)
            height, width = (height // 2, width // 2) if found[-1] else (height, width)
        return tuple(found)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width after the last block."""
        count = sum(self.halvings)
        return self.height >> count, self.width >> count

    def shapes(self) -> Shapes:
        """Name and shape of every tensor."""
        expected: Shapes = {}
        for index, (below, above) in enumerate(pairwise(self._convolutions())):
            expected |= {f"conv{index}.weight": (above, below, 3, 3), f"conv{index}.bias": (above,)}
            if self.batch_norm:
                names = ("weight", "bias", "running_mean", "running_var")
                expected |= {f"norm{index}.{name}": (above,) for name in names}
        for index, (below, above) in enumerate(pairwise(self._linears())):
            expected |= {f"linear{index}.weight": (above, below), f"linear{index}.bias": (above,)}
        return expected

    def refuse(self) -> None:
        """Return if the weights are few enough.

        Raises:
            FormatError: they are too many.
        """
        refuse_parameters(self.shapes())

    def network(self, means: tuple[float, ...], deviations: tuple[float, ...]) -> torch.nn.Sequential:
        """The network with fresh weights; it takes pixels in 0 to 1."""
        import torch

        layers: OrderedDict[str, torch.nn.Module] = OrderedDict(standardise=standardise(means, deviations))
        below, index = self.channels, 0
        for number, (block, halved) in enumerate(zip(self.blocks, self.halvings, strict=True)):
            for above in block:
                layers[f"conv{index}"] = torch.nn.Conv2d(below, above, kernel_size=3, padding=1)
                if self.batch_norm:
                    layers[f"norm{index}"] = torch.nn.BatchNorm2d(above)
                layers[f"relu{index}"] = torch.nn.ReLU()
                below, index = above, index + 1
            if halved:
                layers[f"pool{number}"] = torch.nn.MaxPool2d(2)
        layers["flatten"] = torch.nn.Flatten()
        for index, (below, above) in enumerate(pairwise(self._linears())):
            layers[f"linear{index}"] = torch.nn.Linear(below, above)
            if index < len(self.hidden):
                layers[f"activation{index}"] = torch.nn.ReLU()
                layers[f"dropout{index}"] = torch.nn.Dropout(self.dropout)
        return torch.nn.Sequential(layers)

    def _convolutions(self) -> list[int]:
        return [self.channels, *(width for block in self.blocks for width in block)]

    def _linears(self) -> list[int]:
        height, width = self.sides
        return [self._convolutions()[-1] * height * width, *self.hidden, self.outputs]


def refuse_channels(channels: int, means: tuple[float, ...], deviations: tuple[float, ...]) -> None:
    """Return if there is one mean and one deviation for each channel, of one or three.

    Raises:
        FormatError: there are others.
    """
    if channels not in (1, 3) or len(means) != channels or len(deviations) != channels:
        raise FormatError(
            f"expected 1 or 3 channels with a mean and a deviation each, got {channels} with {len(means)} and "
            f"{len(deviations)}",
            reason="model-description",
        )
