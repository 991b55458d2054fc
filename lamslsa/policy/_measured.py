"""One evaluation as a metric rule sees it: what it lacks whatever its value is, and the values of that very metric.

Rules:
- A value counts only if the model's dataset was read as a qualifying datasheet of that very dataset says: else whoever
  evaluates could skip rows or map labels as it suits them.
- Nothing here depends on which provenance is chosen, except what is handed in: how it read the training data.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa.lineage import Artifact, Measurement
from lamslsa.policy import _words
from lamslsa.policy._candidates import Miss
from lamslsa.policy._context import Context
from lamslsa.policy._plans import plan_misses
from lamslsa.policy.model import MetricRule, ReferenceTerms
from lamslsa.predicates.evaluation import Evaluation, Metric, Reference, derive_seed

__all__ = ["TRAIN", "Measured", "Row", "entry_key", "entry_rows", "finite", "measured", "rows"]

TRAIN: Final = "train"
"""The role of the data that a model was trained on, in an evaluation that attacks their privacy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An evaluation, and what it lacks whatever its values are.

    Attributes:
        same_dataset: whether it is on the rule's dataset.
        misses: of witness, dataset, reading, references, measurer and plan; empty where it qualifies.
        qualifies: whether it qualifies under some reading that a qualifying datasheet allows, this one or another.
    """

    item: Measurement
    same_dataset: bool
    misses: tuple[Miss, ...]
    qualifies: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Row):
    """The same of one metric.

    Attributes:
        entries: every value of the rule's metric, with its groups, slice and parameters.
    """

    entries: tuple[Metric, ...]


def measured(
    context: Context, rule: MetricRule, schema: str | None, model: Artifact, *, trained: frozenset[str] | None
) -> tuple[Measured, ...]:
    """Every evaluation of a model, as the rule sees it.

    ``schema`` is the one under which the rule's dataset is read; None when no datasheet qualifies. ``trained`` are the
    schemas under which the chosen descent read what the rule names as the training data; None when nobody knows.
    """
    entries = entry_rows(context, model).get(entry_key(rule.metric, rule.groups, rule.slice, rule.parameters), {})
    return tuple(
        Measured(
            item=row.item,
            same_dataset=row.same_dataset,
            misses=row.misses,
            qualifies=row.qualifies,
            entries=entries.get(number, ()),
        )
        for number, row in enumerate(rows(context, rule, schema, model, trained=trained))
    )


def rows(
    context: Context, rule: MetricRule, schema: str | None, model: Artifact, *, trained: frozenset[str] | None
) -> tuple[Row, ...]:
    """The same without the metric, once for all rules that ask for the same in everything else."""
    references = tuple(sorted(rule.references.items(), key=lambda entry: entry[0]))
    asked = (rule.witness, rule.dataset, rule.measurer, rule.configuration, references, rule.plan_signed_by)
    key = ("rows", asked, schema, model, trained)
    if key not in context.memo:
        context.memo[key] = tuple(
            _row(context, rule, schema, item, trained=trained) for item in context.lineage.measurements_of(model)
        )
    found: tuple[Row, ...] = context.memo[key]
    return found


def entry_key(
    metric: str, groups: tuple[str, ...], rows: Mapping[str, str] | None, parameters: Mapping[str, Any] | None
) -> Hashable:
    """What tells metrics apart; of parameters ``true`` and 1 differ."""
    return (
        metric,
        groups,
        None if rows is None else frozenset(rows.items()),
        frozenset((name, isinstance(value, bool), value) for name, value in parameters.items()) if parameters else None,
    )


def entry_rows(context: Context, model: Artifact) -> Mapping[Hashable, Mapping[int, tuple[Metric, ...]]]:
    """Every value of a model: by what tells metrics apart, and by the place of the evaluation in its `rows`."""
    key = ("entries", model)
    if key not in context.memo:
        found: dict[Hashable, dict[int, tuple[Metric, ...]]] = {}
        for number, item in enumerate(context.lineage.measurements_of(model)):
            for metric in item.evaluation.metrics:
                by_row = found.setdefault(entry_key(metric.name, metric.groups, metric.slice, metric.parameters), {})
                by_row[number] = (*by_row.get(number, ()), metric)
        context.memo[key] = found
    result: Mapping[Hashable, Mapping[int, tuple[Metric, ...]]] = context.memo[key]
    return result


def finite(metric: Metric) -> float | None:
    """The value, where there is one that is a number."""
    if metric.undefined is not None or metric.value is None or not math.isfinite(metric.value):
        return None
    return metric.value


def _row(
    context: Context, rule: MetricRule, schema: str | None, item: Measurement, *, trained: frozenset[str] | None
) -> Row:
    evaluation = item.evaluation
    before = list(context.qualifier.misses(item.attestation, rule.witness))
    sheets = context.sheets(rule.dataset)
    same_dataset = item.dataset.sha256 == rule.dataset.sha256
    own = evaluation.dataset.schema_digest.sha256
    reading: list[Miss] = []
    if sheets.miss is not None:
        before.append(sheets.miss)
    if not same_dataset:
        before.append(_other_dataset(context, rule, item))
    elif schema is not None and own != schema:
        reading.append(
            Miss(
                reason="schema-other",
                message=f"expected {rule.dataset} read under schema {_words.short(schema)}, as its datasheet says, "
                f"got schema {_words.short(own)}",
                mend="evaluate with the schema of the datasheet",
            )
        )
    after = [
        *_reference_misses(context, rule, evaluation, trained=trained),
        *_harness_misses(context, rule, item, hashed=context.is_worth_hashing(item.attestation)),
        # that another model, which ours is compared with, was evaluated by a plan is not asked
        *(plan_misses(context, rule, item) if item.model == context.model else ()),
    ]
    return Row(
        item=item,
        same_dataset=same_dataset,
        misses=(*before, *reading, *after),
        qualifies=not before and not after and own in sheets.schemas,
    )


def _reference_misses(
    context: Context, rule: MetricRule, evaluation: Evaluation, *, trained: frozenset[str] | None
) -> Iterator[Miss]:
    """What else was read: exactly what the rule names, in the same roles; the prover would choose it otherwise."""
    found: dict[str, list[Reference]] = {}
    for item in evaluation.references:
        found.setdefault(item.role, []).append(item)
    for role in sorted(found.keys() | rule.references.keys()):
        terms, items = rule.references.get(role), found.get(role, [])
        if terms is None or len(items) != 1 or not _is_reference(context, terms, items[0]):
            wanted = "nothing" if terms is None else _words.short(terms.sha256)
            got = ", ".join(f"{_words.quoted(item.name)} ({_words.short(item.digest.sha256)})" for item in items)
            yield Miss(
                reason="reference-other",
                message=f"expected {wanted} as {_words.quoted(role)} of the evaluation, got {got or 'nothing'}",
                mend="evaluate against what the policy names, or name the other in the rule's references after review",
            )
        elif role == TRAIN and trained is not None and _schema_of(items[0]) not in trained:
            yield _not_trained_on(items[0])


def _schema_of(item: Reference) -> str | None:
    return None if item.schema_digest is None else item.schema_digest.sha256


def _not_trained_on(item: Reference) -> Miss:
    return Miss(
        reason="reference-not-trained-on",
        message=f"expected the data that the model was trained on as {_words.quoted(item.role)} of the evaluation, "
        f"got {_words.quoted(item.name)} ({_words.short(item.digest.sha256)}), which training did not read like that",
        mend="attack the model with its own training data, under the schema that training read them under",
    )


def _is_reference(context: Context, terms: ReferenceTerms, item: Reference) -> bool:
    if item.digest.sha256 != terms.sha256:
        return False
    if terms.dataset is None:
        return item.kind == "model"
    return item.kind == "dataset" and _schema_of(item) in context.sheets(terms.dataset).schemas


def _other_dataset(context: Context, rule: MetricRule, item: Measurement) -> Miss:
    got = f"one on {_words.quoted(item.evaluation.dataset.name)} ({_words.short(item.dataset.sha256)})"
    mend = f"evaluate the model on {rule.dataset}"
    if item.dataset in context.seen_in_training:
        return Miss(
            reason="evaluated-on-training-data",
            message=f"expected an evaluation on {rule.dataset}, got {got}, which the model was trained on",
            mend=mend,
        )
    return Miss(reason="dataset-other", message=f"expected an evaluation on {rule.dataset}, got {got}", mend=mend)


def _harness_misses(context: Context, rule: MetricRule, item: Measurement, *, hashed: bool) -> Iterator[Miss]:
    """Measured by what, under which configuration, and from which seed; an unquoted one is not worth hashing."""
    evaluation = item.evaluation
    if str(evaluation.measurer) != rule.measurer:
        yield Miss(
            reason="measurer-other",
            message=f"expected measurer {rule.measurer}, got {_words.quoted(str(evaluation.measurer))}",
            mend=f"evaluate with {rule.measurer}, or name the other measurer in the policy after review",
        )
    claimed = evaluation.configuration_digest.sha256
    if claimed != rule.configuration:
        yield _other_configuration(rule, f"sha256:{claimed}")
        return
    if hashed and context.configuration_digest(evaluation.configuration) != claimed:
        yield _other_configuration(rule, "one whose digest is not its own")
    seed = derive_seed(model=item.model.sha256, dataset=evaluation.dataset.digest.sha256, configuration=claimed)
    if evaluation.seed.value.sha256 != seed:
        yield Miss(
            reason="seed-other",
            message=f"expected the seed {_words.short(seed)} that model, dataset and configuration lead to, "
            f"got {_words.short(evaluation.seed.value.sha256)}",
            mend=f"evaluate with {rule.measurer}: seeds are derived, never chosen",
        )


def _other_configuration(rule: MetricRule, got: str) -> Miss:
    return Miss(
        reason="configuration-other",
        message=f"expected {rule.measurer} under configuration {_words.short(rule.configuration)}, got {got}",
        mend="evaluate under the configuration that the policy names; without one it means the measurer's default",
    )
