"""Metrics of the probabilities themselves: log loss, Brier score, AUROC and calibration, as formulas over rows.

- Log loss is the mean of -ln(probability of the label). Where that probability is 0 the loss is infinite, and there is
  no value; nothing is clipped.
- The Brier score is the mean of the sum over classes of (probability - outcome)², from 0 to 2 (Brier 1950): for two
  classes twice the mean of (p - y)².
- Macro AUROC is the mean over the classes of the AUROC of the class against the rest; ties count one half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamslsa.measure.evaluation import calibration
from lamslsa.measure.evaluation.intervals import AurocRows

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Shares", "predicted"]


def predicted(shares: Array) -> Array:
    """The class of each row of float64 (rows, classes): of two, class 1 from 0.5 on; of more, the first likeliest."""
    classes: Array = (shares[:, 1] >= 0.5).astype("int64") if shares.shape[1] == 2 else shares.argmax(axis=1)
    return classes


class Shares:
    """The formulas of one dataset.

    Args:
        labels: int64 classes.
        shares: float64 probabilities (rows, classes).
        bins: of every calibration error; None where none is wanted.

    Attributes:
        formulas: name to the value over rows, which are indices that may repeat.
        libraries: name to the same over all rows by a library, where there is one.
        undefined: name to why there is no value.
    """

    def __init__(self, labels: Array, shares: Array, *, bins: int | None) -> None:
        self.formulas: dict[str, Callable[[Array], float]] = {}
        self.libraries: dict[str, Callable[[], Any]] = {}
        self.undefined: dict[str, str] = {}
        self._labels, self._shares = labels, shares
        self._squares()
        self._losses()
        self._ranks()
        if bins is not None:
            self._calibration(bins)

    def value(self, name: str) -> float:
        """The value over all rows, each once."""
        import numpy as np

        return self.formulas[name](np.arange(len(self._labels)))

    def _own(self) -> Array:
        """The probability of each row's label."""
        import numpy as np

        own: Array = self._shares[np.arange(len(self._labels)), self._labels]
        return own

    def _squares(self) -> None:
        import numpy as np

        squares = (self._shares**2).sum(axis=1) - 2 * self._own() + 1

        def library() -> Any:
            import torch

            targets = np.zeros_like(self._shares)
            targets[np.arange(len(targets)), self._labels] = 1
            error = torch.nn.functional.mse_loss(torch.tensor(self._shares), torch.tensor(targets), reduction="sum")
            return error / len(targets)

        self.formulas["brier_score"] = lambda rows: float(squares[rows].mean())
        self.libraries["brier_score"] = library

    def _losses(self) -> None:
        import numpy as np

        own = self._own()
        impossible = int((own == 0).sum())
        if impossible:
            self.undefined["log_loss"] = f"the model gave the label of {impossible} rows the probability 0"
            return
        losses = -np.log(own)

        def library() -> Any:
            import torch

            return torch.nn.functional.nll_loss(torch.tensor(self._shares).log(), torch.tensor(self._labels))

        self.formulas["log_loss"] = lambda rows: float(losses[rows].mean())
        self.libraries["log_loss"] = library

    def _ranks(self) -> None:
        import numpy as np

        classes = self._shares.shape[1]
        present = np.bincount(self._labels, minlength=classes)
        if (present == 0).any():
            self.undefined["macro_auroc"] = f"no row is of class {int((present == 0).argmax())}"
            return
        of = [self._labels == number for number in range(classes)]
        ranked = [AurocRows(of[number].astype(np.int64), self._shares[:, number]) for number in range(classes)]

        def library() -> Any:
            from sklearn.metrics import roc_auc_score

            return sum(roc_auc_score(of[number], self._shares[:, number]) for number in range(classes)) / classes

        self.formulas["macro_auroc"] = lambda rows: sum(one(rows) for one in ranked) / classes
        self.libraries["macro_auroc"] = library

    def _calibration(self, bins: int) -> None:
        labels, shares, predictions = self._labels, self._shares, predicted(self._shares)
        self.formulas["expected_calibration_error"] = calibration.top_label(labels, shares, predictions, bins=bins)
        self.formulas["adaptive_calibration_error"] = calibration.AdaptiveRows(labels, shares, predictions, bins=bins)
        self.formulas["classwise_calibration_error"] = calibration.ClasswiseRows(labels, shares, bins=bins)
        self.libraries["expected_calibration_error"] = lambda: calibration.by_torchmetrics(
            predictions == labels, shares.max(axis=1), bins=bins
        )
        self.libraries["classwise_calibration_error"] = lambda: calibration.classwise_by_torchmetrics(
            labels, shares, bins=bins
        )
