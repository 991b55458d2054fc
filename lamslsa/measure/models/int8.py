"""The architecture ``int8/1``: a model of another architecture whose matrices are kept as int8 with scales.

    {"architecture": "int8/1", "of": {"architecture": "tabular-mlp/1", …}, "granularity": "channel"}

``model.safetensors`` holds, for every tensor of ``of`` with two dimensions or more, ``<name>`` as int8 and
``<name>.scale`` as float32: of shape (1,) where the granularity is ``tensor``, of shape (rows,) where it is
``channel``, one scale for each index of the first dimension. Every other tensor is float32 as before. A weight is

    w = scale * q            -127 <= q <= 127, symmetric, in float32

(Jacob et al. 2018, https://arxiv.org/abs/1712.05877, with zero point 0). The model computes with these weights.

Rules: ``of`` is an architecture whose weights are safetensors, never ``int8/1`` again; -128 is no value; scales are
finite and not negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.interface import Inputs, TorchDescription, parse_as
from lamslsa.measure.models.weights import read_tensors

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

__all__ = ["ARCHITECTURE", "SCALE", "Description", "Granularity", "dequantise", "load"]

ARCHITECTURE: Final = "int8/1"
SCALE: Final = ".scale"

Granularity = Literal["tensor", "channel"]


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``model.json`` says."""

    architecture: Literal["int8/1"]
    of: dict[str, Any]
    granularity: Granularity

    @property
    def inner(self) -> TorchDescription:
        """The description of the model whose weights these are.

        Raises:
            FormatError: it is none, or not one of weights in safetensors.
        """
        from lamslsa.measure.models import loading

        architecture = loading.ARCHITECTURES.get(str(self.of.get("architecture")))
        if architecture is None or not hasattr(architecture.description, "shapes"):
            raise FormatError(
                f"expected an architecture of float32 tensors in int8/1, got {self.of.get('architecture')!a:.80}",
                reason="model-description",
            )
        description: TorchDescription = parse_as(self.of, architecture.description)
        return description

    @property
    def label(self) -> str:
        """The column that the model predicts."""
        return self.inner.label

    @property
    def task(self) -> Task:
        """What the model says about an example."""
        return self.inner.task

    @property
    def inputs(self) -> Inputs:
        """What the model reads."""
        return self.inner.inputs

    def refuse(self) -> None:
        """Return if the inner description is one; see `lamslsa.measure.models.interface`."""
        self.inner  # noqa: B018 - parsing refuses


def load(file: VerifiedFile, description: Description) -> State:
    """The float32 weights that the int8 tensors of a verified file stand for.

    Raises:
        FormatError: not safetensors, too large, not the tensors that the description asks for, or -128 among them.
    """
    import torch

    stored = read_tensors(file)
    wanted: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    shapes = description.inner.shapes()
    for name, shape in shapes.items():
        if len(shape) < 2:
            wanted[name] = (shape, torch.float32)
        else:
            wanted[name] = (shape, torch.int8)
            wanted[name + SCALE] = ((1 if description.granularity == "tensor" else shape[0],), torch.float32)
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in stored.items()}
    if found != wanted:
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise FormatError(f"expected the tensors as described, got another {wrong[0][:80]!a}", reason="model-shape")
    for name, tensor in stored.items():
        if tensor.dtype == torch.int8 and bool((tensor == -128).any()):
            raise FormatError(f"expected -127 to 127 in {name}, got -128", reason="int8-range")
        if not bool(torch.isfinite(tensor).all()) or (name.endswith(SCALE) and bool((tensor < 0).any())):
            raise FormatError(f"expected finite weights in {name}, got others", reason="model-not-finite")
    state = {
        name: dequantise(stored[name], stored[name + SCALE]) if len(shape) >= 2 else stored[name]
        for name, shape in shapes.items()
    }
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise FormatError(f"expected scales that fit {name}, got larger ones", reason="model-not-finite")
    return state


def dequantise(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Scale times value in float32; ``scale`` has one entry, or one for each index of the first dimension."""
    import torch

    return values.to(torch.float32) * scale.reshape(-1, *[1] * (values.dim() - 1))
