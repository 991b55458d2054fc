"""Drawings: bars with interval whiskers, and the lineage, as inline SVG that needs nothing from elsewhere.

Colours and line styles are classes of card.css; standing is told by line style and mark as well as by colour.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.cards import _text
from lamslsa.cards._markup import Markup, element, escape, join, own
from lamslsa.cards.view import MARKS, WORDS, Edge, Graph, Measure, Node

__all__ = ["lineage", "measure_bar", "share_bar"]

_MEASURE_WIDTH: Final = 240
_SHARE_WIDTH: Final = 110
_BAR_HEIGHT: Final = 14
_NODE_WIDTH: Final = 180
_NAME_COLUMNS: Final = 22
_NODE_HEIGHT: Final = 104
_GAP: Final = 36
_SLOT_GAP: Final = 18
_ARC: Final = 44
_RANKS: Final = 5


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", {"class": kind, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def _rect(kind: str, x: float, y: float, width: float, height: float, *, radius: float = 0) -> Markup:
    return element("rect", {"class": kind, "x": x, "y": y, "width": width, "height": height, "rx": radius or None})


def _on_scale(value: float, width: int = _MEASURE_WIDTH) -> float:
    return round(width * min(1.0, max(0.0, value)), 1)


def _bar(label: str, fraction: float, width: int, *more: Markup) -> Markup:
    return element(
        "svg",
        {"class": "bar", "width": width, "viewBox": f"0 0 {width} {_BAR_HEIGHT}", "role": "img", "aria-label": label},
        _rect("track", 0, 3, width, _BAR_HEIGHT - 6),
        _rect("fill", 0, 3, _on_scale(fraction, width), _BAR_HEIGHT - 6),
        *more,
    )


def share_bar(label: str, fraction: float) -> Markup:
    """How much of the whole, from 0 to 1."""
    return _bar(label, fraction, _SHARE_WIDTH)


def measure_bar(measure: Measure, reference: float | None) -> Markup | None:
    """A value between 0 and 1 with its interval; None for an undefined value or one off the scale.

    Args:
        measure: what to draw.
        reference: the value over all rows, drawn as a dotted line.
    """
    if measure.value is None or not 0 <= measure.value <= 1:
        return None
    more = []
    if reference is not None and 0 <= reference <= 1:
        more.append(_line("reference", _on_scale(reference), 0, _on_scale(reference), _BAR_HEIGHT))
    if measure.lower is not None and measure.upper is not None:
        lower, upper, middle = _on_scale(measure.lower), _on_scale(measure.upper), _BAR_HEIGHT / 2
        more.append(_line("whisker", lower, middle, upper, middle))
        more.extend(_line("whisker", end, middle - 3.5, end, middle + 3.5) for end in (lower, upper))
    return _bar(f"{measure.label}: {measure.text}", measure.value, _MEASURE_WIDTH, *more)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where nodes stand: ranks from left to right, or from top to bottom on narrow pages."""

    wide: bool
    places: dict[str, tuple[float, float]]
    width: float
    height: float


def _layout(nodes: Sequence[Node], *, wide: bool) -> _Layout:
    ranks = [[node for node in nodes if node.rank == rank] for rank in range(_RANKS)]
    places: dict[str, tuple[float, float]] = {}
    if wide:
        tallest = max(len(rank) for rank in ranks)
        inner = tallest * (_NODE_HEIGHT + _SLOT_GAP) - _SLOT_GAP
        for index, rank in enumerate(ranks):
            top = _ARC + (inner - len(rank) * (_NODE_HEIGHT + _SLOT_GAP) + _SLOT_GAP) / 2
            for slot, node in enumerate(rank):
                places[node.key] = (1 + index * (_NODE_WIDTH + _GAP), top + slot * (_NODE_HEIGHT + _SLOT_GAP))
        width = _RANKS * (_NODE_WIDTH + _GAP) - _GAP + 2
        return _Layout(wide=True, places=places, width=width, height=_ARC + inner + 2)
    bottom = 1.0
    for rank in ranks:
        for node in rank:
            places[node.key] = (1, bottom)
            bottom += _NODE_HEIGHT + _SLOT_GAP
        bottom += _GAP - _SLOT_GAP if rank else 0
    return _Layout(wide=False, places=places, width=_NODE_WIDTH + 2 * _ARC, height=bottom - _GAP + 2)


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


def _name(name: str, x: float, y: float) -> Markup:
    """Long names are squeezed into the box, whatever font the reader has."""
    fitted = _fit(name, _NAME_COLUMNS)
    squeezed = _NODE_WIDTH - 22 if len(name) > 16 else None
    how = "spacingAndGlyphs" if squeezed else None
    return element("text", {"class": "name", "x": x, "y": y, "textLength": squeezed, "lengthAdjust": how}, fitted)


def _node(node: Node, x: float, y: float) -> Markup:
    lines = [
        _rect("box", x, y, _NODE_WIDTH, _NODE_HEIGHT, radius=5),
        _words("kind", x + 11, y + 19, own(f"{MARKS[node.standing]} {node.kind}")),
        _name(node.name, x + 11, y + 40),
        _words("digest", x + 11, y + 58, _text.short(node.digest)),
    ]
    if node.signers:
        simulated = "SIMULATED" in node.tee
        lines.append(_words("small", x + 11, y + 77, _fit(node.signers, 25)))
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
        start, end = (x1 + _NODE_WIDTH, x2) if forward else (x1, x2 + _NODE_WIDTH)
        half = _NODE_HEIGHT / 2
        return _arrow(f"edge {edge.standing}", start, y1 + half, end, y2 + half, wide=True)
    down = y1 < y2
    start, end = (y1 + _NODE_HEIGHT, y2) if down else (y1, y2 + _NODE_HEIGHT)
    middle = x1 + _NODE_WIDTH / 2
    return _arrow(f"edge {edge.standing}", middle, start, middle, end, wide=False)


def _overlap(edge: Edge, layout: _Layout) -> Markup:
    """A bracket around what lies between two datasets: above on wide pages, to the right on narrow ones."""
    (x1, y1), (x2, y2) = layout.places[edge.start], layout.places[edge.end]
    kind = f"edge overlap {edge.standing}"
    label = own(f"{MARKS[edge.standing]} {edge.label}")
    if layout.wide:
        left, right, crest = x1 + _NODE_WIDTH / 2, x2 + _NODE_WIDTH / 2, 14
        bracket = (
            f"M{left:g},{y1:g} V{crest + 8} Q{left:g},{crest} {left + 8:g},{crest} "
            f"H{right - 8:g} Q{right:g},{crest} {right:g},{crest + 8} V{y2:g}"
        )
        text = _words("label", (left + right) / 2, crest + 20, label, anchor="middle")
    else:
        side, spine = x1 + _NODE_WIDTH, x1 + _NODE_WIDTH + 22
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
    return element(
        "svg",
        {
            "class": f"lineage {'wide' if wide else 'narrow'}",
            "viewBox": f"0 0 {layout.width:g} {layout.height:g}",
            "role": "img",
            "aria-label": _in_words(graph),
        },
        join(_edge(edge, layout) for edge in graph.edges),
        join(_node(node, *layout.places[node.key]) for node in graph.nodes),
    )
