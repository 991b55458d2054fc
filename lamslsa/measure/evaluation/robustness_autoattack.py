"""Measurer ``autoattack/1``: how many images keep their class under AutoAttack (`attacks_autoattack`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.evaluation.attacks_autoattack import ATTACKS, Ensemble, Outcomes, auto_attack, inapplicable
from lamslsa.measure.evaluation.robustness import epsilons, norm, select
from lamslsa.measure.evaluation.robustness_metrics import Parameters, Rows, network_of, proportion, rows_wanted
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.interface import ImageInputs
from lamslsa.measure.models.loading import load_model
from lamslsa.predicates.evaluation import Metric

__all__ = ["NAME", "AutoAttack", "declare"]

NAME: Final = "autoattack/1"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "pillow", "pyautoattack", "safetensors", "scipy", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAttack:
    """The plan; ``rows`` is how many images are attacked, None for all."""

    dataset: DatasetJob
    rows: Rows
    confidence_level: float
    ensemble: Ensemble

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the images that it is attacked on."""
        return (Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name))

    def steps(self) -> tuple[str, ...]:
        """Which attacks would be run, and how often each image goes through the network."""
        it = self.ensemble
        which = ", ".join(f"{epsilon:g}" for epsilon in it.epsilons)
        rows = "all" if self.rows is None else self.rows
        return (
            f"{', '.join(ATTACKS)} on {rows} images of {self.dataset.name}, {it.norm} {which}",
            f"at most {self._passes} passes an image",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        it = self.ensemble
        return {
            "rows": "all" if self.rows is None else self.rows,
            "confidenceLevel": self.confidence_level,
            "version": "standard",
            "norm": it.norm,
            "epsilons": list(it.epsilons),
            "iterations": it.iterations,
            "queries": it.queries,
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.attacking(
            self.dataset.schema, sizes["dataset"], model=sizes["model"], limit=self.rows, passes=self._passes
        )

    @property
    def _passes(self) -> int:
        """Forward and backward passes of APGD, of APGD and FAB for up to nine targets, and queries of Square."""
        it = self.ensemble
        return len(it.epsilons) * (2 * it.iterations + 9 * 2 * it.iterations + 9 * 3 * it.iterations + it.queries)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Attack; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            network, classes = network_of(loaded), loaded.task.classes or 0
            if not isinstance(loaded.description.inputs, ImageInputs):
                raise FormatError(
                    "expected a model of images, got another", reason="attack-inputs", hint="pgd/1 attacks tables"
                )
            examples = select(read_examples(loaded, dataset.artifact, self.dataset), self.rows, seed)
            outcomes = auto_attack(
                network,
                examples.inputs,
                examples.labels,
                classes=classes,
                ensemble=self.ensemble,
                seed=seed,
                context=context,
            )
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[loaded],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=(),
                metrics=self.metrics(outcomes, classes=classes, shape=examples.inputs.shape),
                packages=_PACKAGES,
                context=context,
            )

    def metrics(self, outcomes: Outcomes, *, classes: int, shape: tuple[int, ...]) -> list[Metric]:
        """Accuracy; for each radius robust accuracy under all attacks together, then under each of them alone."""
        level, correct = self.confidence_level, outcomes.correct
        metrics = [proportion("accuracy", correct, level=level)]
        for epsilon, by_attack in zip(self.ensemble.epsilons, outcomes.robust, strict=True):
            at: Parameters = {"epsilon": epsilon, "norm": self.ensemble.norm}
            together = correct.copy()
            for robust in by_attack.values():
                together &= robust
            metrics.append(proportion("robust_accuracy", together, level=level, parameters=at))
            for name in ATTACKS:
                one: Parameters = {**at, "attack": name}
                reason = inapplicable(name, classes=classes, shape=shape, norm=self.ensemble.norm)
                metrics.append(
                    proportion("robust_accuracy", by_attack[name], level=level, parameters=one)
                    if reason is None
                    else Metric(name="robust_accuracy", samples=len(correct), undefined=reason, parameters=one)
                )
        return metrics


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    item = node.take("dataset")
    dataset = scope.dataset(item)
    if not isinstance(dataset.schema, ImageSchema):
        item.refuse("expected a dataset of images, got another", reason="job-attack-images")
    node.take("version").choice(["standard"])
    return AutoAttack(
        dataset=dataset,
        rows=rows_wanted(node.take("rows")),
        confidence_level=fraction(node.take("confidenceLevel")),
        ensemble=Ensemble(
            norm=norm(node.take("norm")),
            epsilons=epsilons(node.take("epsilons")),
            iterations=node.take("iterations").integer(minimum=1, maximum=10_000),
            queries=node.take("queries").integer(minimum=1, maximum=1_000_000),
        ),
    )
