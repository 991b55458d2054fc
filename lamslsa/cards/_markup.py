"""HTML and SVG that is escaped unless it was built here.

A plain ``str`` is text: `element` cleans and escapes it, as child and as attribute. Only `Markup`, which `element`
returns, goes in as it is; the renderers' own words, which may hold the marks that `clean` spells out, come from `own`.

>>> element("p", {"title": '"'}, "a<b", element("b", {}, "c"))
'<p title="&quot;">a&lt;b<b>c</b></p>'
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Final

from lamslsa.cards import _text

__all__ = ["Markup", "element", "escape", "join", "own"]

_VOID: Final = frozenset({"meta"})


class Markup(str):
    """Text that is markup already; only this module makes it out of anything else."""

    __slots__ = ()


def escape(text: str, limit: int = _text.MAX_TEXT) -> Markup:
    """Text as it may stand between tags and in quoted attributes; markup comes back as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(_text.clean(text, limit)))


def own(text: str) -> Markup:
    """Words of the renderer itself, escaped and not cleaned; never anything from an attestation or a policy."""
    return Markup(html.escape(text))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Parts one after the other, each escaped unless it is markup."""
    return Markup(html.escape(separator).join(escape(part) for part in parts))


def element(tag: str, attributes: Mapping[str, str | float | None], *children: str) -> Markup:
    """An element; attributes that are None are left out.

    Args:
        tag: written by the renderers, never taken from an attestation; the same goes for attribute names.
        attributes: values are escaped.
        children: escaped unless they are markup.
    """
    written = "".join(
        f' {name}="{escape(value if isinstance(value, str) else f"{value:g}")}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")
