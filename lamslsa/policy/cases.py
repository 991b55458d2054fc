"""Cases beside a policy: a model with its attestations, a time, and the verdict that its author expects.

``<folder of the policy>/cases/<name>/case.yaml``:

    why: the accuracy was edited                     # optional
    at: 2026-11-22T00:00:00Z                         # the time of the verdict
    model: model                                     # optional: a folder, or the manifest of one as *.json
    attestations: [attestations]                     # optional: folders of bundles, or bundle files
    expect: {rule: accurate, reason: threshold-missed}    # or: accepted

Rules:
- A refusal is expected by rule and reason: a model that is refused for another one has not shown that this rule works.
- ``reason`` alone expects that no verdict is reached, as of a policy that is not in force.
- Files are relative to the case. The time is written down, so that a case comes out alike on any day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lamslsa import _yaml
from lamslsa.errors import LamslsaError
from lamslsa.policy._keys import Keys, read
from lamslsa.policy._kinds import Time
from lamslsa.policy.appraisal import Appraisal

__all__ = ["Case", "Ended", "Refused", "parse_case", "unexercised"]


class _RefusedKeys(Keys, frozen=True, kw_only=True):
    """A refusal that is expected."""

    reason: Annotated[str, Meta(description="The reason, as lamslsa verify prints it.")]
    rule: Annotated[str | None, Meta(description="The rule. Without it, no verdict is reached at all.")] = None


class _CaseKeys(Keys, frozen=True, kw_only=True):
    """One case."""

    expect: Annotated[Literal["accepted"] | _RefusedKeys, Meta(description="What the policy must say.")]
    as_of: Annotated[Time, Meta(description="The time of the verdict.")] = msgspec.field(name="at")
    now: Annotated[Time | None, Meta(description="As of when revocation and age are judged, where not at.")] = None
    why: Annotated[str | None, Meta(description="What the case shows.")] = None
    model: Annotated[str, Meta(description="A folder, or a manifest.")] = "model"
    attestations: Annotated[tuple[str, ...] | None, Meta(description="Folders of bundles, or bundle files.")] = None
    collateral: Annotated[tuple[str, ...], Meta(description="What manufacturers say of platforms.")] = ()
    challenge: Annotated[str | None, Meta(description="The challenge that the evidence answers.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A refusal that is expected.

    Attributes:
        rule: None where no verdict is to be reached.
    """

    reason: str
    rule: str | None

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}" if self.rule is not None else f"no verdict: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a case says.

    Attributes:
        refused: None where the model is to be accepted.
        now: as of when revocation, age and the policy itself are judged.
        attestations: None where none are named: the folder ``attestations``, which need not exist.
    """

    name: str
    why: str
    refused: Refused | None
    at: dt.datetime
    now: dt.datetime
    model: str
    attestations: tuple[str, ...] | None
    collateral: tuple[str, ...]
    challenge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a case.

    Attributes:
        outcome: the appraisal, or why there is none.
    """

    case: Case
    outcome: Appraisal | LamslsaError

    @property
    def faults(self) -> tuple[str, ...]:
        """In which ways it came out otherwise than expected; empty where it did not."""
        expected, outcome = self.case.refused, self.outcome
        if isinstance(outcome, LamslsaError):
            as_expected = expected is not None and expected.rule is None and expected.reason == outcome.reason
            return () if as_expected else (f"no verdict was reached: {outcome} [{outcome.reason}]",)
        if expected is None:
            return () if outcome.accepted else _refusals(outcome)
        if outcome.accepted:
            return ("the model was accepted",)
        if any(rule.name == expected.rule and rule.reason == expected.reason for rule in outcome.rules):
            return ()
        return _refusals(outcome)

    @property
    def got(self) -> str:
        """The verdict in a few words."""
        if isinstance(self.outcome, LamslsaError):
            return f"no verdict: {self.outcome.reason}"
        if self.outcome.accepted:
            return "accepted"
        expected = self.case.refused
        refused = [rule for rule in self.outcome.rules if rule.outcome != "satisfied"]
        if expected is not None and not self.faults:
            return f"refused, {expected!s}"
        return f"refused, {refused[0].name}: {refused[0].reason}" if refused else "refused: there is no rule"


def _refusals(appraisal: Appraisal) -> tuple[str, ...]:
    found = [f"{rule.name} [{rule.reason}]: {rule.message}" for rule in appraisal.rules if rule.outcome != "satisfied"]
    return tuple(found) or ("there is no rule",)


def parse_case(data: bytes, *, name: str, source: str) -> Case:
    """Read a case.

    Raises:
        FormatError: it is none; with line and column.
    """
    keys: _CaseKeys = read(_CaseKeys, _yaml.loads(data, source=source))
    expect = keys.expect
    return Case(
        name=name,
        why=keys.why or "",
        refused=None if isinstance(expect, str) else Refused(reason=expect.reason, rule=expect.rule),
        at=keys.as_of,
        now=keys.now or keys.as_of,
        model=keys.model,
        attestations=keys.attestations,
        collateral=keys.collateral,
        challenge=keys.challenge,
    )


def unexercised(ended: Iterable[Ended]) -> tuple[str, ...]:
    """The rules, of any appraisal, that no case shows to refuse; in their order."""
    rules: dict[str, None] = {}
    shown: set[str] = set()
    for item in ended:
        if isinstance(item.outcome, Appraisal):
            rules.update(dict.fromkeys(rule.name for rule in item.outcome.rules))
        if item.case.refused is not None and item.case.refused.rule is not None and not item.faults:
            shown.add(item.case.refused.rule)
    return tuple(name for name in rules if name not in shown)
