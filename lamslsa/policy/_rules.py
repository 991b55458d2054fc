"""The rules of ``require``: a metric of the model, or the overlap of two datasets.

Rules:
- A value counts only if the model's dataset was read as a qualifying datasheet of that very dataset says: else whoever
  evaluates could skip rows or map labels as it suits them.
- An absent, undefined or ambiguous value is a refusal, never 0.
- Nothing here depends on which provenance is chosen, except what is handed in: the schema of a training dataset.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lamslsa.lineage import Artifact, Datasheet, Measurement
from lamslsa.policy import _columns, _words
from lamslsa.policy._candidates import Candidate, Head, Miss
from lamslsa.policy._columns import View
from lamslsa.policy._context import Context
from lamslsa.policy.model import MetricRule, OverlapRule, ReferenceTerms
from lamslsa.predicates.dataset import Dataset, Overlap
from lamslsa.predicates.evaluation import Evaluation, Metric, Reference, derive_seed
from lamslsa.verify import VerifiedAttestation

__all__ = ["TRAIN", "metric_candidates", "metric_head", "overlap_candidates", "overlap_head"]


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


def overlap_head(rule: OverlapRule) -> Head:
    """What an overlap rule asks for."""
    return Head(
        name=rule.name,
        kind="overlap",
        subject=f"rows of {rule.dataset.name} that occur in {rule.training.name}",
        threshold=f"<= {rule.maximum}",
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


def overlap_candidates(
    context: Context, rule: OverlapRule, schema: str | None, training_schema: str | None, views: frozenset[View] | None
) -> tuple[Candidate, ...]:
    """Every overlap that a datasheet of the rule's dataset holds, with what it lacks.

    ``schema`` is the one under which the rule's dataset is read, None when no datasheet qualifies; ``training_schema``
    the one under which the chosen provenance read the training dataset, and ``views`` what trainings saw of it, None
    where none did.
    """
    known = context.sheets(rule.training)
    allowed = sorted(item for item in known.schemas if training_schema in (None, item))
    lacking = known.miss
    if lacking is None and not allowed:
        lacking = Miss(
            reason="schema-other",
            message=f"expected {rule.training} read in training as its datasheet says, got another schema",
            mend="train with the schema of the datasheet",
        )
    candidates: list[Candidate] = []
    for item in context.lineage.datasheets_of(Artifact(kind="dataset", sha256=rule.dataset.sha256)):
        misses = _carrier_misses(context, rule, schema, item)
        if lacking is not None:
            candidates.append(Candidate(attestation=item.attestation, misses=(*misses, lacking)))
        candidates += [
            _overlap_candidate(context, rule, item, misses=misses, schemas=(schema, other), views=views)
            for other in allowed
        ]
    return tuple(candidates)


def _carrier_misses(context: Context, rule: OverlapRule, schema: str | None, item: Datasheet) -> tuple[Miss, ...]:
    """What the datasheet that holds the overlap lacks, whatever the overlap is."""
    own = item.sheet.schema_digest.sha256
    misses = list(context.qualifier.misses(item.attestation, rule.witness))
    misses += [miss for miss in (context.schema_miss(item), context.sheets(rule.dataset).miss) if miss is not None]
    if schema is not None and own != schema:
        misses.append(
            Miss(
                reason="schema-other",
                message=f"expected {rule.dataset} read under schema {_words.short(schema)}, got {_words.short(own)}",
                mend="measure the overlap under the schema of the datasheet",
            )
        )
    if str(item.sheet.measurer) != rule.measurer:
        misses.append(
            Miss(
                reason="measurer-other",
                message=f"expected measurer {rule.measurer}, got {_words.quoted(str(item.sheet.measurer))}",
                mend=f"attest the dataset with {rule.measurer}",
            )
        )
    return tuple(misses)


def _overlap_candidate(
    context: Context,
    rule: OverlapRule,
    item: Datasheet,
    *,
    misses: tuple[Miss, ...],
    schemas: tuple[str | None, str],
    views: frozenset[View] | None,
) -> Candidate:
    schema, training_schema = schemas
    same = [overlap for overlap in item.sheet.overlaps if overlap.dataset.digest.sha256 == rule.training.sha256]
    entries = [overlap for overlap in same if overlap.schema_digest.sha256 == training_schema]
    if not entries or max(Counter(frozenset(entry.columns) for entry in entries).values()) > 1:
        return Candidate(attestation=item.attestation, misses=(*misses, _no_overlap(rule, len(same), len(entries))))
    sheet = context.sheets(rule.training).schemas[training_schema]
    overlap = _over(rule, entries, _seen(sheet, views))
    if isinstance(overlap, Miss):
        return Candidate(attestation=item.attestation, misses=(*misses, overlap))
    if overlap.rows > rule.maximum:
        misses = (
            *misses,
            Miss(
                reason="overlap-too-large",
                message=f"expected at most {rule.maximum} rows of {rule.dataset} in {rule.training.name}, "
                f"got {overlap.rows}",
                mend="remove the shared rows from the training data, or set another limit in the policy",
            ),
        )
    relied = [sheet]
    relied += [] if schema is None else [context.sheets(rule.dataset).schemas[schema]]
    return Candidate(
        attestation=item.attestation,
        misses=misses,
        observed=f"{overlap.rows} of {item.sheet.rows} rows",
        value=float(overlap.rows),
        gap=float(max(0, overlap.rows - rule.maximum)),
        relied=tuple(relied),
    )


def _seen(sheet: VerifiedAttestation, views: frozenset[View] | None) -> frozenset[str] | None:
    """The columns that every training read, of those in the datasheet's schema; None where no training did."""
    if views is None or not isinstance(sheet.predicate, Dataset):
        return None
    return _columns.seen(_columns.features(sheet.predicate.schema), views)


def _over(rule: OverlapRule, entries: Iterable[Overlap], seen: frozenset[str] | None) -> Overlap | Miss:
    """The overlap over the columns that the rule means; where no training read the dataset, the largest one will do."""
    if rule.columns is None and seen is None:
        return max(entries, key=lambda entry: entry.rows)
    wanted = seen if rule.columns is None else rule.columns
    unseen = frozenset[str]() if seen is None or wanted is None else wanted - seen
    if unseen:
        return Miss(
            reason="overlap-columns",
            message=f"expected columns that training read, got {_words.names(unseen)} beside them: rows that differ "
            "in these alone are the same to the model",
            mend=f"compare {rule.dataset.name} with {rule.training.name} without them, in the job file and the policy",
        )
    found = [entry for entry in entries if frozenset(entry.columns) == wanted]
    if found:
        return found[0]
    got = " and ".join(_words.names(entry.columns) for entry in entries)
    return Miss(
        reason="overlap-columns",
        message=f"expected an overlap over {_words.names(wanted or ())}, "
        f"as {'training read them' if rule.columns is None else 'the policy names them'}, got one over {got}",
        mend="in the job file: overlap: [{dataset: …, columns: […]}]",
    )


def _no_overlap(rule: OverlapRule, same: int, count: int) -> Miss:
    if count:
        return Miss(
            reason="overlap-ambiguous",
            message=f"expected one overlap with {rule.training}, got {count} in the same datasheet",
            mend="attest the dataset again: which value counts cannot be told",
        )
    return Miss(
        reason="overlap-missing",
        message=f"expected the overlap with {rule.training} in the datasheet of {rule.dataset.name}, "
        f"got {'one under another schema' if same else 'none'}",
        mend=f"attest {rule.dataset.name} again and have it compared with {rule.training.name}",
    )
