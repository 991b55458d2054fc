"""A graph for the terminal: the model, under it the attestations about it, under those what they name.

Rules:
- An artifact is described once, where the way from the model is shortest; elsewhere its number refers to it.
- No line is longer than its parts: names are clipped, and control and bidirectional characters are spelled out.
- What is left out is told where it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lamslsa._plain import plain
from lamslsa.graphs import _words
from lamslsa.graphs._selection import Selection, Shown
from lamslsa.graphs.interface import Graph, Standing, View
from lamslsa.lineage import Artifact

__all__ = ["render"]

_BRANCH: Final = {True: ("└─ ", "   "), False: ("├─ ", "│  ")}
_COLUMNS: Final = ("", "digest", "signed by", "TEE", "standing")
_MAX_NAME: Final = 48
_MAX_CELL: Final = 64
_GREEN, _YELLOW, _RED = 32, 33, 31
_COLOURS: Final[dict[Standing, int]] = {
    "qualifying": _GREEN, "authentic": _YELLOW, "not authentic": _RED, "claimed": _YELLOW,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    cells: tuple[str, ...]
    colour: int | None = None


def render(graph: Graph, view: View) -> str:
    """The tree, its lines aligned, between what it is about and what was left out."""
    selection = Selection.of(graph, view)
    rows = list(_Tree(graph, selection, _numbers(graph, selection)).rows())
    lines = [*_head(graph, view), "", *_aligned(rows, view), ""]
    artifacts, attestations = selection.left_out
    if artifacts or attestations:
        lines.append(
            f"not shown: {attestations:,} attestations, {artifacts:,} artifacts; see --depth and --limit, or --as json"
        )
    if graph.beside:
        lines.append(f"beside it: {_words.beside(graph)}")
    if graph.verdict is not None:
        lines += [f"warning: {plain(warning)}" for warning in graph.verdict.warnings]
    if graph.simulated:
        lines.append(_styled(_words.SIMULATED, _YELLOW, view))
    if graph.verdict is None:
        lines.append(_styled(_words.NOT_VERIFIED, _YELLOW, view))
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(graph: Graph, view: View) -> Iterator[str]:
    yield f"model   {_name(graph.name)}  sha256:{graph.model.sha256}"
    if graph.verdict is None:
        yield f"policy  {_styled('none: nothing here is verified', _YELLOW, view)}"
        return
    verdict = graph.verdict
    word = "ACCEPTED" if verdict.accepted else f"REFUSED (exit code {verdict.exit_code})"
    yield f"policy  {_name(verdict.policy)}  sha256:{verdict.policy_sha256}"
    yield f"        {_styled(word, _GREEN if verdict.accepted else _RED, view)}"


def _numbers(graph: Graph, selection: Selection) -> dict[Artifact, int]:
    """A number for each artifact that is named more than once; for the model where something leads back to it."""
    shared = [
        artifact for artifact in selection.nodes if selection.leads[artifact] > (0 if artifact == graph.model else 1)
    ]
    return {artifact: number for number, artifact in enumerate(shared, start=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """An artifact that an attestation names; described ``here`` or referred to."""

    artifact: Artifact
    opening: str
    indent: str
    here: bool


@dataclass(frozen=True, slots=True)
class _Tree:
    graph: Graph
    selection: Selection
    numbers: dict[Artifact, int]

    def rows(self) -> Iterator[_Row]:
        """Depth first, without recursion."""
        yield _Row(cells=self._artifact(self.graph.model, ""))
        waiting = [self._about(self.graph.model, "")]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
            elif isinstance(found, _Row):
                yield found
            else:
                yield _Row(cells=self._artifact(found.artifact, found.opening, here=found.here))
                if found.here:
                    waiting.append(self._about(found.artifact, found.indent))

    def _about(self, artifact: Artifact, indent: str) -> Iterator[_Row | _Branch]:
        """The attestations about an artifact, each before the artifacts that it names."""
        steps, rest = self.selection.steps[artifact], self.selection.rest[artifact]
        for index, shown in enumerate(steps):
            branch, deeper = _BRANCH[index == len(steps) - 1 and not rest]
            yield _step_row(shown, f"{indent}{branch}")
            yield from self._named(shown, f"{indent}{deeper}")
        if rest:
            yield _Row(cells=(f"{indent}└─ … {len(rest):,} more: {_words.counted(rest)}",))

    def _named(self, shown: Shown, indent: str) -> Iterator[_Row | _Branch]:
        opened: set[Artifact] = set()
        for index, link in enumerate(shown.links):
            branch, deeper = _BRANCH[index == len(shown.links) - 1 and not shown.more]
            words = _name(_words.relation(link))
            here = self.selection.found_by.get(link.target) == shown.step.sha256 and link.target not in opened
            opened.add(link.target)
            yield _Branch(
                artifact=link.target,
                opening=f"{indent}{branch}{words}{': ' if words else ''}",
                indent=f"{indent}{deeper}",
                here=here,
            )
        if shown.more:
            yield _Row(cells=(f"{indent}└─ … {shown.more:,} more artifacts",))

    def _artifact(self, artifact: Artifact, opening: str, *, here: bool = True) -> tuple[str, ...]:
        node = self.selection.nodes[artifact]
        number = self.numbers.get(artifact)
        mark = "" if number is None else f" [{number}]" if here else f" → [{number}]"
        name = _words.called(artifact, _name(_words.name_of(self.graph, node)))
        return f"{opening}{name}{mark}", _words.short(artifact.sha256)


def _step_row(shown: Shown, opening: str) -> _Row:
    step = shown.step
    return _Row(
        cells=(
            f"{opening}{step.kind} {_name(step.code)}",
            _words.short(step.sha256),
            _cell(_words.signers(step)),
            _cell(_words.tees(step)),
            plain(_words.standing(step)),
        ),
        colour=_RED if step.fault is not None else _COLOURS[step.standing],
    )


def _name(text: str) -> str:
    return plain(_words.clipped(text, _MAX_NAME))


def _cell(text: str) -> str:
    return plain(_words.clipped(text, 4 * _MAX_CELL))


def _aligned(rows: list[_Row], view: View) -> Iterator[str]:
    """Columns two spaces apart; what fills a whole line, or runs past the widest cell, moves no column."""
    table = [_COLUMNS, *(row.cells for row in rows if len(row.cells) > 1)]
    widths = [
        max((len(cells[index]) for cells in table if len(cells) > index), default=0) for index in range(len(_COLUMNS))
    ]
    yield _line(_COLUMNS, widths)
    yield "  ".join("─" * width for width in widths)
    for row in rows:
        last = len(row.cells) - 1
        styled = row.cells
        if row.colour is not None:
            styled = (*row.cells[:last], _styled(row.cells[last], row.colour, view))
        yield _line(styled, widths)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return "  ".join(padded).rstrip()


def _styled(text: str, colour: int, view: View) -> str:
    return f"\x1b[1;{colour}m{text}\x1b[0m" if view.colour else text
