"""Measurer ``regression/1``: how far a model's numbers are from the labels, over every row of a dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Groups, Scope
from lamslsa.measure.evaluation.asked import (
    PACKAGES,
    Sampling,
    answer,
    declare_dataset,
    declare_groups,
    refuse_other_task,
)
from lamslsa.measure.evaluation.deviations import FORMULAS, by_sklearn, undefined
from lamslsa.measure.evaluation.groupings import Grouping, all_cells, number_groups
from lamslsa.measure.evaluation.report import About, Report
from lamslsa.measure.evaluation.resampling import row_blocks
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, Progress, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["NAME", "Deviations", "RegressionEvaluation", "declare"]

NAME: Final = "regression/1"
_BY_GROUP: Final = ("mean_absolute_error", "root_mean_squared_error", "mean_error")


class Deviations:
    """Labels and predicted numbers of one dataset, and the metrics of them.

    Args:
        labels: float64.
        numbers: what the model said.
        groups: group column to the text of its value in each row.
        report: where metrics are written.
        seed: of the evaluation.
    """

    def __init__(
        self, *, labels: Array, numbers: Array, groups: Mapping[str, list[str]], report: Report, seed: bytes
    ) -> None:
        import numpy as np

        self.labels = labels.astype(np.float64)
        self.numbers = numbers.astype(np.float64)
        self._groups = groups
        self._report = report
        self._seed = seed

    def measure(self, *, groups: Groups, slices: Groups, progress: Progress) -> None:
        """Write every metric, in a fixed order."""
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._rows(tuple(FORMULAS), np.arange(len(self.labels)), sub_seed(self._seed, "rows", ()), About())
            for done, columns in enumerate(groups):
                progress("comparing groups", done, len(groups))
                self._differences(columns)
            for done, columns in enumerate(slices):
                progress("measuring slices", done, len(slices))
                self._slices(columns)

    def _rows(self, names: tuple[str, ...], rows: Array, seed: bytes, about: About) -> None:
        """Some metrics over some rows."""
        import numpy as np

        labels, numbers = self.labels[rows], self.numbers[rows]
        reasons = {name: undefined(name, labels) for name in names}
        wanted = [name for name, reason in reasons.items() if reason is None]
        found: dict[str, list[Array]] = {name: [] for name in wanted}
        if wanted:
            for block in row_blocks(len(rows), seed=seed, resamples=self._report.resamples):
                drawn, said = labels[block], numbers[block]
                for name in wanted:
                    found[name].append(FORMULAS[name](drawn, said))
        for name, reason in reasons.items():
            if reason is not None:
                self._report.undefined(name, len(rows), reason, about)
                continue
            value = float(FORMULAS[name](labels, numbers))
            library = by_sklearn(name, labels, numbers) if np.isfinite(value) and about.slice is None else None
            self._report.bootstrapped(name, value, len(rows), np.concatenate(found[name]), library=library, about=about)

    def _differences(self, columns: tuple[str, ...]) -> None:
        """The largest difference of a metric between two groups."""
        import numpy as np

        grouping = number_groups(columns, self._groups)
        about = About(groups=columns)
        samples = len(self.labels)
        if len(grouping.names) == 1:
            for name in _BY_GROUP:
                self._report.undefined(f"{name}_difference", samples, "there is one group only", about)
            return
        seed = sub_seed(self._seed, "group rows", columns)
        resampled = [
            self._spreads(grouping, rows)
            for block in row_blocks(samples, seed=seed, resamples=self._report.resamples)
            for rows in block
        ]
        values = self._spreads(grouping, np.arange(samples))
        for place, name in enumerate(_BY_GROUP):
            self._report.bootstrapped(
                f"{name}_difference",
                values[place],
                samples,
                np.array([found[place] for found in resampled]),
                within=(0, math.inf),
                about=about,
            )

    def _spreads(self, grouping: Grouping, rows: Array) -> tuple[float, float, float]:
        """Largest minus smallest value of each of `_BY_GROUP` over the groups, in rows that may repeat."""
        import numpy as np

        codes, errors, size = grouping.codes[rows], (self.numbers - self.labels)[rows], len(grouping.names)
        counts = np.bincount(codes, minlength=size)

        def by_group(weights: Array) -> Array:
            means: Array = np.bincount(codes, weights=weights, minlength=size) / counts
            return means

        values = (by_group(abs(errors)), np.sqrt(by_group(errors**2)), by_group(errors))
        first, second, third = (float(np.max(value) - np.min(value)) for value in values)
        return first, second, third

    def _slices(self, columns: tuple[str, ...]) -> None:
        import numpy as np

        grouping = number_groups(columns, self._groups)
        for cell, number in all_cells(grouping):
            about = About(slice=cell)
            if number is None:
                for name in _BY_GROUP:
                    self._report.undefined(name, 0, "the slice has no rows", about)
                continue
            named_cell = [text for column, value in sorted(cell.items()) for text in (column, value)]
            seed = sub_seed(self._seed, "slice", named_cell)
            self._rows(_BY_GROUP, np.flatnonzero(grouping.codes == number), seed, about)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionEvaluation:
    """The plan of an evaluation.

    Attributes:
        groups: groupings whose groups are compared.
        slices: groupings whose every cell is measured by itself.
    """

    dataset: DatasetJob
    sampling: Sampling
    groups: Groups
    slices: Groups

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that it is measured on."""
        return Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name)

    def steps(self) -> tuple[str, ...]:
        """Which metrics would be computed."""
        resamples = self.sampling.resamples
        return (
            f"absolute, squared, percentage and mean error and R² on {self.dataset.name}, {resamples} resamples",
            *(f"errors between groups of {', '.join(group)}" for group in self.groups),
            *(f"errors in each slice of {', '.join(group)}" for group in self.slices),
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return self.sampling.configuration()

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"]],
            resamples=self.sampling.resamples,
            metrics=5 + len(self.groups) + len(self.slices),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        asked_for = tuple(dict.fromkeys((*self.groups, *self.slices)))
        report = Report(level=self.sampling.confidence_level, resamples=self.sampling.resamples)
        with one_thread(device=context.device):
            replies = answer(model, dataset, self.dataset, asked_for, context)
            refuse_other_task(replies.model.task, "regression")
            Deviations(
                labels=replies.labels,
                numbers=replies.scores,
                groups=replies.groups,
                report=report,
                seed=evaluation_seed(model, dataset, configuration),
            ).measure(groups=self.groups, slices=self.slices, progress=context.progress)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[replies.model],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=asked_for,
                metrics=report.metrics,
                packages=PACKAGES,
                context=context,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = declare_dataset(node, scope, "regression")
    return RegressionEvaluation(
        dataset=dataset,
        sampling=Sampling.declared(node),
        groups=declare_groups(node.take("groups"), dataset),
        slices=declare_groups(node.take("slices"), dataset),
    )
