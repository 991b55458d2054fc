r"""Pieces of the Markdown card: text that cannot break out, code spans, tables.

Text that is not the card's own stays prose only if it is made of harmless characters; anything else becomes a code
span. Backticks and pipes are spelled out, so a text can neither end its code span nor add a cell or a row.

>>> quoted("0.8549 (0.8494–0.8602), n 16,281"), quoted("a|b <img> [x](y)")
('0.8549 (0.8494–0.8602), n 16,281', '`a⟨U+007C⟩b <img> [x](y)`')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NewType

from lamslsa.cards import _text
from lamslsa.cards.parts import MARKS, WORDS, Fact, Listing, Source, Standing

__all__ = [
    "Inline",
    "bold",
    "code",
    "digest",
    "fact_table",
    "flat",
    "mark",
    "more",
    "origin",
    "own",
    "own_headers",
    "quoted",
    "table",
    "tee_text",
]

Inline = NewType("Inline", str)
"""Markdown that is safe in a table cell and in a paragraph."""

# No character or sequence in here starts or ends Markdown, an autolink, an emoji or a mention, in any dialect known.
_HARMLESS: Final = re.compile(
    r"""(?![-+=]|\d+[.)](?:[ ]|\Z))  # no list, no heading
    (?:[^\W_]               # letters and digits
        |[ ,;()'%+=–≥≤×…⟨⟩·\u2068\u2069"-]
        |\.(?=[ \d)]|\Z)     # a stop or a decimal point, never a host name
        |:(?=[ ]|\Z)         # never a scheme or an emoji
        |(?<=[^\W_])_(?=[^\W_])
        |(?<=[^\W_])/(?=[^\W_])
    )+""",
    re.VERBOSE,
)
_SPELLED_OUT: Final = {ord("`"): "⟨U+0060⟩", ord("|"): "⟨U+007C⟩"}


def flat(text: str) -> str:
    """Text for a code span or a fenced block."""
    return _text.clean(text).translate(_SPELLED_OUT).strip()


def quoted(text: str) -> Inline:
    """Text that is not the card's own: prose if harmless, else a code span."""
    cleaned = _text.clean(text).strip()
    return Inline(cleaned) if _HARMLESS.fullmatch(cleaned) else code(text)


def code(text: str) -> Inline:
    """Text as a code span, where Markdown knows no syntax but the backtick."""
    return Inline(f"`{flat(text)}`")


def digest(sha256: str) -> Inline:
    """A digest, short to read."""
    return code(_text.short(sha256))


def own(text: str) -> Inline:
    """The card's own words."""
    return Inline(text)


def bold(text: Inline) -> Inline:
    """In bold."""
    return own(f"**{text}**")


def mark(standing: Standing) -> Inline:
    """The mark and the word of a standing."""
    return own(f"{MARKS[standing]} {WORDS[standing]}")


def tee_text(tee: str) -> Inline:
    """Which TEE; simulation in plain sight."""
    return bold(quoted(tee)) if "SIMULATED" in tee else quoted(tee)


def table(headers: Sequence[Inline], rows: Iterable[Sequence[Inline]]) -> str:
    """A table as GitHub has them."""
    lines = [headers, [own("---")] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def own_headers(*titles: str) -> list[Inline]:
    """Titles of columns."""
    return [own(title) for title in titles]


def fact_table(facts: Iterable[Fact], standing: Standing) -> str:
    """Names and values, each with the mark of its standing."""
    rows = [(quoted(fact.name), own(f"{MARKS[standing]} {quoted(fact.value)}")) for fact in facts]
    return table((own("Property"), own("Value")), rows)


def more(listing: Listing[object], what: str) -> list[str]:
    """How many items are not shown, if any."""
    return [f"{_text.count(listing.omitted)} more {what} not shown."] if listing.omitted else []


def origin(source: Source) -> str:
    """Where the values of a section come from."""
    rules = f" · relied on by {', '.join(map(quoted, source.rules))}" if source.rules else ""
    return (
        f"{bold(mark(source.standing))} · signed by {quoted(source.signers)} · TEE: {tee_text(source.tee)} · "
        f"statement {digest(source.statement)}{rules}"
    )
