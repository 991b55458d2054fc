"""The job file: nothing implied, nothing ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lamslsa.errors import FormatError
from lamslsa.measure import Job
from lamslsa.measure.declarations import Compared
from lamslsa.measure.training.settings import Adam
from lamslsa.predicates import configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS
from lamslsa.testing.measuring import tabular_evaluation, tabular_training

MakeJob = Callable[..., Job]


def test_everything_is_read(job: Job) -> None:
    training, evaluation = tabular_training(job), tabular_evaluation(job)
    assert list(job.datasets) == ["people-train", "people-test"]
    assert (training.hidden, training.settings.epochs, training.settings.batch_size) == ((8, 4), 3, 32)
    assert training.settings.optimizer == Adam(learning_rate=0.01, weight_decay=0.0)
    assert training.settings.seed == 7
    assert training.drop == ("score",)
    assert training.dataset is job.dataset("people-train")
    assert evaluation.dataset is job.dataset("people-test")
    assert evaluation.groups == (("sex",), ("race",))
    assert evaluation.slices == (("sex", "race"),)
    test = job.dataset("people-test")
    assert test.overlap == (Compared(dataset="people-train"),)
    assert test.declared is not None
    assert test.declared.license == "CC-BY-4.0"
    assert [column.name for column in test.table.features] == ["age", "work class", "score", "member", "sex", "race"]


def test_resolved_schema_differs_by_skipped_lines_alone(job: Job) -> None:
    train, test = job.dataset("people-train").table, job.dataset("people-test").table
    assert train.resolved() == {**test.resolved(), "skipLines": 0}
    assert train.sha256 != test.sha256
    assert test.sha256 == configuration_digest(test.resolved())


def test_default_configuration_is_that_of_the_predicate(make_job: MakeJob) -> None:
    job = make_job(("resamples: 200", "resamples: 1000"), ("calibrationBins: 10", "calibrationBins: 15"))
    default = dict(DEFAULT_CONFIGURATIONS["tabular-evaluation/1"])
    assert tabular_evaluation(job).configuration() == default
    assert configuration_digest(tabular_evaluation(job).configuration()) == configuration_digest(default)


MANY = "".join(f"      - {{name: c{number}, type: string}}\n" for number in range(2048))
REFUSED = [
    ("kind: Job", "kind: Work", "yaml-choice"),
    ("job/v1", "job/v2", "yaml-choice"),
    ("kind: Job\n", "kind: Job\nextra: 1\n", "yaml-unknown-key"),
    ("    format: csv\n", "    format: csv\n    encoding: utf-8\n", "yaml-unknown-key"),
    ("    trim: true\n", "", "yaml-missing-key"),
    ('    nullToken: "?"\n', "", "yaml-missing-key"),
    ('nullToken: "?"', "nullToken: 0", "yaml-type"),
    ('nullToken: "?"', 'nullToken: "\\0"', "job-text"),
    ("header: false", "header: no", "yaml-type"),
    ('delimiter: ","', 'delimiter: "::"', "yaml-choice"),
    ("type: number", "type: float", "yaml-choice"),
    ("type: number}", "type: number, unit: m}", "yaml-unknown-key"),
    ("name: score", "name: age", "job-columns"),
    ("name: score", f"name: {'s' * 129}", "job-name"),
    ("name: score", 'name: "a\\tb"', "job-name"),
    ("  people-test:", '  "people\\ttest":', "job-name"),
    (
        "columns:\n",
        "columns:\n" + "".join(f"      - {{name: c{n}, type: string}}\n" for n in range(2048)),
        "job-columns",
    ),
    ("[[member], [sex, race]]", f"[{', '.join(['[sex]'] * 65)}]", "job-groups"),
    ("column: income", "column: wage", "yaml-choice"),
    ("column: income", "column: age", "job-label"),
    ('"<=50K": 0', '"<=50K": 3', "job-label"),
    ('"<=50K": 0', '"<=50K": 10000', "yaml-range"),
    ('">50K": 1, ">50K.": 1', '">50K": 0, ">50K.": 0', "job-label"),
    ('"<=50K": 0', '"<=50K\\n": 0', "job-text"),
    ("{schema: people, skipLines: 0", "{schema: person, skipLines: 0", "yaml-choice"),
    ("skipLines: 1", "skipLines: -1", "yaml-range"),
    ("    skipLines: 1\n", "", "yaml-missing-key"),
    ("[[member], [sex, race]]", "[[score]]", "yaml-choice"),
    ("[[member], [sex, race]]", "[[sex, sex]]", "job-groups"),
    ("[[member], [sex, race]]", "[[sex], [sex]]", "job-groups"),
    ("[[member], [sex, race]]", "[[]]", "yaml-empty"),
    ("overlap: [people-train]", "overlap: [people-test]", "yaml-choice"),
    ("overlap: [people-train]", "overlap: [people-train, people-train]", "job-overlap"),
    ("overlap: [people-train]", "overlap: [{dataset: people-test, columns: [age]}]", "yaml-choice"),
    ("overlap: [people-train]", "overlap: [{dataset: people-train}]", "yaml-missing-key"),
    ("overlap: [people-train]", "overlap: [{dataset: people-train, columns: []}]", "yaml-empty"),
    ("overlap: [people-train]", "overlap: [{dataset: people-train, columns: [age, income]}]", "yaml-choice"),
    ("overlap: [people-train]", "overlap: [{dataset: people-train, columns: [age, age]}]", "job-overlap"),
    ("overlap: [people-train]", "overlap: [{dataset: people-train, columns: [age], rows: 1}]", "yaml-unknown-key"),
    (
        "overlap: [people-train]",
        "overlap: [{dataset: people-train, columns: [age, sex]}, {dataset: people-train, columns: [sex, age]}]",
        "job-overlap",
    ),
    (
        "overlap: [people-train]",
        "overlap: [people-train, {dataset: people-train, columns: [race, age, work class, score, member, sex]}]",
        "job-overlap",
    ),
    ("license: CC-BY-4.0,", "licence: CC-BY-4.0,", "yaml-unknown-key"),
    ("tabular-mlp/1", "tabular-mlp/2", "yaml-choice"),
    ("epochs: 3, ", "", "yaml-missing-key"),
    ("epochs: 3", "epochs: 0", "yaml-range"),
    ("epochs: 3", "epochs: 3.5", "yaml-type"),
    ("batchSize: 32", "batchSize: 0", "yaml-range"),
    ("hidden: [8, 4]", "hidden: [0]", "yaml-range"),
    ("hidden: [8, 4]", f"hidden: {[1] * 33}", "job-hidden"),
    ("optimizer: adam", "optimizer: rmsprop", "yaml-choice"),
    ("seed: 7, ", "", "yaml-missing-key"),
    ("seed: 7", "seed: 7, momentum: 1", "yaml-unknown-key"),
    ("drop: [score]", "drop: [income]", "yaml-choice"),
    ("drop: [score]", "drop: [score, score]", "job-drop"),
    ("drop: [score]", "drop: [age, work class, score, member, sex, race]", "job-drop"),
    ("dataset: people-train", "dataset: people", "yaml-choice"),
    ("tabular-evaluation/1", "tabular-evaluation/2", "yaml-choice"),
    ("rows: all", "rows: some", "yaml-choice"),
    ("threshold: 0.5", "threshold: 1.5", "yaml-range"),
    ("confidenceLevel: 0.95", "confidenceLevel: 1", "yaml-range"),
    ("confidenceLevel: 0.95", "confidenceLevel: 0", "yaml-range"),
    ("resamples: 200", "resamples: 0", "yaml-range"),
    ("calibrationBins: 10, ", "", "yaml-missing-key"),
    ("slices: [[sex, race]]", "slices: [[income]]", "yaml-choice"),
    ("slices: [[sex, race]]", "slices: [[sex, race]], batch: 1", "yaml-unknown-key"),
]


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED)
def test_mistakes_are_refused_where_they_stand(make_job: MakeJob, old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError, match=r"^job\.yaml:\d+:\d+: ") as caught:
        make_job((old, new))
    assert caught.value.reason == reason


def test_a_label_of_another_type_is_told_how_to_be_declared(make_job: MakeJob) -> None:
    with pytest.raises(FormatError, match="of type string, got 'age' of type integer") as caught:
        make_job(("column: income", "column: age"))
    assert caught.value.hint == "a label of numbers is declared as {column: …, type: number}"


def test_schema_that_nobody_uses_is_read_all_the_same(make_job: MakeJob) -> None:
    with pytest.raises(FormatError) as caught:
        make_job(("datasets:\n", "  spare: {format: csv}\ndatasets:\n"))
    assert caught.value.reason == "yaml-missing-key"


def test_overlap_needs_the_same_features(make_job: MakeJob) -> None:
    other = """  other:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: null
    columns: [{name: age, type: integer}, {name: income, type: string}]
    label: {column: income, classes: {a: 0, b: 1}}
datasets:
  others: {schema: other, skipLines: 0, groups: [], overlap: []}
"""
    with pytest.raises(FormatError) as caught:
        make_job(("datasets:\n", other), ("overlap: [people-train]", "overlap: [others]"))
    assert caught.value.reason == "job-overlap"


def test_table_needs_a_feature(make_job: MakeJob) -> None:
    lone = """  lone:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: null
    columns: [{name: income, type: string}]
    label: {column: income, classes: {a: 0, b: 1}}
datasets:
"""
    with pytest.raises(FormatError) as caught:
        make_job(("datasets:\n", lone))
    assert caught.value.reason == "job-columns"


def test_sections_that_are_absent_are_refused_when_asked_for(make_job: MakeJob) -> None:
    job = make_job()
    with pytest.raises(FormatError) as caught:
        job.dataset("nobody")
    assert caught.value.reason == "job-dataset"
    short = replace(job, training=None, evaluations={}, source="s")
    with pytest.raises(FormatError) as no_training:
        short.require_training()
    with pytest.raises(FormatError) as no_evaluation:
        short.require_evaluations()
    assert (no_training.value.reason, no_evaluation.value.reason) == ("job-training", "job-evaluation")
