"""The verdicts within a verdict: of base models under their own policies, and of policies that were extended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lamslsa.policy.appraisal import Appraisal

__all__ = ["Nested", "Relation", "decisive", "nested", "words"]

Relation = Literal["base-model", "extends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """One verdict within another, at any depth."""

    relation: Relation
    appraisal: Appraisal


def nested(appraisal: Appraisal) -> Iterator[Nested]:
    """Every verdict within, nearest first, each model under each policy once."""
    seen = {(appraisal.model, appraisal.policy_closure)}
    waiting = deque(_within(appraisal))
    while waiting:
        found = waiting.popleft()
        key = (found.appraisal.model, found.appraisal.policy_closure)
        if key not in seen:
            seen.add(key)
            yield found
            waiting.extend(_within(found.appraisal))


def decisive(appraisal: Appraisal) -> Iterator[Nested]:
    """Those that the verdict may rest on: a base model may be accepted by a summary though its policy refuses it."""
    return (found for found in nested(appraisal) if found.appraisal.accepted or not appraisal.accepted)


def words(found: Nested) -> str:
    """What it is the verdict of; hostile, as names are."""
    if found.relation == "extends":
        return f"extends {found.appraisal.policy_name}"
    return f"base model {found.appraisal.model_name or 'sha256:' + found.appraisal.model[:12]}"


def _within(appraisal: Appraisal) -> Iterator[Nested]:
    for each in appraisal.extended:
        yield Nested(relation="extends", appraisal=each)
    for each in appraisal.bases:
        yield Nested(relation="base-model", appraisal=each)
