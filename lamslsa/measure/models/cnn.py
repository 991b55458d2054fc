"""The architecture ``image-cnn/1``: a small convolutional network of declared widths, one convolution to a block.

    {"architecture": "image-cnn/1", "channels": 1, "height": 8, "width": 8, "mean": [0.3], "deviation": [0.4],
     "widths": [8, 16], "batchNorm": false, "hidden": [32], "dropout": 0, "answer": {…}, "label": "folder"}

`lamslsa.measure.models.convolution` says what is built from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.convolution import Deviation, Dropout, Layers, Side, Width, refuse_channels
from lamslsa.measure.models.interface import Classes, ImageInputs, Inputs, Name, Shapes

if TYPE_CHECKING:
    import torch

__all__ = ["ARCHITECTURE", "Description"]

ARCHITECTURE: Final = "image-cnn/1"


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What ``model.json`` says."""

    architecture: Literal["image-cnn/1"]
    channels: int
    height: Side
    width: Side
    mean: tuple[float, ...]
    deviation: tuple[Deviation, ...]
    widths: Annotated[tuple[Width, ...], msgspec.Meta(min_length=1, max_length=16)]
    batch_norm: bool
    hidden: Annotated[tuple[Width, ...], msgspec.Meta(max_length=8)]
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
            blocks=tuple((width,) for width in self.widths),
            batch_norm=self.batch_norm,
            hidden=self.hidden,
            outputs=self.answer.outputs,
            dropout=self.dropout,
        )
