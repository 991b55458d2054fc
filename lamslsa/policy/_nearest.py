"""The evaluation that decides a metric rule, found without putting into words what all the others lack.

Rules:
- What comes out is what `lamslsa.policy._metrics.metric_candidates` and the smallest of its distances come to; a test
  holds one against the other. Only what is needed of each evaluation is looked at, since there may be 50,000 of them
  and a thousand rules, most of them published by anybody.
- What rules have in common is found out once: what evaluations lack whatever their values are, and where values lie.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lamslsa.policy import _comparison, _measured, _metrics
from lamslsa.policy._candidates import Candidate, weight_of
from lamslsa.policy._context import Context
from lamslsa.policy._measured import Measured, Row
from lamslsa.policy.model import MetricRule
from lamslsa.predicates.evaluation import Metric

__all__ = ["Nearest", "nearest"]

_VALUE_ONLY: Final = frozenset(
    {"threshold-missed", "worse-than", "samples-too-few", "metric-undefined", "interval-missing"}
)
_SHOWN: Final = 16

_Key = tuple[bool, int, float, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What a metric rule needs of all evaluations of the model.

    Attributes:
        candidates: the nearest one among them; empty only where there is no evaluation.
        contradicting: evaluations that qualify and whose value misses the rule, the first few by digest.
        contradictions: how many there are.
    """

    candidates: tuple[Candidate, ...]
    contradicting: tuple[Candidate, ...]
    contradictions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """Evaluations as some rules see them, and how far each is from acceptance before its values are looked at.

    Attributes:
        keys: of each, as `Candidate.distance` would have them.
        order: their places, the nearest first.
        clean: the places of those that lack nothing, by digest.
        levels: of the intervals that each was configured with.
    """

    rows: tuple[Row, ...]
    keys: tuple[_Key, ...]
    order: tuple[int, ...]
    clean: frozenset[int]
    levels: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """One value of each evaluation that lacks nothing else.

    Attributes:
        order: places of the evaluations, by digest.
        by_value: what is compared, where there is such a number, in order, each with its place.
        fewest: the smallest number of rows.
        unsound: places of those that no limit would be met by.
        contradictory: places of those that contradict themselves.
    """

    order: tuple[int, ...] = ()
    by_value: tuple[tuple[float, int], ...] = ()
    fewest: int = 0
    unsound: frozenset[int] = frozenset()
    contradictory: frozenset[int] = frozenset()


def nearest(
    context: Context, rule: MetricRule, schema: str | None, trained: frozenset[str] | None, *, every: bool
) -> Nearest:
    """The nearest evaluation of the model, or ``every`` one, and the first of those that contradict the rule.

    ``schema`` and ``trained`` are as for `lamslsa.policy._measured.measured`.
    """
    if not (every or rule.every or rule.latest):
        return _Search(context, rule, schema, trained).found()
    candidates = _metrics.metric_candidates(context, rule, schema, trained)
    contradicting = [
        item for item in candidates if item.misses and {miss.reason for miss in item.misses} <= _VALUE_ONLY
    ]
    return Nearest(
        candidates=candidates, contradicting=tuple(contradicting[:_SHOWN]), contradictions=len(contradicting)
    )


class _Search:
    def __init__(self, context: Context, rule: MetricRule, schema: str | None, trained: frozenset[str] | None) -> None:
        self._context, self._rule, self._schema = context, rule, schema
        self._held = _comparison.yardstick(context, rule, schema)
        self._ranked = _ranked(context, rule, schema, trained)
        key = _measured.entry_key(rule.metric, rule.groups, rule.slice, rule.parameters)
        self._entries = _measured.entry_rows(context, context.model).get(key, {})
        self._values = _values(context, rule, self._ranked, self._entries)

    def found(self) -> Nearest:
        missing = self._missing()
        satisfied = next((number for number in self._values.order if number not in missing), None)
        if self._held is not None and self._held.miss is not None:
            satisfied, missing = None, frozenset()
        best = self._refused() if satisfied is None else satisfied
        contradicting = sorted(missing - self._values.contradictory)
        return Nearest(
            candidates=() if best is None else (self._candidate(best),),
            contradicting=tuple(self._candidate(number) for number in contradicting[:_SHOWN]),
            contradictions=len(contradicting),
        )

    def _missing(self) -> frozenset[int]:
        """Of the evaluations that lack nothing but perhaps in value, the places of those that do not meet the rule."""
        rule, held = self._rule, _comparison.limits(self._rule, self._held)
        lows = [limit for limit in (rule.minimum, held[0]) if limit is not None]
        highs = [limit for limit in (rule.maximum, held[1]) if limit is not None]
        by_value = self._values.by_value
        below = bisect_left(by_value, max(lows), key=_first) if lows else 0
        above = bisect_right(by_value, min(highs), key=_first) if highs else len(by_value)
        outside = (number for _, number in (*by_value[:below], *by_value[above:]))
        few = (number for number in self._values.order if self._entries[number][0].samples < rule.samples)
        return self._values.unsound.union(outside, few if rule.samples > self._values.fewest else ())

    def _refused(self) -> int | None:
        """The nearest where none satisfies the rule: looked at in order, until no further one can be nearer."""
        best: tuple[_Key, int] | None = None
        constant = () if self._held is None or self._held.miss is None else (self._held.miss,)
        unauthentic = any(not miss.authentic for miss in constant)
        more = sum(miss.weight for miss in constant)
        for number in self._ranked.order:
            bad, weight, _, digest = self._ranked.keys[number]
            if best is not None and best[0] <= (bad or unauthentic, weight + more, 0.0, digest):
                break
            reasons = self._reasons(number)
            weight += more + sum(map(weight_of, reasons))
            key = (bad or unauthentic, weight, self._gap(number), digest)
            if best is None or key < best[0]:
                best = (key, number)
        return None if best is None else best[1]

    def _reasons(self, number: int) -> tuple[str, ...]:
        """What an evaluation lacks in value."""
        metrics, row = self._entries.get(number, ()), self._ranked.rows[number]
        if len(metrics) != 1:
            return ("metric-ambiguous",) if metrics else ("metric-missing",)
        if not row.same_dataset:
            return ()
        value = _metrics.compared(self._rule, metrics[0])
        own = _metrics.shortfalls(self._rule, row.item.evaluation, metrics[0], value)
        return own if _comparison.is_no_worse(self._rule, self._held, value) else (*own, "worse-than")

    def _gap(self, number: int) -> float:
        metrics = self._entries.get(number, ())
        if len(metrics) != 1:
            return 0.0
        value = _metrics.compared(self._rule, metrics[0])
        gap = max(_metrics.gap(self._rule, value), _comparison.gap(self._rule, self._held, value))
        return gap if math.isfinite(gap) else math.inf

    def _candidate(self, number: int) -> Candidate:
        row = self._ranked.rows[number]
        measured = Measured(
            item=row.item,
            same_dataset=row.same_dataset,
            misses=row.misses,
            qualifies=row.qualifies,
            entries=self._entries.get(number, ()),
        )
        return _metrics.metric_candidate(self._context, self._rule, self._schema, measured, self._held)


def _ranked(context: Context, rule: MetricRule, schema: str | None, trained: frozenset[str] | None) -> _Ranked:
    rows = _measured.rows(context, rule, schema, context.model, trained=trained)
    key = ("ranked", id(rows))  # the memory holds the rows, so that no other ones come to lie there
    if key not in context.memo:
        keys = tuple(Candidate(attestation=row.item.attestation, misses=row.misses).distance() for row in rows)
        context.memo[key] = _Ranked(
            rows=rows,
            keys=keys,
            order=tuple(sorted(range(len(rows)), key=keys.__getitem__)),
            clean=frozenset(number for number, row in enumerate(rows) if not row.misses),
            levels=tuple(row.item.evaluation.configuration.get("confidenceLevel") for row in rows),
        )
    found: _Ranked = context.memo[key]
    return found


def _values(context: Context, rule: MetricRule, ranked: _Ranked, entries: Mapping[int, tuple[Metric, ...]]) -> _Values:
    if not entries:
        return _Values()
    key = ("values", id(ranked), id(entries), rule.use)  # the memory holds both
    if key not in context.memo:
        context.memo[key] = _read(rule, ranked, entries)
    found: _Values = context.memo[key]
    return found


def _read(rule: MetricRule, ranked: _Ranked, entries: Mapping[int, tuple[Metric, ...]]) -> _Values:
    order = [number for number, metrics in entries.items() if len(metrics) == 1 and number in ranked.clean]
    by_value: list[tuple[float, int]] = []
    absent: list[int] = []
    contradictory: list[int] = []
    for number in order:
        (metric,) = entries[number]
        value = _metrics.compared(rule, metric)
        if value is None:
            absent.append(number)
        else:
            by_value.append((value, number))
        interval = metric.interval
        alike = interval is None or interval.level == ranked.levels[number]
        if not alike and _metrics.is_contradictory(rule, ranked.rows[number].item.evaluation, metric):
            contradictory.append(number)
    return _Values(
        order=tuple(order),
        by_value=tuple(sorted(by_value)),
        fewest=min((entries[number][0].samples for number in order), default=0),
        unsound=frozenset((*absent, *contradictory)),
        contradictory=frozenset(contradictory),
    )


def _first(entry: tuple[float, int]) -> float:
    return entry[0]
