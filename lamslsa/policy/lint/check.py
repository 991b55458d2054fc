"""All findings about one policy, in the order of the file.

Policies within the policy have files of their own, and are looked at by themselves.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import Final

from lamslsa._yaml import Node
from lamslsa.policy.lint import _between, _cel, _identities, _ingredients, _platforms, _signers, _thresholds
from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import Policy

__all__ = ["lint"]

_CHECKS: Final[tuple[Callable[[Linted], Iterator[Finding]], ...]] = (
    *_signers.CHECKS,
    *_identities.CHECKS,
    *_platforms.CHECKS,
    *_ingredients.CHECKS,
    *_between.CHECKS,
    *_thresholds.CHECKS,
    *_cel.CHECKS,
)


def lint(policy: Policy, root: Node, *, now: dt.datetime) -> tuple[Finding, ...]:
    """Everything that deserves a look.

    Args:
        policy: as it was read.
        root: the nodes of the bytes that it was read from (`lamslsa._yaml.loads`), for line and column.
        now: as of when, with a time zone.
    """
    linted = Linted(policy=policy, root=root, now=now)
    found = itertools.chain.from_iterable(check(linted) for check in _CHECKS)
    return tuple(sorted(found, key=lambda finding: (finding.line, finding.column, finding.rule, finding.message)))
