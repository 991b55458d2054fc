"""Pieces of the HTML card: badges, tables, panels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from lamslsa.cards import _text
from lamslsa.cards._markup import Markup, element, join, own
from lamslsa.cards.parts import MARKS, WORDS, Fact, Listing, Source, Standing

__all__ = [
    "EMPTY",
    "SPACE",
    "badge",
    "code",
    "data_table",
    "declared_panel",
    "digest_code",
    "digest_or_text",
    "fact_list",
    "more",
    "name_list",
    "notices",
    "panel",
    "section",
    "tee_text",
    "titled",
]

EMPTY: Final = own("")
SPACE: Final = own(" ")
_DIGEST: Final = re.compile(r"(sha256:)?[0-9a-f]{64}")


def badge(standing: Standing) -> Markup:
    """The mark and the word of a standing."""
    return element("span", {"class": f"badge {standing}"}, own(f"{MARKS[standing]} {WORDS[standing]}"))


def code(text: str) -> Markup:
    """Text in code type."""
    return element("code", {}, text)


def digest_code(digest: str) -> Markup:
    """A digest, short to read; in full where the pointer rests."""
    return element("code", {"title": f"sha256:{digest}"}, _text.short(digest))


def digest_or_text(text: str) -> str:
    """A text that is a whole digest, in code type; any other as it is."""
    return code(text) if _DIGEST.fullmatch(text) else text


def tee_text(tee: str) -> Markup:
    """Which TEE; simulation in plain sight."""
    return element("strong", {"class": "simulated"}, tee) if "SIMULATED" in tee else element("span", {}, tee)


def more(listing: Listing[object], what: str) -> Markup:
    """How many items are not shown, if any."""
    if not listing.omitted:
        return EMPTY
    return element("p", {"class": "note"}, f"{_text.count(listing.omitted)} more {what} not shown.")


def data_table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> Markup:
    """A table with a caption; the first cell of a row is its header. Roles keep the meaning when rows become blocks."""
    titles = [element("th", {"scope": "col", "role": "columnheader"}, title) for title in headers]
    body = []
    for row in rows:
        first = element(
            "th", {"scope": "row", "role": "rowheader", "data-label": headers[0]}, element("div", {}, row[0])
        )
        rest = [
            element("td", {"role": "cell", "data-label": title}, element("div", {}, cell))
            for title, cell in zip(headers[1:], row[1:], strict=True)
        ]
        body.append(element("tr", {"role": "row"}, first, *rest))
    table = element(
        "table",
        {"role": "table", "class": kind or None},
        element("caption", {}, caption),
        element("thead", {"role": "rowgroup"}, element("tr", {"role": "row"}, *titles)),
        element("tbody", {"role": "rowgroup"}, *body),
    )
    return element("div", {"class": "scroll"}, table)


def fact_list(facts: Iterable[Fact], *, kind: str = "facts") -> Markup:
    """Names and values; digests in code type."""
    pairs = [
        element(
            "div",
            {},
            element("dt", {}, fact.name),
            element("dd", {}, digest_or_text(fact.value)),
        )
        for fact in facts
    ]
    return element("dl", {"class": kind}, *pairs)


def titled(title: str, facts: Listing[Fact], what: str) -> Markup:
    """Facts under a title of their own, if there are any."""
    if not facts.shown:
        return EMPTY
    return join((element("h4", {}, title), fact_list(facts.shown), more(facts, what)))


def notices(facts: Iterable[Fact]) -> Markup:
    """What to know before reading the values; the names are the card's own words."""
    return join(
        element("p", {"class": "notice"}, element("strong", {}, f"{fact.name}: "), fact.value, ".") for fact in facts
    )


def section(anchor: str, title: str, *children: str) -> Markup:
    """A part of the page that the contents lead to."""
    return element(
        "section", {"id": anchor, "aria-labelledby": f"{anchor}-title"},
        element("h2", {"id": f"{anchor}-title"}, title), *children,
    )  # fmt: skip


def panel(source: Source, title: Markup, *children: str) -> Markup:
    """Values of one statement: the border tells the standing, the line below the title where they come from."""
    origin = join(
        (
            element("span", {}, "signed by ", element("b", {}, source.signers)),
            element("span", {}, "TEE: ", tee_text(source.tee)),
            element("span", {}, "statement ", digest_code(source.statement)),
            element("span", {}, "relied on by ", name_list(source.rules)) if source.rules else EMPTY,
        )
    )
    head = element("div", {"class": "head"}, element("h3", {}, title), badge(source.standing))
    return element(
        "article", {"class": f"panel {source.standing}"}, head, element("p", {"class": "origin"}, origin), *children
    )


def name_list(names: Iterable[str]) -> Markup:
    """Names side by side."""
    return join((element("b", {}, name) for name in names), ", ")


def declared_panel(title: str, facts: Sequence[Fact]) -> Markup:
    """Values that nobody measured, in a border of their own."""
    if not facts:
        return EMPTY
    head = element("div", {"class": "head"}, element("h4", {}, title), badge("declared"))
    return element("div", {"class": "panel declared"}, head, fact_list(facts))
