"""Differences and ratios of rates between groups, from tables ``counts[…, group, label, prediction]``.

With the rates of each group: selection rate (share predicted as class 1), true positive rate, false positive rate and
positive predictive value (share of class 1 among the rows predicted as such):
- demographic parity: the largest difference, and the smallest over the largest, of the selection rate
  (Dwork et al. 2012; the ratio is the "four fifths rule" of 29 CFR 1607.4).
- equalised odds: the larger of the differences, and the smaller of the ratios, of true and false positive rate
  (Hardt et al. 2016); equal opportunity: the difference of the true positive rate (the same).
- predictive parity: the difference of the positive predictive value (Chouldechova 2017).

NaN where a rate has no rows, and where the largest rate of a ratio is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["FORMULAS", "RATES", "by_fairlearn", "undefined"]


def _ratio(numerator: Array, denominator: Array) -> Array:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _selection(counts: Array) -> tuple[Array, Array]:
    return counts[..., 1].sum(-1), counts.sum((-1, -2))


def _true_positive(counts: Array) -> tuple[Array, Array]:
    return counts[..., 1, 1], counts[..., 1, :].sum(-1)


def _false_positive(counts: Array) -> tuple[Array, Array]:
    return counts[..., 0, 1], counts[..., 0, :].sum(-1)


def _predictive(counts: Array) -> tuple[Array, Array]:
    return counts[..., 1, 1], counts[..., 1].sum(-1)


RATES: Final[Mapping[str, tuple[Callable[[Array], tuple[Array, Array]], str]]] = MappingProxyType(
    {
        "selection_rate": (_selection, "the group has no rows"),
        "true_positive_rate": (_true_positive, "no row of the group is of class 1"),
        "false_positive_rate": (_false_positive, "no row of the group is of class 0"),
        "positive_predictive_value": (_predictive, "no row of the group is predicted as class 1"),
    }
)
"""Each rate of a group: rows counted and rows they are counted among, and why there is no value among none."""


def _difference(rate: str) -> Callable[[Array], Array]:
    def formula(counts: Array) -> Array:
        rates = _ratio(*RATES[rate][0](counts))
        spread: Array = rates.max(-1) - rates.min(-1)
        return spread

    return formula


def _quotient(rate: str) -> Callable[[Array], Array]:
    def formula(counts: Array) -> Array:
        rates = _ratio(*RATES[rate][0](counts))
        return _ratio(rates.min(-1), rates.max(-1))

    return formula


def _equalized_odds_difference(counts: Array) -> Array:
    import numpy as np

    return np.maximum(_difference("true_positive_rate")(counts), _difference("false_positive_rate")(counts))


def _equalized_odds_ratio(counts: Array) -> Array:
    import numpy as np

    return np.minimum(_quotient("true_positive_rate")(counts), _quotient("false_positive_rate")(counts))


FORMULAS: Final[Mapping[str, tuple[Callable[[Array], Array], tuple[str, ...]]]] = MappingProxyType(
    {
        "demographic_parity_difference": (_difference("selection_rate"), ("selection_rate",)),
        "demographic_parity_ratio": (_quotient("selection_rate"), ("selection_rate",)),
        "equalized_odds_difference": (_equalized_odds_difference, ("true_positive_rate", "false_positive_rate")),
        "equalized_odds_ratio": (_equalized_odds_ratio, ("true_positive_rate", "false_positive_rate")),
        "equal_opportunity_difference": (_difference("true_positive_rate"), ("true_positive_rate",)),
        "predictive_parity_difference": (_difference("positive_predictive_value"), ("positive_predictive_value",)),
    }
)
"""Each metric, and the rates that it compares."""


def undefined(name: str, counts: Array, names: Sequence[str]) -> str | None:
    """Why a metric has no value over these groups, if it has none."""
    if len(names) < 2:
        return "fewer than two groups have enough rows"
    for rate in FORMULAS[name][1]:
        rows, among = RATES[rate][0](counts)
        lacking = (among == 0).nonzero()[0]
        if len(lacking):
            return f"{names[lacking[0]]}: {RATES[rate][1]}"
        if name.endswith("_ratio") and not rows.any():
            return f"the {rate.replace('_', ' ')} of every group is 0"
    return None


def by_fairlearn(name: str, labels: Array, predictions: Array, codes: Array) -> float:
    """The same by fairlearn."""
    from fairlearn import metrics
    from sklearn.metrics import precision_score

    if name == "predictive_parity_difference":
        frame = metrics.MetricFrame(
            metrics=precision_score, y_true=labels, y_pred=predictions, sensitive_features=codes
        )
        return float(frame.difference(method="between_groups"))
    return float(getattr(metrics, name)(labels, predictions, sensitive_features=codes))
