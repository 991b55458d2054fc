r"""Hostile text made fit to print, and numbers in one spelling.

Names, groups, declared values and messages come from whoever wrote an attestation. Before a renderer escapes them for
its own syntax, `clean` takes away what no syntax escapes:

- line breaks and other white space become one space; control, format (bidirectional, zero-width), private and
  unassigned characters are spelled out as ``⟨U+202E⟩``, and so are combining marks past the second in a row, which
  could be stacked over neighbouring lines;
- the marks of the cards (✓ ○ ✎ ✕) and their look-alikes are spelled out, so that no name can carry a mark of its own;
- text with right-to-left letters is isolated, so that it cannot reorder the numbers beside it;
- length is capped.

>>> clean("a\nb"), clean("good \u202egnp"), clean("census ✓")
('a b', 'good ⟨U+202E⟩gnp', 'census ⟨U+2713⟩')
>>> number(0.85491), count(32561), percent(0.2408)
('0.8549', '32,561', '24.1 %')
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["MAX_TEXT", "clean", "count", "number", "percent", "short"]

MAX_TEXT: Final = 400
_RESERVED: Final = frozenset("✓✔☑✅🗸🗹○◯✎✏✕✖✗✘❌")
_SPACES: Final = re.compile(" {2,}")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"


def _spelled_out(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"


def _printable(text: str) -> str:
    result: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if character.isspace() or category[0] == "Z":
            result.append(" ")
        elif category[0] == "C" or marks > 2 or character in _RESERVED:
            result.append(_spelled_out(character))
        else:
            result.append(character)
    return _SPACES.sub(" ", "".join(result))


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """One line of at most ``limit`` visible characters, ``(empty)`` if none; still to be escaped."""
    printable = _printable(text[: limit + 1])
    if len(printable) > limit:
        printable = printable[: limit - 1] + "…"
    if not printable.strip():
        return "(empty)"
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in printable):
        printable = f"{_ISOLATE}{printable}{_END_ISOLATE}"
    return printable


def number(value: float) -> str:
    """Four decimals; exponent form where these would say nothing or fill the page."""
    if value and not 5e-4 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.4f}"


def count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def percent(fraction: float) -> str:
    """A share with one decimal."""
    return f"{100 * fraction:.1f} %"


def short(digest: str) -> str:
    """The first twelve digits of a digest."""
    return f"{digest[:12]}…"
