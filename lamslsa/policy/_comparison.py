"""``noWorseThan``: the model's value held against that of another model, such as the one that is deployed.

Rules:
- What qualifies of the other model is what would of ours: same witness, dataset, reading, measurer, configuration,
  metric, groups, slice and parameters, with one value over as many rows as are asked for.
- Compared is the end of our interval that ``use`` picks with the *value* of the other model.
- Without a qualifying evaluation of the other model the rule is refused: nothing is better than an absence.
- Of several that qualify, one that our value is no worse than is enough. With the best of them instead, whoever leaves
  that one out would turn a refusal into an acceptance, and the prover may leave out anything: it would look stricter
  and hold nobody back. That they differ is a conflict, so a warning, or a refusal under ``conflicts: refuse``.
- ``every`` is outside the monotonic core already: there the best of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lamslsa.lineage import Artifact
from lamslsa.policy import _measured, _words
from lamslsa.policy._candidates import Candidate, Miss
from lamslsa.policy._context import Context
from lamslsa.policy._measured import Measured
from lamslsa.policy.model import Comparison, MetricRule
from lamslsa.verification import VerifiedAttestation

__all__ = ["Yardstick", "differences", "gap", "is_no_worse", "limits", "misses", "yardstick"]


_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What our value is held against.

    Attributes:
        value: of the other model; None where no evaluation of it qualifies.
        attestation: that says so.
        values: of all evaluations that qualify, each once, in order.
        miss: why there is none.
    """

    value: float | None = None
    attestation: VerifiedAttestation | None = None
    values: tuple[float, ...] = ()
    miss: Miss | None = None


def yardstick(context: Context, rule: MetricRule, schema: str | None) -> Yardstick | None:
    """The other model's value under one reading of the rule's dataset; None where the rule compares with none."""
    if rule.no_worse_than is None:
        return None
    key = ("yardstick", rule.name, schema)
    if key not in context.memo:
        context.memo[key] = _find(context, rule, rule.no_worse_than, schema)
    found: Yardstick = context.memo[key]
    return found


def differences(context: Context, rule: MetricRule) -> Iterator[str]:
    """That qualifying evaluations of the other model differ, under any reading that the policy allows."""
    if rule.no_worse_than is None:
        return
    for schema in sorted(context.sheets(rule.dataset).schemas):
        held = yardstick(context, rule, schema)
        if held is not None and len(held.values) > 1:
            values = ", ".join(_words.number(value, *held.values) for value in held.values[:_SHOWN])
            yield f"{rule.name}: qualifying evaluations of {_words.short(rule.no_worse_than.sha256)} differ: {values}"


def misses(rule: MetricRule, held: Yardstick | None, value: float | None) -> Iterator[Miss]:
    """That a value is worse than the other model's by more than the margin; nothing where there is no value."""
    terms = rule.no_worse_than
    if terms is None or held is None or held.value is None or value is None:
        return
    if not is_no_worse(rule, held, value):
        limit = _limit(terms, held.value)
        name = _words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters)
        yield Miss(
            reason="worse-than",
            message=f"expected {name} no worse than the {_words.number(held.value, value)} of "
            f"{_words.short(terms.sha256)} by more than {terms.margin:g}, got {_words.number(value, limit)}",
            mend="a better model, or another margin in the policy",
        )


def is_no_worse(rule: MetricRule, held: Yardstick | None, value: float | None) -> bool:
    """Whether a value is no worse than the other model's; so it is where one of the two is not there."""
    low, high = limits(rule, held)
    # a comparison with anything that is no number is false, so the limits are asked for and not their opposite
    return value is None or ((low is None or value >= low) and (high is None or value <= high))


def limits(rule: MetricRule, held: Yardstick | None) -> tuple[float | None, float | None]:
    """Between what a value is no worse than the other model's; None where there is no such limit."""
    terms = rule.no_worse_than
    if terms is None or held is None or held.value is None:
        return None, None
    limit = _limit(terms, held.value)
    return (limit, None) if terms.higher_is_better else (None, limit)


def gap(rule: MetricRule, held: Yardstick | None, value: float | None) -> float:
    """How far a value is from being no worse."""
    terms = rule.no_worse_than
    if terms is None:
        return 0.0
    if held is None or held.value is None or value is None:
        return math.inf
    limit = _limit(terms, held.value)
    return max(0.0, limit - value if terms.higher_is_better else value - limit)


def _limit(terms: Comparison, value: float) -> float:
    return value - terms.margin if terms.higher_is_better else value + terms.margin


def _find(context: Context, rule: MetricRule, terms: Comparison, schema: str | None) -> Yardstick:
    other = Artifact(kind="model", sha256=terms.sha256)
    values: list[tuple[float, VerifiedAttestation]] = []
    refused: list[Candidate] = []
    for found in _measured.measured(context, rule, schema, other, trained=None):
        lacking = (*found.misses, *_lacking(rule, found))
        if lacking:
            refused.append(Candidate(attestation=found.item.attestation, misses=lacking))
        else:
            values += [
                (value, found.item.attestation) for value in map(_measured.finite, found.entries) if value is not None
            ]
    if not values:
        return Yardstick(miss=_none(context, rule, terms, refused))
    # sorted by value, then by digest; the easiest to be no worse than comes first
    sign = 1.0 if terms.higher_is_better else -1.0
    values.sort(key=lambda entry: (sign * entry[0], entry[1].statement.sha256))
    value, attestation = values[-1] if rule.every else values[0]
    return Yardstick(value=value, attestation=attestation, values=tuple(sorted({value for value, _ in values})))


def _lacking(rule: MetricRule, found: Measured) -> Iterator[Miss]:
    name = _words.metric_name(rule.metric, rule.groups, rule.slice, rule.parameters)
    if len(found.entries) != 1 or _measured.finite(found.entries[0]) is None:
        yield Miss(
            reason="metric-missing",
            message=f"expected one value of {name} in the evaluation, got {len(found.entries) or 'none'}"
            f"{'' if len(found.entries) != 1 else ' that is undefined'}",
            mend="evaluate the other model with these groups and slices in the configuration file",
        )
    elif found.entries[0].samples < rule.samples:
        yield Miss(
            reason="samples-too-few",
            message=f"expected {name} over at least {rule.samples} rows, got {found.entries[0].samples}",
            mend="evaluate the other model on more rows of this kind",
        )


def _none(context: Context, rule: MetricRule, terms: Comparison, refused: list[Candidate]) -> Miss:
    nearest = min(refused, key=Candidate.distance) if refused else None
    got = f"none{context.set_aside_words()}"
    if nearest is not None:
        got = f"one of which: {'; '.join(miss.message for miss in nearest.misses)}"
    authentic = nearest is not None and nearest.authentic
    return Miss(
        reason="comparison-refused" if authentic else "comparison-missing",
        message=f"expected an evaluation of the other model {_words.short(terms.sha256)} {rule.witness}, got {got}",
        mend=f"have {rule.witness.signed_by} evaluate {_words.short(terms.sha256)} on {rule.dataset.name}, "
        "and publish the result beside this model",
        authentic=authentic,
    )
