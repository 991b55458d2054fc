"""Measurer ``pgd/1``: how many rows keep their class under projected gradient descent (`attacks`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.evaluation.attacks import Attacked, Descent, Loss, Norm, attack
from lamslsa.measure.evaluation.robustness_metrics import Rows, chosen, network_of, proportion, rows_wanted
from lamslsa.measure.evaluation.robustness_space import Movable, declared_features, moving_columns, space_of
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples, read_examples
from lamslsa.measure.models.loading import load_model
from lamslsa.predicates.evaluation import Metric

__all__ = ["NAME", "Pgd", "declare", "epsilons", "norm", "select"]

NAME: Final = "pgd/1"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "pillow", "safetensors", "scipy", "torch")
_MAX_EPSILONS: Final = 32
_STILL: Final = "no row can move within this radius"
_NORMS: Final[Mapping[str, Norm]] = {"Linf": "Linf", "L2": "L2"}
_LOSSES: Final[Mapping[str, Loss]] = {"cross-entropy": "cross-entropy", "margin": "margin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pgd:
    """The plan of an attack.

    Attributes:
        rows: how many rows are attacked; None for all.
        features: what may move of a table; None for every numeric feature.
    """

    dataset: DatasetJob
    rows: Rows
    confidence_level: float
    descent: Descent
    features: tuple[Movable, ...] | None

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that it is attacked on."""
        return (Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name))

    def steps(self) -> tuple[str, ...]:
        """Which attacks would be run, and how often each row goes through the network."""
        it, passes = self.descent, self._passes
        which = ", ".join(f"{epsilon:g}" for epsilon in it.epsilons)
        rows = "all" if self.rows is None else self.rows
        return (
            f"projected gradient descent on {rows} rows of {self.dataset.name}, {it.norm} {which}",
            f"{it.restarts} runs of {it.steps} steps for each radius: at most {passes} passes a row",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        it = self.descent
        return {
            "rows": "all" if self.rows is None else self.rows,
            "confidenceLevel": self.confidence_level,
            "norm": it.norm,
            "epsilons": list(it.epsilons),
            "loss": it.loss,
            "steps": it.steps,
            "stepSize": it.step_size,
            "restarts": it.restarts,
            "features": "all" if self.features is None else [feature.resolved() for feature in self.features],
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return rates.attacking(
            self.dataset.schema, sizes["dataset"], model=sizes["model"], limit=self.rows, passes=self._passes
        )

    @property
    def _passes(self) -> int:
        return len(self.descent.epsilons) * self.descent.restarts * (3 * self.descent.steps + 1)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Attack; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            network = network_of(loaded)
            columns = moving_columns(loaded, self.dataset, self.features)
            examples = read_examples(loaded, dataset.artifact, self.dataset, columns=columns)
            examples = select(examples, self.rows, seed)
            space = space_of(loaded, self.dataset, examples, self.features)
            attacked = attack(
                network,
                examples.inputs,
                examples.labels,
                space=space,
                descent=self.descent,
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
                metrics=self.metrics(attacked),
                packages=_PACKAGES,
                context=context,
            )

    def metrics(self, attacked: Attacked) -> list[Metric]:
        """Accuracy, robust accuracy and success rate for each radius, and how often there was no gradient to follow.

        Where no row can move nothing was tried, and every row would be robust: there is no value then.
        """
        level, correct = self.confidence_level, attacked.correct
        none = "no row gets its class to begin with"
        metrics = [proportion("accuracy", correct, level=level)]
        for epsilon, robust, still in zip(self.descent.epsilons, attacked.robust, attacked.immovable, strict=True):
            at: dict[str, str | int | float | bool] = {"epsilon": epsilon, "norm": self.descent.norm}
            metrics.append(proportion("immovable_rows", still, level=level, parameters=at))
            if len(still) and still.all():
                metrics += [
                    Metric(name=name, samples=len(rows), undefined=_STILL, parameters=at)
                    for name, rows in (("robust_accuracy", robust), ("attack_success_rate", robust[correct]))
                ]
                continue
            metrics += [
                proportion("robust_accuracy", robust, level=level, parameters=at),
                proportion("attack_success_rate", ~robust[correct], level=level, parameters=at, undefined=none),
            ]
        vanishing = attacked.vanishing[correct]
        return [*metrics, proportion("zero_gradient_rate", vanishing, level=level, undefined=none)]


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    return Pgd(
        dataset=dataset,
        rows=rows_wanted(node.take("rows")),
        confidence_level=fraction(node.take("confidenceLevel")),
        descent=Descent(
            norm=norm(node.take("norm")),
            epsilons=epsilons(node.take("epsilons")),
            loss=_LOSSES[node.take("loss").choice(_LOSSES)],
            steps=node.take("steps").integer(minimum=1, maximum=10_000),
            step_size=node.take("stepSize").number(minimum=1e-6, maximum=2),
            restarts=node.take("restarts").integer(minimum=1, maximum=1000),
        ),
        features=declared_features(node.take("features"), dataset),
    )


def norm(node: _yaml.Node) -> Norm:
    """The norm that bounds an attack."""
    return _NORMS[node.choice(_NORMS)]


def epsilons(node: _yaml.Node) -> tuple[float, ...]:
    """Radii, ascending."""
    found = tuple(item.number(minimum=0, maximum=1000) for item in node.sequence())
    if list(found) != sorted(set(found)) or len(found) > _MAX_EPSILONS:
        node.refuse(f"expected at most {_MAX_EPSILONS} numbers in ascending order, got others", reason="job-epsilons")
    return found


def select(examples: Examples, rows: Rows, seed: bytes) -> Examples:
    """The examples that are measured."""
    places = chosen(len(examples.inputs), rows, seed)
    if len(places) == len(examples.inputs):
        return examples
    return replace(
        examples,
        inputs=examples.inputs[places],
        labels=examples.labels[places],
        columns={name: [texts[place] for place in places.tolist()] for name, texts in examples.columns.items()},
    )
