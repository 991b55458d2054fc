"""The architecture ``image-vgg/1``: VGG with 11, 13, 16 or 19 layers with weights.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, table 1, columns
A, B, D and E: five blocks of 3x3 convolutions of 64, 128, 256, 512 and 512 channels, each followed by 2x2 max pooling,
then linear layers with dropout (two of 4096 in the paper).

Two things are declared, so that small images and small machines are served:
- ``firstWidth`` is the width of the first block, 64 in the paper; the others have 2, 4, 8 and 8 times as many.
- A pooling is left out where a side has but one pixel: 224 gives 7 as in the paper, 32 gives 1, 28 gives 14, 7, 3, 1
  and no fifth pooling.

Batch normalisation, which is younger than the paper, is there if ``batchNorm`` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.convolution import Deviation, Dropout, Layers, Side, Width, refuse_channels
from lamslsa.measure.models.interface import Classes, ImageInputs, Inputs, Name, Shapes

if TYPE_CHECKING:
    import torch

__all__ = ["ARCHITECTURE", "BLOCKS", "Depth", "Description", "widths"]

ARCHITECTURE: Final = "image-vgg/1"
Depth = Literal[11, 13, 16, 19]
BLOCKS: Final[dict[Depth, tuple[int, ...]]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_TIMES: Final = (1, 2, 4, 8, 8)


def widths(depth: Depth, first: int) -> tuple[tuple[int, ...], ...]:
    """The width of each convolution, block by block.

    >>> widths(11, 8)
    ((8,), (16,), (32, 32), (64, 64), (64, 64))
    """
    return tuple((first * times,) * count for count, times in zip(BLOCKS[depth], _TIMES, strict=True))


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What ``model.json`` says."""

    architecture: Literal["image-vgg/1"]
    channels: int
    height: Side
    width: Side
    mean: tuple[float, ...]
    deviation: tuple[Deviation, ...]
    depth: Depth
    first_width: Annotated[int, msgspec.Meta(ge=1, le=512)]
    batch_norm: bool
    hidden: Annotated[tuple[Width, ...], msgspec.Meta(max_length=2)]
    dropout: Dropout
    answer: Classes
    label: Name

    @property
    def task(self) -> Task:
        """What the model says about an image."""
        return self.answer.task

    @property
    def inputs(self) -> Inputs:
        """Images of one shape."""
        return ImageInputs(channels=self.channels, height=self.height, width=self.width)

    def refuse(self) -> None:
        """Return if the fields agree and the network is small enough; see `lamslsa.measure.models.interface`."""
        refuse_channels(self.channels, self.mean, self.deviation)
        self._layers().refuse()

    def shapes(self) -> Shapes:
        """Name and shape of every tensor that the weights must hold, and no other."""
        return self._layers().shapes()

    def network(self) -> torch.nn.Module:
        """The network with fresh weights, drawn from torch's global generator."""
        return self._layers().network(self.mean, self.deviation)

    def _layers(self) -> Layers:
        return Layers(
            channels=self.channels,
            height=self.height,
            width=self.width,
            blocks=widths(self.depth, self.first_width),
            batch_norm=self.batch_norm,
            hidden=self.hidden,
            outputs=self.answer.outputs,
            dropout=self.dropout,
        )
