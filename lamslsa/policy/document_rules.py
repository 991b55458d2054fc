"""The rules of the policy file under ``require``: of metrics and of overlaps."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from lamslsa.policy._keys import Keys, OneOf
from lamslsa.policy._kinds import Digest, Measurer, Plain, RuleName, Text, yes
from lamslsa.policy.document_terms import DatasetKeys, WitnessKeys

__all__ = [
    "CelKeys",
    "ComparisonKeys",
    "MetricKeys",
    "OverlapKeys",
    "PlanKeys",
    "ReferenceDatasetKeys",
    "ReferenceModelKeys",
    "RuleKeys",
    "SamplesKeys",
]


class SamplesKeys(Keys, frozen=True, kw_only=True):
    """How many rows must be behind a value."""

    min: Annotated[int, Meta(ge=1, description="The least number of rows.")]


class ComparisonKeys(Keys, frozen=True, kw_only=True):
    """Another model, against whose measured value that of this model is held."""

    model: Annotated[Digest, Meta(description="The digest of the other model, as lamslsa digest prints it.")]
    by: Annotated[float, Meta(ge=0, description="By how much this model may be worse.")]
    better: Annotated[Literal["higher", "lower"], Meta(description="Which way the metric is better.")]


class PlanKeys(Keys, frozen=True, kw_only=True):
    """A plan that the evaluation names, signed in trusted time before it."""

    signed_by: Annotated[str, Meta(description="The name of the identity that must have signed the plan.")]


class ReferenceModelKeys(Keys, frozen=True, kw_only=True):
    """A baseline model that the evaluation read."""

    MARK: ClassVar = "model"

    model: Annotated[Digest, Meta(description="The digest of the model.")]


class ReferenceDatasetKeys(Keys, frozen=True, kw_only=True):
    """A further dataset that the evaluation read."""

    MARK: ClassVar = "dataset"

    dataset: Annotated[str, Meta(description="The name of a dataset of ingredients.datasets.")]


class RuleKeys(WitnessKeys, frozen=True, kw_only=True):
    """What every rule has."""

    name: Annotated[RuleName, Meta(description="Free text by which the verdict names the rule.")]


class MetricKeys(RuleKeys, frozen=True, kw_only=True):
    """A metric of the model on one dataset, by one measurer under one configuration."""

    MARK: ClassVar = "metric"
    ONE_OF: ClassVar = (OneOf(reason="policy-limits", keys=("min", "max", "noWorseThan"), several=True),)

    metric: Annotated[Text, Meta(description="The name of the metric, as lamslsa measurers prints it.")]
    dataset: DatasetKeys
    measurer: Annotated[
        Measurer, Meta(description="<name>/<version> of one of ours, or {name, distribution} of a third party's.")
    ]
    use: Annotated[
        Literal["lowerBound", "value", "upperBound"],
        Meta(
            description="What is compared: the value, or the careful end of its interval, "
            "lowerBound with min and upperBound with max."
        ),
    ]
    configuration: Annotated[
        Digest | None, Meta(description="Digest of the measurer's configuration. Without it, the measurer's default.")
    ] = None
    min: Annotated[float | None, Meta(description="The least value that is accepted.")] = None
    max: Annotated[float | None, Meta(description="The greatest value that is accepted.")] = None
    no_worse_than: Annotated[
        ComparisonKeys | None, Meta(description="The same metric of another model, beside min and max or instead.")
    ] = None
    samples: Annotated[SamplesKeys | None, Meta(description="How many rows must be behind the value.")] = None
    groups: Annotated[tuple[Text, ...] | None, Meta(description="The columns whose groups are compared.")] = None
    slice: Annotated[
        dict[Text, Text] | None, Meta(description="The rows that the value is about, as column to group.")
    ] = None
    parameters: Annotated[
        dict[Text, Plain] | None,
        Meta(description="What tells metrics of one name apart, exactly as the evaluation has it."),
    ] = None
    references: Annotated[
        dict[Text, Annotated[ReferenceModelKeys | ReferenceDatasetKeys, OneOf(reason="policy-rule")]] | None,
        Meta(description="What else the evaluation may have read, in which role: exactly these."),
    ] = None
    plan: Annotated[
        PlanKeys | None, Meta(description="The evaluation names a plan that was signed before it was made.")
    ] = None
    every: Annotated[
        bool,
        yes(reason="policy-rule"),
        Meta(description="Every evaluation that qualifies has to satisfy the rule, not only one. Not monotonic."),
    ] = False
    latest: Annotated[
        bool,
        yes(reason="policy-rule"),
        Meta(description="Only the evaluation with the latest trusted time counts. Not monotonic."),
    ] = False


class OverlapKeys(RuleKeys, frozen=True, kw_only=True):
    """At most so many rows of a dataset stand in a dataset of the ingredients as well."""

    MARK: ClassVar = "overlap"

    overlap: Annotated[str, Meta(description="The name of a dataset of ingredients.datasets.")]
    dataset: DatasetKeys
    measurer: Annotated[Measurer, Meta(description="<name>/<version> of the measurer of the datasheet.")]
    max: Annotated[int, Meta(ge=0, description="The most rows of the dataset that may stand in the other one.")]
    columns: Annotated[
        tuple[Text, ...] | None,
        Meta(description="Exactly the columns that are compared. Without it, those that training read."),
    ] = None


class CelKeys(RuleKeys, frozen=True, kw_only=True):
    """An expression over the model, its lineage and the attestations that have the rule's witness."""

    MARK: ClassVar = "cel"

    cel: Annotated[str, Meta(description="The expression, in CEL: its result has to be true. See expressions.md.")]
    params: Annotated[dict[Text, Plain] | None, Meta(description="What it sees as params, by name.")] = None
