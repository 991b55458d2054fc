"""Measurer ``membership-inference/1``: whether the loss of a model gives away what it was trained on.

The attack of Yeom et al. (2018, https://arxiv.org/abs/1709.01604): a row of small loss is called a member. It needs no
training and knows nothing of single rows; `lira` asks more, and finds more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.evaluation.membership_rates import Bootstrap, membership_metrics
from lamslsa.measure.evaluation.membership_rows import confidences, counted, read_rows, reference, roles, sources
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.loading import load_model

__all__ = ["NAME", "PACKAGES", "MembershipInference", "declare", "false_positive_rates"]

NAME: Final = "membership-inference/1"
PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "safetensors", "scikit-learn", "scipy", "torch")
_MAX_RATES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipInference:
    """The plan of an attack; ``train`` is the data that the model was trained on."""

    dataset: DatasetJob
    train: DatasetJob
    rows: str
    confidence_level: float
    resamples: int
    rates: tuple[float, ...]

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model, the evaluated dataset, and the training data."""
        return roles(self.dataset, self.train)

    def steps(self) -> tuple[str, ...]:
        """What would be compared."""
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        return (
            f"losses of {self.train.name} against those of {self.dataset.name}: AUC and advantage",
            f"true positive rate at false positive rates of {rates}; {self.resamples} resamples of each value",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            "rows": self.rows,
            "confidenceLevel": self.confidence_level,
            "resamples": self.resamples,
            "falsePositiveRates": list(self.rates),
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.LOADING["torch and scikit-learn"] + sum(
            rates.asking(job.schema, sizes[role], models=[sizes["model"]])
            + rates.resampling(rates.rows(job.schema, sizes[role]), self.resamples, metrics=12)
            for role, job in (("dataset", self.dataset), ("train", self.train))
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Attack; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            rows = read_rows(loaded, inputs, self.dataset, self.train)
            metrics = membership_metrics(
                confidences(loaded, rows.members, context),
                confidences(loaded, rows.others, context),
                rates=self.rates,
                how=Bootstrap(level=self.confidence_level, resamples=self.resamples, seed=seed),
                advantage=True,
                tell=lambda done, total: context.progress("computing metrics", done, total),
            )
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[loaded],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=(),
                metrics=[*counted(rows), *metrics],
                packages=PACKAGES,
                context=context,
                references=[reference(self.train, inputs["train"])],
                also_read=[self.train],
            )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset, train = sources(node, scope)
    return MembershipInference(
        dataset=dataset,
        train=train,
        rows=node.take("rows").choice(["all"]),
        confidence_level=fraction(node.take("confidenceLevel")),
        resamples=node.take("resamples").integer(minimum=1, maximum=100_000),
        rates=false_positive_rates(node.take("falsePositiveRates")),
    )


def false_positive_rates(node: _yaml.Node) -> tuple[float, ...]:
    """Rates strictly between 0 and 1, ascending."""
    found = tuple(fraction(item) for item in node.sequence())
    if list(found) != sorted(set(found)) or len(found) > _MAX_RATES:
        node.refuse(f"expected at most {_MAX_RATES} rates in ascending order, got others", reason="job-rates")
    return found
