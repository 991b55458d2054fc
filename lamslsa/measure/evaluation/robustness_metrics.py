"""Metrics that every measurer of robustness reports, and the rows that it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.evaluation import intervals
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.measure.seeds import generator, sub_seed
from lamslsa.predicates.evaluation import Interval, Metric

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["Parameters", "Rows", "chosen", "network_of", "proportion", "refuse_numbers", "rows_wanted"]

Parameters = dict[str, str | int | float | bool]
Rows = int | None


def rows_wanted(node: _yaml.Node) -> Rows:
    """``all`` (None), or how many rows are to be drawn."""
    if isinstance(node, _yaml.Scalar) and isinstance(node.value, str):
        node.choice(["all"])
        return None
    return node.integer(minimum=1)


def chosen(rows: int, wanted: Rows, seed: bytes) -> Array:
    """The rows that are measured, ascending: all of them, or a sample without replacement that nobody chooses."""
    import numpy as np

    if wanted is None or wanted >= rows:
        return np.arange(rows)
    return np.sort(generator(sub_seed(seed, "rows", ())).choice(rows, size=wanted, replace=False))


def proportion(
    name: str, flags: Array, *, level: float, parameters: Parameters | None = None, undefined: str = ""
) -> Metric:
    """The share of true flags with its Wilson interval; of no flags at all it is undefined, and ``undefined`` why."""
    samples, successes = len(flags), int(flags.sum())
    if not samples:
        return Metric(name=name, samples=0, undefined=undefined or "there are no rows", parameters=parameters)
    lower, upper = intervals.wilson(successes, samples, level=level)
    return Metric(
        name=name,
        samples=samples,
        value=successes / samples,
        interval=Interval(level=level, lower=lower, upper=upper, method="wilson"),
        parameters=parameters,
    )


def refuse_numbers(loaded: LoadedModel) -> None:
    """Return if the model says classes.

    Raises:
        FormatError: it says numbers.
    """
    if loaded.task.classes is None:
        raise FormatError(
            f"expected a model of classes, got {loaded.task}",
            reason="evaluation-task",
            hint="attacks and corruptions are about the class that a model gives",
        )


def network_of(loaded: LoadedModel) -> torch.nn.Module:
    """The network of a model of classes, for attacks that need gradients.

    Raises:
        FormatError: the model says numbers, or gives no gradient.
    """
    refuse_numbers(loaded)
    if loaded.network is None:
        raise FormatError(
            f"expected a model with gradients, got {loaded.architecture}",
            reason="attack-gradient",
            hint="attack the network that it was converted from; corruptions/1 needs no gradient",
        )
    return loaded.network
