from __future__ import annotations

import dataclasses
from typing import Any

from lamslsa.cards._build import build
from lamslsa.cards._source import MAX_ITEMS, listing
from lamslsa.policy.appraisal import Appraisal


def test_standing_comes_from_what_the_policy_relied_on(accepted: Appraisal, refused: Appraisal) -> None:
    assert {row.source.standing for row in build(accepted).statements.shown} == {"verified"}
    card = build(refused)
    assert [(row.kind, row.source.standing) for row in card.statements.shown] == [
        ("datasheet", "verified"),
        ("datasheet", "verified"),
        ("training", "verified"),
        ("evaluation", "unverified"),
    ]
    assert card.evaluations.shown[0].source.standing == "unverified"
    assert card.evaluations.shown[0].source.rules == ()


def test_nothing_is_verified_when_nothing_qualifies(accepted: Appraisal) -> None:
    card = build(dataclasses.replace(accepted, qualifying=()))
    sections: tuple[Any, ...] = (*card.evaluations.shown, *card.datasets.shown, *card.trainings.shown)
    assert {section.source.standing for section in sections} == {"unverified"}
    assert {quote.standing for quote in card.evidence.shown} == {"unverified"}
    assert {node.standing for node in card.graph.nodes if node.rank != 2} == {"unverified"}
    assert {edge.standing for edge in card.graph.edges} == {"unverified"}
    assert all(rule.unverified for rule in card.rules)


def test_another_models_evaluation_says_nothing_about_this_one(sample: Any) -> None:
    foreign = sample.evaluated(model="a" * 64)
    base = sample.appraise()
    card = build(dataclasses.replace(base, attestations=(*base.attestations[:3], foreign), qualifying=(foreign,)))
    assert card.evaluations.shown == ()
    assert [row.about for row in card.statements.shown if row.kind == "evaluation"] == ["another model"]
    assert all(node.rank < 3 for node in card.graph.nodes)


def test_a_dataset_used_only_by_an_unverified_statement_says_so(refused: Appraisal) -> None:
    roles = {dataset.reference.name: dataset.role for dataset in build(refused).datasets.shown}
    assert roles == {"census-train": "training data", "census-test": "test data (not verified)"}


def test_lineage_has_all_parts_and_the_overlap(accepted: Appraisal) -> None:
    graph = build(accepted).graph
    kinds = [(node.rank, node.kind, node.signers) for node in graph.nodes]
    assert kinds == [
        (0, "Training data", "data-owner"),
        (1, "Training", "trainer"),
        (2, "Model", ""),
        (3, "Evaluation", "auditor"),
        (4, "Test data", "data-owner"),
    ]
    assert [edge.label for edge in graph.edges if edge.overlap] == ["overlap: 23 test rows"]
    assert len(graph.edges) == 5


def test_evaluation_on_the_training_set_is_drawn_as_such(sample: Any) -> None:
    wire = sample.evaluation_wire()
    wire["dataset"]["digest"] = {"sha256": sample.train_sheet().statement.subjects[0].sha256}
    metrics = sample.evaluated(wire)
    base = sample.appraise()
    card = build(dataclasses.replace(base, attestations=(*base.attestations[:3], metrics), qualifying=(metrics,)))
    assert [edge.label for edge in card.graph.edges if edge.overlap] == ["the same dataset"]
    assert card.datasets.shown[0].role == "training data (not verified) and test data"


def test_a_dataset_without_datasheet_is_not_verified(accepted: Appraisal) -> None:
    graph = build(dataclasses.replace(accepted, attestations=accepted.attestations[2:])).graph
    assert {(node.signers, node.standing) for node in graph.nodes if node.rank in {0, 4}} == {
        ("no datasheet", "unverified")
    }


def test_metrics_read_with_interval_samples_and_reason(accepted: Appraisal) -> None:
    evaluation = build(accepted).evaluations.shown[0]
    first = evaluation.overall.shown[0]
    assert (first.label, first.text, first.samples) == ("Accuracy", "0.8549 (0.8495–0.8603)", "16,281")
    assert first.method == "95 % Wilson"
    assert evaluation.overall.shown[1].method == "95 % bootstrap × 1,000"
    assert [(each.name, each.groups) for each in evaluation.differences.shown][:2] == [
        ("demographic_parity_difference", "sex"),
        ("demographic_parity_difference", "race"),
    ]
    table = evaluation.tables[0]
    assert table.columns == ("sex", "race")
    assert table.references == (0.8549, None)
    assert len(table.rows) == 10
    undefined = table.rows[4].measures[1]
    assert undefined is not None
    assert undefined.text == "undefined: no positive rows in this slice"


def test_a_second_value_for_one_slice_is_not_hidden(sample: Any) -> None:
    wire = sample.evaluation_wire()
    wire["metrics"].append(wire["metrics"][-1] | {"value": 0.111})
    metrics = sample.evaluated(wire)
    base = sample.appraise()
    card = build(dataclasses.replace(base, attestations=(metrics,), qualifying=(metrics,)))
    rows = card.evaluations.shown[0].tables[0].rows
    assert len(rows) == 11
    assert any(measure and measure.value == 0.111 for measure in rows[-1].measures)


def test_what_is_left_out_is_counted(sample: Any) -> None:
    assert listing(range(5), limit=3).omitted == 2
    wire = sample.evaluation_wire()
    wire["metrics"] += [wire["metrics"][-1]] * MAX_ITEMS
    metrics = sample.evaluated(wire)
    card = build(dataclasses.replace(sample.appraise(), attestations=(metrics,), qualifying=()))
    assert card.evaluations.shown[0].omitted == 20


def test_many_runs_are_counted_and_not_drawn(sample: Any) -> None:
    runs = []
    for index in range(7):
        wire = sample.evaluation_wire()
        wire["metrics"][0]["value"] = index / 10
        runs.append(sample.evaluated(wire))
    card = build(dataclasses.replace(sample.appraise(), attestations=tuple(runs), qualifying=(runs[6],)))
    drawn = [node for node in card.graph.nodes if node.rank == 3]
    assert len(drawn) == 4
    assert card.graph.omitted == 3
    assert drawn[0].standing == "verified"


def test_a_quote_is_verified_only_if_it_is_clear_that_it_counted(sample: Any) -> None:
    one = sample.evaluated(evidence=(sample.evidence("a"), sample.evidence("b", simulated=False)))
    card = build(dataclasses.replace(sample.appraise(), attestations=(one,), qualifying=(one,), rules=()))
    assert [quote.standing for quote in card.evidence.shown] == ["unverified", "unverified"]
    assert card.simulation == "Simulated TEE: no hardware vouches for values whose TEE reads SIMULATED."
    assert card.statements.shown[0].source.tee == "sgx; sgx, SIMULATED"


def test_simulation_is_said_unless_there_is_none(sample: Any, accepted: Appraisal) -> None:
    assert build(accepted).simulation == "Simulated TEE: no hardware vouches for these values."
    real = sample.evaluated(evidence=(sample.evidence("a", simulated=False),))
    assert build(dataclasses.replace(accepted, attestations=(real,), qualifying=(real,), rules=())).simulation == ""


def test_debug_and_advisories_stand_beside_the_tcb_status(sample: Any) -> None:
    one = sample.evaluated(evidence=(sample.evidence("a", debug=True, advisories=("INTEL-SA-00615",)),))
    card = build(dataclasses.replace(sample.appraise(), attestations=(one,), qualifying=()))
    assert card.evidence.shown[0].tcb == "UpToDate, debug, INTEL-SA-00615"


def test_verdicts(accepted: Appraisal, refused: Appraisal) -> None:
    verdict = build(accepted).verdict
    assert (verdict.headline, verdict.exit_code, verdict.summary) == ("Accepted", 0, "All 6 rules are satisfied.")
    verdict = build(refused).verdict
    assert (verdict.headline, verdict.exit_code, verdict.refused) == ("Refused", 5, ("accurate", "fair by sex"))
    assert verdict.summary.startswith("4 of 6 rules satisfied; exit code 5: ")


def test_an_empty_appraisal_is_refused_and_can_be_shown(sample: Any) -> None:
    card = build(sample.appraise(rules=(), attestations=(), qualifying=()))
    assert not card.verdict.accepted
    assert card.verdict.exit_code == 4
    assert [node.kind for node in card.graph.nodes] == ["Model"]


def test_what_the_host_reports_is_declared_and_apart(accepted: Appraisal) -> None:
    training = build(accepted).trainings.shown[0]
    assert "cpu" in {fact.name for fact in training.reported.shown}
    assert "cpu" not in {fact.name for fact in (*training.facts, *training.parameters.shown)}
    assert [(fact.name, fact.value) for fact in training.packages][1] == ("torch", "2.13.0+cpu")


def test_rules_that_fail_alike_stand_together(refused: Appraisal) -> None:
    (miss,) = build(refused).misses
    assert miss.rules == ("accurate", "fair by sex")
    first = dataclasses.replace(refused.rules[2], mend="another way")
    apart = dataclasses.replace(refused, rules=(*refused.rules[:2], first, *refused.rules[3:]))
    assert [each.rules for each in build(apart).misses] == [("accurate",), ("fair by sex",)]
