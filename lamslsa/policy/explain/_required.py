"""The rules of ``require`` in words, a sentence or two for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from lamslsa.policy.explain.words import Item, count, digest, listed, number, sheet, witness
from lamslsa.policy.model import CelRule, MetricRule, OverlapRule, Policy, Rule
from lamslsa.predicates import configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

__all__ = ["rules"]

_ENDS: Final = {
    "lowerBound": "even at the lower end of its confidence interval",
    "upperBound": "even at the upper end of its confidence interval",
    "value": "by the measured value itself, whatever its confidence interval",
}


def rules(policy: Policy) -> Iterator[Item]:
    """Every rule, by its name."""
    for rule in policy.require:
        yield Item(key=f"rule {rule.name}", text=f"{rule.name}: {_rule(rule)}", exact=rule)


def _rule(rule: Rule) -> str:
    match rule:
        case MetricRule():
            return " ".join(_metric(rule))
        case OverlapRule():
            return _overlap(rule)
        case CelRule():
            return _expression(rule)


def _metric(rule: MetricRule) -> Iterator[str]:
    yield f"{_subject(rule)} on {rule.dataset.name} ({digest(rule.dataset.sha256)}) is {_threshold(rule)}."
    rows = f"over at least {count(rule.samples, 'row')}" if rule.samples else "over any number of rows"
    yield f"It is measured {rows} by {rule.measurer}, {_configuration(rule)}, {witness(rule.witness)};"
    yield f"the dataset is {sheet(rule.dataset)}."
    if rule.references:
        read = listed(
            f"the {'model' if item.dataset is None else 'dataset'} {digest(item.sha256)} as {role}"
            for role, item in sorted(rule.references.items())
        )
        yield f"The evaluation also read {read}, and nothing else."
    if rule.plan_signed_by is not None:
        yield f"It names a plan that {rule.plan_signed_by} signed, in trusted time, before it was made."
    if rule.every:
        yield "Every evaluation that is shown and qualifies has to be so; one that is withheld decides nothing."
    if rule.latest:
        yield "Only the latest one by its trusted time counts."


def _subject(rule: MetricRule) -> str:
    words = rule.metric
    if rule.parameters:
        words += f" ({', '.join(f'{key} {json.dumps(value)}' for key, value in sorted(rule.parameters.items()))})"
    if rule.groups:
        words += f" between the groups of {listed(rule.groups)}"
    if rule.slice is not None:
        words += f" of the rows with {listed(f'{key} {value}' for key, value in sorted(rule.slice.items()))}"
    return words


def _threshold(rule: MetricRule) -> str:
    parts = [] if rule.minimum is None else [f"at least {number(rule.minimum)}"]
    parts += [] if rule.maximum is None else [f"at most {number(rule.maximum)}"]
    other = rule.no_worse_than
    if other is not None:
        way = "below" if other.higher_is_better else "above"
        margin = f"no more than {number(other.margin)} {way}" if other.margin else f"not {way}"
        parts.append(f"{margin} the value of the model {digest(other.sha256)}, measured in the same way")
    return f"{listed(parts)}, {_ENDS[rule.use]}"


def _configuration(rule: MetricRule) -> str:
    default = DEFAULT_CONFIGURATIONS.get(rule.measurer)
    if default is not None and configuration_digest(dict(default)) == rule.configuration:
        return "in its default configuration"
    return f"in the configuration {digest(rule.configuration)}"


def _overlap(rule: OverlapRule) -> str:
    by = "that training read" if rule.columns is None else f"{listed(sorted(rule.columns))} alone"
    rows = "no row" if rule.maximum == 0 else f"at most {count(rule.maximum, 'row')}"
    return (
        f"{rows} of {rule.dataset.name} ({digest(rule.dataset.sha256)}) may occur in {rule.training.name} "
        f"({digest(rule.training.sha256)}) as well, comparing the columns {by}. It is counted by {rule.measurer}, "
        f"{witness(rule.witness)}; the dataset is {sheet(rule.dataset)}."
    )


def _expression(rule: CelRule) -> str:
    given = (
        listed(f"{key} {json.dumps(value)}" for key, value in sorted(rule.parameters.items()))
        if rule.parameters
        else ""
    )
    under = f", with {given}" if given else ""
    text = " ".join(rule.expression.split())
    return (
        f"the expression `{text}` is true{under}. It sees what is {witness(rule.witness)}, and there is some of that."
    )
