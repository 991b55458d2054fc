"""Measurer ``tabular-evaluation/1``: what a model of two classes is worth on a dataset, over every row of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure import rates
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.declarations import DatasetJob, Groups, Scope, fraction, groups
from lamslsa.measure.evaluation.asked import answer, declare_dataset, refuse_other_task
from lamslsa.measure.evaluation.metrics import Answers, compute_metrics
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread

__all__ = ["NAME", "TabularEvaluation", "declare"]

NAME: Final = "tabular-evaluation/1"
_PACKAGES: Final = (
    "duckdb",
    "fairlearn",
    "lamslsa",
    "numpy",
    "safetensors",
    "scikit-learn",
    "scipy",
    "torch",
    "torchmetrics",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularEvaluation:
    """The plan of an evaluation.

    Attributes:
        groups: groupings whose groups are compared.
        slices: groupings whose every cell is measured by itself.
    """

    dataset: DatasetJob
    rows: str
    threshold: float
    confidence_level: float
    resamples: int
    calibration_bins: int
    groups: Groups
    slices: Groups

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that it is measured on."""
        return (
            Input(role="model", kind="model"),
            Input(role="dataset", kind="dataset", name=self.dataset.name),
        )

    def steps(self) -> tuple[str, ...]:
        """Which metrics would be computed."""
        return (
            f"accuracy, balanced accuracy, F1, AUROC, calibration on {self.dataset.name}, {self.resamples} resamples",
            *(f"fairness between groups of {', '.join(group)}" for group in self.groups),
            *(f"accuracy and selection rate in each slice of {', '.join(group)}" for group in self.slices),
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            "rows": self.rows,
            "threshold": self.threshold,
            "confidenceLevel": self.confidence_level,
            "resamples": self.resamples,
            "calibrationBins": self.calibration_bins,
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"]],
            resamples=self.resamples,
            metrics=5,
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        model, dataset, progress = inputs["model"], inputs["dataset"], context.progress
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        asked_for = tuple(dict.fromkeys((*self.groups, *self.slices)))
        with one_thread(device=context.device):
            replies = answer(model, dataset, self.dataset, asked_for, context)
            refuse_other_task(replies.model.task, "binary")
            answers = Answers(labels=replies.labels, scores=replies.scores, groups=dict(replies.groups))
            progress("computing metrics", 0, 1)
            metrics = compute_metrics(answers, job=self, seed=seed)
            progress("computing metrics", 1, 1)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[replies.model],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=asked_for,
                metrics=metrics,
                packages=_PACKAGES,
                context=context,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = declare_dataset(node, scope, "binary")
    schema = dataset.schema
    columns = [item.name for item in schema.features if item.type != "number"] if isinstance(schema, Schema) else []
    return TabularEvaluation(
        dataset=dataset,
        rows=node.take("rows").choice(["all"]),
        threshold=node.take("threshold").number(minimum=0, maximum=1),
        confidence_level=fraction(node.take("confidenceLevel")),
        resamples=node.take("resamples").integer(minimum=1, maximum=100_000),
        calibration_bins=node.take("calibrationBins").integer(minimum=1, maximum=10_000),
        groups=groups(node.take("groups"), columns),
        slices=groups(node.take("slices"), columns),
    )
