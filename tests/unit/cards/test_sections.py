"""What is measured now is shown, in tables that stay readable, with the reason where something has no value."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import Any

import pytest

from lamslsa import predicates, statement, verification
from lamslsa.cards import render
from lamslsa.cards._build import build
from lamslsa.cards._evaluations import _label
from lamslsa.cards.view import Card
from lamslsa.policy.appraisal import Planned
from lamslsa.predicates import dataset, evaluation, evaluation_plan, model, provenance
from lamslsa.verification import VerifiedPlan
from tests.unit.cards import wires


def card_of(sample: Any, *attestations: Any, qualifying: tuple[Any, ...] = ()) -> Card:
    return build(dataclasses.replace(sample.appraise(), attestations=attestations, qualifying=qualifying, rules=()))


def evaluated(sample: Any, *metrics: Any) -> Any:
    wire = sample.evaluation_wire() | {"metrics": list(metrics)}
    return card_of(sample, sample.evaluated(wire)).evaluations.shown[0]


def about(sample: Any, kind: str, wire: Any, digest: str | None = None) -> Any:
    return sample.attestation("one", digest or sample.MODEL, kind, wire, "x")


def test_classes_are_rows_and_their_metrics_columns(sample: Any) -> None:
    names = ("precision", "recall", "f1")
    metrics = [wires.metric(name, 0.1 * number, parameters={"class": number}) for number in range(3) for name in names]
    (table,) = evaluated(sample, *metrics).tables
    assert (table.title, table.columns, [each.value for each in table.metrics]) == (
        "By class", ("class",), ["Precision", "Recall", "F1 score"]
    )  # fmt: skip
    assert [row.groups for row in table.rows] == [("0",), ("1",), ("2",)]
    assert [measure and measure.value for measure in table.rows[2].measures] == [0.2, 0.2, 0.2]


def test_a_confusion_matrix_is_a_matrix(sample: Any) -> None:
    metrics = [
        wires.metric("confusion", (label + prediction) / 10, parameters={"label": label, "prediction": prediction})
        for label in range(3)
        for prediction in range(3)
    ]
    (table,) = evaluated(sample, *metrics).tables
    assert table.columns == ("label",)
    assert [each.value for each in table.metrics] == ["prediction 0", "prediction 1", "prediction 2"]
    assert [[measure and measure.value for measure in row.measures] for row in table.rows] == [
        [0.0, 0.1, 0.2], [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]
    ]  # fmt: skip


def test_what_all_rows_have_in_common_stands_in_the_title(sample: Any) -> None:
    metrics = [wires.metric("robust_accuracy", parameters={"norm": "L2", "epsilon": each}) for each in (0.5, 1)]
    (table,) = evaluated(sample, *metrics).tables
    assert (table.title, table.columns) == ("By epsilon, norm L2", ("epsilon",))
    assert [row.groups for row in table.rows] == [("0.5",), ("1",)]


def test_a_parameter_of_another_type_is_another_row(sample: Any) -> None:
    metrics = [wires.metric("f1", 0.5, parameters={"class": each}) for each in ("1x", 1, True)]
    (table,) = evaluated(sample, *metrics).tables
    assert [row.groups for row in table.rows] == [("1x",), ("1",), ("true",)]


def test_metrics_of_one_name_and_different_parameters_are_never_one(sample: Any) -> None:
    ball = {"norm": "Linf", "epsilon": 0.1}
    shown = evaluated(
        sample,
        wires.metric("robust_accuracy", 0.9),
        wires.metric("robust_accuracy", 0.6, parameters=ball),
        wires.metric("robust_accuracy", 0.3, parameters={**ball, "attack": "square"}),
        wires.metric("robust_accuracy", 0.2, parameters=ball, slice={"sex": "Male"}),
        wires.metric("robust_accuracy", 0.1, parameters=ball, groups=["sex"]),
    )
    assert [measure.value for measure in shown.overall.shown] == [0.9]
    assert [[m and m.value for row in table.rows for m in row.measures] for table in shown.tables] == [
        [0.6], [0.3], [0.2], [0.1]
    ]  # fmt: skip
    assert shown.tables[3].title == "By epsilon × norm, groups sex"
    assert shown.differences.shown == ()


@pytest.mark.parametrize(("classes", "rows"), [(60, 60), (1000, 60)])
def test_many_classes_are_capped_and_counted(sample: Any, classes: int, rows: int) -> None:
    names = ("precision", "recall")
    metrics = [wires.metric(name, parameters={"class": each}) for each in range(classes) for name in names]
    shown = evaluated(sample, *metrics)
    assert len(shown.tables[0].rows) == rows
    assert shown.omitted == 2 * (classes - rows)


def test_many_kinds_of_parameters_are_capped_and_counted(sample: Any) -> None:
    shown = evaluated(sample, *(wires.metric("f1", parameters={f"p{number}": 1}) for number in range(1000)))
    assert (len(shown.tables), shown.omitted) == (24, 976)


def test_undefined_values_keep_their_reason(sample: Any) -> None:
    undefined = {"name": "membership_tpr", "samples": 5, "undefined": "too few", "parameters": {"rate": 0.1}}
    (measure,) = evaluated(sample, undefined).tables[0].rows[0].measures
    assert (measure.text, measure.value) == ("undefined: too few", None)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("log_loss", "Log loss"),
        ("f1", "F1 score"),
        ("<b>", "<b>"),
        ("_", "_"),
        ("Accuracy", "Accuracy"),
        ("accuracy ", "accuracy "),
        ("асcuracy", "асcuracy"),
    ],
)
def test_only_plain_names_become_words(name: str, label: str) -> None:
    assert _label(name) == label


def test_counts_read_as_counts(sample: Any) -> None:
    shown = evaluated(sample, {"name": "members", "samples": 9, "value": 32561.0})
    assert shown.overall.shown[0].text == "32,561"


def test_an_evaluation_by_a_plan_says_since_when(sample: Any) -> None:
    def shown(appraisal: Any) -> list[str]:
        facts = build(appraisal).evaluations.shown[0].facts
        return [fact.value for fact in facts if fact.name == "plan"]

    made = _plan()
    named = sample.evaluated(sample.evaluation_wire() | {"plan": {"digest": {"sha256": made.statement.sha256}}})
    base = dataclasses.replace(sample.appraise(), attestations=(named,), qualifying=(named,), rules=())
    text = f"sha256:{made.statement.sha256}"
    assert shown(base) == [f"{text}, named by the evaluation; no satisfied rule asks for it"]
    at = dt.datetime(2026, 11, 13, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    planned = dataclasses.replace(base, planned={named.statement.sha256: Planned(plan=made, at=at)})
    assert shown(planned) == [f"as planned on 2026-11-12, plan {text}"]
    assert f"as planned on 2026-11-12, plan {text}" in render(planned, format="html")
    other = dataclasses.replace(base, planned={"f" * 64: Planned(plan=made, at=at)})
    assert shown(other) == shown(base), "a plan of another evaluation"
    assert shown(sample.appraise()) == []


def _plan() -> VerifiedPlan:
    settings = dict(evaluation.DEFAULT_CONFIGURATIONS["tabular-evaluation/1"])
    digest = {"sha256": "a" * 64}
    wire = {
        "kind": "dataset",
        "dataset": {"name": "x", "digest": digest, "schemaDigest": digest},
        "measurer": {"name": "tabular-evaluation", "version": "1"},
        "configuration": settings,
        "configurationDigest": {"sha256": predicates.configuration_digest(settings)},
    }
    subject = statement.Subject(name="x", sha256="a" * 64)
    parsed = statement.parse(statement.make([subject], evaluation_plan.PREDICATE_TYPE, wire))
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, predicates.EvaluationPlan)
    return VerifiedPlan(statement=parsed, predicate=predicate, signatures=(), seal=verification._SEAL)


def test_references_say_whether_the_model_was_made_with_them(sample: Any) -> None:
    wire = wires.robustness("x", sample.TEST, sample.TRAIN)
    attack = about(sample, evaluation.PREDICATE_TYPE, wire)
    named = card_of(sample, attack, sample.training()).evaluations.shown[0].references.shown
    assert [fact.name for fact in named] == ["x: model x", "train: dataset x (training data (not verified))"]
    unnamed = card_of(sample, attack).evaluations.shown[0].references.shown
    assert unnamed[1].name == "train: dataset x (named by no provenance of this model)"
    assert unnamed[1].value == f"sha256:{sample.TRAIN}"


def test_a_third_party_is_named_wherever_its_code_measured(sample: Any) -> None:
    attack = wires.robustness("x", sample.TEST, sample.TRAIN)
    attack["measurer"] = wires.measurer("tabular-evaluation", third="pkg:pypi/acme@1.2")
    card = card_of(sample, about(sample, evaluation.PREDICATE_TYPE, attack))
    shown = card.evaluations.shown[0]
    words = f"tabular-evaluation/1 of pkg:pypi/acme@1.2 (sha256:{wires.SHA['sha256'][:12]}…)"
    assert shown.facts[0].value == f"third party: {words}"
    assert [(notice.name, notice.value) for notice in shown.notices] == [("Computed by a third party's code", words)]
    assert [node.kind for node in card.graph.nodes if node.rank == 3] == ["Evaluation, third party"]


def test_no_long_name_hides_a_third_party(sample: Any) -> None:
    attack = wires.robustness("x", sample.TEST, sample.TRAIN)
    attack["measurer"] = {**wires.measurer("n" * 256, third="pkg:pypi/" + "u" * 5000), "version": "v" * 256}
    base = sample.appraise()
    for format_ in ("html", "markdown"):
        appraisal = dataclasses.replace(base, attestations=(about(sample, evaluation.PREDICATE_TYPE, attack),))
        page = render(appraisal, format=format_)
        assert "third party: nnn" in page
        assert re.search(r"of pkg:pypi/u+… \(sha256:", page)


@pytest.fixture
def sheet(sample: Any) -> Any:
    wire = wires.datasheet("x")
    wire["measurer"] = wires.measurer("tabular-dataset")
    return card_of(sample, about(sample, dataset.PREDICATE_TYPE, wire, sample.TEST)).datasets.shown[0]


def test_every_property_of_a_datasheet_has_its_table(sheet: Any) -> None:
    rows = {table.title.partition(":")[0]: table.rows.shown for table in sheet.tables}
    assert rows == {
        "Requirements": (
            ('x = "x"', "30 %", "Wilson lower bound, 95 %", "NO", "100"),
            ("sex = missing", "10 %", "count", "yes", "100"),
        ),
        "Columns of numbers": (
            ("x", "99", "1", "17.0000", "90.0000", "38.5816", "13.6400", "0.5: 37.0000"),
            ("x", "0", "100", "none", "none", "none", "none", "undefined: x"),
        ),
        "Anonymity": (("x × race", "100", "20", "2", "below 3: 6"),),
        "What classes give away": (
            ("x × race", "x", "1", "1.5000", "0.2500, equal distance"),
            ("x × race", "x", "1", "1.5000", "undefined: x"),
        ),
        "Drift": (
            ("x", f"{wires.RAW[:12]}… x", "100 against 200", "0.0312", "0.0500 (p 0.4000, asymptotic)"),
            ("x", f"{wires.RAW[:12]}… x", "100 against 200", "undefined: x", "undefined: x"),
        ),
        "Near duplicates": (("x", "11 of 90", "7", "0.8", "0.9996"),),
        "Runs of words that occur elsewhere": (
            (f"{wires.RAW[:12]}… x, column x with x", "13", "4 of 90", "40 of 1,000", "44 of 1,100"),
        ),
    }


def test_conditional_shares_are_of_their_own_group(sheet: Any) -> None:
    balance, conditional = sheet.distributions.shown
    assert [share.label for share in balance.shares.shown] == ["0 (x)"]
    assert [(share.label, share.share) for share in conditional.shares.shown] == [
        ("x: x", "25.0 %"), ("x: missing", "75.0 %"), ("missing: x", "100.0 %")
    ]  # fmt: skip


def test_withheld_is_neither_zero_nor_unmeasured(sheet: Any, sample: Any) -> None:
    facts = {fact.name: fact.value for fact in sheet.facts}
    assert facts["duplicate rows"] == "not disclosed"
    assert [(fact.name, fact.value) for fact in sheet.withheld.shown] == [
        ("/duplicates", f"sha256:{wires.SHA['sha256']}"), ("/distributions/0", "without a commitment")
    ]  # fmt: skip
    assert "Values are withheld" in {notice.name for notice in sheet.notices}
    wire = wires.datasheet("x") | {"withheld": []}
    other = card_of(sample, about(sample, dataset.PREDICATE_TYPE, wire)).datasets.shown[0]
    assert {fact.name: fact.value for fact in other.facts}["duplicate rows"] == "not measured"


def test_images_and_texts_have_sizes(sample: Any) -> None:
    shown = card_of(sample, about(sample, dataset.PREDICATE_TYPE, wires.pictures())).datasets.shown[0]
    facts = {fact.name: fact.value for fact in shown.facts}
    assert (facts["image size"], facts["words"]) == ("28 × 32 pixels", "2,345")
    assert "columns" not in facts
    assert shown.tables[0].rows.shown[0] == ("red", "33.5000", "70.1000")
    assert [notice.name for notice in shown.notices] == ["Only requirements are disclosed"]


@pytest.mark.parametrize("schema", [{}, {"label": 1}, {"label": {"classes": [1]}}, {"label": {"classes": {"a": "0"}}}])
def test_classes_without_names_stay_numbers(sample: Any, schema: Any) -> None:
    wire = wires.datasheet("x") | {"schema": schema}
    shown = card_of(sample, about(sample, dataset.PREDICATE_TYPE, wire)).datasets.shown[0]
    assert shown.distributions.shown[0].shares.shown[0].label == "0"


def test_a_private_training_says_what_it_promises(sample: Any) -> None:
    wire = wires.private_training("means", sample.TRAIN)
    shown = card_of(sample, about(sample, provenance.PREDICATE_TYPE, wire)).trainings.shown[0]
    (notice,) = shown.notices
    assert (notice.name, notice.value) == (
        "Differentially private training", "epsilon 2.75 at delta 1e-05, accountant prv; without means"
    )  # fmt: skip
    assert {fact.name for fact in shown.privacy.shown} >= {"epsilon", "delta", "accountant"}


def test_own_training_code_is_said_to_be_so_and_its_privacy_means_nothing(sample: Any) -> None:
    wire = wires.own_training("x", sample.TRAIN)
    card = card_of(sample, about(sample, provenance.PREDICATE_TYPE, wire))
    shown = card.trainings.shown[0]
    assert (shown.kind, shown.privacy.shown) == ("Own training", ())
    assert [notice.name for notice in shown.notices] == ["Training code of the user's own"]
    assert wires.SHA["sha256"] in shown.notices[0].value
    assert "privacy" in {fact.name for fact in shown.parameters.shown}
    assert [row.kind for row in card.statements.shown] == ["own training"]


def test_privacy_by_a_third_party_is_a_parameter_like_any_other(sample: Any) -> None:
    wire = wires.private_training("x", sample.TRAIN)
    wire["buildDefinition"]["externalParameters"]["trainer"] = wires.measurer("tabular-mlp", third="pkg:pypi/acme@1")
    shown = card_of(sample, about(sample, provenance.PREDICATE_TYPE, wire)).trainings.shown[0]
    assert [notice.name for notice in shown.notices] == ["Computed by a third party's code"]
    assert shown.privacy.shown == ()


def test_findings_come_first_and_unknown_files_are_never_harmless(sample: Any) -> None:
    wire = wires.properties("x")
    one = about(sample, model.PREDICATE_TYPE, wire)
    card = card_of(sample, one, qualifying=(one,))
    assert [alert.text for alert in card.alerts] == [
        "Files of this model can run code when a usual loader reads them: files 1, findings 1.",
        "Files of this model could not be looked into, and are not known to be harmless: files 1, findings 0.",
    ]
    (shown,) = card.properties.shown
    assert [(row[0], row[2]) for row in shown.files.rows.shown] == [
        ("x.pkl", "can run code"), ("blob", "could not be looked into"), ("model.safetensors", "nothing found")
    ]  # fmt: skip
    assert shown.findings.rows.shown[0][:3] == ("x.pkl!member", "can run code", "pickle")
    assert "safe" not in " ".join(cell for row in shown.files.rows.shown for cell in row[1:3]).split()
    page = render(dataclasses.replace(sample.appraise(), attestations=(one,)), format="html")
    assert page.index("can run code when a usual loader") < page.index('id="rules"')


@pytest.mark.parametrize(
    ("severities", "code"),
    [({"code": 0, "unknown": 0, "notice": 0}, "1"), ({"code": 7, "unknown": 0}, "7"), ({}, "1")],
)
def test_the_worse_of_count_and_list_is_shown(sample: Any, severities: Any, code: str) -> None:
    wire = wires.properties("x") | {"severities": severities}
    shown = card_of(sample, about(sample, model.PREDICATE_TYPE, wire)).properties.shown[0]
    assert shown.facts[0].value == code


def test_severities_that_are_not_stated_are_no_zeros(sample: Any) -> None:
    wire = wires.properties("x") | {"severities": {}, "findings": [], "files": []}
    card = card_of(sample, about(sample, model.PREDICATE_TYPE, wire))
    assert card.properties.shown[0].facts[0].value == "not stated"
    assert len(card.alerts) == 2


def test_a_model_of_plain_data_raises_no_alarm(sample: Any) -> None:
    wire = wires.properties("x")
    wire |= {"severities": {"code": 0, "unknown": 0, "notice": 0}, "findings": [], "files": wire["files"][:1]}
    assert card_of(sample, about(sample, model.PREDICATE_TYPE, wire)).alerts == ()


def test_properties_of_another_model_raise_no_alarm(sample: Any) -> None:
    card = card_of(sample, about(sample, model.PREDICATE_TYPE, wires.properties("x"), "a" * 64))
    assert (card.alerts, card.properties.shown) == ((), ())


def test_one_inference_shows_its_sides(sample: Any) -> None:
    kind = "https://lamslsa.dev/inference/v1"
    open_, closed = (about(sample, kind, wires.answers("x", 1, disclosed=each)) for each in (True, False))
    (shown,) = card_of(sample, open_).inferences.shown
    assert shown.title == "One inference"
    assert [(fact.name, fact.value) for fact in (*shown.input.shown, *shown.output.shown)] == [
        ("x", "x"), ("probability", "0.75")
    ]  # fmt: skip
    (hidden,) = card_of(sample, closed).inferences.shown
    assert hidden.input.shown[0].name == "not disclosed, commitment"


def test_many_inferences_are_a_root_and_what_is_disclosed(sample: Any) -> None:
    one = about(sample, "https://lamslsa.dev/inference/v1", wires.answers("x", 5_000))
    (shown,) = card_of(sample, one).inferences.shown
    facts = {fact.name: fact.value for fact in shown.facts}
    assert shown.title == "5,000 inferences"
    assert (facts["inputs"], facts["outputs"]) == ("commitments in the records", "values in the records")
    assert facts["root of the tree"] == wires.SHA["sha256"]


def test_sections_without_statements_are_left_out(sample: Any) -> None:
    page = render(sample.appraise(), format="html")
    assert 'id="properties"' not in page
    assert 'id="inferences"' not in page
