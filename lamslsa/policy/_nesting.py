"""Policies within policies: the appraisals that one appraisal rests on, each made once, without recursion.

Rules:
- A base model with a policy of its own is appraised under that policy, by digest, from attestations that were verified
  under that policy's own trust material. Without such a verification, or out of force, it is refused.
- A policy that extends others rests on their appraisals of the same model in the same way.
- Policies nest finitely; one that stands within itself all the same is refused.
- What a policy denies, every policy within it denies as well, as `Policy.within` has it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import PolicyError
from lamslsa.evidence.appraise import Refusal
from lamslsa.policy._bases import Accepted, Verdict, bases_of, seen_by
from lamslsa.policy._context import Context
from lamslsa.policy._deny import without_denied
from lamslsa.policy._descent import Descent, descents
from lamslsa.policy.model import Policy
from lamslsa.verification import Verification

__all__ = ["Opened", "Verdicts", "appraise_within", "with_bases"]

_MAX_WAYS: Final = 64

_Key = tuple[str, str]
"""Closure of the policy, and manifest digest of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What other policies say.

    Attributes:
        bases: of base models, by manifest digest.
        extended: of the model itself, by the policies that this one extends, in their order.
    """

    bases: Mapping[str, Verdict] = field(default_factory=dict)
    extended: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An appraisal that is under way.

    Attributes:
        denied: what was there and counts for nothing, in words.
    """

    context: Context
    name: str
    ways: tuple[Descent, ...]
    denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    policy: Policy
    model: Manifest | str
    name: str

    @property
    def key(self) -> _Key:
        return self.policy.closure, self.model if isinstance(self.model, str) else self.model.sha256


def appraise_within(
    policy: Policy,
    *,
    model: Manifest,
    model_name: str,
    verification: Verification,
    within: Mapping[str, Verification],
    decide: Callable[[Opened, Verdicts], Accepted],
) -> Accepted:
    """The appraisal of a model after those that it rests on, innermost first.

    ``within`` holds, by `Policy.closure`, what was verified under each policy within this one; ``decide`` decides once
    everything that an appraisal rests on is known.

    Raises:
        PolicyError: the policy itself is not in force, or was not verified as of these times.
    """
    first: dict[str, Policy] = {item.closure: item for item in reversed((policy, *policy.within))}
    verified = {**within, policy.closure: verification}
    root = _Task(policy=policy, model=model, name=model_name)
    done: dict[_Key, Verdict] = {}
    opened: dict[_Key, Opened] = {}
    path: set[str] = set()
    stack = [root]
    while stack:
        task = stack[-1]
        if task.key in done:
            stack.pop()
            continue
        if task.key not in opened:
            found = _open(task, verified, verification.trust.at, verification.trust.now)
            if isinstance(found, Refusal):
                done[task.key] = found
                continue
            opened[task.key] = found
            path.add(task.policy.closure)
            below = list(_below(found, first))
            waiting = [item for item in below if item.policy.closure not in path and item.key not in done]
            if waiting:
                stack += reversed(waiting)
                continue
        done[task.key] = decide(opened[task.key], _verdicts(opened[task.key], first, done))
        path.discard(task.policy.closure)
        stack.pop()
    result = done[root.key]
    if isinstance(result, Refusal):
        raise PolicyError(result.message, reason=result.reason, hint=result.mend)
    return result


def with_bases(opened: Opened, verdicts: Verdicts) -> Iterator[Descent]:
    """Every descent with what its base models may have seen."""
    for way in opened.ways:
        seen = [
            seen_by(opened.context, terms, verdicts.bases.get(terms.sha256)) for terms in bases_of(opened.context, way)
        ]
        for combination in islice(product(*seen), _MAX_WAYS):
            yield way.inheriting(frozenset().union(*combination))


def _open(task: _Task, verified: Mapping[str, Verification], at: dt.datetime, now: dt.datetime) -> Opened | Refusal:
    policy, verification = task.policy, verified.get(task.policy.closure)
    if (
        verification is None
        or not policy.gave(verification.trust)
        or ((verification.trust.at, verification.trust.now) != (at, now))
    ):
        return Refusal(
            reason="policy-unverified",
            message=f"expected the attestations verified under policy {policy.name} as of the same times, got no such "
            "verification",
            mend="verify the bundles under every policy within this one (Policy.within)",
        )
    try:
        policy.refuse_out_of_force(at, now)
    except PolicyError as err:
        return Refusal(reason=err.reason, message=f"{err}, policy {policy.name}", mend=err.hint or "")
    verification, denied = without_denied(policy.deny, verification)
    context = Context.of(policy, task.model, verification)
    return Opened(context=context, name=task.name, ways=descents(context), denied=denied)


def _below(opened: Opened, first: Mapping[str, Policy]) -> Iterator[_Task]:
    """The appraisals that one rests on."""
    context = opened.context
    model = context.sha256 if context.manifest is None else context.manifest
    for extended in context.policy.extends:
        yield _Task(policy=first[extended.closure], model=model, name=opened.name)
    used = {item.artifact.sha256 for way in opened.ways for item in way.bases}
    for terms in context.policy.ingredients.models:
        if terms.policy is not None and terms.sha256 in used:
            yield _Task(policy=first[terms.policy.closure], model=terms.sha256, name=terms.name)


def _verdicts(opened: Opened, first: Mapping[str, Policy], done: Mapping[_Key, Verdict]) -> Verdicts:
    found = [done.get(task.key, _cycle(task.policy)) for task in _below(opened, first)]
    number = len(opened.context.policy.extends)
    bases = [task.key[1] for task in list(_below(opened, first))[number:]]
    return Verdicts(extended=tuple(found[:number]), bases=dict(zip(bases, found[number:], strict=True)))


def _cycle(policy: Policy) -> Refusal:
    return Refusal(
        reason="policy-cycle",
        message=f"expected policies that end somewhere, got policy {policy.name} within itself",
        mend="take the policy out of the one that it stands in",
    )
