"""Rules that another rule makes needless, that contradict each other, or that say less than they seem to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import CelRule, MetricRule, OverlapRule, Rule

__all__ = ["CHECKS"]


def shadowed(linted: Linted) -> Iterator[Finding]:
    """A rule that holds whenever another one does; of two that are alike, the later one."""
    rules = linted.policy.require
    for index, rule in enumerate(rules):
        for place, other in enumerate(rules):
            if place == index or not _implies(other, rule) or (_implies(rule, other) and place > index):
                continue
            yield linted.find(
                "rule-shadowed",
                linted.at("require", index),
                f"expected each rule to ask for something, got {rule.name!r}, which holds whenever {other.name!r} does",
                f"take {rule.name!r} out, or see whether it was meant to be the stricter one",
            )
            break


def _implies(one: Rule, other: Rule) -> bool:
    """Whether whatever satisfies one rule satisfies the other."""
    if (one.witness.signed_by, one.witness.platform) != (other.witness.signed_by, other.witness.platform):
        return False
    if not _age(one) <= _age(other):
        return False
    match one, other:
        case CelRule(), CelRule():
            return (one.expression, dict(one.parameters)) == (other.expression, dict(other.parameters))
        case OverlapRule(), OverlapRule():
            same = _about(one) == _about(other)
            return same and one.maximum <= other.maximum
        case MetricRule(), MetricRule():
            return _about(one) == _about(other) and _is_stricter(one, other)
    return False


def _age(rule: Rule) -> dt.timedelta:
    return dt.timedelta.max if rule.witness.max_age is None else rule.witness.max_age


def _about(rule: MetricRule | OverlapRule) -> tuple[object, ...]:
    """What a rule is about, without what it asks of it."""
    if isinstance(rule, OverlapRule):
        return (rule.training.sha256, rule.dataset, rule.measurer, rule.columns)
    rows = None if rule.slice is None else frozenset(rule.slice.items())
    parameters = None if rule.parameters is None else frozenset(rule.parameters.items())
    kinds = None if rule.parameters is None else frozenset((key, type(item)) for key, item in rule.parameters.items())
    references = frozenset((role, item.sha256) for role, item in rule.references.items())
    return (
        rule.metric,
        rule.groups,
        rows,
        parameters,
        kinds,
        rule.dataset,
        rule.measurer,
        rule.configuration,
        references,
    )


def _is_stricter(one: MetricRule, other: MetricRule) -> bool:
    """Whether a rule asks for at least as much as another one about the same."""
    if other.use not in {one.use, "value"}:  # the value lies between the ends of its interval
        return False
    if (other.every or other.latest) and _selection(one) != _selection(other):
        return False
    if one.samples < other.samples:
        return False
    if other.minimum is not None and not (one.minimum is not None and one.minimum >= other.minimum):
        return False
    if other.maximum is not None and not (one.maximum is not None and one.maximum <= other.maximum):
        return False
    return (other.no_worse_than is None or other.no_worse_than == one.no_worse_than) and (
        other.plan_signed_by is None or other.plan_signed_by == one.plan_signed_by
    )


def _selection(rule: MetricRule) -> tuple[object, ...]:
    """What decides which evaluations ``every`` and ``latest`` are about."""
    return (rule.every, rule.latest, rule.witness, rule.plan_signed_by)


def contradict(linted: Linted) -> Iterator[Finding]:
    """Two rules about the same of which one asks for more than the other lets pass."""
    rules = [(index, rule) for index, rule in enumerate(linted.policy.require) if isinstance(rule, MetricRule)]
    for index, rule in rules:
        for place, other in rules:
            if place == index or rule.minimum is None or other.maximum is None or _about(rule) != _about(other):
                continue
            if rule.minimum > other.maximum:
                later = max(index, place)
                yield linted.find(
                    "rules-contradict",
                    linted.at("require", later),
                    f"expected rules that one value can satisfy, got {rule.name!r} with min {rule.minimum:g} and "
                    f"{other.name!r} with max {other.maximum:g}",
                    "see which of the two was meant",
                )


def every_incomplete(linted: Linted) -> Iterator[Finding]:
    """``every`` is about what is shown, and not about what was measured."""
    for index, rule in enumerate(linted.policy.require):
        if isinstance(rule, MetricRule) and rule.every:
            yield linted.find(
                "every-incomplete",
                linted.at("require", index, "every"),
                f"expected {rule.name!r} to be read as every evaluation that is shown, got every: an evaluation that "
                "is withheld decides nothing",
                "ask for a plan that was signed before, or have the auditor publish where nothing can be taken back",
            )


CHECKS: Final = (shadowed, contradict, every_incomplete)
