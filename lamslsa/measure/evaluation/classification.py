"""Measurer ``classification/1``: what a model of two classes or more is worth on a dataset, over every row of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Groups, Scope
from lamslsa.measure.evaluation.asked import (
    PACKAGES,
    Sampling,
    answer,
    declare_dataset,
    declare_groups,
    probabilities,
    refuse_other_task,
)
from lamslsa.measure.evaluation.multiclass import Classification
from lamslsa.measure.evaluation.report import Report
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread

__all__ = ["MAX_CLASSES", "NAME", "ClassificationEvaluation", "declare"]

NAME: Final = "classification/1"
MAX_CLASSES: Final = 1000
_PACKAGES: Final = tuple(sorted({*PACKAGES, "torchmetrics"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationEvaluation:
    """The plan of an evaluation.

    Attributes:
        bins: of every calibration error.
        top: the k of each top-k accuracy.
        groups: groupings whose groups are compared.
        slices: groupings whose every cell is measured by itself.
    """

    dataset: DatasetJob
    sampling: Sampling
    bins: int
    top: tuple[int, ...]
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
            f"accuracy, F1, correlation, loss, AUROC, calibration on {self.dataset.name}, {resamples} resamples",
            "precision, recall, F1 and confusion of each class",
            *(f"top-{k} accuracy" for k in self.top),
            *(f"accuracy between groups of {', '.join(group)}" for group in self.groups),
            *(f"accuracy in each slice of {', '.join(group)}" for group in self.slices),
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {**self.sampling.configuration(), "calibrationBins": self.bins}

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"]],
            resamples=self.sampling.resamples,
            metrics=4 * (self.dataset.schema.target.task.classes or 1),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        asked_for = tuple(dict.fromkeys((*self.groups, *self.slices)))
        report = Report(level=self.sampling.confidence_level, resamples=self.sampling.resamples)
        with one_thread(device=context.device):
            replies = answer(model, dataset, self.dataset, asked_for, context)
            refuse_other_task(replies.model.task, "binary", "multiclass")
            Classification(
                labels=replies.labels,
                shares=probabilities(replies),
                groups=dict(replies.groups),
                report=report,
                seed=evaluation_seed(model, dataset, configuration),
            ).measure(bins=self.bins, top=self.top, groups=self.groups, slices=self.slices, progress=context.progress)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[replies.model],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=asked_for,
                metrics=report.metrics,
                packages=_PACKAGES,
                context=context,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = declare_dataset(node, scope, "binary", "multiclass")
    classes = dataset.schema.target.task.classes or 0
    if classes > MAX_CLASSES:
        raise FormatError(f"expected at most {MAX_CLASSES} classes, got {classes}", reason="evaluation-classes")
    sampling = Sampling.declared(node)
    bins = node.take("calibrationBins").integer(minimum=1, maximum=10_000)
    top_node = node.take("topK")
    top = tuple(item.integer(minimum=1, maximum=classes - 1) for item in top_node.sequence(empty=True))
    if len(set(top)) != len(top):
        top_node.refuse("expected each k once, got one twice", reason="evaluation-top-k")
    return ClassificationEvaluation(
        dataset=dataset,
        sampling=sampling,
        bins=bins,
        top=top,
        groups=declare_groups(node.take("groups"), dataset),
        slices=declare_groups(node.take("slices"), dataset),
    )
