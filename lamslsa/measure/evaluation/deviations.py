"""Metrics of predicted numbers, as formulas over many resamples at once: the last axis is the row.

With e = prediction - label: mean absolute error is the mean of |e|, median absolute error its median, mean error the
mean of e (the bias: positive is too high), root mean squared error sqrt(mean of e²), R² = 1 - Σe² / Σ(label - mean
label)² (Wright 1921), mean absolute percentage error the mean of |e| / |label|, as a share. Where a value is undefined
they give NaN, and infinity where it is beyond float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["FORMULAS", "by_sklearn", "undefined"]

Formula = Callable[["Array", "Array"], "Array"]


def _mean_absolute_error(labels: Array, numbers: Array) -> Array:
    return _mean(abs(numbers - labels))


def _median_absolute_error(labels: Array, numbers: Array) -> Array:
    import numpy as np

    median: Array = np.median(abs(numbers - labels), axis=-1)
    return median


def _mean_error(labels: Array, numbers: Array) -> Array:
    return _mean(numbers - labels)


def _root_mean_squared_error(labels: Array, numbers: Array) -> Array:
    import numpy as np

    root: Array = np.sqrt(_mean((numbers - labels) ** 2))
    return root


def _r2(labels: Array, numbers: Array) -> Array:
    import numpy as np

    spread = ((labels - labels.mean(-1, keepdims=True)) ** 2).sum(-1)
    constant = labels.min(-1) == labels.max(-1)
    return np.where(constant, np.nan, 1 - ((numbers - labels) ** 2).sum(-1) / np.where(constant, 1, spread))


def _mean_absolute_percentage_error(labels: Array, numbers: Array) -> Array:
    import numpy as np

    return np.where((labels == 0).any(-1), np.nan, _mean(abs(numbers - labels) / np.where(labels == 0, 1, abs(labels))))


def _mean(values: Array) -> Array:
    mean: Array = values.mean(-1)
    return mean


FORMULAS: Final[Mapping[str, Formula]] = MappingProxyType(
    {
        "mean_absolute_error": _mean_absolute_error,
        "root_mean_squared_error": _root_mean_squared_error,
        "r2": _r2,
        "median_absolute_error": _median_absolute_error,
        "mean_absolute_percentage_error": _mean_absolute_percentage_error,
        "mean_error": _mean_error,
    }
)
"""By name, in the order in which they are reported."""


def undefined(name: str, labels: Array) -> str | None:
    """Why a metric has no value on these labels, if it has none."""
    if len(labels) == 0:
        return "there are no rows"
    if name == "r2" and labels.min() == labels.max():
        return "all labels are the same number"
    zeros = int((labels == 0).sum())
    if name == "mean_absolute_percentage_error" and zeros:
        return f"the label of {zeros} rows is 0"
    return None


def by_sklearn(name: str, labels: Array, numbers: Array) -> float | None:
    """The same by scikit-learn, where it has it: it takes the smallest labels for larger ones in a percentage."""
    import numpy as np
    from sklearn import metrics

    if name == "mean_absolute_percentage_error" and abs(labels).min() < np.finfo(np.float64).eps:
        return None

    libraries: dict[str, Callable[[Array, Array], Any]] = {
        "mean_absolute_error": metrics.mean_absolute_error,
        "root_mean_squared_error": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "median_absolute_error": metrics.median_absolute_error,
        "mean_absolute_percentage_error": metrics.mean_absolute_percentage_error,
    }
    return float(libraries[name](labels, numbers)) if name in libraries else None
