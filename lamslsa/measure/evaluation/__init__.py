"""Evaluations: what a model is worth on a dataset."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.evaluation import (
    baseline,
    classification,
    corruption,
    counterfactual,
    fairness,
    lira,
    membership,
    regression,
    robustness,
    robustness_autoattack,
    tabular,
)
from lamslsa.measure.interface import BuiltIn, Measurer, named

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (
    BuiltIn(named(tabular.NAME), "evaluation", tabular.declare),
    BuiltIn(named(classification.NAME), "evaluation", classification.declare),
    BuiltIn(named(regression.NAME), "evaluation", regression.declare),
    BuiltIn(named(fairness.NAME), "evaluation", fairness.declare),
    BuiltIn(named(counterfactual.NAME), "evaluation", counterfactual.declare),
    BuiltIn(named(baseline.NAME), "evaluation", baseline.declare),
    BuiltIn(named(corruption.NAME), "evaluation", corruption.declare),
    BuiltIn(named(membership.NAME), "evaluation", membership.declare),
    BuiltIn(named(lira.NAME), "evaluation", lira.declare),
    BuiltIn(named(robustness.NAME), "evaluation", robustness.declare),
    BuiltIn(named(robustness_autoattack.NAME), "evaluation", robustness_autoattack.declare),
)
