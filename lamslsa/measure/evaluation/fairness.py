"""Measurer ``group-fairness/1``: the rates of groups and of their intersections, and how far they are apart.

Rules:
- A group is every combination of the values that occur in the columns of a grouping; one without rows is reported.
- Groups of fewer rows than ``minimumGroupSize`` are not compared, and their rates are not given; how many groups and
  rows that leaves out is a metric of its own, so that a policy can ask for none.
- Where a rate of a compared group has no rows, the comparison has no value; the group is not left out.
"""

from __future__ import annotations

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
from lamslsa.measure.evaluation.disparities import FORMULAS, RATES, by_fairlearn, undefined
from lamslsa.measure.evaluation.groupings import Grouping, all_cells, number_groups
from lamslsa.measure.evaluation.report import About, Report
from lamslsa.measure.evaluation.resampling import count_resamples
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["NAME", "FairnessEvaluation", "declare", "measure_fairness"]

NAME: Final = "group-fairness/1"
_PACKAGES: Final = tuple(sorted({*PACKAGES, "fairlearn"}))


def measure_fairness(
    *,
    labels: Array,
    predictions: Array,
    grouping: Grouping,
    minimum: int,
    report: Report,
    seed: bytes,
) -> None:
    """Write every metric of one grouping, in a fixed order.

    Args:
        labels: int64, 0 or 1, as are ``predictions``.
        predictions: what the model decided.
        grouping: which rows are in which group.
        minimum: rows of a group that is compared.
        report: where metrics are written.
        seed: of the evaluation.
    """
    import numpy as np

    size = len(grouping.names)
    counts = np.bincount(4 * grouping.codes + 2 * labels + predictions, minlength=4 * size).reshape(size, 2, 2)
    rows = counts.sum((-1, -2))
    kept = rows >= minimum
    about = About(groups=grouping.columns)
    report.bootstrapped("groups_left_out", float((~kept).sum()), len(labels), None, about=about)
    report.proportion("rows_left_out", int(rows[~kept].sum()), len(labels), about=about)
    within = kept[grouping.codes]
    _differences(
        counts[kept],
        names=[", ".join(name) for name, taken in zip(grouping.names, kept, strict=True) if taken],
        rows=(labels[within], predictions[within], grouping.codes[within]),
        report=report,
        about=about,
        seed=seed,
    )
    for cell, number in all_cells(grouping):
        table = np.zeros((2, 2), dtype=np.int64) if number is None else counts[number]
        _rates(table, minimum=minimum, report=report, about=About(slice=cell))


def _differences(
    counts: Array, *, names: list[str], rows: tuple[Array, Array, Array], report: Report, about: About, seed: bytes
) -> None:
    import numpy as np

    samples = int(counts.sum())
    reasons = {name: undefined(name, counts, names) for name in FORMULAS}
    wanted = [name for name, reason in reasons.items() if reason is None]
    resampled: dict[str, list[Array]] = {name: [] for name in wanted}
    if wanted:
        cells = counts.reshape(-1)
        held = cells.nonzero()[0]
        draws = count_resamples(
            cells[held], seed=sub_seed(seed, "group counts", about.groups), resamples=report.resamples
        )
        for block in draws:
            tables = np.zeros((len(block), len(cells)), dtype=np.int64)
            tables[:, held] = block
            for name in wanted:
                resampled[name].append(FORMULAS[name][0](tables.reshape(len(block), *counts.shape)))
    for name, reason in reasons.items():
        if reason is not None:
            report.undefined(name, samples, reason, about)
            continue
        report.bootstrapped(
            name,
            float(FORMULAS[name][0](counts)),
            samples,
            np.concatenate(resampled[name]),
            library=by_fairlearn(name, *rows),
            within=(0, 1),
            about=about,
        )


def _rates(table: Array, *, minimum: int, report: Report, about: About) -> None:
    samples = int(table.sum())
    for name, (rate, nothing) in RATES.items():
        found, among = (int(value) for value in rate(table))
        if 0 < samples < minimum:
            report.undefined(name, among, f"the group has fewer than {minimum} rows", about)
            continue
        report.proportion(name, found, among, nothing=nothing if samples else "the group has no rows", about=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessEvaluation:
    """The plan of an evaluation.

    Attributes:
        threshold: a row is predicted as class 1 from this probability on.
        minimum: rows of a group that is compared.
        groups: groupings whose groups are compared.
    """

    dataset: DatasetJob
    sampling: Sampling
    threshold: float
    minimum: int
    groups: Groups

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that it is measured on."""
        return Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name)

    def steps(self) -> tuple[str, ...]:
        """Which groups would be compared."""
        return tuple(
            f"rates of groups of {', '.join(group)} on {self.dataset.name}, {self.sampling.resamples} resamples"
            for group in self.groups
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            **self.sampling.configuration(),
            "threshold": self.threshold,
            "minimumGroupSize": self.minimum,
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"]],
            resamples=self.sampling.resamples,
            metrics=0.5 * len(self.groups),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        import numpy as np

        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        report = Report(level=self.sampling.confidence_level, resamples=self.sampling.resamples)
        with one_thread(device=context.device):
            replies = answer(model, dataset, self.dataset, self.groups, context)
            refuse_other_task(replies.model.task, "binary")
            decisions = (replies.scores.astype(np.float64) >= self.threshold).astype(np.int64)
            for done, columns in enumerate(self.groups):
                context.progress("comparing groups", done, len(self.groups))
                measure_fairness(
                    labels=replies.labels,
                    predictions=decisions,
                    grouping=number_groups(columns, replies.groups),
                    minimum=self.minimum,
                    report=report,
                    seed=seed,
                )
            context.progress("comparing groups", len(self.groups), len(self.groups))
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[replies.model],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=self.groups,
                metrics=report.metrics,
                packages=_PACKAGES,
                context=context,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = declare_dataset(node, scope, "binary")
    groups_node = node.take("groups")
    found = declare_groups(groups_node, dataset)
    if not found:
        groups_node.refuse("expected at least one grouping to compare, got none", reason="yaml-empty")
    return FairnessEvaluation(
        dataset=dataset,
        sampling=Sampling.declared(node),
        threshold=node.take("threshold").number(minimum=0, maximum=1),
        minimum=node.take("minimumGroupSize").integer(minimum=1, maximum=2**53),
        groups=found,
    )
