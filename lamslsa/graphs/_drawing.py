"""What DOT and Mermaid have in common: boxes with short names of our own, and arrows in the order of a model's life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lamslsa.graphs import _words
from lamslsa.graphs._selection import Selection, Shown
from lamslsa.graphs.interface import Graph, Standing, Step, View
from lamslsa.lineage import Artifact, Link

__all__ = ["Arrow", "Box", "boxes_and_arrows", "notes"]

_MAX_NAME = 80
_MADE = frozenset({"preprocessing", "training", "own training", "transform"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An artifact, an attestation, or a count of what is not drawn.

    Attributes:
        key: ours, and nobody else's: a letter and a number.
        lines: text that may come from elsewhere, unescaped.
        standing: of an attestation.
    """

    key: str
    shape: Literal["dataset", "model", "attestation", "more"]
    lines: tuple[str, ...]
    standing: Standing | None = None
    faulty: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """From what was there before to what came of it; ``loose`` where nothing came of it but words."""

    start: str
    end: str
    label: str = ""
    loose: bool = False


def boxes_and_arrows(graph: Graph, view: View) -> tuple[list[Box], list[Arrow], Selection]:
    """Everything that is drawn, the model first."""
    selection = Selection.of(graph, view)
    keys = {artifact: f"n{number}" for number, artifact in enumerate(selection.nodes)}
    boxes = [
        Box(key=keys[artifact], shape=artifact.kind, lines=_artifact_lines(graph, selection, artifact))
        for artifact in selection.nodes
    ]
    arrows: list[Arrow] = []
    number = 0
    for artifact, steps in selection.steps.items():
        for shown in steps:
            key, number = f"s{number}", number + 1
            boxes.append(_step_box(key, shown))
            arrows += _arrows(key, shown, keys)
        rest = selection.rest[artifact]
        if rest:
            key, number = f"s{number}", number + 1
            boxes.append(Box(key=key, shape="more", lines=(f"{len(rest):,} more: {_words.counted(rest)}",)))
            arrows.append(Arrow(start=key, end=keys[artifact], loose=True))
    return boxes, arrows, selection


def notes(graph: Graph, selection: Selection) -> Iterator[str]:
    """What a reader has to know, in words of ours."""
    if graph.verdict is None:
        yield _words.NOT_VERIFIED
    elif graph.verdict.accepted:
        yield "verified under a policy that accepts the model"
    else:
        yield f"verified under a policy that REFUSES the model (exit code {graph.verdict.exit_code})"
    if graph.simulated:
        yield _words.SIMULATED
    artifacts, attestations = selection.left_out
    if artifacts or attestations:
        yield f"not shown: {attestations:,} attestations, {artifacts:,} artifacts"
    if graph.beside:
        yield f"beside it: {_words.beside(graph)}"


def _artifact_lines(graph: Graph, selection: Selection, artifact: Artifact) -> tuple[str, ...]:
    name = _words.clipped(_words.name_of(graph, selection.nodes[artifact]), _MAX_NAME)
    return f"{artifact.kind} {name}", f"sha256 {_words.short(artifact.sha256)}"


def _step_box(key: str, shown: Shown) -> Box:
    step = shown.step
    return Box(
        key=key,
        shape="attestation",
        lines=(
            f"{step.kind} {_words.clipped(step.code, _MAX_NAME)}",
            f"sha256 {_words.short(step.sha256)}",
            f"signed by {_words.clipped(_words.signers(step), 2 * _MAX_NAME)}",
            f"TEE {_words.clipped(_words.tees(step), _MAX_NAME)}",
            f"standing {_words.standing(step)}",
            *([f"and {shown.more:,} more artifacts"] if shown.more else []),
        ),
        standing=step.standing,
        faulty=step.fault is not None,
        simulated=step.simulated,
    )


def _arrows(key: str, shown: Shown, keys: dict[Artifact, str]) -> Iterator[Arrow]:
    step, own = shown.step, keys[shown.step.subject]
    if step.kind in _MADE:
        yield Arrow(start=key, end=own)
    elif step.kind in {"evaluation", "inference"}:
        yield Arrow(start=own, end=key)
    else:
        yield Arrow(start=key, end=own, loose=True)
    for link in shown.links:
        yield _arrow(key, step, link, keys[link.target])


def _arrow(key: str, step: Step, link: Link, other: str) -> Arrow:
    label = _words.clipped(_words.relation(link), _MAX_NAME)
    if step.kind == "datasheet":
        return Arrow(start=key, end=other, label=label, loose=True)
    return Arrow(start=other, end=key, label=label)
