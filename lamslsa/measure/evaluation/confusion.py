"""Metrics that depend on the rows only through how many rows have each (label, prediction).

Formulas (l the rows of a class, p those predicted as it, d those of both, n all rows; sums over the classes):
- precision d / p, recall d / l, F1 2 d / (l + p) (van Rijsbergen 1979); macro is the mean over classes, weighted the
  mean with weights l; micro F1 is the accuracy, each row having one label and one prediction.
- balanced accuracy is the mean recall (Brodersen et al. 2010).
- Matthews correlation of K classes (Gorodkin 2004): (n Σd - Σlp) / sqrt((n² - Σp²)(n² - Σl²)).
- Cohen's kappa (Cohen 1960): (n Σd - Σlp) / (n² - Σlp).

The formulas work on many resamples at once: the first axis is the resample, the last the class. Where a value is
undefined they give NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.evaluation.resampling import count_resamples

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["FORMULAS", "Confusion", "Margins", "by_sklearn", "f1_by_class"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Counts of shape (resamples, classes), float64 and exact.

    Attributes:
        hits: rows of the class that are predicted as it.
        labels: rows of the class.
        predictions: rows predicted as the class.
    """

    hits: Array
    labels: Array
    predictions: Array

    @property
    def samples(self) -> Array:
        """Rows of each resample."""
        total: Array = self.labels.sum(-1)
        return total


class Confusion:
    """The table of labels against predictions, of which only the cells that hold rows are kept."""

    def __init__(self, labels: Array, predictions: Array, *, classes: int) -> None:
        import numpy as np

        cells, counts = np.unique(labels * classes + predictions, return_counts=True)
        self.classes = classes
        self.counts = counts
        self._labels, self._predictions = np.divmod(cells, classes)

    @classmethod
    def of_cells(cls, labels: Array, predictions: Array, counts: Array, *, classes: int) -> Confusion:
        """The table of cells that were counted already; a label and prediction may have several."""
        table = cls.__new__(cls)
        table.classes, table.counts = classes, counts
        table._labels, table._predictions = labels, predictions  # noqa: SLF001 - its own
        return table

    def margins(self, draws: Array | None = None) -> Margins:
        """The margins of resampled tables of shape (resamples, cells); of the table itself where there are none."""
        import numpy as np

        tables = (self.counts[None, :] if draws is None else draws).astype(np.float64)
        same = self._labels == self._predictions
        return Margins(
            hits=self._sums(tables[:, same], self._labels[same]),
            labels=self._sums(tables, self._labels),
            predictions=self._sums(tables, self._predictions),
        )

    def resampled(self, *, seed: bytes, resamples: int) -> Iterator[Margins]:
        """Margins of multinomial resamples, block by block."""
        for draws in count_resamples(self.counts, seed=seed, resamples=resamples):
            yield self.margins(draws)

    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Label, prediction and rows of every cell that holds rows."""
        return zip(self._labels.tolist(), self._predictions.tolist(), self.counts.tolist(), strict=True)

    def _sums(self, tables: Array, codes: Array) -> Array:
        import numpy as np

        sums = np.zeros((len(tables), self.classes))
        if len(codes):
            order = np.argsort(codes, kind="stable")
            found, starts = np.unique(codes[order], return_index=True)
            sums[:, found] = np.add.reduceat(tables[:, order], starts, axis=1)
        return sums


def _ratio(numerator: Array, denominator: Array) -> Array:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def f1_by_class(of: Margins) -> Array:
    """F1 of each class; NaN where no row is of the class or predicted as it."""
    return _ratio(2 * of.hits, of.labels + of.predictions)


def _accuracy(of: Margins) -> Array:
    return _ratio(of.hits.sum(-1), of.samples)


def _balanced_accuracy(of: Margins) -> Array:
    return _mean(_ratio(of.hits, of.labels))


def _macro_f1(of: Margins) -> Array:
    return _mean(f1_by_class(of))


def _weighted_f1(of: Margins) -> Array:
    import numpy as np

    weighted: Array = np.where(of.labels > 0, of.labels * f1_by_class(of), 0).sum(-1)
    return _ratio(weighted, of.samples)


def _chance(of: Margins) -> Array:
    expected: Array = (of.labels * of.predictions).sum(-1)
    return expected


def _matthews_correlation(of: Margins) -> Array:
    import numpy as np

    squared = of.samples**2
    spread = (squared - (of.predictions**2).sum(-1)) * (squared - (of.labels**2).sum(-1))
    return _ratio(of.samples * of.hits.sum(-1) - _chance(of), np.sqrt(spread))


def _cohen_kappa(of: Margins) -> Array:
    return _ratio(of.samples * of.hits.sum(-1) - _chance(of), of.samples**2 - _chance(of))


def _mean(values: Array) -> Array:
    mean: Array = values.mean(-1)
    return mean


FORMULAS: Final[Mapping[str, Callable[[Margins], Array]]] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "macro_f1": _macro_f1,
        "weighted_f1": _weighted_f1,
        "matthews_correlation": _matthews_correlation,
        "cohen_kappa": _cohen_kappa,
    }
)
"""The metrics of a whole table, by name."""


def by_sklearn(name: str, labels: Array, predictions: Array) -> float:
    """The same by scikit-learn; micro F1, and F1 of class 1, besides."""
    from sklearn import metrics

    libraries: dict[str, Callable[[Array, Array], Any]] = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "cohen_kappa": metrics.cohen_kappa_score,
        "f1": metrics.f1_score,
        "macro_f1": partial(metrics.f1_score, average="macro"),
        "matthews_correlation": metrics.matthews_corrcoef,
        "micro_f1": partial(metrics.f1_score, average="micro"),
        "weighted_f1": partial(metrics.f1_score, average="weighted"),
    }
    return float(libraries[name](labels, predictions))
