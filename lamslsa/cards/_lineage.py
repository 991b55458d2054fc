"""The drawing of a lineage: columns from left to right, or from top to bottom on narrow pages, as inline SVG.

Colours and line styles are classes of card.css; standing is told by line style and mark as well as by colour.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.cards import _text
from lamslsa.cards._charts import rect
from lamslsa.cards._markup import Markup, element, escape, join, own
from lamslsa.cards.parts import MARKS, WORDS
from lamslsa.cards.view import Edge, Graph, Node

__all__ = ["lineage"]

_NODE_HEIGHT: Final = 104
_SLOT_GAP: Final = 18
_ARC: Final = 44
_LAST_RANK: Final = 4
_FEW_RANKS: Final = 5
_MANY_RANKS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where nodes stand: ranks from left to right, or from top to bottom on narrow pages."""

    wide: bool
    node: int
    places: dict[str, tuple[float, float]]
    width: float
    height: float


def _layout(nodes: Sequence[Node], *, wide: bool) -> _Layout:
    first = min(0, *(node.rank for node in nodes))
    ranks = [[node for node in nodes if node.rank == rank] for rank in range(first, _LAST_RANK + 1)]
    size, gap = (180, 36) if len(ranks) <= _FEW_RANKS or not wide else (164, 16)
    places: dict[str, tuple[float, float]] = {}
    if wide:
        tallest = max(len(rank) for rank in ranks)
        inner = tallest * (_NODE_HEIGHT + _SLOT_GAP) - _SLOT_GAP
        for index, rank in enumerate(ranks):
            top = _ARC + (inner - len(rank) * (_NODE_HEIGHT + _SLOT_GAP) + _SLOT_GAP) / 2
            for slot, node in enumerate(rank):
                places[node.key] = (1 + index * (size + gap), top + slot * (_NODE_HEIGHT + _SLOT_GAP))
        width = len(ranks) * (size + gap) - gap + 2
        return _Layout(wide=True, node=size, places=places, width=width, height=_ARC + inner + 2)
    bottom = 1.0
    for rank in ranks:
        for node in rank:
            places[node.key] = (1, bottom)
            bottom += _NODE_HEIGHT + _SLOT_GAP
        bottom += gap - _SLOT_GAP if rank else 0
    return _Layout(wide=False, node=size, places=places, width=size + 2 * _ARC, height=bottom - gap + 2)


def _fit(text: str, columns: int) -> Markup:
    """Cut to so many columns; East Asian wide characters take two."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return escape(text, index)
    return escape(text, columns)


def _words(kind: str, x: float, y: float, text: str, *, anchor: str | None = None) -> Markup:
    return element("text", {"class": kind, "x": x, "y": y, "text-anchor": anchor}, text)


def _name(name: str, x: float, y: float, size: int) -> Markup:
    """Long names are squeezed into the box, whatever font the reader has."""
    fitted = _fit(name, size // 8)
    squeezed = size - 22 if len(name) > size // 11 else None
    how = "spacingAndGlyphs" if squeezed else None
    return element("text", {"class": "name", "x": x, "y": y, "textLength": squeezed, "lengthAdjust": how}, fitted)


def _kind(kind: Markup, x: float, y: float, size: int) -> Markup:
    """The card's own words; longer ones are squeezed."""
    squeezed = size - 22 if len(kind) > size // 8 else None
    how = "spacingAndGlyphs" if squeezed else None
    return element("text", {"class": "kind", "x": x, "y": y, "textLength": squeezed, "lengthAdjust": how}, kind)


def _node(node: Node, x: float, y: float, size: int) -> Markup:
    lines = [
        rect("box", x, y, size, _NODE_HEIGHT, radius=5),
        _kind(own(f"{MARKS[node.standing]} {node.kind}"), x + 11, y + 19, size),
        _name(node.name, x + 11, y + 40, size),
        _words("digest", x + 11, y + 58, _text.short(node.digest)),
    ]
    if node.signers:
        simulated = "SIMULATED" in node.tee
        lines.append(_words("small", x + 11, y + 77, _fit(node.signers, size // 7)))
        lines.append(
            _words("small simulated" if simulated else "small", x + 11, y + 93, join(("TEE: ", _fit(node.tee, 22))))
        )
    return element("g", {"class": f"node {node.standing}"}, join(lines))


def _arrow(kind: str, x1: float, y1: float, x2: float, y2: float, *, wide: bool) -> Markup:
    """A curve that leaves and arrives along the reading direction, with its head at the end."""
    sign = (1 if x2 > x1 else -1) if wide else (1 if y2 > y1 else -1)
    if wide:
        base, middle = x2 - sign * 8, (x1 + x2) / 2
        curve = f"M{x1:g},{y1:g} C{middle:g},{y1:g} {middle:g},{y2:g} {base:g},{y2:g}"
        head = f"M{x2:g},{y2:g} L{base:g},{y2 - 4.5:g} L{base:g},{y2 + 4.5:g} Z"
    else:
        base = y2 - sign * 8
        curve = f"M{x1:g},{y1:g} L{x2:g},{base:g}"
        head = f"M{x2:g},{y2:g} L{x2 - 4.5:g},{base:g} L{x2 + 4.5:g},{base:g} Z"
    return join((element("path", {"class": kind, "d": curve}), element("path", {"class": f"head {kind}", "d": head})))


def _edge(edge: Edge, layout: _Layout) -> Markup:
    (x1, y1), (x2, y2) = layout.places[edge.start], layout.places[edge.end]
    if edge.overlap:
        return _overlap(edge, layout)
    if layout.wide:
        forward = x1 < x2
        start, end = (x1 + layout.node, x2) if forward else (x1, x2 + layout.node)
        half = _NODE_HEIGHT / 2
        return _arrow(f"edge {edge.standing}", start, y1 + half, end, y2 + half, wide=True)
    down = y1 < y2
    start, end = (y1 + _NODE_HEIGHT, y2) if down else (y1, y2 + _NODE_HEIGHT)
    middle = x1 + layout.node / 2
    return _arrow(f"edge {edge.standing}", middle, start, middle, end, wide=False)


def _overlap(edge: Edge, layout: _Layout) -> Markup:
    """A bracket around what lies between two datasets: above on wide pages, to the right on narrow ones."""
    (x1, y1), (x2, y2) = layout.places[edge.start], layout.places[edge.end]
    kind = f"edge overlap {edge.standing}"
    label = own(f"{MARKS[edge.standing]} {edge.label}")
    if layout.wide:
        left, right, crest = x1 + layout.node / 2, x2 + layout.node / 2, 14
        bracket = (
            f"M{left:g},{y1:g} V{crest + 8} Q{left:g},{crest} {left + 8:g},{crest} "
            f"H{right - 8:g} Q{right:g},{crest} {right:g},{crest + 8} V{y2:g}"
        )
        text = _words("label", (left + right) / 2, crest + 20, label, anchor="middle")
    else:
        side, spine = x1 + layout.node, x1 + layout.node + 22
        top, bottom = y1 + _NODE_HEIGHT / 2, y2 + _NODE_HEIGHT / 2
        bracket = (
            f"M{side:g},{top:g} H{spine - 8:g} Q{spine:g},{top:g} {spine:g},{top + 8:g} "
            f"V{bottom - 8:g} Q{spine:g},{bottom:g} {spine - 8:g},{bottom:g} H{side:g}"
        )
        x, y = spine + 16, (top + bottom) / 2
        text = element(
            "text",
            {"class": "label", "x": x, "y": y, "text-anchor": "middle", "transform": f"rotate(90 {x:g} {y:g})"},
            label,
        )
    return join((element("path", {"class": kind, "d": bracket}), text))


def _in_words(graph: Graph) -> Markup:
    names = {
        node.key: join((f"{node.kind} ", _fit(node.name, 40), f" ({WORDS[node.standing]})")) for node in graph.nodes
    }
    sentences = [join((names[edge.start], edge.label or "to", names[edge.end]), " ") for edge in graph.edges]
    return join(sentences, "; ") if sentences else own("No lineage: no authentic statement is about this model.")


def lineage(graph: Graph, *, wide: bool) -> Markup:
    """The lineage as a picture; ``wide`` reads from left to right, otherwise from top to bottom."""
    layout = _layout(graph.nodes, wide=wide)
    deep = " deep" if wide and layout.width > _MANY_RANKS * (164 + 16) else ""
    return element(
        "svg",
        {
            "class": f"lineage {'wide' if wide else 'narrow'}{deep}",
            "viewBox": f"0 0 {layout.width:g} {layout.height:g}",
            "role": "img",
            "aria-label": _in_words(graph),
        },
        join(_edge(edge, layout) for edge in graph.edges),
        join(_node(node, *layout.places[node.key], layout.node) for node in graph.nodes),
    )
