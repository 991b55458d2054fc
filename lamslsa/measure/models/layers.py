"""Layers without weights of their own, which scale by numbers that stand in ``model.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lamslsa.measure.models.interface import Number

if TYPE_CHECKING:
    import torch

__all__ = ["rescale", "standardise"]


def rescale(answer: Number) -> torch.nn.Module:
    """A layer that gives mean + deviation x input, so that the network answers in the label's own unit."""
    import torch

    class Rescale(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values * answer.deviation + answer.mean

    return Rescale()


def standardise(means: Sequence[float], deviations: Sequence[float]) -> torch.nn.Module:
    """A layer that gives (pixel - mean) / deviation for each channel of (n, channels, height, width)."""
    import torch

    shift, scale = list(means), list(deviations)

    class Standardise(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return (pixels - pixels.new_tensor(shift).view(1, -1, 1, 1)) / pixels.new_tensor(scale).view(1, -1, 1, 1)

    return Standardise()
