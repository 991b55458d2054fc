"""Measurer ``lira/1``: the likelihood ratio attack (Carlini et al. 2022, https://arxiv.org/abs/2112.03570).

How sure would a model be of this row that never saw it? Shadow models say so (`lira_shadows`). With φ the target's
confidence in a row, μ and σ mean and deviation of that of the shadows that were trained without it (out) or with it
(in), the score of a row is

    offline    (φ - μ_out) / σ_out                            orders rows as 1 - Pr[Z > φ], Z ~ N(μ_out, σ_out), does
    online     log N(φ; μ_in, σ_in) - log N(φ; μ_out, σ_out)  algorithm 1

``variance: global`` takes one σ for all rows, the root of the mean of their variances: with few shadows that of a
single row is mostly chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml, predicates
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.environment import environment
from lamslsa.measure.evaluation.lira_shadows import shadow_confidences, trainable, work_of
from lamslsa.measure.evaluation.membership import PACKAGES, false_positive_rates
from lamslsa.measure.evaluation.membership_rates import Bootstrap, membership_metrics
from lamslsa.measure.evaluation.membership_rows import (
    confidences,
    counted,
    keys,
    read_rows,
    reference,
    roles,
    sources,
)
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.loading import ARCHITECTURES, load_model
from lamslsa.measure.training.settings import Settings, declare_settings

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["NAME", "Lira", "declare", "likelihood_scores"]

NAME: Final = "lira/1"
_TINY: Final = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Lira:
    """The plan of an attack.

    Attributes:
        train: the data that the model was trained on.
        variant: ``offline`` or ``online``.
        variance: ``per-example`` or ``global``.
        shadows: how many shadow models; even, four or more.
        trainer: their architecture.
        settings: how each is trained.
    """

    dataset: DatasetJob
    train: DatasetJob
    rows: str
    confidence_level: float
    resamples: int
    rates: tuple[float, ...]
    variant: str
    variance: str
    shadows: int
    trainer: str
    settings: Settings

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model, the evaluated dataset, and the training data."""
        return roles(self.dataset, self.train)

    def steps(self) -> tuple[str, ...]:
        """What would be trained and compared."""
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        both = f"{self.train.name} and {self.dataset.name}"
        return (
            f"{self.shadows} shadow models of {self.trainer}, {self.settings.epochs} epochs on half of {both} each",
            f"as much work as {self.shadows // 2} trainings on all of them",
            f"{self.variant} likelihood ratios: AUC, true positive rate at false positive rates of {rates}",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        settings = self.settings.resolved(epochs=self.settings.epochs, privacy=None)
        return {
            "rows": self.rows,
            "confidenceLevel": self.confidence_level,
            "resamples": self.resamples,
            "falsePositiveRates": list(self.rates),
            "variant": self.variant,
            "variance": self.variance,
            "shadows": self.shadows,
            "shadow": {
                "trainer": self.trainer,
                **{key: value for key, value in settings.items() if key not in ("seed", "privacy")},
            },
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        read = (("dataset", self.dataset.schema), ("train", self.train.schema))
        pool = sum(rates.rows(schema, sizes[role]) for role, schema in read)
        network = rates.described(self.train.schema, sizes["model"])
        shadow = rates.fitting(network, self.settings, rows=pool / 2) + pool * network.forward
        return (
            rates.LOADING["torch and scikit-learn"]
            + sum(rates.reading(schema, sizes[role]) for role, schema in read)
            + self.shadows * shadow
            + rates.resampling(pool, self.resamples, metrics=12)
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train shadows and attack; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            description = trainable(loaded, self.trainer)
            rows = read_rows(loaded, inputs, self.dataset, self.train)
            pool = _together(rows.members, rows.others)
            needed = {*PACKAGES, *loaded.packages, *self.train.schema.packages, *self.dataset.schema.packages}
            described = environment(sorted(needed), device=context.device)
            surroundings = _codec.sha256_hex(_codec.canonical_with_fractions(predicates.to_wire(described)))
            shadows, inside = shadow_confidences(
                description,
                pool,
                [key.hex().encode() for key in keys(pool)],
                shadows=self.shadows,
                settings=self.settings,
                seed=seed,
                work=work_of(
                    seed.hex(),
                    inputs["train"].artifact.manifest.sha256,
                    self.train.schema.sha256,
                    self.dataset.schema.sha256,
                    surroundings,
                ),
                context=context,
            )
            target = confidences(loaded, pool, context)
            scores = likelihood_scores(target, shadows, inside, variant=self.variant, variance=self.variance)
            members = len(rows.members.labels)
            metrics = membership_metrics(
                scores[:members],
                scores[members:],
                rates=self.rates,
                how=Bootstrap(level=self.confidence_level, resamples=self.resamples, seed=seed),
                advantage=False,
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
    shadows_node = node.take("shadows")
    shadows = shadows_node.integer(minimum=4, maximum=1024)
    if shadows % 2:
        shadows_node.refuse(f"expected an even number of shadow models, got {shadows}", reason="job-lira-shadows")
    shadow = node.take("shadow").mapping()
    plan = Lira(
        dataset=dataset,
        train=train,
        rows=node.take("rows").choice(["all"]),
        confidence_level=fraction(node.take("confidenceLevel")),
        resamples=node.take("resamples").integer(minimum=1, maximum=100_000),
        rates=false_positive_rates(node.take("falsePositiveRates")),
        variant=node.take("variant").choice(["offline", "online"]),
        variance=node.take("variance").choice(["per-example", "global"]),
        shadows=shadows,
        trainer=shadow.take("trainer").choice(ARCHITECTURES),
        settings=declare_settings(shadow, seed=0),
    )
    if plan.settings.privacy is not None:
        shadow.refuse(
            "expected shadow models without privacy, got some with",
            reason="job-lira-privacy",
            hint="their noise is secret, and the result could not be computed again",
        )
    shadow.finish()
    return plan


def likelihood_scores(target: Array, shadows: Array, inside: Array, *, variant: str, variance: str) -> Array:
    """A score for each row; higher means member.

    Args:
        target: the confidence of the model in each row, (n,).
        shadows: that of each shadow, (shadows, n).
        inside: whether the shadow was trained on the row, of the same shape; no column all true or all false.
        variant: ``offline`` or ``online``.
        variance: ``per-example`` or ``global``.
    """
    import numpy as np

    def fitted(which: Array) -> tuple[Array, Array]:
        count = which.sum(axis=0)
        mean = np.where(which, shadows, 0).sum(axis=0) / count
        spread = np.where(which, (shadows - mean) ** 2, 0).sum(axis=0) / count
        if variance == "global":
            spread = np.full_like(spread, spread.mean())
        return mean, np.sqrt(spread) + _TINY

    def standardised(which: Array) -> tuple[Array, Array]:
        mean, deviation = fitted(which)
        return (target - mean) / deviation, deviation

    out, deviation_out = standardised(~inside)
    if variant == "offline":
        return out
    within, deviation_in = standardised(inside)
    scores: Array = (out**2 - within**2) / 2 + np.log(deviation_out) - np.log(deviation_in)
    return scores


def _together(members: Examples, others: Examples) -> Examples:
    import numpy as np

    return Examples(
        inputs=np.concatenate([members.inputs, others.inputs]),
        labels=np.concatenate([members.labels, others.labels]),
        columns={},
    )
