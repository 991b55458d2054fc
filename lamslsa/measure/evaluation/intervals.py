"""Confidence intervals, and our own formulas for the metrics that are resampled.

Proportions get a Wilson interval (Wilson 1927). Everything else gets a percentile bootstrap (Efron 1979):
- A metric that depends on the rows only through how many rows have each (group, label, prediction) resamples that table
  of counts by a multinomial, which is the same distribution as resampling rows, at a cost that does not grow with them.
- AUROC and the calibration error resample rows; what can be computed once (ranks, bins) is.

A statistic that resampling pushes to one side gets the hull of that interval and the basic one (`hull`), and says so.

A resample on which the metric is undefined makes the interval undefined: leaving it out would make the interval that of
another quantity. `None` then stands for the interval.

The formulas work on many resamples at once: the first axis is the resample. Where a value is undefined they give NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.seeds import generator

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = [
    "AurocRows",
    "CalibrationRows",
    "balanced_accuracy",
    "bootstrap_counts",
    "bootstrap_rows",
    "demographic_parity_difference",
    "equalized_odds_difference",
    "f1",
    "hull",
    "percentiles",
    "wilson",
]

_CHUNK: Final = 4096


def wilson(successes: int, samples: int, *, level: float) -> tuple[float, float]:
    """Wilson score interval without continuity correction, by SciPy."""
    from scipy.stats import binomtest

    # the p-value of the share itself is 1 without a search, and has no part in the interval
    interval = binomtest(successes, samples, successes / samples).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)


def balanced_accuracy(counts: Array) -> Array:
    """Mean of the recalls of both classes; ``counts[…, label, prediction]``."""
    by_label = counts.sum(-1)
    return (_ratio(counts[..., 0, 0], by_label[..., 0]) + _ratio(counts[..., 1, 1], by_label[..., 1])) / 2


def f1(counts: Array) -> Array:
    """Harmonic mean of precision and recall of class 1, 2 TP / (2 TP + FP + FN); ``counts[…, label, prediction]``."""
    doubled = 2 * counts[..., 1, 1]
    return _ratio(doubled, doubled + counts[..., 0, 1] + counts[..., 1, 0])


def demographic_parity_difference(counts: Array) -> Array:
    """Largest difference of the selection rate between two groups; ``counts[…, group, label, prediction]``."""
    return _spread(_ratio(counts[..., 1].sum(-1), counts.sum((-1, -2))))


def equalized_odds_difference(counts: Array) -> Array:
    """The larger of the largest differences of true and false positive rate between groups (Hardt et al. 2016)."""
    import numpy as np

    rates = _ratio(counts[..., 1], counts.sum(-1))
    return np.maximum(_spread(rates[..., 1]), _spread(rates[..., 0]))


def _ratio(numerator: Array, denominator: Array) -> Array:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _spread(rates: Array) -> Array:
    """Largest minus smallest along the last axis; NaN if one of them is."""
    result: Array = rates.max(-1) - rates.min(-1)
    return result


class AurocRows:
    """Area under the ROC curve of resampled rows: the Mann–Whitney statistic with ties counted half."""

    def __init__(self, labels: Array, scores: Array) -> None:
        import numpy as np

        unique, ranks = np.unique(scores, return_inverse=True)
        self._width = len(unique)
        self._cells = 2 * ranks.reshape(-1) + labels

    def __call__(self, rows: Array) -> float:
        """The value over ``rows``, indices that may repeat; NaN if they hold one class only."""
        import numpy as np

        table = np.bincount(self._cells[rows], minlength=2 * self._width).reshape(-1, 2)
        negatives, positives = table[:, 0], table[:, 1]
        below = np.cumsum(negatives) - negatives
        pairs = int(negatives.sum()) * int(positives.sum())
        return int((positives * (2 * below + negatives)).sum()) / (2 * pairs) if pairs else float("nan")


class CalibrationRows:
    """Expected calibration error of resampled rows (Guo et al. 2017, for the probability of class 1, L1 norm).

    ``edges`` of the bins are those of torchmetrics; a bin is closed below, and 1 itself is a bin of its own.
    """

    def __init__(self, labels: Array, scores: Array, *, edges: Array) -> None:
        import numpy as np

        self._bins = len(edges)
        self._cells = np.searchsorted(edges, scores.astype(np.float64), side="right") - 1
        self._gaps = labels - scores.astype(np.float64)

    def __call__(self, rows: Array) -> float:
        """The value over ``rows``: the sum over bins of |sum of (label - probability)|, by the number of rows."""
        import numpy as np

        sums = np.bincount(self._cells[rows], weights=self._gaps[rows], minlength=self._bins)
        return float(np.abs(sums).sum()) / len(rows)


def bootstrap_counts(
    formula: Callable[[Array], Array], counts: Array, *, seed: bytes, resamples: int, level: float
) -> tuple[float, float] | None:
    """Percentile interval of a formula over a table of counts."""
    import numpy as np

    random = generator(seed)
    samples = int(counts.sum())
    values = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = random.multinomial(samples, counts.reshape(-1) / samples, size=size)
        values.append(formula(drawn.reshape(size, *counts.shape)))
    return percentiles(np.concatenate(values), level)


def bootstrap_rows(
    formula: Callable[[Array], float],
    samples: int,
    *,
    seed: bytes,
    resamples: int,
    level: float,
) -> tuple[float, float] | None:
    """Percentile interval of a formula over rows, which are given to it as indices."""
    import numpy as np

    random = generator(seed)
    values = [formula(random.integers(0, samples, size=samples)) for _ in range(resamples)]
    return percentiles(np.array(values), level)


def hull(value: float, bounds: tuple[float, float] | None, *, least: float, most: float) -> tuple[float, float] | None:
    """The smallest interval that holds the percentile interval, the basic one and the value, within least and most.

    A resample pushes statistics such as a largest difference or a sum of absolute deviations to one side: what differs
    by chance in the rows differs by more in the resample. Then the percentile interval alone may leave out the value
    itself, and the end where there is no difference. The basic interval (2 value - upper, 2 value - lower; Davison and
    Hinkley 1997, section 5.2) leans to the other side by as much.
    """
    if bounds is None:
        return None
    lower, upper = bounds
    return max(least, min(lower, 2 * value - upper, value)), min(most, max(upper, 2 * value - lower, value))


def percentiles(values: Array, level: float) -> tuple[float, float] | None:
    """The percentile interval of resampled values; None if one of them is undefined."""
    import numpy as np

    if not np.isfinite(values).all():
        return None
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
