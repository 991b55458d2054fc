"""Transform ``average/1``: the weighted average of models of one description (Wortsman et al. 2022, model soups).

    w = sum of weight_i * w_i, added up in float64 in the order of the job file and rounded to float32 once

    {transform: average/1, model, parents: [{name, weight}, …], difference: {dataset, confidenceLevel}}

Rules:
- Two to 64 parents; each weight is above 0 and at most 1, and they add up to 1 within 1e-9.
- The descriptions are equal byte for byte: the same architecture, and the same features with the same means and
  categories. Weights of networks that read other inputs have no average.
- A parent has the role ``parent:<name>``; the difference is measured from each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import Scope, name
from lamslsa.measure.interface import Plan
from lamslsa.measure.models import weights
from lamslsa.measure.models.interface import DESCRIPTION_FILE, WEIGHTS_FILE, dump_description
from lamslsa.measure.transform.difference import PARENT, Made, ModelTransform, Parent, declare_difference
from lamslsa.measure.transform.parents import state_of_parent

if TYPE_CHECKING:
    import torch

__all__ = ["NAME", "average", "declare"]

NAME: Final = "average/1"
_MAX_PARENTS: Final = 64
_TOLERANCE: Final = 1e-9


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    model, dataset, level = declare_difference(node, scope)
    parents = node.take("parents")
    shares: dict[str, float] = {}
    for item in parents.sequence():
        fields = item.mapping()
        role = f"{PARENT}:{name(fields.take('name'))}"
        weight = fields.take("weight")
        shares_of = weight.number(minimum=0, maximum=1)
        fields.finish()
        if role in shares or shares_of <= 0:
            item.refuse("expected each parent once and a weight above 0, got another", reason="average-parents")
        shares[role] = shares_of
    if not 2 <= len(shares) <= _MAX_PARENTS or abs(math.fsum(shares.values()) - 1) > _TOLERANCE:
        parents.refuse(
            f"expected 2 to {_MAX_PARENTS} parents whose weights add up to 1, got others", reason="average-parents"
        )

    def make(given: Mapping[str, Parent]) -> Made:
        states = {role: state_of_parent(parent) for role, parent in given.items()}
        descriptions = {dump_description(description) for description, _ in states.values()}
        if len(descriptions) != 1:
            raise FormatError(
                "expected parents of one description, got different ones",
                reason="average-description",
                hint="train them on the same data with the same architecture",
            )
        merged = average([(states[role][1], share) for role, share in shares.items()])
        return Made(files={DESCRIPTION_FILE: descriptions.pop(), WEIGHTS_FILE: weights.dump(merged)})

    return ModelTransform(
        transform=NAME,
        model=model,
        roles=tuple(shares),
        dataset=dataset,
        confidence_level=level,
        parameters={"parents": [{"role": role, "weight": share} for role, share in shares.items()]},
        make=make,
    )


def average(parts: list[tuple[dict[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    """The weighted sum of tensors of the same names and shapes, in float64 and then float32."""
    import torch

    merged = {}
    for key in parts[0][0]:
        total = torch.zeros_like(parts[0][0][key], dtype=torch.float64)
        for state, share in parts:
            total += share * state[key].to(torch.float64)
        merged[key] = total.to(torch.float32)
    return merged
