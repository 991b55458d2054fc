"""Transform ``prune/1``: the weights of smallest magnitude become 0 (Han et al. 2015, https://arxiv.org/abs/1506.02626).

Only tensors of two dimensions or more are pruned; vectors such as biases stay. Of n weights exactly floor(share * n)
are pruned, the smallest first; equal magnitudes in the order of tensor name and position, so the result is one.

    scope layer    n counts the weights of each tensor
    scope global   n counts the weights of all tensors together

    {transform: prune/1, model, share: 0 < share < 1, scope: layer | global, difference: {dataset, confidenceLevel}}

The sparsity that came out, zeros by weights, is counted again over the pruned tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lamslsa import _yaml
from lamslsa.measure.declarations import Scope, fraction
from lamslsa.measure.interface import Plan
from lamslsa.measure.models import weights
from lamslsa.measure.models.interface import DESCRIPTION_FILE, WEIGHTS_FILE, dump_description
from lamslsa.measure.transform.difference import PARENT, Made, ModelTransform, Parent, declare_difference
from lamslsa.measure.transform.parents import state_of_parent

if TYPE_CHECKING:
    import torch

__all__ = ["NAME", "declare", "prune"]

NAME: Final = "prune/1"


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    model, dataset, level = declare_difference(node, scope)
    share = fraction(node.take("share"))
    over = node.take("scope").choice(["layer", "global"])

    def make(parents: Mapping[str, Parent]) -> Made:
        description, state = state_of_parent(parents[PARENT])
        pruned = prune(state, share, together=over == "global")
        matrices = {name: tensor for name, tensor in pruned.items() if tensor.dim() >= 2}
        zeros = {name: int((tensor == 0).sum()) for name, tensor in matrices.items()}
        total = sum(tensor.numel() for tensor in matrices.values())
        return Made(
            files={DESCRIPTION_FILE: dump_description(description), WEIGHTS_FILE: weights.dump(pruned)},
            measured={
                "weights": total,
                "zeros": sum(zeros.values()),
                "zerosBefore": sum(int((state[name] == 0).sum()) for name in matrices),
                "sparsity": sum(zeros.values()) / total,
                "zerosPerTensor": zeros,
            },
        )

    return ModelTransform(
        transform=NAME,
        model=model,
        roles=(PARENT,),
        dataset=dataset,
        confidence_level=level,
        parameters={"share": share, "scope": over},
        make=make,
    )


def prune(state: Mapping[str, torch.Tensor], share: float, *, together: bool) -> dict[str, torch.Tensor]:
    """The same tensors with the smallest weights at 0.

    Args:
        state: tensors by name; they are not changed.
        share: of the weights, that become 0.
        together: whether all tensors are one set of weights, or each is its own.
    """
    import torch

    result = {name: tensor.clone() for name, tensor in state.items()}
    matrices = sorted(name for name, tensor in result.items() if tensor.dim() >= 2)
    for names in [matrices] if together else [[name] for name in matrices]:
        flat = torch.cat([result[name].reshape(-1) for name in names])
        order = torch.argsort(flat.abs(), stable=True)
        flat[order[: int(share * len(flat))]] = 0
        for name, part in zip(names, torch.split(flat, [result[name].numel() for name in names]), strict=True):
            result[name] = part.reshape(result[name].shape).contiguous()
    return result
