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

__all__ = ["compared", "gap", "is_contradictory", "metric_candidate", "metric_candidates", "metric_head", "shortfalls"]


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
        (item, metric_candidate(context, rule, schema, item, yardstick))
        for item in _measured.measured(context, rule, schema, context.model, trained=trained)
    ]
    return _selection.selected(context, rule, rows)


def metric_candidate(
    context: Context, rule: MetricRule, schema: str | None, found: Measured, yardstick: Yardstick | None
) -> Candidate:
    """One evaluation with what it lacks, in words."""
    evaluation, attestation = found.item.evaluation, found.item.attestation
    misses = list(found.misses)
    if yardstick is not None and yardstick.miss is not None:
        misses.append(yardstick.miss)
    if len(found.entries) != 1:
        misses.append(_no_entry(rule, evaluation, len(found.entries)))
        return Candidate(attestation=attestation, misses=tuple(misses))
    (metric,) = found.entries
    value = compared(rule, metric)
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
        gap=max(gap(rule, value), _comparison.gap(rule, yardstick, value)),
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


def compared(rule: MetricRule, metric: Metric) -> float | None:
    """The number that the rule compares; None where there is none."""
    value = _measured.finite(metric)
    if value is None or rule.use == "value":
        return value
    interval = metric.interval
    if interval is None or not -math.inf < interval.lower <= interval.upper < math.inf:
        return None
    return interval.lower if rule.use == "lowerBound" else interval.upper


def gap(rule: MetricRule, value: float | None) -> float:
    """How far a value is from the rule's own limits."""
    if value is None:
        return math.inf
    low = 0.0 if rule.minimum is None else rule.minimum - value
    high = 0.0 if rule.maximum is None else value - rule.maximum
    return max(low, high, 0.0)


def is_contradictory(rule: MetricRule, evaluation: Evaluation, metric: Metric) -> bool:
    """Whether the interval that is compared has another level than the evaluation was configured with."""
    if rule.use == "value" or metric.interval is None:
        return False
    return evaluation.configuration.get("confidenceLevel") not in (None, metric.interval.level)


def shortfalls(rule: MetricRule, evaluation: Evaluation, metric: Metric, value: float | None) -> tuple[str, ...]:
    """The reasons for which a value, and what `compared` picks of it, does not meet the rule's own limits."""
    found = ["samples-too-few"] if metric.samples < rule.samples else []
    found += ["interval-level"] if is_contradictory(rule, evaluation, metric) else []
    if value is None:
        undefined = metric.value is None or metric.undefined is not None or not math.isfinite(metric.value)
        found.append("metric-undefined" if undefined else "interval-missing")
    # a comparison with anything that is no number is false, so the limits are asked for and not their opposite
    elif not ((rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)):
        found.append("threshold-missed")
    return tuple(found)


def _value_misses(rule: MetricRule, evaluation: Evaluation, metric: Metric, value: float | None) -> Iterator[Miss]:
    name = _words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters)
    reasons = shortfalls(rule, evaluation, metric, value)
    if "samples-too-few" in reasons:
        yield Miss(
            reason="samples-too-few",
            message=f"expected {name} over at least {rule.samples} rows, got {metric.samples}",
            mend="evaluate on more rows of this kind",
        )
    if "interval-level" in reasons and metric.interval is not None:
        level = evaluation.configuration.get("confidenceLevel")
        yield Miss(
            reason="interval-level",
            message=f"expected the {level!r:.20} interval that was configured, got {metric.interval.level:g}",
            mend="evaluate again: the evaluation contradicts itself",
        )
    if "metric-undefined" in reasons:
        yield Miss(
            reason="metric-undefined",
            message=f"expected a value of {name}, got none: {_words.quoted(metric.undefined or 'not given')}",
            mend="evaluate on data that defines it",
        )
    if "interval-missing" in reasons:
        yield Miss(
            reason="interval-missing",
            message=f"expected a confidence interval of {name}, got none",
            mend="use: value compares the value itself",
        )
    if "threshold-missed" in reasons and value is not None:
        yield Miss(
            reason="threshold-missed",
            message=f"expected {name} {_words.limits(rule)}, got {_words.number(value, rule.minimum, rule.maximum)}",
            mend="a better model, or another limit in the policy",
        )
