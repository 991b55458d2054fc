"""The weights of a parent whose architecture keeps float32 tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamslsa.errors import FormatError
from lamslsa.measure.models import weights

if TYPE_CHECKING:
    import torch

    from lamslsa.measure.transform.difference import Parent

__all__ = ["state_of_parent"]


def state_of_parent(parent: Parent) -> tuple[Any, dict[str, torch.Tensor]]:
    """Its description, and its tensors by name.

    Raises:
        FormatError: the model is of ONNX, or quantised already.
    """
    description = parent.loaded.description
    if parent.loaded.network is None or not hasattr(description, "shapes"):
        raise FormatError(
            f"expected a model of float32 tensors, got one of {parent.loaded.architecture}",
            reason="transform-architecture",
            hint="transform the model that it was made of",
        )
    return description, weights.state_of(parent.loaded.network)
