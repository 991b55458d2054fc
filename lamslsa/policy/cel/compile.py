"""Read an expression: what it names must exist and have the right type, and its result must be a bool.

That happens when a policy is read or linted: a typo is an error of the policy, and never a refusal of a model.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.policy.cel import types
from lamslsa.policy.cel.types import Parameters

__all__ = ["MAX_LENGTH", "Compiled", "Fault", "Remark", "compile_expression", "faults", "remarks"]

MAX_LENGTH: Final = 8192
_MAX_PARAMETERS: Final = 64
_MAX_FAULTS: Final = 5
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_RESERVED: Final = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)
_FAULT: Final = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_FIELD: Final = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_REFERENCE: Final = re.compile(r"undeclared reference to '([^']*)'")
_LITERAL: Final = re.compile(
    r"""//[^\n]*|[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")""", re.DOTALL
)
_LABEL: Final = re.compile(r"\.\s*(?:dataset|overlaps|references|resolvedDependencies)\b[^&|]*?\.\s*name\b")
_VARIABLES: Final = ("attestations", "lineage", "model", "now")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an expression is none.

    Attributes:
        line, column: within the expression, from 1; 0 where the whole of it is meant.
        hint: the nearest name that there is; None where nothing comes near.
    """

    line: int
    column: int
    message: str
    hint: str | None = None

    def caret(self, text: str) -> str:
        """The line of the expression, and under it a caret where the fault is; empty where it is the whole."""
        if self.line < 1:
            return ""
        line = text.splitlines()[self.line - 1] if self.line <= len(text.splitlines()) else ""
        return f"{line.expandtabs(1)}\n{' ' * (self.column - 1)}^"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that may be meant, and often is not.

    Attributes:
        reason: kebab-case.
        line, column: within the expression, from 1.
    """

    reason: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """An expression that was checked.

    Attributes:
        parameters: what it sees as ``params``.
    """

    text: str
    parameters: Parameters = field(default_factory=dict)


def compile_expression(text: str, parameters: Parameters | None = None, *, what: str = "the expression") -> Compiled:
    """Check an expression.

    Args:
        text: at most `MAX_LENGTH` characters.
        parameters: what it may name as ``params.<name>``.
        what: how to call it in messages.

    Raises:
        FormatError: it names what is not there, is of another type than bool, or is too long; the message gives line
            and column, the hint the nearest name and the place with a caret.
        UnavailableError: cel-expr-python is not installed.
    """
    given = {} if parameters is None else dict(parameters)
    found = faults(text, given)
    if found:
        first = found[0]
        at = f" at line {first.line}, column {first.column}" if first.line > 0 else ""
        raise FormatError(
            f"expected {what} to be an expression that gives a bool, got {first.message}{at}",
            reason="cel-expression",
            hint="\n".join(part for part in (first.hint, first.caret(text)) if part) or None,
        )
    return Compiled(text=text, parameters=given)


def faults(text: str, parameters: Parameters) -> tuple[Fault, ...]:
    """Everything that is wrong with an expression, at most five things.

    Raises:
        UnavailableError: cel-expr-python is not installed.
    """
    if len(text) > MAX_LENGTH:
        return (Fault(line=0, column=0, message=f"{len(text)} characters, more than {MAX_LENGTH}"),)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return (Fault(line=0, column=0, message="a lone surrogate"),)
    refused = tuple(_parameter_faults(parameters))
    if refused:
        return refused
    checked = types.checker(parameters)
    try:
        result = checked.compile(text).return_type().name()
        # what is checked must also be an expression where it is evaluated, which knows no messages
        types.evaluator(dict, parameters).compile(text)
    except RuntimeError as err:
        return tuple(_read(str(err), parameters))[:_MAX_FAULTS]
    if result != "BOOL":
        kind = "a value whose type is not known" if result == "DYN" else f"a value of type {result.lower()}"
        return (Fault(line=0, column=0, message=kind, hint="compare it with something"),)
    return ()


def _parameter_faults(parameters: Parameters) -> Iterator[Fault]:
    if len(parameters) > _MAX_PARAMETERS:
        yield Fault(line=0, column=0, message=f"{len(parameters)} parameters, more than {_MAX_PARAMETERS}")
    for name, value in parameters.items():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            yield Fault(line=0, column=0, message=f"a parameter {name!r:.80}, which is no name in an expression")
        elif isinstance(value, int) and not -(2**53) <= value <= 2**53:
            yield Fault(line=0, column=0, message=f"a parameter {name} beyond 2^53")
        elif isinstance(value, float) and not math.isfinite(value):
            yield Fault(line=0, column=0, message=f"a parameter {name} that is not finite")
        elif isinstance(value, str) and len(value) > MAX_LENGTH:
            yield Fault(line=0, column=0, message=f"a parameter {name} of more than {MAX_LENGTH} characters")


def _read(text: str, parameters: Parameters) -> Iterator[Fault]:
    """The faults that the checker's text lists; all that it says where it lists none."""
    listed = _FAULT.findall(text)
    if not listed:
        yield Fault(line=0, column=0, message=_plain(text.splitlines()[0] if text else "no reason"))
    for line, column, message in listed:
        yield Fault(
            line=max(int(line), 0),
            column=max(int(column), 0),
            message=_plain(message),
            hint=_nearest(message, parameters),
        )


def _plain(message: str) -> str:
    """A message of the checker in our words: without its package, and without the list of everything it could read."""
    short = message.partition(" expecting {")[0].replace(f"{types.PACKAGE}.", "")
    short = re.sub(r"^(INVALID_ARGUMENT|CANCELLED): | \[[A-Z_]+\]$", "", short)
    return (short[:1].lower() + short[1:])[:300]


def _nearest(message: str, parameters: Parameters) -> str | None:
    if match := _FIELD.search(message):
        wanted, known = match[1], types.fields(match[2], parameters)
    elif match := _REFERENCE.search(message):
        wanted = match[1]
        known = (*_VARIABLES, *(f"params.{name}" for name in parameters), "metric", "overlap")
    else:
        return None
    if wanted in known:
        return f"{wanted} takes other arguments, or more or fewer of them"
    near = difflib.get_close_matches(wanted, known, n=1)
    if near:
        return f"{near[0]} comes nearest"
    return f"there is {', '.join(sorted(known)[:12])}" if known else None


def remarks(text: str) -> tuple[Remark, ...]:
    """What is an expression and may be a mistake, for ``policy lint``.

    - ``cel-all``: ``.all(`` holds of an empty list, so something should ask for the size, or ``exists``.
    - ``cel-label``: names within predicates are labels that whoever measured has chosen.
    """
    bare = _LITERAL.sub(lambda match: " " * len(match[0]), text)
    found: list[Remark] = []
    if (match := re.search(r"\.\s*all\s*\(", bare)) and not re.search(r"\bsize\s*\(|\.\s*exists(?:_one)?\s*\(", bare):
        message = "all() holds of an empty list: ask for size(…) > 0 beside it, or for exists()"
        found.append(_remark("cel-all", message, bare, match))
    if match := _LABEL.search(bare):
        message = "a name within a predicate is a label that the signer chose: compare digests, or read.name"
        found.append(_remark("cel-label", message, bare, match))
    return tuple(found)


def _remark(reason: str, message: str, text: str, match: re.Match[str]) -> Remark:
    before = text[: match.start()]
    return Remark(
        reason=reason, line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1, message=message
    )
