"""The metric rules of ``require``: a value of the model, measured by one measurer under one configuration.

Rules:
- A value counts only if the model's dataset was read as a qualifying datasheet of that very dataset says: else whoever
  evaluates could skip rows or map labels as it suits them.
- An absent, undefined or ambiguous value is a refusal, never 0.
- Nothing here depends on which provenance is chosen, except what is handed in: how it read the training data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamslsa.lineage import Measurement
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Head, Miss
from lamslsa.policy._context import Context
from lamslsa.policy.model import MetricRule, ReferenceTerms
from lamslsa.predicates.evaluation import Evaluation, Metric, Reference, derive_seed

__all__ = ["TRAIN", "metric_candidates", "metric_head"]

TRAIN: Final = "train"
"""The role of the data that a model was trained on, in an evaluation that attacks their privacy."""


def metric_head(rule: MetricRule) -> Head:
    """What a metric rule asks for."""
    return Head(
        name=rule.name,
        kind="metric",
        subject=_words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters),
        threshold=_words.limits(rule),
        witness=rule.witness,
    )


def metric_candidates(
    context: Context, rule: MetricRule, schema: str | None, trained: frozenset[str] | None
) -> tuple[Candidate, ...]:
    """Every evaluation of the model, with what it lacks.

    ``schema`` is the one under which the rule's dataset is read; None when no datasheet qualifies. ``trained`` are the
    schemas under which the chosen descent read what the rule names as the training data; None when nobody knows.
    """
    return tuple(
        _metric_candidate(context, rule, schema, item, trained=trained)
        for item in context.lineage.measurements_of(context.model)
    )


def _metric_candidate(
    context: Context, rule: MetricRule, schema: str | None, item: Measurement, *, trained: frozenset[str] | None
) -> Candidate:
    evaluation = item.evaluation
    misses = list(context.qualifier.misses(item.attestation, rule.witness))
    sheets = context.sheets(rule.dataset)
    same_dataset = item.dataset.sha256 == rule.dataset.sha256
    if sheets.miss is not None:
        misses.append(sheets.miss)
    if not same_dataset:
        misses.append(_other_dataset(context, rule, item))
    elif schema is not None and evaluation.dataset.schema_digest.sha256 != schema:
        misses.append(
            Miss(
                reason="schema-other",
                message=f"expected {rule.dataset} read under schema {_words.short(schema)}, as its datasheet says, "
                f"got schema {_words.short(evaluation.dataset.schema_digest.sha256)}",
                mend="evaluate with the schema of the datasheet",
            )
        )
    misses += _reference_misses(context, rule, evaluation, trained=trained)
    misses += _harness_misses(context, rule, evaluation, quoted=bool(item.attestation.evidence))
    entries = [
        metric
        for metric in evaluation.metrics
        if (metric.name, metric.groups, metric.slice, _same(metric.parameters))
        == (rule.metric, rule.groups, rule.slice, _same(rule.parameters))
    ]
    if len(entries) != 1:
        misses.append(_no_entry(rule, evaluation, len(entries)))
        return Candidate(attestation=item.attestation, misses=tuple(misses))
    (metric,) = entries
    value = _compared(rule, metric)
    if same_dataset:
        misses += _value_misses(rule, evaluation, metric, value)
    return Candidate(
        attestation=item.attestation,
        misses=tuple(misses),
        observed=_words.observed_metric(metric, rule.minimum, rule.maximum),
        value=value,
        gap=_gap(rule, value),
        relied=() if schema is None else (sheets.schemas[schema],),
    )


def _same(parameters: Mapping[str, Any] | None) -> Mapping[str, tuple[bool, Any]]:
    """Parameters to be compared: ``true`` and 1 differ."""
    return {name: (isinstance(value, bool), value) for name, value in (parameters or {}).items()}


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


def _harness_misses(context: Context, rule: MetricRule, evaluation: Evaluation, *, quoted: bool) -> Iterator[Miss]:
    """Measured by what, under which configuration, and from which seed; an unquoted one is not worth hashing."""
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
    if quoted and context.configuration_digest(evaluation.configuration) != claimed:
        yield _other_configuration(rule, "one whose digest is not its own")
    seed = derive_seed(model=context.model.sha256, dataset=evaluation.dataset.digest.sha256, configuration=claimed)
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


def _no_entry(rule: MetricRule, evaluation: Evaluation, count: int) -> Miss:
    wanted = _words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters)
    if count:
        return Miss(
            reason="metric-ambiguous",
            message=f"expected one value of {wanted}, got {count} in the same evaluation",
            mend="evaluate again: which value counts cannot be told",
        )
    alike = sorted(
        {
            _words.metric_name(item.name, item.groups, item.slice, item.parameters)
            for item in evaluation.metrics
            if item.name == rule.metric
        }
    )
    got = ", ".join(_words.quoted(name) for name in alike[:5]) if alike else "other metrics"
    return Miss(
        reason="metric-missing",
        message=f"expected {wanted} in the evaluation, got {got}",
        mend="evaluate with these groups and slices in the configuration file",
    )


def _compared(rule: MetricRule, metric: Metric) -> float | None:
    """The number that the rule compares; None where there is none."""
    if metric.undefined is not None or metric.value is None or not math.isfinite(metric.value):
        return None
    if rule.use == "value":
        return metric.value
    interval = metric.interval
    if interval is None or not -math.inf < interval.lower <= interval.upper < math.inf:
        return None
    return interval.lower if rule.use == "lowerBound" else interval.upper


def _gap(rule: MetricRule, value: float | None) -> float:
    if value is None:
        return math.inf
    low = 0.0 if rule.minimum is None else rule.minimum - value
    high = 0.0 if rule.maximum is None else value - rule.maximum
    return max(low, high, 0.0)


def _value_misses(rule: MetricRule, evaluation: Evaluation, metric: Metric, value: float | None) -> Iterator[Miss]:
    name = _words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters)
    if metric.samples < rule.samples:
        yield Miss(
            reason="samples-too-few",
            message=f"expected {name} over at least {rule.samples} rows, got {metric.samples}",
            mend="evaluate on more rows of this kind",
        )
    level = evaluation.configuration.get("confidenceLevel")
    if rule.use != "value" and metric.interval is not None and level not in (None, metric.interval.level):
        yield Miss(
            reason="interval-level",
            message=f"expected the {level!r:.20} interval that was configured, got {metric.interval.level:g}",
            mend="evaluate again: the evaluation contradicts itself",
        )
    if value is None:
        undefined = metric.value is None or metric.undefined is not None or not math.isfinite(metric.value)
        yield Miss(
            reason="metric-undefined" if undefined else "interval-missing",
            message=f"expected a value of {name}, got none: {_words.quoted(metric.undefined or 'not given')}"
            if undefined
            else f"expected a confidence interval of {name}, got none",
            mend="evaluate on data that defines it" if undefined else "use: value compares the value itself",
        )
    # a comparison with anything that is no number is false, so the limits are asked for and not their opposite
    elif not ((rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)):
        yield Miss(
            reason="threshold-missed",
            message=f"expected {name} {_words.limits(rule)}, got {_words.number(value, rule.minimum, rule.maximum)}",
            mend="a better model, or another limit in the policy",
        )
