r"""Regular expressions of policies, matched against what a prover could choose: only those whose work is bounded.

Python's matcher backtracks. A pattern is accepted when it can take at most about 2^27 steps on a subject of 512
characters: every ``*``, ``+`` or ``{…}`` may try each place (2^9), every ``?`` and every ``|`` two ways, each of them
several steps long (2^2), and no group is repeated. Flags, look-around, named groups and references to groups are
refused; the match is always a full one.

>>> matches(compiled(r"https://github\.com/acme/.+/\.github/workflows/(train|eval)\.yml@refs/tags/v[0-9]+"), "x")
False
"""

from __future__ import annotations

import re
import warnings
from typing import Final

from lamslsa.errors import FormatError

__all__ = ["MAX_SUBJECT", "compiled", "matches"]

MAX_SUBJECT: Final = 512
_MAX_PATTERN: Final = 256
_MAX_WEIGHT: Final = 27
_WEIGHTS: Final = {"*": 9, "+": 9, "{": 9, "?": 2, "|": 2}
_TOKEN: Final = re.compile(
    r"""
    \\(?P<escaped>.)
    | \[\^?\]?(?:[^\]\\]|\\.)*\]?  # a class of characters, whose own signs repeat nothing
    | \((?P<extension>\?:?)?
    | (?P<group>\)[*+{]?)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a policy, ready to be matched.

    Raises:
        FormatError: too long, no regular expression, or one whose work is not bounded.
    """
    if not 0 < len(pattern) <= _MAX_PATTERN or not pattern.isprintable():
        raise FormatError(
            f"expected a pattern of 1 to {_MAX_PATTERN} printable characters, got {len(pattern)} or others",
            reason="terms-pattern",
        )
    weight = 0
    for token in _TOKEN.finditer(pattern):
        text, escaped = token[0], token["escaped"]
        if escaped and escaped.isalnum() and escaped not in "dwsDWS":
            raise _refused(f"the escape {text}")
        if token["extension"] == "?":
            raise _refused("an extension (?…)")
        if token["group"] and len(text) > 1:
            raise _refused("a repeated group")
        weight += _WEIGHTS.get(text, 0)
    if weight > _MAX_WEIGHT:
        raise _refused("more repetitions and alternatives than that")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what another version of Python will read in another way
            return re.compile(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError, Warning) as err:
        raise FormatError(f"expected a regular expression, got {pattern!r}: {err}", reason="terms-pattern") from err


def matches(pattern: re.Pattern[str], subject: str) -> bool:
    """Whether the whole subject matches; one that is too long never does."""
    return len(subject) <= MAX_SUBJECT and pattern.fullmatch(subject) is not None


def _refused(what: str) -> FormatError:
    return FormatError(
        f"expected a pattern of plain repetitions (up to three) and alternatives, got {what}",
        reason="terms-pattern",
        hint="name the subject exactly, or list the identities one by one",
    )
