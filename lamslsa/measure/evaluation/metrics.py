"""Point values by the libraries that people know, each compared with our own formula before it is reported.

scikit-learn gives accuracy, balanced accuracy, F1 and AUROC, torchmetrics the calibration error, fairlearn demographic
parity and equalised odds. The bootstrap resamples our formulas (`intervals`), so on the rows as they are the two must
agree; if not, nothing is reported.

Rules:
- A metric that has no value says why (`Metric.undefined`); it is never reported as 0 or 1. The libraries would.
- A prediction is 1 where the probability is at least the threshold.
- Groups are named by the text of their value; rows where a group column is missing are the group ``(missing)``.
- A slice is every combination of the values that occur; one without rows is reported as undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from lamslsa.errors import LamslsaError
from lamslsa.measure.declarations import Groups
from lamslsa.measure.evaluation import intervals
from lamslsa.measure.evaluation.groupings import MAX_GROUPS, Grouping, all_cells, number_groups
from lamslsa.measure.seeds import sub_seed
from lamslsa.predicates.evaluation import Interval, Metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["MAX_GROUPS", "Answers", "Parameters", "compute_metrics"]

_TOLERANCE: Final = 1e-9
_ONE_CLASS: Final = "the labels hold one class only"


class Parameters(Protocol):
    """What the metrics depend on."""

    @property
    def threshold(self) -> float:
        """A prediction is 1 from this probability on."""
        ...

    @property
    def confidence_level(self) -> float:
        """Of every interval."""
        ...

    @property
    def resamples(self) -> int:
        """Of the bootstrap."""
        ...

    @property
    def calibration_bins(self) -> int:
        """Equal in width."""
        ...

    @property
    def groups(self) -> Groups:
        """Groupings whose groups are compared."""
        ...

    @property
    def slices(self) -> Groups:
        """Groupings whose every cell is measured by itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the model said about each row, and what is known about the row.

    Attributes:
        labels: int64, 0 or 1.
        scores: float32 probabilities of class 1.
        groups: group column to the text of its value in each row.
    """

    labels: Array
    scores: Array
    groups: dict[str, list[str]]


class _Computation:
    def __init__(self, answers: Answers, job: Parameters, seed: bytes) -> None:
        import numpy as np

        self.job = job
        self.seed = seed
        self.answers = answers
        self.labels = answers.labels
        self.predictions = (answers.scores.astype(np.float64) >= job.threshold).astype(np.int64)
        self.samples = len(self.labels)

    def counts(self, codes: Array | None = None, size: int = 1) -> Array:
        """Rows by group, label and prediction."""
        import numpy as np

        cells = 2 * self.labels + self.predictions + (0 if codes is None else 4 * codes)
        return np.bincount(cells, minlength=4 * size).reshape(size, 2, 2)

    def grouping(self, columns: tuple[str, ...]) -> Grouping:
        """Number the groups that occur, in the order of their names."""
        return number_groups(columns, self.answers.groups, limit=MAX_GROUPS)


def compute_metrics(answers: Answers, *, job: Parameters, seed: bytes) -> tuple[Metric, ...]:
    """Every metric of ``tabular-evaluation/1``, in a fixed order.

    Args:
        answers: one row or more.
        job: threshold, level, resamples, bins and groupings.
        seed: the seed of the evaluation.

    Raises:
        FormatError: too many groups.
        LamslsaError: a library and our formula disagree.
    """
    computation = _Computation(answers, job, seed)
    metrics = [_accuracy(computation)]
    metrics += _on_counts(computation)
    metrics += [_auroc(computation), _calibration(computation)]
    for columns in job.groups:
        metrics += _differences(computation, columns)
    for columns in job.slices:
        metrics += _slices(computation, columns)
    return tuple(metrics)


def _accuracy(of: _Computation) -> Metric:
    from sklearn.metrics import accuracy_score

    value = float(accuracy_score(of.labels, of.predictions))
    right = int((of.labels == of.predictions).sum())
    return _proportion(of, "accuracy", value=value, successes=right, samples=of.samples)


def _on_counts(of: _Computation) -> list[Metric]:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    counts = of.counts()[0]
    one_class = _ONE_CLASS if (counts.sum(-1) == 0).any() else None
    nothing = "no row is of class 1 or predicted as such" if counts[0, 0] == of.samples else None
    return [
        _resampled(
            of, "balanced_accuracy", balanced_accuracy_score, intervals.balanced_accuracy, counts, undefined=one_class
        ),
        _resampled(of, "f1", f1_score, intervals.f1, counts, undefined=nothing),
    ]


def _resampled(
    of: _Computation,
    name: str,
    library: Callable[[Array, Array], Any],
    formula: Callable[[Array], Array],
    counts: Array,
    *,
    undefined: str | None,
    spread: bool = False,
    groups: tuple[str, ...] = (),
) -> Metric:
    if undefined is not None:
        return Metric(name=name, samples=of.samples, undefined=undefined, groups=groups)
    value = _agreed(name, float(library(of.labels, of.predictions)), float(formula(counts)))
    bounds = intervals.bootstrap_counts(
        formula,
        counts,
        seed=sub_seed(of.seed, name, groups),
        resamples=of.job.resamples,
        level=of.job.confidence_level,
    )
    interval = _bootstrap(of, value, bounds, spread=spread)
    return Metric(name=name, samples=of.samples, value=value, interval=interval, groups=groups)


def _auroc(of: _Computation) -> Metric:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if len(np.unique(of.labels)) < 2:
        return Metric(name="auroc", samples=of.samples, undefined=_ONE_CLASS)
    formula = intervals.AurocRows(of.labels, of.answers.scores)
    value = float(roc_auc_score(of.labels, of.answers.scores))
    return _over_rows(of, "auroc", value, formula)


def _calibration(of: _Computation) -> Metric:
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    edges = torch.linspace(0, 1, of.job.calibration_bins + 1, dtype=torch.float64)
    formula = intervals.CalibrationRows(of.labels, of.answers.scores, edges=edges.numpy())
    value = binary_calibration_error(
        torch.from_numpy(of.answers.scores).to(torch.float64),
        torch.tensor(of.labels),
        n_bins=of.job.calibration_bins,
        norm="l1",
    )
    return _over_rows(of, "expected_calibration_error", float(value), formula, spread=True)


def _over_rows(
    of: _Computation, name: str, value: float, formula: Callable[[Array], float], *, spread: bool = False
) -> Metric:
    import numpy as np

    agreed = _agreed(name, value, formula(np.arange(of.samples)))
    bounds = intervals.bootstrap_rows(
        formula,
        of.samples,
        seed=sub_seed(of.seed, name, ()),
        resamples=of.job.resamples,
        level=of.job.confidence_level,
    )
    interval = _bootstrap(of, agreed, bounds, spread=spread)
    return Metric(name=name, samples=of.samples, value=agreed, interval=interval)


def _differences(of: _Computation, columns: tuple[str, ...]) -> list[Metric]:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    grouping = of.grouping(columns)
    counts = of.counts(grouping.codes, len(grouping.names))
    one_group = None if len(grouping.names) > 1 else "there is one group only"
    lacking = [
        ", ".join(name) for name, by_label in zip(grouping.names, counts.sum(-1), strict=True) if not by_label.all()
    ]
    one_class = f"the labels of the group {lacking[0]} hold one class only" if lacking else None

    def over(library: Callable[..., Any]) -> Callable[[Array, Array], Any]:
        return lambda labels, predictions: library(labels, predictions, sensitive_features=grouping.codes)

    return [
        _resampled(
            of,
            "demographic_parity_difference",
            over(demographic_parity_difference),
            intervals.demographic_parity_difference,
            counts,
            undefined=one_group,
            spread=True,
            groups=columns,
        ),
        _resampled(
            of,
            "equalized_odds_difference",
            over(equalized_odds_difference),
            intervals.equalized_odds_difference,
            counts,
            undefined=one_group or one_class,
            spread=True,
            groups=columns,
        ),
    ]


def _slices(of: _Computation, columns: tuple[str, ...]) -> list[Metric]:
    """Accuracy and selection rate of every cell."""
    grouping = of.grouping(columns)
    counts = of.counts(grouping.codes, len(grouping.names))
    metrics = []
    for cell, number in all_cells(grouping, limit=MAX_GROUPS):
        table = None if number is None else counts[number]
        for name in ("accuracy", "selection_rate"):
            if table is None:
                metrics.append(Metric(name=name, samples=0, undefined="the slice has no rows", slice=cell))
                continue
            successes = int(table[0, 0] + table[1, 1] if name == "accuracy" else table[:, 1].sum())
            samples = int(table.sum())
            metrics.append(
                _proportion(of, name, value=successes / samples, successes=successes, samples=samples, cell=cell)
            )
    return metrics


def _proportion(
    of: _Computation, name: str, *, value: float, successes: int, samples: int, cell: dict[str, str] | None = None
) -> Metric:
    level = of.job.confidence_level
    lower, upper = intervals.wilson(successes, samples, level=level)
    return Metric(
        name=name,
        samples=samples,
        value=_agreed(name, value, successes / samples),
        interval=Interval(level=level, lower=lower, upper=upper, method="wilson"),
        slice=cell,
    )


def _bootstrap(of: _Computation, value: float, bounds: tuple[float, float] | None, *, spread: bool) -> Interval | None:
    if spread:
        bounds = intervals.hull(value, bounds, least=0, most=1)
    if bounds is None:
        return None
    return Interval(
        level=of.job.confidence_level,
        lower=bounds[0],
        upper=bounds[1],
        method="hull-bootstrap" if spread else "percentile-bootstrap",
        resamples=of.job.resamples,
    )


def _agreed(name: str, library: float, ours: float) -> float:
    """The library's value, provided that our formula gives the same."""
    if not abs(library - ours) <= _TOLERANCE:
        raise LamslsaError(
            f"expected two computations of {name} to agree, got {library} and {ours}",
            reason="metric-disagreement",
            hint="report this with the versions of scikit-learn, torchmetrics and fairlearn",
        )
    return library
