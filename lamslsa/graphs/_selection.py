"""What of a graph is drawn: so far from the model, and so many attestations at each artifact; the rest is counted."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from lamslsa.graphs.interface import Graph, Node, Step, View
from lamslsa.lineage import Artifact, Link

__all__ = ["Selection", "Shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An attestation that is drawn, with as many of its links.

    Attributes:
        more: how many links are not.
    """

    step: Step
    links: tuple[Link, ...]
    more: int


@dataclass(slots=True, kw_only=True)
class Selection:
    """The part of a graph that is drawn.

    Attributes:
        nodes: what is drawn, the model first, then by the number of drawn attestations that lead to it.
        steps: of each node what is drawn, and ``rest`` what is not.
        leads: how often a drawn link leads to an artifact.
        found_by: the statement by which an artifact is reached first; the model by none.
        left_out: how many artifacts, and how many attestations about them or about those that are drawn, are not.
    """

    nodes: dict[Artifact, Node] = field(default_factory=dict)
    steps: dict[Artifact, tuple[Shown, ...]] = field(default_factory=dict)
    rest: dict[Artifact, tuple[Step, ...]] = field(default_factory=dict)
    leads: Counter[Artifact] = field(default_factory=Counter)
    found_by: dict[Artifact, str] = field(default_factory=dict)
    left_out: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, graph: Graph, view: View) -> Selection:
        """Follow what is drawn from the model on, breadth first."""
        known = {node.artifact: node for node in graph.nodes}
        chosen = cls()
        waiting = deque([(graph.model, 0)])
        while waiting:
            artifact, distance = waiting.popleft()
            for shown in chosen._take(known[artifact], view, limit=view.limit if distance < view.depth else 0):
                for link in shown.links:
                    chosen.leads[link.target] += 1
                    if link.target != graph.model and link.target not in chosen.found_by:
                        chosen.found_by[link.target] = shown.step.sha256
                        waiting.append((link.target, distance + 1))
        attestations = sum(len(node.steps) for node in graph.nodes) - sum(map(len, chosen.steps.values()))
        chosen.left_out = len(graph.nodes) - len(chosen.nodes), attestations
        return chosen

    def _take(self, node: Node, view: View, *, limit: int) -> tuple[Shown, ...]:
        shown = tuple(
            Shown(step=step, links=step.links[:limit], more=max(0, len(step.links) - limit))
            for step in node.steps[: view.limit]
        )
        self.nodes[node.artifact] = node
        self.steps[node.artifact] = shown
        self.rest[node.artifact] = node.steps[view.limit :]
        return shown
