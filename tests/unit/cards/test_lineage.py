"""The lineage leads through transforms and preprocessing, and comes to an end whatever anybody states."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

from lamslsa.cards import render
from lamslsa.cards._build import build
from lamslsa.predicates import provenance
from tests.unit.cards import wires


def made(sample: Any, digest: str, wire: Any) -> Any:
    return sample.attestation("one", digest, provenance.PREDICATE_TYPE, wire, "trainer")


def derived(sample: Any, model: str, parent: str) -> Any:
    return made(sample, model, wires.transform("p", sample.TRAIN, parent))


def test_the_training_of_a_parent_is_drawn_and_shown(sample: Any) -> None:
    child = derived(sample, sample.MODEL, wires.PARENT)
    parent = made(sample, wires.PARENT, wires.private_training("means", sample.TRAIN))
    base = sample.appraise()
    attestations = (*base.attestations[:2], child, parent, base.attestations[3])
    card = build(dataclasses.replace(base, attestations=attestations, qualifying=(child, parent)))
    nodes = {node.key: node for node in card.graph.nodes}
    assert [(node.rank, node.kind) for node in card.graph.nodes] == [
        (-2, "Training data"), (-1, "Training"), (0, "Data read"), (0, "Parent model"), (1, "Transform"), (2, "Model"),
        (3, "Evaluation"), (4, "Test data"),
    ]  # fmt: skip
    found = {(nodes[edge.start].kind, nodes[edge.end].kind) for edge in card.graph.edges if not edge.overlap}
    assert found == {
        ("Training data", "Training"), ("Training", "Parent model"), ("Parent model", "Transform"),
        ("Data read", "Transform"), ("Transform", "Model"), ("Evaluation", "Model"), ("Test data", "Evaluation"),
    }  # fmt: skip
    assert [edge.label for edge in card.graph.edges if edge.overlap] == ["overlap: 23 test rows"]
    assert [(each.kind, each.about) for each in card.trainings.shown] == [
        ("Transform", ""), ("Training", "parent of this model")
    ]  # fmt: skip
    about = {row.source.statement: row.about for row in card.statements.shown}
    assert about[parent.statement.sha256] == "parent of this model"
    roles = {each.reference.name: each.role for each in card.datasets.shown}
    assert roles["census-train"] == "training data of a parent and data read by a transform"


def test_a_parent_is_as_good_as_the_provenance_of_its_own(sample: Any) -> None:
    child = derived(sample, sample.MODEL, wires.PARENT)
    parent = made(sample, wires.PARENT, wires.private_training("means", sample.TRAIN))

    def standing(*attestations: Any, qualifying: tuple[Any, ...]) -> tuple[str, str]:
        base = sample.appraise()
        graph = build(dataclasses.replace(base, attestations=attestations, qualifying=qualifying, rules=())).graph
        return next((node.standing, node.signers) for node in graph.nodes if node.kind == "Parent model")

    assert standing(child, parent, qualifying=(child, parent)) == ("verified", "trainer")
    assert standing(child, parent, qualifying=(child,)) == ("unverified", "trainer")
    assert standing(child, qualifying=(child,)) == ("unverified", "no attestation")


def test_the_evaluation_of_a_parent_is_not_drawn(sample: Any) -> None:
    child = derived(sample, sample.MODEL, wires.PARENT)
    foreign = sample.evaluated(model=wires.PARENT)
    card = build(dataclasses.replace(sample.appraise(), attestations=(child, foreign), qualifying=(child, foreign)))
    assert card.evaluations.shown == ()
    assert all(node.rank < 3 for node in card.graph.nodes)
    assert [row.about for row in card.statements.shown if row.kind == "evaluation"] == ["parent of this model"]


def test_a_cycle_comes_to_an_end(sample: Any) -> None:
    forth, back = derived(sample, sample.MODEL, wires.PARENT), derived(sample, wires.PARENT, sample.MODEL)
    own = derived(sample, sample.MODEL, sample.MODEL)
    appraisal = dataclasses.replace(sample.appraise(), attestations=(forth, back, own), qualifying=())
    card = build(appraisal)
    assert {node.kind for node in card.graph.nodes} == {"Model", "Transform", "Parent model", "Data read"}
    assert len(card.trainings.shown) == 3
    assert "Transform" in render(appraisal, format="markdown")
    assert render(appraisal, format="html").count('<svg class="lineage') == 2


def test_distant_ancestors_are_counted(sample: Any) -> None:
    line = [sample.MODEL, *(wires.digest(f"ancestor {number}") for number in range(30))]
    chain = [derived(sample, child, parent) for child, parent in pairwise(line)]
    appraisal = dataclasses.replace(sample.appraise(), attestations=tuple(chain), qualifying=())
    card = build(appraisal)
    assert min(node.rank for node in card.graph.nodes) == -6
    assert card.graph.omitted == 1
    assert len(card.trainings.shown) == 4
    assert 'class="lineage wide deep"' in render(appraisal, format="html")


def test_a_dataset_made_of_another_says_so(sample: Any) -> None:
    prepared = [made(sample, digest, wires.preprocessing(name)) for digest, name in
                ((sample.TRAIN, "train"), (sample.TEST, "test"))]  # fmt: skip
    base = sample.appraise()
    attestations = (sample.train_sheet(), *prepared, sample.training(), sample.evaluated())
    card = build(dataclasses.replace(base, attestations=attestations, qualifying=(prepared[0],), rules=()))
    assert [(node.rank, node.kind) for node in card.graph.nodes][:3] == [
        (-2, "Source data"), (-1, "Preprocessing"), (0, "Training data")
    ]  # fmt: skip
    joined = [(edge.label, edge.standing) for edge in card.graph.edges if edge.overlap]
    assert joined == [("parts of one dataset", "unverified")]
    shown = card.preparations.shown
    assert {(each.kind, each.about) for each in shown} == {("Preprocessing", "dataset")}
    assert [notice.name for notice in shown[0].notices] == ["Learned from rows"]
    assert shown[0].tables[0].rows.shown[0][1:3] == ("train: 1,000", "train: 700, test: 300")
    assert {row.kind for row in card.statements.shown} >= {"preprocessing"}


def test_a_dataset_that_nobody_used_is_not_drawn(sample: Any) -> None:
    stray = made(sample, wires.digest("stray"), wires.preprocessing("x"))
    card = build(dataclasses.replace(sample.appraise(), attestations=(stray,), qualifying=(stray,)))
    assert [node.kind for node in card.graph.nodes] == ["Model"]
    assert [row.about for row in card.statements.shown] == ["not linked to this model"]
