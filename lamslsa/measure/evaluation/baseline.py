"""Measurer ``baseline-comparison/1``: what a model is worth more, or less, than another one on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.evaluation.asked import (
    PACKAGES,
    Replies,
    Sampling,
    answer,
    declare_dataset,
    probabilities,
)
from lamslsa.measure.evaluation.paired import compare_classes, compare_numbers, compare_shares
from lamslsa.measure.evaluation.report import Report
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.predicates._common import Digest
from lamslsa.predicates.evaluation import Reference

__all__ = ["BASELINE", "NAME", "BaselineComparison", "declare"]

NAME: Final = "baseline-comparison/1"
BASELINE: Final = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineComparison:
    """The plan of a comparison.

    Attributes:
        threshold: of two classes, a row is predicted as class 1 from this probability on; without effect otherwise.
    """

    dataset: DatasetJob
    sampling: Sampling
    threshold: float

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model, the one that it is compared with, and the data."""
        return (
            Input(role="model", kind="model"),
            Input(role=BASELINE, kind="model"),
            Input(role="dataset", kind="dataset", name=self.dataset.name),
        )

    def steps(self) -> tuple[str, ...]:
        """What would be compared."""
        what = "errors" if self.dataset.schema.target.task.classes is None else "accuracy, F1, AUROC, loss"
        resamples = self.sampling.resamples
        return (f"{what} of model and baseline on the rows of {self.dataset.name}, {resamples} paired resamples",)

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {**self.sampling.configuration(), "threshold": self.threshold}

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.evaluating(
            self.dataset.schema,
            sizes["dataset"],
            models=[sizes["model"], sizes[BASELINE]],
            resamples=self.sampling.resamples,
            metrics=4 * (self.dataset.schema.target.task.classes or 1),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Compare; see `lamslsa.measure.interface.Plan`."""
        model, baseline, dataset = inputs["model"], inputs[BASELINE], inputs["dataset"]
        digests = [item.artifact.manifest.sha256 for item in (model, baseline)]
        if digests[0] == digests[1]:
            raise FormatError(
                "expected a baseline other than the model, got the model itself",
                reason="baseline-same",
                hint="no model is worse than itself: that comparison says nothing",
            )
        configuration = self.configuration()
        report = Report(level=self.sampling.confidence_level, resamples=self.sampling.resamples)
        with one_thread(device=context.device):
            replies, others = (answer(item, dataset, self.dataset, (), context) for item in (model, baseline))
            context.progress("comparing models", 0, 1)
            self._compare(replies, others, report, evaluation_seed(model, dataset, configuration))
            context.progress("comparing models", 1, 1)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[replies.model, others.model],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=(),
                metrics=report.metrics,
                packages=PACKAGES,
                context=context,
                references=[
                    Reference(role=BASELINE, kind="model", name=baseline.name, digest=Digest(sha256=digests[1]))
                ],
            )

    def _compare(self, replies: Replies, others: Replies, report: Report, seed: bytes) -> None:
        import numpy as np

        classes = replies.model.task.classes
        if classes is None:
            compare_numbers(
                labels=replies.labels.astype(np.float64),
                numbers=(replies.scores.astype(np.float64), others.scores.astype(np.float64)),
                report=report,
                seed=seed,
            )
            return
        shares = probabilities(replies), probabilities(others)
        said = self._decided(replies), self._decided(others)
        compare_classes(labels=replies.labels, said=said, classes=classes, report=report, seed=seed)
        compare_shares(labels=replies.labels, shares=shares, report=report, seed=seed)

    def _decided(self, replies: Replies) -> Any:
        import numpy as np

        if replies.scores.ndim == 1:
            return (replies.scores.astype(np.float64) >= self.threshold).astype(np.int64)
        return replies.scores.argmax(axis=1)


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    return BaselineComparison(
        dataset=declare_dataset(node, scope, "binary", "multiclass", "regression"),
        sampling=Sampling.declared(node),
        threshold=node.take("threshold").number(minimum=0, maximum=1),
    )
