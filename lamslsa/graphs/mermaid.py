r"""A graph as a Mermaid flowchart, as forges render them in Markdown.

Text from attestations stands in quoted labels only. Mermaid has no escape that every version keeps, it renders HTML in
labels and reads directives and comments anywhere, so all but letters, digits and a few harmless signs is spelled out.

>>> print(_safe('"]; click n0 "javascript:x" %%{init}'))
⟨U+0022⟩⟨U+005D⟩⟨U+003B⟩ click n0 ⟨U+0022⟩javascript:x⟨U+0022⟩ ⟨U+0025⟩⟨U+0025⟩⟨U+007B⟩init⟨U+007D⟩
"""

from __future__ import annotations

import unicodedata
from typing import Final

from lamslsa.graphs._drawing import Arrow, Box, boxes_and_arrows, notes
from lamslsa.graphs.interface import Graph, Standing, View

__all__ = ["render"]

_HARMLESS: Final = frozenset(" .,:/_-()+=…")
_CLASSES: Final[dict[Standing, str]] = {
    "qualifying": "qualifying", "authentic": "authentic", "not authentic": "forged", "claimed": "claimed",
}  # fmt: skip
_STYLES: Final = (
    "classDef qualifying stroke:#1a7f37,stroke-width:2px",
    "classDef simulated stroke:#1a7f37,stroke-dasharray:5",
    "classDef authentic stroke:#9a6700,stroke-dasharray:5",
    "classDef forged stroke:#cf222e,stroke-dasharray:2",
    "classDef claimed stroke:#6e7781,stroke-dasharray:2",
    "classDef faulty stroke:#cf222e,stroke-width:2px",
)
_BRACKETS: Final = {
    "dataset": ('[("', '")]'), "model": ('[["', '"]]'), "attestation": ('["', '"]'), "more": ('(["', '"])'),
}  # fmt: skip


def _safe(text: str) -> str:
    return "".join(
        char if char in _HARMLESS or unicodedata.category(char)[0] in "LN" else f"⟨U+{ord(char):04X}⟩" for char in text
    )


def _label(lines: tuple[str, ...]) -> str:
    return "<br/>".join(map(_safe, lines))


def render(graph: Graph, view: View) -> str:
    """The flowchart."""
    boxes, arrows, selection = boxes_and_arrows(graph, view)
    told = Box(key="about", shape="more", lines=tuple(notes(graph, selection)))
    lines = ["flowchart LR", *_STYLES, _box(told), *map(_box, boxes), *map(_arrow, arrows)]
    return "\n  ".join(lines) + "\n"


def _box(box: Box) -> str:
    opening, closing = _BRACKETS[box.shape]
    return f"{box.key}{opening}{_label(box.lines)}{closing}{_class(box)}"


def _class(box: Box) -> str:
    if box.standing is None:
        return ""
    if box.faulty:
        return ":::faulty"
    simulated = box.simulated and box.standing == "qualifying"
    return f":::{'simulated' if simulated else _CLASSES[box.standing]}"


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.loose else "-->"
    label = f'|"{_safe(arrow.label)}"|' if arrow.label else ""
    return f"{arrow.start} {line}{label} {arrow.end}"
