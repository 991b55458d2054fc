"""Two policies, or two verdicts, side by side: what is in one and not in the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.policy.explain import Item, explain
from lamslsa.policy.model import Policy

__all__ = ["Change", "Shift", "changes", "shifts"]

_DERIVED = "What would make it refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A term that two policies do not share.

    Attributes:
        section: where `lamslsa.policy.explain` has it.
        about: what it is about.
        before, after: in words; None where one of the policies has no such term. Equal words stand for terms that
            differ in what words leave out, such as the end of a digest.
    """

    section: str
    about: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What became of one rule under two policies.

    Attributes:
        before, after: None where the policy has no such rule.
    """

    name: str
    before: RuleResult | None
    after: RuleResult | None

    @property
    def differs(self) -> bool:
        """Whether it came to something else. A rule that one of the policies does not have counts once it refuses."""
        if self.before is None or self.after is None:
            return any(side is not None and side.outcome != "satisfied" for side in (self.before, self.after))
        return (self.before.outcome, self.before.reason) != (self.after.outcome, self.after.reason)


def changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    """The terms that are not the same, in the order of the explanation; files that are named are not looked into."""
    old, new = _terms(before), _terms(after)
    found: list[Change] = []
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key), new.get(key)
        if one is not None and other is not None and one.exact == other.exact:
            continue
        found.append(
            Change(
                section=key[0],
                about=key[1],
                before=None if one is None else one.text,
                after=None if other is None else other.text,
            )
        )
    order = list(dict.fromkeys(section for section, _ in (*old, *new)))
    return tuple(sorted(found, key=lambda change: order.index(change.section)))


def _terms(policy: Policy) -> dict[tuple[str, str], Item]:
    found = {
        (section.title, item.key): item
        for section in explain(policy)
        if section.title != _DERIVED
        for item in section.items
    }
    conflicts = Item(
        key="conflicts",
        text="Attestations that tell different stories are refused."
        if policy.refuse_conflicts
        else "Attestations that tell different stories are a warning.",
        exact=policy.refuse_conflicts,
    )
    return found | {("What is refused whatever else accepts it", conflicts.key): conflicts}


def shifts(before: Appraisal, after: Appraisal) -> Iterator[Shift]:
    """Every rule of either verdict, by name, in the order of the first."""
    old = {rule.name: rule for rule in before.rules}
    new = {rule.name: rule for rule in after.rules}
    for name in dict.fromkeys((*old, *new)):
        yield Shift(name=name, before=old.get(name), after=new.get(name))
