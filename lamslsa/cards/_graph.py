"""The lineage that a card draws: dataset → training → model ← evaluation ← test dataset, with the overlap between data.

Rules:
- Nodes and edges come from statements about this model, and from datasheets of the datasets that those name by digest.
- An edge is as good as the statement that states it; a dataset is verified only by a datasheet of its own.
- A dataset that is used for training and for evaluation stands on both sides, joined by an edge that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._source import Origins
from lamslsa.cards.view import Edge, Graph, Node, Standing
from lamslsa.policy.appraisal import Appraisal
from lamslsa.verify import VerifiedAttestation

__all__ = ["MODEL_KEY", "graph"]

MODEL_KEY: Final = "model"
_PER_RANK: Final = 4


class _Drawing:
    """Nodes and edges while they are collected; at most `_PER_RANK` nodes of a rank, the others are counted."""

    def __init__(self, appraisal: Appraisal, origins: Origins) -> None:
        self.origins = origins
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.left_out: set[str] = set()
        self.sheets: dict[str, VerifiedAttestation] = {}
        for attestation in origins.verified_first(appraisal.attestations):
            if isinstance(attestation.predicate, predicates.Dataset):
                self.sheets.setdefault(attestation.statement.subjects[0].sha256, attestation)

    def add(self, node: Node) -> bool:
        """Whether the node is part of the drawing, now or before."""
        if node.key not in self.nodes and sum(each.rank == node.rank for each in self.nodes.values()) >= _PER_RANK:
            self.left_out.add(node.key)
            return False
        self.nodes.setdefault(node.key, node)
        return True

    def run(self, attestation: VerifiedAttestation, *, rank: int, kind: str, name: str) -> Node:
        """The node of a training or an evaluation."""
        source = self.origins.source(attestation)
        return Node(
            key=f"run:{source.statement}",
            rank=rank,
            kind=kind,
            name=name,
            digest=source.statement,
            signers=source.signers,
            tee=source.tee,
            standing=source.standing,
        )

    def ingredient(self, *, rank: int, kind: str, name: str, digest: str) -> Node:
        """The node of an artifact, described by its datasheet if there is one."""
        sheet = self.sheets.get(digest) if kind != "base model" else None
        source = self.origins.source(sheet) if sheet else None
        return Node(
            key=f"{rank}:{digest}",
            rank=rank,
            kind=kind,
            name=name,
            digest=digest,
            signers=source.signers if source else "no datasheet" if kind != "base model" else "no attestation",
            tee=source.tee if source else "none",
            standing=source.standing if source else "unverified",
        )

    def link(self, start: Node, end_key: str, standing: Standing) -> None:
        """An edge from an ingredient to what came of it, if the ingredient is drawn."""
        if self.add(start):
            edge = Edge(start=start.key, end=end_key, standing=standing)
            if edge not in self.edges:
                self.edges.append(edge)


def _add_training(drawing: _Drawing, attestation: VerifiedAttestation, provenance: predicates.Provenance) -> None:
    external = provenance.build_definition.external_parameters
    kind = "Training" if external.transform is None else "Transform"
    run = drawing.run(attestation, rank=1, kind=kind, name=str(external.code))
    if not drawing.add(run):
        return
    drawing.edges.append(Edge(start=run.key, end=MODEL_KEY, standing=run.standing))
    kinds = {"dataset": "Training data", "model": "Base model"}
    for each in provenance.build_definition.resolved_dependencies:
        what = kinds.get(each.annotations.kind)
        if what is not None:
            node = drawing.ingredient(rank=0, kind=what, name=each.name, digest=each.digest.sha256)
            drawing.link(node, run.key, run.standing)


def _add_evaluation(drawing: _Drawing, attestation: VerifiedAttestation, evaluation: predicates.Evaluation) -> None:
    run = drawing.run(attestation, rank=3, kind="Evaluation", name=str(evaluation.measurer))
    if not drawing.add(run):
        return
    drawing.edges.append(Edge(start=run.key, end=MODEL_KEY, standing=run.standing))
    node = drawing.ingredient(
        rank=4, kind="Test data", name=evaluation.dataset.name, digest=evaluation.dataset.digest.sha256
    )
    drawing.link(node, run.key, run.standing)


def _overlaps(drawing: _Drawing) -> list[Edge]:
    edges: dict[tuple[str, str], Edge] = {}
    training = [node for node in drawing.nodes.values() if node.rank == 0]
    test = [node for node in drawing.nodes.values() if node.rank == 4]
    for left, right in ((left, right) for left in training for right in test):
        if left.digest == right.digest:
            edges[left.key, right.key] = Edge(
                start=left.key, end=right.key, standing=right.standing, overlap=True, label="the same dataset"
            )
            continue
        for one, other in ((right, left), (left, right)):
            label = _overlap_label(drawing.sheets.get(one.digest), one, other)
            if label:
                edges.setdefault(
                    (left.key, right.key),
                    Edge(start=left.key, end=right.key, standing=one.standing, overlap=True, label=label),
                )
    return list(edges.values())


def _overlap_label(sheet: VerifiedAttestation | None, one: Node, other: Node) -> str | None:
    if sheet is None or not isinstance(sheet.predicate, predicates.Dataset):
        return None
    for overlap in sheet.predicate.overlaps:
        if overlap.dataset.digest.sha256 == other.digest:
            side = "test" if one.rank == 4 else "training"
            return f"overlap: {_text.count(overlap.rows)} {side} rows"
    return None


def graph(appraisal: Appraisal, origins: Origins, about_model: Sequence[VerifiedAttestation]) -> Graph:
    """The lineage of the model out of the attestations about it, verified ones first."""
    drawing = _Drawing(appraisal, origins)
    drawing.add(
        Node(
            key=MODEL_KEY,
            rank=2,
            kind="Model",
            name=appraisal.model_name,
            digest=appraisal.model,
            signers="",
            tee="",
            standing="verified" if appraisal.accepted else "unverified",
        )
    )
    for attestation in about_model:
        match attestation.predicate:
            case predicates.Provenance() as provenance:
                _add_training(drawing, attestation, provenance)
            case predicates.Evaluation() as evaluation:
                _add_evaluation(drawing, attestation, evaluation)
            case predicates.Dataset() | predicates.Inference() | predicates.Model():
                pass
    return Graph(
        nodes=tuple(sorted(drawing.nodes.values(), key=lambda node: node.rank)),
        edges=(*drawing.edges, *_overlaps(drawing)),
        omitted=len(drawing.left_out),
    )
