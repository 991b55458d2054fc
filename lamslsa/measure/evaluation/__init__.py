"""Evaluations: what a model is worth on a dataset."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.evaluation import robustness, tabular
from lamslsa.measure.interface import BuiltIn, Measurer, named

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (
    BuiltIn(named(tabular.NAME), "evaluation", tabular.declare),
    BuiltIn(named(robustness.NAME), "evaluation", robustness.declare),
)
