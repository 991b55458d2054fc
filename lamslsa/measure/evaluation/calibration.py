"""How far probabilities are from shares: three calibration errors, as formulas over rows that may repeat.

Each is Σ over bins of |Σ over the rows of the bin of (outcome - probability)| / rows (L1 norm):
- top-label, equal width (Guo et al. 2017): the outcome is whether the predicted class is right, the probability that
  of the predicted class. Edges are those of torchmetrics; a bin is closed below, and 1 is a bin of its own.
- top-label, equal mass ("adaptive", Nixon et al. 2019): the bin of a row is floor(bins · share of the rows with a
  smaller probability), so rows of one probability share a bin, whatever the order of rows. Bins are those of the
  dataset in every resample.
- class-wise, equal width (Kull et al. 2019): the mean over the classes of the error of that class's probability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamslsa.measure.evaluation.intervals import CalibrationRows

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["AdaptiveRows", "ClasswiseRows", "by_torchmetrics", "classwise_by_torchmetrics", "edges", "top_label"]


def edges(bins: int) -> Array:
    """The lower ends of the bins, and 1."""
    import torch

    found: Array = torch.linspace(0, 1, bins + 1, dtype=torch.float64).numpy()
    return found


def top_label(labels: Array, shares: Array, predictions: Array, *, bins: int) -> CalibrationRows:
    """The top-label error with bins of equal width."""
    import numpy as np

    chosen = shares[np.arange(len(shares)), predictions]
    return CalibrationRows((predictions == labels).astype(np.int64), chosen, edges=edges(bins))


class AdaptiveRows:
    """The top-label error with bins of equal mass."""

    def __init__(self, labels: Array, shares: Array, predictions: Array, *, bins: int) -> None:
        import numpy as np

        chosen = shares[np.arange(len(shares)), predictions]
        smaller = np.searchsorted(np.sort(chosen), chosen, side="left")
        self._bins = bins
        self._cells = bins * smaller // len(chosen)
        self._gaps = (predictions == labels) - chosen

    def __call__(self, rows: Array) -> float:
        """The value over ``rows``."""
        import numpy as np

        sums = np.bincount(self._cells[rows], weights=self._gaps[rows], minlength=self._bins)
        return float(np.abs(sums).sum()) / len(rows)


class ClasswiseRows:
    """The mean of the errors of every class."""

    def __init__(self, labels: Array, shares: Array, *, bins: int) -> None:
        self._classes = [
            CalibrationRows((labels == number).astype(shares.dtype), shares[:, number], edges=edges(bins))
            for number in range(shares.shape[1])
        ]

    def __call__(self, rows: Array) -> float:
        """The value over ``rows``."""
        return sum(one(rows) for one in self._classes) / len(self._classes)


def by_torchmetrics(right: Array, shares: Array, *, bins: int) -> float:
    """The top-label error with bins of equal width, by torchmetrics.

    That of the two classes "right" and "wrong": torchmetrics computes it for more classes in float32 only.

    Args:
        right: whether the predicted class is the label.
        shares: the probability of the predicted class.
        bins: how many.
    """
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    return float(binary_calibration_error(torch.tensor(shares), torch.tensor(right).long(), n_bins=bins, norm="l1"))


def classwise_by_torchmetrics(labels: Array, shares: Array, *, bins: int) -> float:
    """The mean of the errors of every class against the rest, by torchmetrics."""
    found = [by_torchmetrics(labels == number, shares[:, number], bins=bins) for number in range(shares.shape[1])]
    return sum(found) / len(found)
