"""Measurer ``tabular-evaluation/1``: what a model of two classes is worth on a dataset, over every row of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import DatasetJob, Groups, Scope, fraction, groups
from lamslsa.measure.evaluation.metrics import Answers, compute_metrics
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import predict

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


_OTHER: Final = "classification/1 measures models of more classes, regression/1 those of numbers"


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

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Evaluate; see `lamslsa.measure.interface.Plan`."""
        model, dataset, progress = inputs["model"], inputs["dataset"], context.progress
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        asked_for = tuple(dict.fromkeys((*self.groups, *self.slices)))
        with one_thread():
            progress("reading model and rows", 0, 1)
            loaded = load_model(model.artifact)
            if str(loaded.task) != "binary":
                raise FormatError(
                    f"expected a model of two classes, got {loaded.task}", reason="evaluation-task", hint=_OTHER
                )
            columns = tuple(dict.fromkeys(column for columns in asked_for for column in columns))
            rows = read_examples(loaded, dataset.artifact, self.dataset, columns=columns)
            progress("reading model and rows", 1, 1)
            answers = Answers(labels=rows.labels, scores=predict(loaded, rows.inputs, context), groups=rows.columns)
            progress("computing metrics", 0, 1)
            metrics = compute_metrics(answers, job=self, seed=seed)
            progress("computing metrics", 1, 1)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                architecture=loaded.architecture,
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=asked_for,
                metrics=metrics,
                packages=_PACKAGES,
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    columns = [column.name for column in dataset.table.features if column.type != "number"]
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
