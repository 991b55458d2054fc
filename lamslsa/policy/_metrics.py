"""The metric rules of ``require``: a value of the model, measured by one measurer under one configuration.

Rules:
- An absent, undefined or ambiguous value is a refusal, never 0.
- Some evaluation that qualifies has to satisfy the rule. ``every`` and ``latest`` narrow that down afterwards
  (`lamslsa.policy._selection`), outside the monotonic core.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lamslsa.policy import _comparison, _measured, _selection, _words
from lamslsa.policy._candidates import Candidate, Head, Miss
from lamslsa.policy._comparison import Yardstick
from lamslsa.policy._context import Context
from lamslsa.policy._measured import Measured
from lamslsa.policy.model import MetricRule
from lamslsa.predicates.evaluation import Evaluation, Metric

__all__ = ["metric_candidates", "metric_head"]


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
    """Every evaluation of the model, with what it lacks; of ``every`` and ``latest``, those that decide.

    ``schema`` and ``trained`` are as for `lamslsa.policy._measured.measured`.
    """
    yardstick = _comparison.yardstick(context, rule, schema)
    rows = [
        (item, _metric_candidate(context, rule, schema, item, yardstick))
        for item in _measured.measured(context, rule, schema, context.model, trained=trained)
    ]
    return _selection.selected(context, rule, rows)


def _metric_candidate(
    context: Context, rule: MetricRule, schema: str | None, found: Measured, yardstick: Yardstick | None
) -> Candidate:
    evaluation, attestation = found.item.evaluation, found.item.attestation
    misses = list(found.misses)
    if yardstick is not None and yardstick.miss is not None:
        misses.append(yardstick.miss)
    if len(found.entries) != 1:
        misses.append(_no_entry(rule, evaluation, len(found.entries)))
        return Candidate(attestation=attestation, misses=tuple(misses))
    (metric,) = found.entries
    value = _compared(rule, metric)
    if found.same_dataset:
        misses += _value_misses(rule, evaluation, metric, value)
        misses += _comparison.misses(rule, yardstick, value)
    relied = [] if schema is None else [context.sheets(rule.dataset).schemas[schema]]
    relied += [] if yardstick is None or yardstick.attestation is None else [yardstick.attestation]
    return Candidate(
        attestation=attestation,
        misses=tuple(misses),
        observed=_words.observed_metric(metric, rule.minimum, rule.maximum),
        value=value,
        gap=max(_gap(rule, value), _comparison.gap(rule, yardstick, value)),
        relied=tuple(relied),
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
    value = _measured.finite(metric)
    if value is None or rule.use == "value":
        return value
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
