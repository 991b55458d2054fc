"""Expressions that are valid and may not say what is meant; `lamslsa.policy.cel` finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import CelRule

__all__ = ["CHECKS"]

_WORDS: Final = {
    "cel-all": (
        "to ask for something to be there, got all(), which holds of an empty list",
        "write size(…) > 0 && beside it, or exists()",
    ),
    "cel-label": (
        "to compare digests, got a name within a predicate, a label that its signer chose",
        "compare digests, or ask for read.name, which is the policy's",
    ),
}


def expressions(linted: Linted) -> Iterator[Finding]:
    """What the expressions of the policy are remarked on for; the place is that of the expression in the file."""
    for index, rule in enumerate(linted.policy.require):
        if isinstance(rule, CelRule):
            from lamslsa.policy.cel.compile import remarks

            for remark in remarks(rule.expression):
                words, mend = _WORDS[remark.reason]
                yield linted.find(
                    remark.reason,
                    linted.at("require", index, "cel"),
                    f"expected {rule.name!r} {words}, at line {remark.line}, column {remark.column} of the expression",
                    mend,
                )


CHECKS: Final = (expressions,)
