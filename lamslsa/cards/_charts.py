"""Drawings of values: bars with interval whiskers, and curves, as inline SVG that needs nothing from elsewhere.

Colours and line styles are classes of card.css; standing is told by line style and mark as well as by colour.
"""

from __future__ import annotations

from typing import Final

from lamslsa.cards._markup import Markup, element
from lamslsa.cards.parts import Curve, Measure

__all__ = ["curve_chart", "line", "measure_bar", "rect", "share_bar"]

_MEASURE_WIDTH: Final = 240
_SHARE_WIDTH: Final = 110
_BAR_HEIGHT: Final = 14
_CURVE_WIDTH: Final = 320
_CURVE_HEIGHT: Final = 72
_MARGIN: Final = 4


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line of a class of card.css."""
    return element("line", {"class": kind, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def rect(kind: str, x: float, y: float, width: float, height: float, *, radius: float = 0) -> Markup:
    """A rectangle of a class of card.css."""
    return element("rect", {"class": kind, "x": x, "y": y, "width": width, "height": height, "rx": radius or None})


def _on_scale(value: float, width: int) -> float:
    return round(width * min(1.0, max(0.0, value)), 1)


def _bar(label: str, fraction: float, width: int, *more: Markup) -> Markup:
    return element(
        "svg",
        {"class": "bar", "width": width, "viewBox": f"0 0 {width} {_BAR_HEIGHT}", "role": "img", "aria-label": label},
        rect("track", 0, 3, width, _BAR_HEIGHT - 6),
        rect("fill", 0, 3, _on_scale(fraction, width), _BAR_HEIGHT - 6),
        *more,
    )


def share_bar(label: str, fraction: float) -> Markup:
    """How much of the whole, from 0 to 1."""
    return _bar(label, fraction, _SHARE_WIDTH)


def measure_bar(measure: Measure, reference: float | None, *, narrow: bool = False) -> Markup | None:
    """A value between 0 and 1 with its interval; None for an undefined value or one off the scale.

    Args:
        measure: what to draw.
        reference: the value over all rows, drawn as a dotted line.
        narrow: where many stand side by side.
    """
    if measure.value is None or not 0 <= measure.value <= 1:
        return None
    width = _SHARE_WIDTH if narrow else _MEASURE_WIDTH
    more = []
    if reference is not None and 0 <= reference <= 1:
        more.append(line("reference", _on_scale(reference, width), 0, _on_scale(reference, width), _BAR_HEIGHT))
    if measure.lower is not None and measure.upper is not None:
        lower, upper, middle = _on_scale(measure.lower, width), _on_scale(measure.upper, width), _BAR_HEIGHT / 2
        more.append(line("whisker", lower, middle, upper, middle))
        more.extend(line("whisker", end, middle - 3.5, end, middle + 3.5) for end in (lower, upper))
    return _bar(f"{measure.label}: {measure.text}", measure.value, width, *more)


def curve_chart(curve: Curve) -> Markup:
    """Numbers in their order, between the smallest and the largest of them."""
    low, high = min(curve.values), max(curve.values)
    span = high / 2 - low / 2  # halves, since the difference of two finite numbers may be infinite
    inner, last = _CURVE_HEIGHT - 2 * _MARGIN, max(1, len(curve.values) - 1)
    points = []
    for index, value in enumerate(curve.values):
        up = (value / 2 - low / 2) / span if span else 0.5
        x = _MARGIN + (_CURVE_WIDTH - 2 * _MARGIN) * index / last
        points.append(f"{x:.1f},{_CURVE_HEIGHT - _MARGIN - inner * up:.1f}")
    path = f"M{points[0]} L{' '.join(points[1:] or points)}"
    return element(
        "svg",
        {
            "class": "curve",
            "width": _CURVE_WIDTH,
            "viewBox": f"0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}",
            "role": "img",
            "aria-label": f"{curve.title}: {curve.text}",
        },
        line("axis", 0, _CURVE_HEIGHT - 1, _CURVE_WIDTH, _CURVE_HEIGHT - 1),
        element("path", {"class": "curve-line", "d": path}),
    )
