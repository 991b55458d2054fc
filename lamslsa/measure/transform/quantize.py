"""Transform ``quantize-int8/1``: the matrices of a model as int8 with scales, symmetric, by rounding to nearest even.

    scale = max |w| / 127                  of the tensor, or of each index of its first dimension (granularity channel)
    q     = round(w / scale), -127 to 127  0 where the scale is 0

(Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 2.1, with zero point 0.) Weights are quantised and no
activations; vectors such as biases stay float32. No data decides about the scales. What comes out is a model of the
architecture ``int8/1`` (`lamslsa.measure.models.int8`), evaluated with the very weights that the int8 stand for.

    {transform: quantize-int8/1, model, granularity: tensor | channel, difference: {dataset, confidenceLevel}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lamslsa import _yaml
from lamslsa.measure.declarations import Scope
from lamslsa.measure.interface import Plan
from lamslsa.measure.models import int8, weights
from lamslsa.measure.models.interface import DESCRIPTION_FILE, WEIGHTS_FILE, dump_description
from lamslsa.measure.transform.difference import PARENT, Made, ModelTransform, Parent, declare_difference
from lamslsa.measure.transform.parents import state_of_parent

if TYPE_CHECKING:
    import torch

__all__ = ["NAME", "declare", "quantise"]

NAME: Final = "quantize-int8/1"
_LARGEST: Final = 127


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    model, dataset, level = declare_difference(node, scope)
    wanted = node.take("granularity").choice(["tensor", "channel"])
    granularity: int8.Granularity = "tensor" if wanted == "tensor" else "channel"

    def make(parents: Mapping[str, Parent]) -> Made:
        return _make(parents[PARENT], granularity)

    return ModelTransform(
        transform=NAME,
        model=model,
        roles=(PARENT,),
        dataset=dataset,
        confidence_level=level,
        parameters={"granularity": granularity},
        make=make,
    )


def _make(parent: Parent, granularity: int8.Granularity) -> Made:
    description, state = state_of_parent(parent)
    stored: dict[str, Any] = {}
    errors: dict[str, float] = {}
    for name, tensor in state.items():
        if tensor.dim() < 2:
            stored[name] = tensor
            continue
        stored[name], stored[name + int8.SCALE] = quantise(tensor, granularity)
        back = int8.dequantise(stored[name], stored[name + int8.SCALE])
        errors[name] = float((back - tensor).abs().max())
    child = int8.Description(architecture="int8/1", of=msgspec.to_builtins(description), granularity=granularity)
    files = {DESCRIPTION_FILE: dump_description(child), WEIGHTS_FILE: weights.dump(stored)}
    return Made(files=files, measured={"largestWeightDifference": errors, "weightBytes": len(files[WEIGHTS_FILE])})


def quantise(tensor: torch.Tensor, granularity: int8.Granularity) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers of the tensor's shape, and one scale or one for each index of the first dimension."""
    import torch

    rows = tensor.reshape(1 if granularity == "tensor" else tensor.shape[0], -1)
    scale = rows.abs().amax(dim=1) / _LARGEST
    divisor = torch.where(scale > 0, scale, torch.ones_like(scale))
    values = torch.round(rows / divisor[:, None]).clamp(-_LARGEST, _LARGEST).to(torch.int8)
    return values.reshape(tensor.shape).contiguous(), scale
