"""Licences: whether an SPDX expression can be satisfied with the licences that a policy allows.

Rules:
- ``OR`` is satisfied by any side, ``AND`` by all; a licence with its exception (``WITH``) is one unit, and ``+`` and
  ``-or-later`` are part of its name: nothing is derived from them.
- What is not declared, or is no SPDX expression, is refused: a link to a licence says nothing that can be compared.
- Expressions are of at most 1,000 characters and 32 nested parentheses.

>>> satisfied(canonical("mit OR (gpl-2.0-only WITH classpath-exception-2.0)"), frozenset({"MIT"}))
True
>>> satisfied(canonical("MIT AND ISC"), frozenset({"MIT"}))
False
>>> canonical("see the web site") is None
True
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from lamslsa.policy import _words
from lamslsa.policy._candidates import Miss

__all__ = ["Expression", "canonical", "license_misses", "satisfied"]

_MAX_LENGTH: Final = 1_000
_MAX_DEPTH: Final = 32

Operator = Literal["AND", "OR"]
Expression = str | tuple[Operator, frozenset["Expression"]]
"""A licence with its exception, or several of which all or any hold; equal ones are the same licence."""


def canonical(text: str) -> Expression | None:
    """An expression in a form in which order and spelling make no difference; None where it is none."""
    if len(text) > _MAX_LENGTH or _depth(text) > _MAX_DEPTH:
        return None
    try:
        normal = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None
    tokens = normal.replace("(", " ( ").replace(")", " ) ").split()
    expression, rest = _alternatives(tokens)
    return None if rest else expression


def satisfied(expression: Expression, allowed: frozenset[str]) -> bool:
    """Whether the allowed licences are enough for an expression; case makes no difference."""
    return _satisfied(expression, frozenset(name.lower() for name in allowed))


def license_misses(
    *, named: str | None, declared: str | None, allowed: frozenset[str] | None, of: str, key: str
) -> Iterator[Miss]:
    """Why an ingredient may not be used under its licence.

    Args:
        named: the licence that the policy names; it counts where it stands, and must not contradict a declared one.
        declared: what the ingredient's datasheet declares.
        allowed: None where licences are not asked for.
        of: the ingredient, in words.
        key: where the policy may name the licence.
    """
    own = None if named is None else canonical(named)
    theirs = None if declared is None else canonical(declared)
    if own is not None and theirs is not None and own != theirs:
        yield Miss(
            reason="license-other",
            message=f"expected {of} under {named}, as the policy says, "
            f"got one declared as {_words.quoted(declared or '')}",
            mend=f"ask its owner which one holds, and mend the datasheet or the licence in {key}",
        )
    if allowed is None:
        return
    counts = theirs if named is None else own
    text = declared if named is None else named
    if counts is None:
        got = "none" if text is None else f"{_words.quoted(text)}, which is no SPDX expression"
        yield Miss(
            reason="license-unknown",
            message=f"expected the licence of {of}, got {got}",
            mend=f"declare it as an SPDX expression, or after review name it in {key}: license: …",
        )
    elif not satisfied(counts, allowed):
        yield Miss(
            reason="license-not-allowed",
            message=f"expected {of} under {_words.names(allowed)}, got {_words.quoted(text or '')}",
            mend="do without it, or after review add its licence to ingredients.licenses.allow",
        )


def _depth(text: str) -> int:
    depth = deepest = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    return deepest


def _satisfied(expression: Expression, allowed: frozenset[str]) -> bool:
    if isinstance(expression, str):
        return expression.lower() in allowed
    operator, parts = expression
    found = (_satisfied(part, allowed) for part in parts)
    return all(found) if operator == "AND" else any(found)


def _alternatives(tokens: list[str]) -> tuple[Expression, list[str]]:
    """``all of them OR all of them …``, and the tokens after it."""
    parts: list[Expression] = []
    while True:
        part, tokens = _together(tokens)
        parts.append(part)
        if tokens[:1] != ["OR"]:
            return _joined("OR", parts), tokens
        tokens = tokens[1:]


def _together(tokens: list[str]) -> tuple[Expression, list[str]]:
    """``one AND one …``, and the tokens after it."""
    parts: list[Expression] = []
    while True:
        part, tokens = _one(tokens)
        parts.append(part)
        if tokens[:1] != ["AND"]:
            return _joined("AND", parts), tokens
        tokens = tokens[1:]


def _one(tokens: list[str]) -> tuple[Expression, list[str]]:
    """A licence with its exception, or an expression in parentheses; the syntax has been checked before."""
    if tokens[0] == "(":
        inner, rest = _alternatives(tokens[1:])
        return inner, rest[1:]
    if tokens[1:2] == ["WITH"]:
        return " ".join(tokens[:3]), tokens[3:]
    return tokens[0], tokens[1:]


def _joined(operator: Operator, parts: list[Expression]) -> Expression:
    flat: set[Expression] = set()
    for part in parts:
        flat |= part[1] if isinstance(part, tuple) and part[0] == operator else {part}
    return (operator, frozenset(flat)) if len(flat) > 1 else flat.pop()
