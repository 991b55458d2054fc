"""Which way a metric is better, and the limit that a measured value suggests.

Rules:
- A limit is an attested end of the interval, the careful one, less a margin: of shares and of what else lies between -1
  and 1 the margin is points of that scale (0.01 is one point); of errors without such a scale, a share of the value.
- It is rounded away from the value, so that what was measured is within it: to a thousandth, or to three digits.
- A limit that no value could miss is none, and a metric of which nobody here knows which way is better has none.

>>> limit(scale_of("accuracy", measurer="tabular-evaluation/1"), 0.84719, margin=0.01)
Decimal('0.837')
>>> limit(scale_of("root_mean_squared_error", measurer="regression/1"), 1234.5, margin=0.01)
Decimal('1250')
>>> limit(scale_of("false_positive_rate", measurer="group-fairness/1"), 0.995, margin=0.01) is None
True
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

__all__ = ["Scale", "limit", "scale_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a metric is read.

    Attributes:
        higher: whether more is better.
        worst: the worst value that there can be; None where there is none.
    """

    higher: bool
    worst: float | None


_MORE_IS_BETTER: Final = (
    *("accuracy", "balanced_accuracy", "f1", "micro_f1", "macro_f1", "weighted_f1", "auroc", "macro_auroc"),
    *("top_k_accuracy", "precision", "recall", "true_positive_rate", "positive_predictive_value"),
    *("demographic_parity_ratio", "equalized_odds_ratio"),
    *("robust_accuracy", "corruption_accuracy", "mean_corruption_accuracy"),
)
_LESS_IS_BETTER: Final = (
    *("expected_calibration_error", "adaptive_calibration_error", "classwise_calibration_error"),
    *("demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference"),
    *("predictive_parity_difference", "accuracy_difference", "false_positive_rate"),
    *("decision_change", "decision_gain", "decision_loss"),
    *("mean_absolute_probability_change", "max_absolute_probability_change"),
    *("attack_success_rate", "zero_gradient_rate", "relative_corruption_drop"),
    *("membership_auc", "membership_auc_either", "membership_advantage", "membership_tpr"),
)
_ERRORS: Final = (
    *("log_loss", "brier_score", "mean_absolute_error", "median_absolute_error", "root_mean_squared_error"),
    *("mean_absolute_percentage_error", "mean_absolute_error_difference", "root_mean_squared_error_difference"),
)
_SCALES: Final = {
    **dict.fromkeys(_MORE_IS_BETTER, Scale(higher=True, worst=0.0)),
    **dict.fromkeys(("matthews_correlation", "cohen_kappa"), Scale(higher=True, worst=-1.0)),
    **dict.fromkeys(_LESS_IS_BETTER, Scale(higher=False, worst=1.0)),
    **dict.fromkeys(_ERRORS, Scale(higher=False, worst=None)),
    "r2": Scale(higher=True, worst=None),
}
_COMPARING: Final = "baseline-comparison/1"
_NOT_INFERIOR: Final = "_noninferiority"
_MEASURERS: Final = frozenset(
    {
        *("tabular-evaluation/1", "classification/1", "regression/1", "group-fairness/1", "counterfactual-fairness/1"),
        *(_COMPARING, "pgd/1", "autoattack/1", "corruptions/1", "membership-inference/1", "lira/1"),
    }
)


def scale_of(metric: str, *, measurer: str, of: object = None) -> Scale | None:
    """How a metric of a measurer is read; None where nobody here knows.

    Args:
        metric: its name.
        measurer: ``<name>/<version>``; what a third party's metrics mean is not known here.
        of: the parameter of this name, by which a comparison tells the two models apart.
    """
    if measurer not in _MEASURERS:
        return None
    if measurer != _COMPARING:
        return _SCALES.get(metric)
    if metric.endswith(_NOT_INFERIOR):
        return Scale(higher=True, worst=None)
    return _SCALES["accuracy"] if metric == "accuracy" and of == "model" else None


def limit(scale: Scale, end: float, *, margin: float) -> Decimal | None:
    """The limit for a value, or for the careful end of its interval; None where no value could miss it."""
    measured, share = Decimal(repr(end)), Decimal(repr(margin))
    step = share * (abs(measured) if _is_error(scale) else 1)
    moved = measured - step if scale.higher else measured + step
    rounded = _rounded(moved, up=not scale.higher, relative=_is_error(scale))
    if scale.worst is None:
        return rounded
    worst = Decimal(repr(scale.worst))
    return rounded if (rounded > worst if scale.higher else rounded < worst) else None


def _is_error(scale: Scale) -> bool:
    """Whether it is an error without a scale of its own; what is best when high has one that ends."""
    return scale.worst is None and not scale.higher


def _rounded(number: Decimal, *, up: bool, relative: bool) -> Decimal:
    digits = -3 if not relative or not number else number.adjusted() - 2
    rounded = number.quantize(Decimal(1).scaleb(digits), rounding=ROUND_CEILING if up else ROUND_FLOOR)
    return Decimal(f"{rounded.normalize():f}")
