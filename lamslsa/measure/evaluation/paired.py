"""Two models on the same rows: differences with paired intervals, and McNemar's test.

Every resample draws rows, and both models are scored on the same draw, so what is hard about a row is hard for both.
The difference is that of the model minus that of the baseline. McNemar's test (1947) in its exact form: of the b + c
rows that exactly one of the two got right, b follow a binomial with probability 1/2 if the two are equally good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.evaluation import deviations
from lamslsa.measure.evaluation.confusion import FORMULAS, Confusion, Margins, by_sklearn, f1_by_class
from lamslsa.measure.evaluation.report import About, Report, agreed
from lamslsa.measure.evaluation.resampling import count_resamples, row_blocks, row_values
from lamslsa.measure.evaluation.shares import Shares
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Sides", "compare_classes", "compare_numbers", "compare_shares"]

_SMALLER_IS_BETTER: Final = ("log_loss", "brier_score", "_error")

Sides = tuple["Array", "Array"]
"""What the model said, and what the baseline said."""


def compare_classes(*, labels: Array, said: Sides, classes: int, report: Report, seed: bytes) -> None:
    """Accuracy and what else depends on counts, of predicted classes; and McNemar's test."""
    import numpy as np

    rights = [said[side] == labels for side in (0, 1)]
    tables = [Confusion(labels, side, classes=classes) for side in said]
    for which, right in zip(("model", "baseline"), rights, strict=True):
        report.proportion("accuracy", int(right.sum()), len(labels), about=About(parameters={"of": which}))
    formulas: dict[str, Callable[[Margins], Array]] = {
        name: FORMULAS[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")
    }
    if classes == 2:
        formulas["f1"] = lambda of: f1_by_class(of)[:, 1]
    resampled = _paired_counts(formulas, labels, said, classes=classes, report=report, seed=seed)
    for name, formula in formulas.items():
        values = [float(formula(table.margins())[0]) for table in tables]
        if not np.isfinite(values).all():
            reason = "a class has no rows, or none are predicted as such"
            _difference(report, name, len(labels), reason=reason)
            continue
        values = [agreed(name, by_sklearn(name, labels, side), value) for side, value in zip(said, values, strict=True)]
        _difference(report, name, len(labels), values=values, halves=resampled[name])
    _mcnemar(report, int((rights[0] & ~rights[1]).sum()), int((rights[1] & ~rights[0]).sum()), len(labels))


def _paired_counts(
    formulas: Mapping[str, Callable[[Margins], Array]],
    labels: Array,
    said: Sides,
    *,
    classes: int,
    report: Report,
    seed: bytes,
) -> dict[str, list[Array]]:
    """Each formula of both sides over resamples of the table of (label, model's class, baseline's class)."""
    import numpy as np

    cells, counts = np.unique((labels * classes + said[0]) * classes + said[1], return_counts=True)
    rest, second = np.divmod(cells, classes)
    label, first = np.divmod(rest, classes)
    tables = [Confusion.of_cells(label, side, counts, classes=classes) for side in (first, second)]
    found: dict[str, list[list[Array]]] = {name: [[], []] for name in formulas}
    for draws in count_resamples(counts, seed=sub_seed(seed, "pairs", ()), resamples=report.resamples):
        for side, table in enumerate(tables):
            margins = table.margins(draws)
            for name, formula in formulas.items():
                found[name][side].append(formula(margins))
    return {name: [np.concatenate(part) for part in parts] for name, parts in found.items()}


def compare_shares(*, labels: Array, shares: Sides, report: Report, seed: bytes) -> None:
    """AUROC, log loss and Brier score of probabilities, float64 (rows, classes)."""
    both = [Shares(labels, side, bins=None) for side in shares]
    names = ("brier_score", "log_loss", "macro_auroc")
    reasons = {name: next((of.undefined[name] for of in both if name in of.undefined), None) for name in names}
    wanted = {
        f"{name}:{side}": of.formulas[name] for name in names if reasons[name] is None for side, of in enumerate(both)
    }
    resampled = row_values(wanted, len(labels), seed=sub_seed(seed, "paired rows", ()), resamples=report.resamples)
    for name, reason in reasons.items():
        if reason is not None:
            _difference(report, name, len(labels), reason=reason)
            continue
        values = [agreed(name, float(of.libraries[name]()), of.value(name)) for of in both]
        _difference(report, name, len(labels), values=values, halves=[resampled[f"{name}:{side}"] for side in (0, 1)])


def compare_numbers(*, labels: Array, numbers: Sides, report: Report, seed: bytes) -> None:
    """The metrics of predicted numbers, all float64."""
    import numpy as np

    names = [name for name in deviations.FORMULAS if name != "mean_error"]  # a bias is no better for being smaller
    reasons = {name: deviations.undefined(name, labels) for name in names}
    wanted = [name for name, reason in reasons.items() if reason is None]
    found: Mapping[str, tuple[list[Array], list[Array]]] = {name: ([], []) for name in wanted}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for block in row_blocks(len(labels), seed=sub_seed(seed, "paired rows", ()), resamples=report.resamples):
            drawn = labels[block]
            for side in (0, 1):
                said = numbers[side][block]
                for name in wanted:
                    found[name][side].append(deviations.FORMULAS[name](drawn, said))
        for name, reason in reasons.items():
            if reason is not None:
                _difference(report, name, len(labels), reason=reason)
                continue
            values = [_by_both(name, labels, side) for side in numbers]
            _difference(report, name, len(labels), values=values, halves=[np.concatenate(part) for part in found[name]])


def _by_both(name: str, labels: Array, numbers: Array) -> float:
    value = float(deviations.FORMULAS[name](labels, numbers))
    library = deviations.by_sklearn(name, labels, numbers) if math.isfinite(value) else None
    return value if library is None else agreed(name, library, value)


def _difference(
    report: Report,
    name: str,
    samples: int,
    *,
    values: Sequence[float] = (),
    halves: Sequence[Array] = (),
    reason: str | None = None,
) -> None:
    """A difference, and the bound that says by how much the model may be worse."""
    if reason is not None:
        report.undefined(f"{name}_difference", samples, reason)
        report.undefined(f"{name}_noninferiority", samples, reason)
        return
    report.bootstrapped(f"{name}_difference", values[0] - values[1], samples, halves[0] - halves[1])
    interval = report.metrics[-1].interval
    if interval is None:
        report.undefined(f"{name}_noninferiority", samples, "the difference has no interval")
        return
    bound = -interval.upper if name.endswith(_SMALLER_IS_BETTER) else interval.lower
    report.bootstrapped(f"{name}_noninferiority", bound, samples, None)


def _mcnemar(report: Report, model: int, baseline: int, samples: int) -> None:
    from scipy.stats import binomtest

    report.bootstrapped("only_model_right", float(model), samples, None)
    report.bootstrapped("only_baseline_right", float(baseline), samples, None)
    if model + baseline == 0:
        report.undefined("mcnemar_p_value", samples, "both are right on the same rows")
        return
    report.bootstrapped("mcnemar_p_value", float(binomtest(model, model + baseline, 0.5).pvalue), samples, None)
