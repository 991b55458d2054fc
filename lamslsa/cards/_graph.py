"""The lineage that a card draws: data → training → (parent → transform →) model ← evaluation ← test data.

Rules:
- Nodes and edges come from statements about this model, from the provenance of the parents that these name by digest,
  and from datasheets and provenance of the datasets that any of them name.
- An edge is as good as the statement that states it; a dataset is verified only by a datasheet of its own, a parent by
  a provenance of its own.
- A dataset that is used for training and for evaluation stands on both sides, joined by an edge that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._ancestry import Ancestry, origin
from lamslsa.cards._source import Origins, code_words
from lamslsa.cards._trainings import run_kind
from lamslsa.cards.parts import Standing
from lamslsa.cards.view import Edge, Graph, Node
from lamslsa.lineage import Build
from lamslsa.policy.appraisal import Appraisal
from lamslsa.predicates._common import Measurer
from lamslsa.verification import VerifiedAttestation

__all__ = ["MODEL_KEY", "graph"]

MODEL_KEY: Final = "model"
_MODEL_RANK: Final = 2
_PER_RANK: Final = 4
_TRAINING: Final = "Training data"
_READ: Final = "Data read"
_SOURCE: Final = "Source data"
_BASE: Final = "Base model"
_PARENT: Final = "Parent model"


class _Drawing:
    """Nodes and edges while they are collected; at most `_PER_RANK` nodes of a rank, the others are counted."""

    def __init__(self, appraisal: Appraisal, origins: Origins, ancestry: Ancestry) -> None:
        self.origins = origins
        self.ancestry = ancestry
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.left_out: set[str] = set(ancestry.beyond)
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

    def run(self, attestation: VerifiedAttestation, *, rank: int, kind: str, code: Measurer) -> Node:
        """The node of a training, a transform or an evaluation."""
        source = self.origins.source(attestation)
        return Node(
            key=f"run:{source.statement}",
            rank=rank,
            kind=kind if code.distribution is None else f"{kind}, third party",
            name=f"{code.name}/{code.version}" if code.distribution else code_words(code),
            digest=source.statement,
            signers=source.signers,
            tee=source.tee,
            standing=source.standing,
        )

    def ingredient(self, *, rank: int, kind: str, name: str, digest: str) -> Node:
        """The node of an artifact, described by its datasheet, or a parent by its provenance, if there is one."""
        if kind in {_BASE, _PARENT}:
            known = [build.attestation for build in self.ancestry.of_model(digest)]
            said, missing = (known[0] if known else None), "no attestation"
        else:
            said, missing = self.sheets.get(digest), "no datasheet"
        source = self.origins.source(said) if said else None
        return Node(
            key=f"{rank}:{digest}",
            rank=rank,
            kind=kind,
            name=name,
            digest=digest,
            signers=source.signers if source else missing,
            tee=source.tee if source else "none",
            standing=source.standing if source else "unverified",
        )

    def link(self, start: Node, end_key: str, standing: Standing) -> bool:
        """An edge from an ingredient to what came of it, if the ingredient is drawn."""
        if not self.add(start):
            return False
        edge = Edge(start=start.key, end=end_key, standing=standing)
        if edge not in self.edges:
            self.edges.append(edge)
        return True


def _add_build(drawing: _Drawing, build: Build, *, rank: int, product: str) -> None:
    """A run of the rank, what it made (drawn already), and left of it what it read, with where that came from."""
    definition = build.provenance.build_definition
    kind = run_kind(definition)
    run = drawing.run(build.attestation, rank=rank, kind=kind, code=definition.external_parameters.code)
    if run.key in drawing.nodes or not drawing.link(run, product, run.standing):
        return
    data = _READ if kind == "Transform" else _SOURCE if kind == "Preprocessing" else _TRAINING
    model = _PARENT if kind == "Transform" else _BASE
    for what, items in ((data, build.datasets), (model, build.bases)):
        for item in items:
            node = drawing.ingredient(rank=rank - 1, kind=what, name=item.name, digest=item.artifact.sha256)
            if drawing.link(node, run.key, run.standing) and what in {_TRAINING, _READ}:
                for made in drawing.ancestry.preparations.get(node.digest, ()):
                    _add_build(drawing, made, rank=rank - 2, product=node.key)


def _add_ancestry(drawing: _Drawing) -> None:
    """The model's own builds lead to the model; those of a parent lead to it wherever it is drawn first."""
    for generation, builds in enumerate(drawing.ancestry.generations):
        rank = _MODEL_RANK - 1 - 2 * generation
        for build in builds:
            product = MODEL_KEY if generation == 0 else f"{rank + 1}:{build.product.sha256}"
            if product in drawing.nodes:
                _add_build(drawing, build, rank=rank, product=product)
            else:
                drawing.left_out.add(f"run:{build.attestation.statement.sha256}")


def _add_evaluation(drawing: _Drawing, attestation: VerifiedAttestation, evaluation: predicates.Evaluation) -> None:
    run = drawing.run(attestation, rank=_MODEL_RANK + 1, kind="Evaluation", code=evaluation.measurer)
    if not drawing.link(run, MODEL_KEY, run.standing):
        return
    node = drawing.ingredient(
        rank=_MODEL_RANK + 2, kind="Test data", name=evaluation.dataset.name, digest=evaluation.dataset.digest.sha256
    )
    drawing.link(node, run.key, run.standing)


def _pairs(drawing: _Drawing) -> Iterator[tuple[Node, Node]]:
    """Data that the model has seen, and test data; each pair once, training data before what a transform read."""
    seen = [node for node in drawing.nodes.values() if node.kind in {_TRAINING, _READ}]
    seen.sort(key=lambda node: (node.kind != _TRAINING, -node.rank))
    first: dict[str, Node] = {}
    for node in seen:
        first.setdefault(node.digest, node)
    for left in first.values():
        for right in drawing.nodes.values():
            if right.rank == _MODEL_RANK + 2:
                yield left, right


def _overlaps(drawing: _Drawing) -> Iterator[Edge]:
    for left, right in _pairs(drawing):
        standing, label = right.standing, ""
        if left.digest == right.digest:
            label = "the same dataset"
        for one, other in ((right, left), (left, right)):
            if not label and (found := _overlap_label(drawing.sheets.get(one.digest), one, other)):
                standing, label = one.standing, found
        if not label:
            standing, label = _common_origin(drawing, left.digest, right.digest)
        if label:
            yield Edge(start=left.key, end=right.key, standing=standing, overlap=True, label=label)


def _overlap_label(sheet: VerifiedAttestation | None, one: Node, other: Node) -> str | None:
    if sheet is None or not isinstance(sheet.predicate, predicates.Dataset):
        return None
    for overlap in sheet.predicate.overlaps:
        if overlap.dataset.digest.sha256 == other.digest:
            side = "test" if one.rank > _MODEL_RANK else "training" if one.kind == _TRAINING else "read"
            return f"overlap: {_text.count(overlap.rows)} {side} rows"
    return None


def _common_origin(drawing: _Drawing, left: str, right: str) -> tuple[Standing, str]:
    """Whether two datasets were made of one, by the word of whoever made them."""
    one, other = ({item.artifact.sha256 for item in origin(drawing.ancestry, each)} for each in (left, right))
    if not one & other:
        return "unverified", ""
    builds = [build for sha256 in (left, right) for build in drawing.ancestry.preparations.get(sha256, ())]
    verified = all(drawing.origins.standing(build.attestation) == "verified" for build in builds)
    return "verified" if verified else "unverified", "parts of one dataset"


def graph(
    appraisal: Appraisal, origins: Origins, ancestry: Ancestry, about_model: Sequence[VerifiedAttestation]
) -> Graph:
    """The lineage of the model out of the attestations about it and its parents, verified ones first."""
    drawing = _Drawing(appraisal, origins, ancestry)
    drawing.add(
        Node(
            key=MODEL_KEY,
            rank=_MODEL_RANK,
            kind="Model",
            name=appraisal.model_name,
            digest=appraisal.model,
            signers="",
            tee="",
            standing="verified" if appraisal.accepted else "unverified",
        )
    )
    _add_ancestry(drawing)
    for attestation in about_model:
        if isinstance(attestation.predicate, predicates.Evaluation):
            _add_evaluation(drawing, attestation, attestation.predicate)
    return Graph(
        nodes=tuple(sorted(drawing.nodes.values(), key=lambda node: node.rank)),
        edges=(*drawing.edges, *_overlaps(drawing)),
        omitted=len(drawing.left_out),
    )
