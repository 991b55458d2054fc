r"""Text from elsewhere made safe to show in lines and columns; what markup it must not start is another matter.

>>> plain("good \u202egnp\n")
'good \\u202egnp\\n'
>>> print(table(["rule", ""], [["accurate", "ok"]]))
rule
────────  ──
accurate  ok
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["hanging", "plain", "table"]

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """Text from elsewhere, safe to print: control, format and separator characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in _UNSAFE else char for char in text)


def hanging(text: str, indent: int) -> str:
    r"""Text in several lines, each of them `plain`; those after the first are indented, so that none looks like ours.

    >>> print("mend: " + hanging("add to the list:\n- torch", 6))
    mend: add to the list:
          - torch
    """
    return f"\n{' ' * indent}".join(plain(line) for line in text.split("\n"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, two spaces apart; cells must be `plain` already."""
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    lines = [header, ["─" * width for width in widths], *rows]
    aligned = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in aligned)
