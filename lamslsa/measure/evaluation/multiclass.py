"""The metrics of ``classification/1``: point values by scikit-learn, torch and torchmetrics, held against our formulas.

Rules:
- A row is predicted as the class of the highest probability, of equal ones as the lowest class. A label is among the
  top k if fewer than k classes come before it in that order.
- A mean over classes has no value where one of its classes has none. The libraries would leave the class out, or count
  it as 0.
- Confusion is reported as rates with their rows, so the counts are value · samples; of at most 32 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.declarations import Groups
from lamslsa.measure.evaluation.confusion import FORMULAS, Confusion, Margins, by_sklearn, f1_by_class
from lamslsa.measure.evaluation.groupings import all_cells, number_groups
from lamslsa.measure.evaluation.report import About, Report
from lamslsa.measure.evaluation.resampling import count_resamples, row_values
from lamslsa.measure.evaluation.shares import Shares, predicted
from lamslsa.measure.interface import Progress
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["MAX_CONFUSION", "Classification"]

MAX_CONFUSION: Final = 32


class Classification:
    """Labels and probabilities of one dataset, and the metrics of them.

    Args:
        labels: int64 classes.
        shares: float64 (rows, classes).
        groups: group column to the text of its value in each row.
        report: where metrics are written.
        seed: of the evaluation.
    """

    def __init__(
        self, *, labels: Array, shares: Array, groups: dict[str, list[str]], report: Report, seed: bytes
    ) -> None:
        self.labels = labels
        self.shares = shares
        self.predictions = predicted(shares)
        self.samples, self.classes = shares.shape
        self._groups = groups
        self._report = report
        self._seed = seed
        self._table = Confusion(labels, self.predictions, classes=self.classes)
        self._margins = self._table.margins()

    def measure(self, *, bins: int, top: tuple[int, ...], groups: Groups, slices: Groups, progress: Progress) -> None:
        """Write every metric, in a fixed order."""
        f1 = self._on_counts()
        self._on_rows(bins, progress)
        self._top(top)
        self._by_class(f1)
        self._confusion()
        for columns in groups:
            self._difference(columns)
        for columns in slices:
            self._slices(columns)

    def _on_counts(self) -> Array:
        """The metrics of the whole table; returns the resampled F1 of each class."""
        import numpy as np

        blocks = [self._values(block) for block in self._resamples()]
        resampled = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        right = int(self._margins.hits.sum())
        self._report.proportion("accuracy", right, self.samples, library=self._by_sklearn("accuracy"))
        for name, undefined in self._undefined().items():
            if undefined is not None:
                self._report.undefined(name, self.samples, undefined)
                continue
            self._report.bootstrapped(
                name,
                float(FORMULAS[name](self._margins)[0]),
                self.samples,
                resampled[name],
                library=self._by_sklearn(name),
            )
        self._report.proportion("micro_f1", right, self.samples, library=self._by_sklearn("micro_f1"))
        return resampled["f1"]

    def _resamples(self) -> Any:
        seed = sub_seed(self._seed, "confusion", ())
        return self._table.resampled(seed=seed, resamples=self._report.resamples)

    @staticmethod
    def _values(margins: Margins) -> dict[str, Array]:
        return {**{name: formula(margins) for name, formula in FORMULAS.items()}, "f1": f1_by_class(margins)}

    def _undefined(self) -> dict[str, str | None]:
        of = self._margins
        lacking = (of.labels[0] == 0).nonzero()[0]
        untouched = (of.labels[0] + of.predictions[0] == 0).nonzero()[0]
        one_label, one_prediction = (of.labels[0] > 0).sum() == 1, (of.predictions[0] > 0).sum() == 1
        constant = "the labels hold one class only" if one_label else None
        if constant is None and one_prediction:
            constant = "the predictions hold one class only"
        return {
            "balanced_accuracy": f"no row is of class {lacking[0]}" if len(lacking) else None,
            "macro_f1": f"no row is of class {untouched[0]} or predicted as such" if len(untouched) else None,
            "weighted_f1": None,
            "matthews_correlation": constant,
            "cohen_kappa": "labels and predictions are one and the same class"
            if one_label and one_prediction and of.hits.sum() == self.samples
            else None,
        }

    def _by_sklearn(self, name: str) -> float:
        return by_sklearn(name, self.labels, self.predictions)

    def _on_rows(self, bins: int, progress: Progress) -> None:
        """The metrics of probabilities."""
        of = Shares(self.labels, self.shares, bins=bins)
        resamples = self._report.resamples
        resampled = row_values(
            of.formulas,
            self.samples,
            seed=sub_seed(self._seed, "rows", ()),
            resamples=resamples,
            tell=lambda done: progress("resampling rows", done, resamples),
        )
        for name in sorted({*of.formulas, *of.undefined}):
            if name in of.undefined:
                self._report.undefined(name, self.samples, of.undefined[name])
                continue
            library = of.libraries.get(name)
            self._report.bootstrapped(
                name,
                of.value(name),
                self.samples,
                resampled[name],
                library=None if library is None else float(library()),
                within=(0, 1) if name.endswith("_calibration_error") else None,
            )

    def _top(self, top: tuple[int, ...]) -> None:
        import numpy as np

        own = self.shares[np.arange(self.samples), self.labels][:, None]
        before = (self.shares > own).sum(axis=1)
        before += ((self.shares == own) & (np.arange(self.classes) < self.labels[:, None])).sum(axis=1)
        for k in top:
            right = int((before < k).sum())
            self._report.proportion(
                "top_k_accuracy",
                right,
                self.samples,
                library=self._top_by_sklearn(k) if self.classes > 2 else None,
                about=About(parameters={"k": k}),
            )

    def _top_by_sklearn(self, k: int) -> float:
        """Classes in reverse, since of equal probabilities scikit-learn takes the last class first."""
        import numpy as np
        from sklearn.metrics import top_k_accuracy_score

        last = self.classes - 1
        return float(
            top_k_accuracy_score(last - self.labels, self.shares[:, ::-1], k=k, labels=np.arange(self.classes))
        )

    def _by_class(self, f1: Array) -> None:
        from sklearn.metrics import precision_recall_fscore_support

        of = self._margins
        precision, recall, score, _ = precision_recall_fscore_support(
            self.labels, self.predictions, labels=range(self.classes), zero_division=0
        )
        for number in range(self.classes):
            about = About(parameters={"class": number})
            hits, labels, predictions = (int(part[0, number]) for part in (of.hits, of.labels, of.predictions))
            self._report.proportion(
                "precision",
                hits,
                predictions,
                nothing="no row is predicted as the class",
                library=float(precision[number]),
                about=about,
            )
            self._report.proportion(
                "recall",
                hits,
                labels,
                nothing="no row is of the class",
                library=float(recall[number]),
                about=about,
            )
            if labels + predictions == 0:
                reason = "no row is of the class or predicted as such"
                self._report.undefined("f1", self.samples, reason, about)
                continue
            self._report.bootstrapped(
                "f1",
                float(f1_by_class(of)[0, number]),
                self.samples,
                f1[:, number],
                library=float(score[number]),
                about=about,
            )

    def _confusion(self) -> None:
        if self.classes > MAX_CONFUSION:
            return
        counts = {(label, prediction): count for label, prediction, count in self._table.cells()}
        for label in range(self.classes):
            rows = int(self._margins.labels[0, label])
            for prediction in range(self.classes):
                self._report.proportion(
                    "confusion",
                    counts.get((label, prediction), 0),
                    rows,
                    nothing="no row is of the class",
                    about=About(parameters={"label": label, "prediction": prediction}),
                )

    def _difference(self, columns: tuple[str, ...]) -> None:
        """The largest difference of the accuracy between two groups."""
        import numpy as np

        grouping = number_groups(columns, self._groups)
        about = About(groups=columns)
        if len(grouping.names) == 1:
            self._report.undefined("accuracy_difference", self.samples, "there is one group only", about)
            return
        size = len(grouping.names)
        cells = 2 * grouping.codes + (self.predictions == self.labels)
        counts = np.bincount(cells, minlength=2 * size)

        def formula(tables: Array) -> Array:
            by_group = tables.reshape(len(tables), size, 2).astype(np.float64)
            with np.errstate(invalid="ignore"):
                rates = by_group[..., 1] / by_group.sum(-1)
            found: Array = rates.max(-1) - rates.min(-1)
            return found

        seed = sub_seed(self._seed, "accuracy_difference", columns)
        draws = count_resamples(counts, seed=seed, resamples=self._report.resamples)
        self._report.bootstrapped(
            "accuracy_difference",
            float(formula(counts[None, :])[0]),
            self.samples,
            np.concatenate([formula(block) for block in draws]),
            within=(0, 1),
            about=about,
        )

    def _slices(self, columns: tuple[str, ...]) -> None:
        """Accuracy of every cell, and balanced accuracy where the cell has every class."""
        import numpy as np

        grouping = number_groups(columns, self._groups)
        for cell, number in all_cells(grouping):
            about = About(slice=cell)
            rows = np.flatnonzero(grouping.codes == number) if number is not None else np.zeros(0, dtype=np.int64)
            table = Confusion(self.labels[rows], self.predictions[rows], classes=self.classes)
            margins = table.margins()
            self._report.proportion(
                "accuracy", int(margins.hits.sum()), len(rows), nothing="the slice has no rows", about=about
            )
            lacking = (margins.labels[0] == 0).nonzero()[0]
            if len(lacking):
                reason = f"no row is of class {lacking[0]}" if len(rows) else "the slice has no rows"
                self._report.undefined("balanced_accuracy", len(rows), reason, about)
                continue
            formula = FORMULAS["balanced_accuracy"]
            named = [text for column, value in sorted(cell.items()) for text in (column, value)]
            blocks = table.resampled(seed=sub_seed(self._seed, "slice", named), resamples=self._report.resamples)
            self._report.bootstrapped(
                "balanced_accuracy",
                float(formula(margins)[0]),
                len(rows),
                np.concatenate([formula(block) for block in blocks]),
                about=about,
            )
