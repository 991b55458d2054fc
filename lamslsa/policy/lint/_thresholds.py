"""Thresholds: beyond what a metric can be, without the end of an interval, or over any number of rows.

What a metric can be is known of the measurers in this package alone (predicates/evaluation/v1).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import MetricRule
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

__all__ = ["CHECKS", "METRICS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """What a metric can be; an ``inner`` interval, Wilson's, never reaches the end at which nothing was against it."""

    least: float
    most: float
    inner: bool = False


_SHARE: Final = _Range(least=0, most=1)
_PROPORTION: Final = _Range(least=0, most=1, inner=True)
_SIGNED: Final = _Range(least=-1, most=1)
_POSITIVE: Final = _Range(least=0, most=math.inf)
_RANGES: Final[Mapping[str, _Range]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("accuracy", "micro_f1", "robust_accuracy", "attack_success_rate", "decision_change", "decision_gain"),
                *("decision_loss", "selection_rate"),
            ),
            _PROPORTION,
        ),
        **dict.fromkeys(
            (
                *("balanced_accuracy", "f1", "macro_f1", "weighted_f1", "auroc", "macro_auroc", "precision", "recall"),
                *("top_k_accuracy", "expected_calibration_error", "adaptive_calibration_error"),
                *("classwise_calibration_error", "true_positive_rate", "false_positive_rate"),
                *("positive_predictive_value", "demographic_parity_difference", "demographic_parity_ratio"),
                *("equalized_odds_difference", "equalized_odds_ratio", "equal_opportunity_difference"),
                *("predictive_parity_difference", "membership_auc", "membership_auc_either", "membership_tpr"),
                *("corruption_accuracy", "mean_corruption_accuracy", "mean_absolute_probability_change"),
            ),
            _SHARE,
        ),
        **dict.fromkeys(("matthews_correlation", "cohen_kappa", "mean_probability_change"), _SIGNED),
        **dict.fromkeys(
            (
                *("log_loss", "mean_absolute_error", "median_absolute_error", "root_mean_squared_error"),
                "mean_absolute_percentage_error",
            ),
            _POSITIVE,
        ),
        "brier_score": _Range(least=0, most=2),
        "r2": _Range(least=-math.inf, most=1),
    }
)
_MARGINS: Final = ("accuracy", "balanced_accuracy", "macro_f1", "f1", "macro_auroc")
_OTHERS: Final = frozenset(
    {
        *("accuracy_difference", "mean_absolute_error_difference", "root_mean_squared_error_difference"),
        *("mean_error", "mean_error_difference", "confusion", "groups_left_out", "rows_left_out"),
        *("attribute_missing", "attribute_undeclared", "max_absolute_probability_change", "immovable_rows"),
        *("only_model_right", "only_baseline_right", "mcnemar_p_value", "zero_gradient_rate"),
        *("relative_corruption_drop", "membership_advantage", "members", "non_members", "overlapping_rows"),
    }
)
"""Metrics of ours beside those whose range is known."""
METRICS: Final = frozenset({*_RANGES, *_OTHERS, *(f"{name}_difference" for name in _MARGINS)})
_MENDS_RANGE: Final = "see whether a share was written as a percentage, or the wrong end limited"


def _range(rule: MetricRule) -> _Range | None:
    if rule.measurer not in DEFAULT_CONFIGURATIONS:
        return None
    if rule.measurer == "baseline-comparison/1":
        compared = rule.metric.removesuffix("_difference")
        return _SIGNED if compared != rule.metric and compared in _MARGINS else _RANGES.get(rule.metric)
    return _RANGES.get(rule.metric)


def _metrics(linted: Linted) -> Iterator[tuple[int, MetricRule]]:
    for index, rule in enumerate(linted.policy.require):
        if isinstance(rule, MetricRule):
            yield index, rule


def unsatisfiable(linted: Linted) -> Iterator[Finding]:
    """A threshold that no value of the metric can meet."""
    for index, rule in _metrics(linted):
        known = _range(rule)
        if known is None:
            continue
        inner = known.inner and rule.use != "value"
        for key, limit, end, beyond in (
            ("min", rule.minimum, known.most, (rule.minimum or 0) > known.most),
            ("max", rule.maximum, known.least, rule.maximum is not None and rule.maximum < known.least),
        ):
            if limit is not None and (beyond or (inner and limit == end)):
                what = f"the {rule.use} of {rule.metric}" if not beyond else rule.metric
                yield linted.find(
                    "rule-unsatisfiable",
                    linted.at("require", index, key),
                    f"expected a threshold that {what} can meet, got {key}: {limit:g} where it is "
                    f"{'never' if not beyond else 'at most' if key == 'min' else 'at least'} {end:g}",
                    _MENDS_RANGE if beyond else "leave room for the interval, which is never that narrow",
                )


def unknown(linted: Linted) -> Iterator[Finding]:
    """A metric that no measurer of ours has, asked of one."""
    for index, rule in _metrics(linted):
        if rule.measurer in DEFAULT_CONFIGURATIONS and rule.metric not in METRICS:
            nearest = difflib.get_close_matches(rule.metric, METRICS, n=1)
            yield linted.find(
                "metric-unknown",
                linted.at("require", index, "metric"),
                f"expected a metric of {rule.measurer} in {rule.name!r}, got {rule.metric!r}: nothing will have it",
                f"did you mean {nearest[0]!r}?" if nearest else "predicates/evaluation/v1 lists them",
            )


def use_value(linted: Linted) -> Iterator[Finding]:
    """The value is compared where the careful end of its interval could be."""
    for index, rule in _metrics(linted):
        other = rule.no_worse_than
        least = rule.minimum is not None or (other is not None and other.higher_is_better)
        most = rule.maximum is not None or (other is not None and not other.higher_is_better)
        if rule.use == "value" and least != most and _range(rule) is not None:
            end = "lowerBound" if least else "upperBound"
            yield linted.find(
                "use-value",
                linted.at("require", index, "use"),
                f"expected use: {end} in {rule.name!r}, got value: {rule.metric} has an interval, and chance alone may "
                "carry the value over the threshold",
                f"write use: {end}",
            )


def samples_missing(linted: Linted) -> Iterator[Finding]:
    """Nothing says over how many rows a value must be."""
    for index, rule in _metrics(linted):
        if not rule.samples:
            yield linted.find(
                "samples-missing",
                linted.at("require", index),
                f"expected samples in {rule.name!r}, got none: a value over a handful of rows will do",
                "write samples: {min: …}, for a slice as many rows as it has",
            )


CHECKS: Final = (unsatisfiable, unknown, use_value, samples_missing)
