"""Findings, and the rules that make them.

Rules:
- ``error``: nothing could ever be accepted, or no longer. ``warning``: weaker than it looks, or not what is said.
  ``info``: what the policy leaves to others, which may well be meant.
- A finding decides nothing about a model: what must not be accepted is refused when the policy is read, or by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from lamslsa._yaml import Mapping_, Node, Sequence_
from lamslsa.policy.model import Policy

__all__ = ["RULES", "Finding", "Linted", "Severity"]

Severity = Literal["error", "warning", "info"]

RULES: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "trainer-judges": "warning",
        "self-vouching": "warning",
        "undated": "warning",
        "every-incomplete": "info",
        "no-expiry": "warning",
        "expired": "error",
        "identity-endless": "warning",
        "identity-not-revocable": "info",
        "identity-unused": "warning",
        "keyless-regex": "warning",
        "keyless-repository-id": "warning",
        "keyless-ref": "warning",
        "platform-simulated": "warning",
        "platform-unused": "warning",
        "unsafe-any-measurement": "warning",
        "unsafe-as-of-only": "warning",
        "unsafe-no-evidence": "warning",
        "unsafe-not-compared": "warning",
        "age-unbounded": "warning",
        "rule-shadowed": "warning",
        "rule-unsatisfiable": "error",
        "rules-contradict": "warning",
        "metric-unknown": "warning",
        "use-value": "warning",
        "samples-missing": "warning",
        "cel-all": "warning",
        "cel-label": "warning",
        "dataset-unused": "info",
        "evaluated-ingredient": "warning",
        "overlap-missing": "warning",
        "code-by-measurement": "info",
        "packages-by-measurement": "info",
        "licenses-absent": "info",
        "deny-contradicts": "warning",
    }
)
"""Every rule with how serious what it finds is; policies/lint.md says what each is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in a policy that deserves a look.

    Attributes:
        rule: one of `RULES`.
        line, column: in the policy file, from 1.
        where: the same place as a path of keys; empty for the whole file.
        mend: what to do about it.
    """

    rule: str
    severity: Severity
    line: int
    column: int
    where: str
    message: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A policy, and the file that it was read from.

    Attributes:
        root: the nodes of the same bytes.
        now: as of when it is looked at.
    """

    policy: Policy
    root: Node
    now: dt.datetime

    def at(self, *path: str | int) -> Node:
        """The node at this path, or the nearest around it that the file has."""
        node = self.root
        for step in path:
            if isinstance(node, Mapping_) and isinstance(step, str) and step in node.entries:
                node = node.entries[step][1]
            elif isinstance(node, Sequence_) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                break
        return node

    @staticmethod
    def find(rule: str, node: Node, message: str, mend: str) -> Finding:
        """A finding about what stands at a node."""
        return Finding(
            rule=rule,
            severity=RULES[rule],
            line=node.line,
            column=node.column,
            where=node.where,
            message=message,
            mend=mend,
        )
