r"""A graph for Graphviz.

Text from attestations stands in double-quoted strings only, with backslashes and quotes escaped and ``&`` spelled as an
entity, since Graphviz reads entities and escapes such as ``\N`` in labels. Names of nodes are ours.

Spec: https://graphviz.org/doc/info/lang.html, https://graphviz.org/docs/attr-types/escString/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lamslsa._plain import plain
from lamslsa.graphs._drawing import Arrow, Box, boxes_and_arrows, notes
from lamslsa.graphs.interface import Graph, Standing, View

__all__ = ["render"]

_SHAPES: Final = {"dataset": "cylinder", "model": "box3d", "attestation": "box", "more": "plaintext"}
_COLOURS: Final[dict[Standing, str]] = {
    "qualifying": "#1a7f37", "authentic": "#9a6700", "not authentic": "#cf222e", "claimed": "#6e7781",
}  # fmt: skip
_FAULT: Final = "#cf222e"
_ESCAPED: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render(graph: Graph, view: View) -> str:
    """The graph in DOT."""
    boxes, arrows, selection = boxes_and_arrows(graph, view)
    lines = [
        "digraph lineage {",
        "  rankdir=LR;",
        '  node [fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=9];',
        f"  label={_quoted(tuple(notes(graph, selection)))};",
        *map(_box, boxes),
        *map(_arrow, arrows),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(lines: tuple[str, ...]) -> str:
    return '"' + "\\n".join(plain(line).translate(_ESCAPED) for line in lines) + '"'


def _box(box: Box) -> str:
    return f"  {box.key} [{', '.join(_attributes(box))}];"


def _attributes(box: Box) -> Iterator[str]:
    yield f"shape={_SHAPES[box.shape]}"
    yield f"label={_quoted(box.lines)}"
    if box.standing is not None:
        colour = _FAULT if box.faulty else _COLOURS[box.standing]
        yield f'color="{colour}"'
        yield f"style={'solid' if box.standing == 'qualifying' and not box.simulated else 'dashed'}"


def _arrow(arrow: Arrow) -> str:
    label = f"label={_quoted((arrow.label,))}" if arrow.label else ""
    attributes = ", ".join(filter(None, (label, "style=dotted" if arrow.loose else "")))
    return f"  {arrow.start} -> {arrow.end}{f' [{attributes}]' if attributes else ''};"
