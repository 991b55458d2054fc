"""``preprocess/1``: every step against an independent computation, every rule by a case that is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.errors import FormatError
from lamslsa.measure import Job, load_job
from lamslsa.measure.data.schema import Column, ColumnType
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.interface import Context, Given, Outcome, Output, Plan
from lamslsa.measure.transform.preprocess import join as join_module
from lamslsa.measure.transform.preprocess import write as write_module
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Workspace
from lamslsa.predicates import Provenance
from lamslsa.predicates.emit import verify_descriptors

Read = Callable[..., VerifiedArtifact]
Row = list[str]

HEAD = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  people: {format: csv, delimiter: ",", header: true, trim: false, nullToken: "?", label: null, columns: [
    {name: id, type: integer}, {name: age, type: integer}, {name: score, type: number},
    {name: city, type: string}, {name: member, type: boolean}, {name: y, type: string}]}
  cities: {format: csv, delimiter: ";", header: true, trim: true, nullToken: "?", label: null, columns: [
    {name: town, type: string}, {name: country, type: string}, {name: size, type: number}, {name: id, type: integer}]}
  labelled: {format: csv, delimiter: ",", header: true, trim: false, nullToken: "?",
    label: {column: y, classes: {"no": 0, "yes": 1}}, columns: [{name: x, type: number}, {name: y, type: string}]}
  words: {format: text, documents: line}
datasets:
  people: {schema: people, skipLines: 0, groups: [], overlap: []}
  cities: {schema: cities, skipLines: 0, groups: [], overlap: []}
  labelled: {schema: labelled, skipLines: 0, groups: [], overlap: []}
  words: {schema: words, overlap: []}
"""
COLUMNS = ["id", "age", "score", "city", "member", "y"]
PEOPLE: list[Row] = [
    ["0", "41", "1.5", "Ulm", "true", "no"],
    ["1", "?", "-0", "Köln", "false", "yes"],
    ["2", "17", "?", "Ulm", "?", "no"],
    ["3", "63", "1e-7", "?", "true", "yes"],
    ["4", "41", "1.5", "Aachen", "true", "no"],
    ["5", "30", "9007199254740993", "Ulm", "false", "no"],
    ["6", "17", "0.1", "Köln", "true", "yes"],
]
CITIES: list[Row] = [
    ["Ulm", "DE", "126.9", "1"],
    ["Köln", "DE", "1087", "2"],
    ["Ulm", "US", "0.1", "3"],
    ["?", "none", "?", "4"],
    ["Bern", "CH", "134.6", "5"],
]


def table(rows: Sequence[Row], columns: Sequence[str] = COLUMNS, delimiter: str = ",") -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows([list(columns), *rows])
    return stream.getvalue().encode()


def transform_text(
    *steps: str, outputs: str = "{all: made}", null: str = '"?"', label: str = "null", dataset: str = "people"
) -> str:
    lines = "".join(f"      - {step}\n" for step in steps)
    return (
        f"{HEAD}transforms:\n  prepare:\n    transform: preprocess/1\n    dataset: {dataset}\n"
        f"    steps:{' []' if not steps else ''}\n{lines}    nullToken: {null}\n"
        f"    label: {label}\n    outputs: {outputs}\n"
    )


def load(text: str) -> Job:
    return load_job(text.encode(), "job.yaml")


def plan_of(*steps: str, **more: str) -> Plan:
    return load(transform_text(*steps, **more)).require_transform("prepare")


class Made:
    """The outcome, taken apart."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.outputs = outcome.outputs
        self.statements = {}
        for payload in outcome.statements:
            parsed = statement.parse(payload.data)
            predicate = predicates.parse(parsed)
            assert isinstance(predicate, Provenance)
            verify_descriptors(payload.data)
            self.statements[parsed.subjects[0].name] = (parsed, predicate)

    def rows(self, name: str = "made") -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.outputs[name].files["data.csv"].decode(), newline="")))

    def column(self, column: str, name: str = "made") -> list[str]:
        return [row[column] for row in self.rows(name)]

    def report(self, name: str = "made") -> dict[str, Any]:
        return self.byproduct("report", name)

    def byproduct(self, kind: str, name: str = "made") -> dict[str, Any]:
        (found,) = [item for item in self.statements[name][1].run_details.byproducts if item.name == kind]
        assert found.annotations is not None
        return found.annotations


@pytest.fixture
def run(read: Read) -> Callable[..., Made]:
    def go(plan: Plan, people: Sequence[Row] = PEOPLE, cities: Sequence[Row] = CITIES) -> Made:
        files = {
            "people": table(people),
            "cities": table(cities, ["town", "country", "size", "id"], ";"),
            "labelled": table([["1.5", "yes"], ["2.5", "no"], ["?", "yes"]], ["x", "y"]),
        }
        given_ = {
            item.role: Given(artifact=read({f"{item.name}.csv": files[item.name or ""]}), name=item.name or "")
            for item in plan.inputs
        }
        return Made(plan.measure(given_, Context()))

    return go


Run = Callable[..., Made]


# What is written ------------------------------------------------------------------------------------------------------


def test_without_steps_the_rows_come_back_in_canonical_form(run: Run) -> None:
    made = run(plan_of())
    assert made.outputs["made"].files == {
        "data.csv": "id,age,score,city,member,y\n"
        "0,41,1.5,Ulm,true,no\n"
        "1,?,0.0,Köln,false,yes\n"
        "2,17,?,Ulm,?,no\n"
        "3,63,1e-07,?,true,yes\n"
        "4,41,1.5,Aachen,true,no\n"
        "5,30,9007199254740992.0,Ulm,false,no\n"
        "6,17,0.1,Köln,true,yes\n".encode()
    }


def test_the_statement_says_what_a_verifier_needs(run: Run) -> None:
    made = run(plan_of("{step: dropMissing, columns: all}"))
    parsed, predicate = made.statements["made"]
    (subject,) = parsed.subjects
    definition = predicate.build_definition
    assert subject.sha256 == made.outputs["made"].manifest.sha256
    assert definition.build_type == "https://lamslsa.dev/transform/v1"
    assert str(definition.external_parameters.code) == "preprocess/1"
    assert definition.external_parameters.produces == "dataset"
    assert definition.external_parameters.datasets == {"dataset": "people"}
    assert definition.external_parameters.configuration == {
        "steps": [{"step": "dropMissing", "columns": COLUMNS}],
        "nullToken": "?",
        "label": None,
        "outputs": {"all": "made"},
        "part": "all",
    }
    kinds = Counter(item.annotations.kind for item in definition.resolved_dependencies)
    assert kinds["dataset"] == kinds["code"] == 1
    assert kinds["package"] > 1
    assert made.report()["steps"] == [{"step": "dropMissing", "rowsIn": {"all": 7}, "rowsOut": {"all": 4}}]
    assert made.report()["rows"] == len(made.rows()) == 4


def test_the_schema_in_the_statement_reads_the_output_back(run: Run, read: Read) -> None:
    made = run(plan_of("{step: rename, names: {score: 'a, \"b\"'}}", label='{column: y, classes: {"no": 0, "yes": 1}}'))
    schema = made.byproduct("schema")["schema"]
    job = HEAD.replace("schemas:\n", f"schemas:\n  made: {_as_job_schema(schema)}\n")
    job += "  made: {schema: made, skipLines: 0, groups: [], overlap: []}\n"
    declared = load(job).dataset("made")
    (byproduct,) = [item for item in made.statements["made"][1].run_details.byproducts if item.name == "schema"]
    assert byproduct.digest is not None
    assert declared.schema.sha256 == byproduct.digest.sha256 == predicates.configuration_digest(schema)
    artifact = read(dict(made.outputs["made"].files))
    assert artifact.manifest.sha256 == made.outputs["made"].manifest.sha256
    with open_tables({"made": Source(file=artifact.only(), schema=declared.table)}) as tables:
        read_back = tables["made"]
        assert list(read_back.values("y")) == [0, 1, 0, 1, 0, 0, 1]
        assert [None if math.isnan(v) else v for v in read_back.values('a, "b"')] == [
            1.5, 0, None, 1e-7, 1.5, 9007199254740992, 0.1,
        ]  # fmt: skip


def _as_job_schema(schema: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in schema.items() if key != "skipLines"}, ensure_ascii=False)


def test_the_same_twice_to_the_byte(run: Run) -> None:
    plan = plan_of("{step: split, into: {a: 1, b: 1}, seed: 1, together: [], stratify: []}", outputs="{a: one, b: two}")
    first, second = run(plan), run(plan)
    assert [p.data for p in first.outcome.statements] == [p.data for p in second.outcome.statements]
    assert {k: v.files for k, v in first.outputs.items()} == {k: v.files for k, v in second.outputs.items()}


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=20)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(FINITE, TEXTS.filter(lambda text: text != "?")), min_size=1, max_size=8))
def test_any_text_and_number_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]]
) -> None:
    text = HEAD + (
        "  odd: {schema: odd, skipLines: 0, groups: [], overlap: []}\n"
        "transforms: {t: {transform: preprocess/1, dataset: odd, steps: [], nullToken: '?', label: null,"
        " outputs: {all: made}}}\n"
    )
    schema = (
        "  odd: {format: csv, delimiter: '|', header: true, trim: false, nullToken: null, label: null,"
        " columns: [{name: n, type: number}, {name: t, type: string}]}\n"
    )
    job = load(text.replace("schemas:\n", f"schemas:\n{schema}"))
    path = tmp_path_factory.mktemp("odd") / "odd.csv"
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="|", lineterminator="\n")
    writer.writerow(["n", "t"])
    for number, words in rows:
        quoted = '"' + words.replace('"', '""') + '"' if "|" in words or '"' in words else words
        stream.write(f"{number!r}|{quoted}\n")
    path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    with read_verified(path, "dataset") as artifact:
        outcome = job.require_transform("t").measure({"dataset": Given(artifact=artifact, name="odd")}, Context())
    data = outcome.outputs["made"].files["data.csv"].decode()
    found = list(csv.reader(io.StringIO(data, newline=""), strict=True))[1:]
    assert [(float(n), t) for n, t in found] == [(n + 0.0, t) for n, t in rows]
    assert [n for n, _ in found] == [repr(n + 0.0) for n, _ in rows]
    assert all(line == line.strip("\n") and line for line in data.removesuffix("\n").split("\n"))


@pytest.mark.parametrize(
    ("rows", "null", "reason"),
    [
        ([["0", "1", "?", "Ulm", "true", "no"]], "null", "preprocess-missing"),
        ([["0", "1", "2", "none", "true", "no"]], "none", "preprocess-null-token"),
        ([["0", "1", "?", "", "true", "no"]], '""', "preprocess-null-token"),
    ],
)
def test_missing_values_and_texts_are_never_confused(run: Run, rows: list[Row], null: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of(null=null), rows)
    assert caught.value.reason == reason


@pytest.mark.parametrize("token", ["0", "-1", "1e5", "true", ".5"])
def test_a_null_token_that_is_a_value_is_refused(token: str) -> None:
    with pytest.raises(FormatError) as caught:
        plan_of(null=f'"{token}"')
    assert caught.value.reason == "preprocess-null-token"


def test_the_label_of_an_output_is_there_and_declared(run: Run) -> None:
    label = '{column: city, classes: {"Ulm": 0, "Köln": 1}}'
    steps = ["{step: dropMissing, columns: [city]}"]
    with pytest.raises(FormatError) as caught:
        run(plan_of(*steps, label=label))
    assert caught.value.reason == "preprocess-label"
    with pytest.raises(FormatError) as missing:
        run(plan_of(label=label))
    assert missing.value.reason == "preprocess-missing"


def test_an_input_label_is_a_text_that_steps_see(run: Run) -> None:
    made = run(
        plan_of(
            "{step: mapValues, column: y, values: {'yes': good, 'no': bad}, others: refuse}",
            dataset="labelled",
            label="{column: y, classes: {bad: 0, good: 1}}",
        )
    )
    assert made.column("y") == ["good", "bad", "good"]
    assert made.byproduct("schema")["schema"]["label"] == {"column": "y", "classes": {"bad": 0, "good": 1}}


def test_no_row_left_is_refused(run: Run) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of("{step: filter, column: age, operator: '>', value: 1000, missing: drop}"))
    assert caught.value.reason == "preprocess-empty"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_a_text_of_several_lines_cannot_be_written(text: str) -> None:
    import duckdb

    connection = duckdb.connect()
    connection.execute("create table t as select 1::BIGINT as c0, ?::VARCHAR as c1", [text])
    kinds: tuple[ColumnType, ...] = ("integer", "string")
    fields = tuple(Field.of(Column(name=f"n{i}", type=kind), f"c{i}") for i, kind in enumerate(kinds))
    frame = Frame(table="t", fields=fields, rows=1)
    schema = write_module.output_schema(frame, null_token=None, label=None)
    with pytest.raises(FormatError) as caught:
        write_module.write_csv(frame, schema, Workspace(connection, {}))
    assert caught.value.reason == "preprocess-line-break"


def test_an_output_has_a_largest_size(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_module, "MAX_OUTPUT_BYTES", 100)
    with pytest.raises(FormatError) as caught:
        run(plan_of())
    assert caught.value.reason == "preprocess-output-size"


def test_a_line_has_a_largest_size(run: Run) -> None:
    steps = ["{step: copy, column: city, to: again}"]
    with pytest.raises(FormatError) as caught:
        run(plan_of(*steps), [["0", "1", "2", "x" * 600_000, "true", "no"]])
    assert caught.value.reason == "preprocess-output-size"


# Columns --------------------------------------------------------------------------------------------------------------


def test_columns_are_chosen_named_and_copied(run: Run) -> None:
    made = run(
        plan_of(
            "{step: select, columns: [city, age, id]}",
            "{step: rename, names: {city: town, age: city}}",
            "{step: copy, column: town, to: age}",
            "{step: drop, columns: [id]}",
        )
    )
    assert [list(row.items()) for row in made.rows()[:2]] == [
        [("town", "Ulm"), ("city", "41"), ("age", "Ulm")],
        [("town", "Köln"), ("city", "?"), ("age", "Köln")],
    ]


REFUSED = [
    (["{step: select, columns: [nothing]}"], "yaml-choice"),
    (["{step: select, columns: [age, age]}"], "preprocess-columns"),
    (["{step: drop, columns: all}"], "preprocess-columns"),
    (["{step: rename, names: {nothing: other}}"], "preprocess-columns"),
    (["{step: rename, names: {age: city}}"], "preprocess-columns"),
    (["{step: copy, column: age, to: city}"], "preprocess-columns"),
    (["{step: select, columns: [age]}", "{step: drop, columns: [city]}"], "yaml-choice"),
    (["{step: evaluate, code: import os}"], "yaml-choice"),
    (["{step: drop, columns: [age], more: 1}"], "yaml-unknown-key"),
    (["{step: drop}"], "yaml-missing-key"),
    (["{step: filter, column: city, operator: '<', value: a, missing: drop}"], "preprocess-type"),
    (["{step: filter, column: age, operator: '<', value: a, missing: drop}"], "yaml-type"),
    (["{step: filter, column: age, operator: '<', value: 1}"], "yaml-missing-key"),
    (["{step: filter, column: age, operator: like, value: 1, missing: drop}"], "yaml-choice"),
    (['{step: filter, column: city, operator: "==", value: "a\\tb", missing: drop}'], "preprocess-text"),
    (["{step: bin, column: city, edges: [1], labels: [a, b]}"], "preprocess-type"),
    (["{step: bin, column: age, edges: [2, 1], labels: [a, b, c]}"], "preprocess-bins"),
    (["{step: bin, column: age, edges: [1, 1], labels: [a, b, c]}"], "preprocess-bins"),
    (["{step: bin, column: age, edges: [1], labels: [a]}"], "preprocess-bins"),
    (["{step: impute, columns: [city], with: mean, learnedFrom: all}"], "preprocess-type"),
    (["{step: impute, columns: [age], with: mean}"], "yaml-missing-key"),
    (["{step: impute, columns: [age], with: mean, learnedFrom: train}"], "yaml-choice"),
    (["{step: impute, columns: [age, city], with: constant, value: 1}"], "preprocess-type"),
    (["{step: impute, columns: all, with: mode, learnedFrom: all}"], "preprocess-columns"),
    (["{step: encode, column: score, as: oneHot, categories: [1], unseen: refuse}"], "preprocess-type"),
    (["{step: encode, column: city, as: oneHot, categories: [a, a], unseen: refuse}"], "preprocess-categories"),
    (["{step: encode, column: city, as: oneHot, categories: learned, unseen: refuse}"], "yaml-missing-key"),
    (["{step: encode, column: city, as: ordinal, categories: [a], unseen: zeros}"], "yaml-choice"),
    (["{step: encode, column: city, as: oneHot, categories: learned, learnedFrom: all, unseen: zeros}",
      "{step: filter, column: city, operator: '==', value: Ulm, missing: drop}"], "preprocess-type"),
    (["{step: encode, column: city, as: oneHot, categories: learned, learnedFrom: all, unseen: zeros}",
      "{step: rename, names: {city: town}}"], "preprocess-columns"),
    (["{step: mapValues, column: age, values: {a: b}, others: keep}"], "preprocess-type"),
    (["{step: mapValues, column: city, values: {}, others: keep}"], "preprocess-values"),
    (['{step: mapValues, column: city, values: {"a\\tb": b}, others: keep}'], "preprocess-text"),
    (["{step: join, dataset: other, on: {city: town}, kind: inner, bring: [], repeated: first}"], "yaml-choice"),
    (["{step: join, dataset: words, on: {city: town}, kind: inner, bring: [], repeated: first}"], "schema-not-a-table"),
    (["{step: join, dataset: cities, on: {age: town}, kind: inner, bring: [], repeated: first}"], "preprocess-type"),
    (["{step: join, dataset: cities, on: {x: town}, kind: inner, bring: [], repeated: first}"], "preprocess-columns"),
    (["{step: join, dataset: cities, on: {}, kind: inner, bring: [], repeated: first}"], "preprocess-columns"),
    (["{step: join, dataset: cities, on: {city: town}, kind: left, bring: [id], repeated: every}"],
     "preprocess-columns"),
    (["{step: split, into: {a: 1}, seed: 1, together: [], stratify: []}"], "preprocess-split"),
    (["{step: split, into: {a: 1, all: 1}, seed: 1, together: [], stratify: []}"], "preprocess-split"),
    (["{step: split, into: {a: 1, b: 0}, seed: 1, together: [], stratify: []}"], "yaml-range"),
    (["{step: split, into: {a: 1, b: 0.5}, seed: 1, together: [], stratify: []}"], "yaml-type"),
    (["{step: split, into: {a: 1, b: 1}, together: [], stratify: []}"], "yaml-missing-key"),
    (["{step: split, into: {a: 1, b: 1}, seed: 1, together: [age], stratify: [city]}"], "preprocess-split"),
    (["{step: split, into: {a: 1, b: 1}, seed: 1, together: [], stratify: []}",
      "{step: split, into: {c: 1, d: 1}, seed: 1, together: [], stratify: []}"], "preprocess-split"),
    (["{step: split, into: {a: 1, b: 1}, seed: 1, together: [], stratify: []}"], "preprocess-outputs"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "reason"), REFUSED)
def test_a_mistake_is_refused_when_the_job_is_read_with_its_line(steps: list[str], reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        plan_of(*steps)
    assert caught.value.reason == reason
    if reason != "schema-not-a-table":
        assert str(caught.value).startswith("job.yaml:")


@pytest.mark.parametrize("outputs", ["{all: a, other: b}", "{}"])
def test_outputs_are_parts_with_names_of_their_own(outputs: str) -> None:
    with pytest.raises(FormatError) as caught:
        plan_of(outputs=outputs)
    assert caught.value.reason == "preprocess-outputs"


def test_two_outputs_cannot_have_one_name() -> None:
    step = "{step: split, into: {a: 1, b: 1}, seed: 1, together: [], stratify: []}"
    with pytest.raises(FormatError) as caught:
        plan_of(step, outputs="{a: same, b: same}")
    assert caught.value.reason == "preprocess-outputs"


def test_there_is_a_largest_number_of_steps() -> None:
    with pytest.raises(FormatError) as caught:
        plan_of(*["{step: drop, columns: [age]}"] * 257)
    assert caught.value.reason == "preprocess-steps"


def test_a_member_list_has_a_largest_size() -> None:
    with pytest.raises(FormatError) as caught:
        plan_of(f"{{step: filter, column: age, operator: in, value: {list(range(10_001))}, missing: drop}}")
    assert caught.value.reason == "preprocess-values"


def test_an_output_has_two_columns_at_least(run: Run) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of("{step: select, columns: [age]}"))
    assert caught.value.reason == "preprocess-columns"


# Rows -----------------------------------------------------------------------------------------------------------------

COMPARISONS: list[tuple[str, str, str, Callable[[Row], bool | None]]] = [
    ("age", "==", "41", lambda r: None if r[1] == "?" else r[1] == "41"),
    ("age", "!=", "41", lambda r: None if r[1] == "?" else r[1] != "41"),
    ("age", "<", "40.5", lambda r: None if r[1] == "?" else int(r[1]) < 40.5),
    ("age", ">=", "41", lambda r: None if r[1] == "?" else int(r[1]) >= 41),
    ("score", "<=", "0.1", lambda r: None if r[2] == "?" else float(r[2]) <= 0.1),
    ("score", ">", "1e-7", lambda r: None if r[2] == "?" else float(r[2]) > 1e-7),
    ("city", "==", "Köln", lambda r: None if r[3] == "?" else r[3] == "Köln"),
    ("city", "in", "[Ulm, Aachen]", lambda r: None if r[3] == "?" else r[3] in ("Ulm", "Aachen")),
    ("city", "not in", "[Ulm]", lambda r: None if r[3] == "?" else r[3] != "Ulm"),
    ("member", "==", "true", lambda r: None if r[4] == "?" else r[4] == "true"),
    ("city", "==", "\"Ulm' or '1'='1\"", lambda r: None if r[3] == "?" else False),
]


@pytest.mark.parametrize("missing", ["keep", "drop"])
@pytest.mark.parametrize(("column", "operator", "value", "keeps"), COMPARISONS)
def test_filter(
    run: Run, column: str, operator: str, value: str, keeps: Callable[[Row], bool | None], missing: str
) -> None:
    expected = [row[0] for row in PEOPLE if (missing == "keep" if (kept := keeps(row)) is None else kept)]
    step = f"{{step: filter, column: {column}, operator: {operator!r}, value: {value}, missing: {missing}}}"
    if not expected:
        with pytest.raises(FormatError):
            run(plan_of(step))
        return
    assert run(plan_of(step)).column("id") == expected


def test_duplicates_go_but_for_the_first(run: Run) -> None:
    made = run(plan_of("{step: dropDuplicates, columns: [age, city]}"), [*PEOPLE, ["7", "?", "0", "Köln", "?", "no"]])
    assert made.column("id") == ["0", "1", "2", "3", "4", "5", "6"]
    assert run(plan_of("{step: dropDuplicates, columns: [y]}")).column("id") == ["0", "1"]


def test_sort_is_stable_and_puts_missing_first(run: Run) -> None:
    up = run(plan_of("{step: sort, columns: [city, age], descending: false}")).column("id")
    # Missing, then by UTF-8 bytes: Aachen, Köln, Ulm.
    assert up == ["3", "4", "1", "6", "2", "5", "0"]
    down = run(plan_of("{step: sort, columns: [city], descending: true}")).column("id")
    assert down == ["0", "2", "5", "1", "6", "4", "3"]


def draw(seed: int, index: int) -> int:
    text = f"lamslsa preprocess/1\n{seed}\n{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def people(count: int) -> list[Row]:
    source = np.random.default_rng(5)
    return [
        [
            str(i),
            str(source.integers(17, 40)),
            repr(float(source.normal())),
            str(source.choice(["Ulm", "Köln", "Aachen"], p=[0.6, 0.3, 0.1])),
            str(source.choice(["true", "false"])),
            str(source.choice(["yes", "no"])),
        ]
        for i in range(count)
    ]


MANY = people(503)


def test_sample_draws_the_rows_that_anybody_can_draw(run: Run) -> None:
    made = run(plan_of("{step: sample, rows: 50, seed: 11}"), MANY)
    assert [int(i) for i in made.column("id")] == sorted(sorted(range(503), key=lambda i: draw(11, i))[:50])
    with pytest.raises(FormatError) as caught:
        run(plan_of("{step: sample, rows: 504, seed: 11}"), MANY)
    assert caught.value.reason == "preprocess-sample"


# Splits ---------------------------------------------------------------------------------------------------------------

OUT = "{train: tr, dev: de, test: te}"


def split_step(seed: int = 3, together: str = "[]", stratify: str = "[]") -> str:
    into = "{train: 7, dev: 1, test: 2}"
    return f"{{step: split, into: {into}, seed: {seed}, together: {together}, stratify: {stratify}}}"


def parts_of(made: Made, column: str = "id") -> list[list[str]]:
    return [made.column(column, name) for name in ("tr", "de", "te")]


def expected_split(rows: Sequence[int], seed: int) -> list[list[int]]:
    ordered = sorted(rows, key=lambda i: (draw(seed, i), i))
    ends = [len(rows) * upto // 10 for upto in (0, 7, 8, 10)]
    return [sorted(ordered[ends[k] : ends[k + 1]]) for k in range(3)]


def test_a_split_is_the_one_that_anybody_can_compute(run: Run) -> None:
    made = run(plan_of(split_step(), outputs=OUT), MANY)
    assert [[int(i) for i in part] for part in parts_of(made)] == expected_split(range(503), 3)
    assert [len(part) for part in parts_of(made)] == [352, 50, 101]
    assert made.report("tr")["steps"][0]["rowsOut"] == {"train": 352, "dev": 50, "test": 101}


def test_laminator_train_and_test_shared_rows(run: Run) -> None:
    """Laminator's split let rows stand on both sides: here no row index is ever in two outputs, and none is lost."""
    for seed in range(3):
        parts = parts_of(run(plan_of(split_step(seed), outputs=OUT), MANY))
        assert sorted(int(i) for part in parts for i in part) == list(range(503))


def test_laminator_equal_rows_on_both_sides_are_counted_and_avoidable(run: Run) -> None:
    """Equal rows under different indices leak as much as one row: counted in the statement, and gone if asked for."""
    rows = [["0", *row[1:]] for row in [*MANY[:100], *MANY[:100], *MANY[:100]]]
    label = '{column: y, classes: {"no": 0, "yes": 1}}'
    leaking = run(plan_of(split_step(), outputs=OUT, label=label), rows)
    features = [{",".join(list(row.values())[:-1]) for row in leaking.rows(name)} for name in ("tr", "te")]
    brute = sum(",".join(list(row.values())[:-1]) in features[0] for row in leaking.rows("te"))
    assert leaking.report("te")["shared"]["train"] == brute > 0
    for steps in (
        ["{step: dropDuplicates, columns: all}", split_step()],
        [split_step(together="all")],
        [split_step(together="[age, score]")],
    ):
        made = run(plan_of(*steps, outputs=OUT, label=label), rows)
        assert [made.report(name)["shared"] for name in ("tr", "de", "te")] == [
            {"dev": 0, "test": 0},
            {"train": 0, "test": 0},
            {"train": 0, "dev": 0},
        ]


def test_rows_that_belong_together_stay_together(run: Run) -> None:
    rows = [[*row[:3], row[3] if i % 50 else "?", *row[4:]] for i, row in enumerate(MANY)]
    made = run(plan_of(split_step(together="[age, city]"), outputs=OUT), rows)
    keys = [{(row["age"], row["city"]) for row in made.rows(name)} for name in ("tr", "de", "te")]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    firsts: dict[tuple[str, str], list[int]] = {}
    for i, row in enumerate(rows):
        firsts.setdefault((row[1], row[3]), []).append(i)
    place, expected = 0, [set[int](), set[int](), set[int]()]
    for members in sorted(firsts.values(), key=lambda group: (draw(3, group[0]), group[0])):
        part = next(k for k, upto in enumerate((7, 8, 10)) if place < 503 * upto // 10)
        expected[part].update(members)
        place += len(members)
    assert [[int(i) for i in part] for part in parts_of(made)] == [sorted(part) for part in expected]


def test_strata_are_split_each_alike(run: Run) -> None:
    made = run(plan_of(split_step(stratify="[city, y]"), outputs=OUT), MANY)
    expected: list[list[int]] = [[], [], []]
    for key in {(row[3], row[5]) for row in MANY}:
        members = [i for i, row in enumerate(MANY) if (row[3], row[5]) == key]
        for k, part in enumerate(expected_split(members, 3)):
            expected[k] += part
    assert [[int(i) for i in part] for part in parts_of(made)] == [sorted(part) for part in expected]


# Learning -------------------------------------------------------------------------------------------------------------


def learned(made: Made, column: str, name: str = "made") -> Any:
    (found,) = [step["learned"][column] for step in made.report(name)["steps"] if column in step.get("learned", {})]
    return found


def test_mean_median_and_mode(run: Run) -> None:
    ages = [41, 17, 63, 41, 30, 17]
    scores = [1.5, 0.0, 1e-7, 1.5, 9007199254740992.0, 0.1]
    mean = run(plan_of("{step: impute, columns: [age, score], with: mean, learnedFrom: all}"))
    assert learned(mean, "age") == {"value": float(Fraction(sum(ages), 6)), "samples": 6}
    assert learned(mean, "score")["value"] == float(sum(map(Fraction, scores))) / 6
    assert mean.column("age")[:2] == ["41.0", repr(sum(ages) / 6)]
    median = run(plan_of("{step: impute, columns: [age, score], with: median, learnedFrom: all}"))
    assert learned(median, "age")["value"] == statistics.median(ages) == 35.5
    assert learned(median, "score")["value"] == statistics.median(scores)
    mode = run(plan_of("{step: impute, columns: [age, city, member], with: mode, learnedFrom: all}"))
    assert learned(mode, "age") == {"value": 17, "samples": 6}  # 17 and 41 are as frequent: the smaller
    assert learned(mode, "city")["value"] == "Ulm"
    assert learned(mode, "member")["value"] is True
    assert mode.report()["steps"][0]["filled"] == {"all": {"age": 1, "city": 1, "member": 1}}
    assert "?" not in mode.column("age") + mode.column("city") + mode.column("member")


def test_statistics_agree_with_scikit_learn(run: Run) -> None:
    from sklearn.impute import SimpleImputer

    rows = [[*row[:2], "?" if i % 9 == 0 else row[2], *row[3:]] for i, row in enumerate(MANY)]
    values = np.array([[np.nan if row[2] == "?" else float(row[2])] for row in rows])
    for how in ("mean", "median"):
        made = run(plan_of(f"{{step: impute, columns: [score], with: {how}, learnedFrom: all}}"), rows)
        expected = SimpleImputer(strategy=how).fit(values).statistics_[0]
        assert learned(made, "score")["value"] == pytest.approx(expected, rel=1e-12)
        assert np.allclose([float(v) for v in made.column("score")], np.where(np.isnan(values), expected, values)[:, 0])


def test_sums_that_overflow_have_a_mean(run: Run) -> None:
    rows = [[str(i), "1", "1.7e308", "a", "true", "no"] for i in range(4)] + [["9", "1", "?", "a", "true", "no"]]
    for how in ("mean", "median"):
        made = run(plan_of(f"{{step: impute, columns: [score], with: {how}, learnedFrom: all}}"), rows)
        assert made.column("score")[-1] == "1.7e+308"


def test_a_constant_is_what_was_declared(run: Run) -> None:
    made = run(
        plan_of(
            '{step: impute, columns: [city], with: constant, value: "O\'Hara, \\"x\\""}',
            "{step: impute, columns: [score], with: constant, value: -0.0}",
            "{step: impute, columns: [member], with: constant, value: false}",
        )
    )
    assert made.column("city")[3] == 'O\'Hara, "x"'
    assert made.column("score")[2] == "0.0"
    assert made.column("member")[2] == "false"


def test_leakage_is_visible_and_avoidable(run: Run) -> None:
    rows = [[*row[:2], "?" if i % 7 == 0 else row[2], *row[3:]] for i, row in enumerate(MANY)]
    impute = "{{step: impute, columns: [score], with: mean, learnedFrom: {}}}"
    first = run(plan_of(impute.format("all"), split_step(), outputs=OUT), rows)
    assert first.report("te")["learning"] == [
        {"step": 0, "from": ["train", "dev", "test"], "to": ["train", "dev", "test"]}
    ]
    after = run(plan_of(split_step(), impute.format("train"), outputs=OUT), rows)
    report = after.report("te")
    assert report["learning"] == [{"step": 1, "from": ["train"], "to": ["train", "dev", "test"]}]
    train = [float(row[2]) for i, row in enumerate(rows) if row[2] != "?" and str(i) in set(parts_of(after)[0])]
    assert learned(after, "score", "te") == {"value": math.fsum(train) / len(train), "samples": len(train)}
    assert learned(first, "score", "te")["samples"] > len(train)


def test_learning_from_the_tested_part_is_visible_too(run: Run) -> None:
    impute = "{step: impute, columns: [score], with: mean, learnedFrom: test}"
    encode = "{step: encode, column: city, as: ordinal, categories: learned, learnedFrom: all, unseen: missing}"
    constant = "{step: impute, columns: [age], with: constant, value: 7}"
    made = run(plan_of(constant, encode, split_step(), impute, outputs=OUT), MANY)
    for name in ("tr", "te"):
        assert made.report(name)["learning"] == [
            {"step": 1, "from": ["train", "dev", "test"], "to": ["train", "dev", "test"]},
            {"step": 3, "from": ["test"], "to": ["train", "dev", "test"]},
        ]


def test_learning_from_all_stands_in_the_report_without_a_split(run: Run) -> None:
    """Whoever splits in the next transform finds it in the one before."""
    whole = run(plan_of("{step: impute, columns: [score], with: mean, learnedFrom: all}"), MANY)
    assert whole.report()["learning"] == [{"step": 0, "from": ["all"], "to": ["all"]}]
    assert run(plan_of(split_step(), outputs=OUT), MANY).report("te")["learning"] == []


def test_nothing_to_learn_from_is_refused(run: Run) -> None:
    rows = [["1", "?", "1", "a", "true", "no"], ["2", "?", "1", "a", "true", "no"]]
    for how in ("mean", "median", "mode"):
        with pytest.raises(FormatError) as caught:
            run(plan_of(f"{{step: impute, columns: [age], with: {how}, learnedFrom: all}}"), rows)
        assert caught.value.reason == "preprocess-nothing-to-learn"


def test_one_hot_agrees_with_scikit_learn(run: Run) -> None:
    from sklearn.preprocessing import OneHotEncoder

    step = "{step: encode, column: city, as: oneHot, categories: learned, learnedFrom: train, unseen: zeros}"
    made = run(plan_of(split_step(), step, outputs=OUT), MANY)
    cities = [np.array([[MANY[int(i)][3]] for i in part]) for part in parts_of(made)]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(cities[0])
    assert learned(made, "city", "te") == {"categories": encoder.categories_[0].tolist()}
    names = [f"city={city}" for city in encoder.categories_[0]]
    found = [[int(row[name]) for name in names] for row in made.rows("te")]
    assert np.array_equal(found, encoder.transform(cities[2]))
    assert list(made.rows("te")[0]) == ["id", "age", "score", *names, "member", "y"]


def test_columns_taken_apart_are_chosen_as_one(run: Run) -> None:
    encode = "{step: encode, column: member, as: oneHot, categories: learned, learnedFrom: all, unseen: refuse}"
    first = ["{step: dropMissing, columns: [member]}", encode]
    made = run(plan_of(*first, "{step: select, columns: [member, id]}"))
    assert made.rows()[0] == {"member=false": "0", "member=true": "1", "id": "0"}
    dropped = run(plan_of(*first, "{step: drop, columns: [member]}", "{step: copy, column: id, to: member}"))
    assert dropped.column("member") == dropped.column("id")
    distinct = run(plan_of(*first, "{step: dropDuplicates, columns: [member]}"))
    assert distinct.column("id") == ["0", "1"]


def test_ordinal_and_declared_categories(run: Run) -> None:
    made = run(
        plan_of(
            "{step: dropMissing, columns: [age]}",
            "{step: encode, column: city, as: ordinal, categories: [Köln, Ulm], unseen: missing}",
            "{step: encode, column: age, as: oneHot, categories: [17, 41], unseen: zeros}",
            "{step: filter, column: 'age=17', operator: '==', value: 0, missing: drop}",
        )
    )
    assert made.column("city") == ["1", "?", "?", "1"]
    assert made.column("age=41") == ["1", "0", "1", "0"]
    assert made.report()["steps"][1]["unseen"] == {"all": 1}


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (
            "{step: encode, column: city, as: oneHot, categories: [Ulm, Köln, Aachen], unseen: refuse}",
            "preprocess-missing",
        ),
        ("{step: encode, column: city, as: ordinal, categories: [Ulm, Köln], unseen: refuse}", "preprocess-unseen"),
        ("{step: mapValues, column: city, values: {Ulm: a}, others: refuse}", "preprocess-unmapped"),
    ],
)
def test_values_that_a_step_does_not_know(run: Run, step: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of(step))
    assert caught.value.reason == reason


def test_too_many_categories_are_refused(run: Run) -> None:
    rows = [[str(i), "1", "1", f"c{i}", "true", "no"] for i in range(1001)]
    step = "{step: encode, column: city, as: ordinal, categories: learned, learnedFrom: all, unseen: refuse}"
    with pytest.raises(FormatError) as caught:
        run(plan_of(step), rows)
    assert caught.value.reason == "preprocess-categories"
    with pytest.raises(FormatError) as none:
        run(plan_of(step), [["1", "1", "1", "?", "true", "no"]])
    assert none.value.reason == "preprocess-categories"


@pytest.mark.parametrize(
    "step",
    [
        "{step: encode, column: city, as: ordinal, categories: learned, learnedFrom: all, unseen: refuse}",
        "{step: impute, columns: [city], with: mode, learnedFrom: all}",
    ],
)
@pytest.mark.parametrize("text", ["a\tb", "\u202eb", "x" * 1025])
def test_learned_texts_can_stand_in_a_statement(run: Run, step: str, text: str) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of(step), [["1", "1", "1", text, "true", "no"]])
    assert caught.value.reason == "preprocess-text"


def test_a_learned_column_name_is_unique_and_short(run: Run) -> None:
    step = "{step: encode, column: city, as: oneHot, categories: learned, learnedFrom: all, unseen: refuse}"
    for steps, city in (([step], "x" * 128), (["{step: copy, column: id, to: 'city=Ulm'}", step], "Ulm")):
        with pytest.raises(FormatError) as caught:
            run(plan_of(*steps), [["1", "1", "1", city, "true", "no"]])
        assert caught.value.reason == "preprocess-columns"


# Values ---------------------------------------------------------------------------------------------------------------


def test_bins_are_closed_below(run: Run) -> None:
    made = run(plan_of("{step: bin, column: age, edges: [17.5, 41], labels: [young, middle, old]}"))
    names = ["young", "middle", "old"]
    expected = ["?" if row[1] == "?" else names[np.digitize(int(row[1]), [17.5, 41])] for row in PEOPLE]
    assert made.column("age") == expected


def test_values_are_mapped_at_once(run: Run) -> None:
    values = "{Ulm: Köln, Köln: Ulm, Aachen: null}"
    for others, left in (("keep", "?"), ("missing", "?")):
        made = run(plan_of(f"{{step: mapValues, column: city, values: {values}, others: {others}}}"))
        assert made.column("city") == ["Köln", "Ulm", "Köln", left, "?", "Köln", "Ulm"]
    made = run(plan_of("{step: mapValues, column: city, values: {Ulm: U}, others: missing}"))
    assert made.column("city") == ["U", "?", "U", "?", "?", "U", "?"]


# Joins ----------------------------------------------------------------------------------------------------------------


def join_step(kind: str = "inner", bring: str = "[country, size]", repeated: str = "first") -> str:
    return f"{{step: join, dataset: cities, on: {{city: town}}, kind: {kind}, bring: {bring}, repeated: {repeated}}}"


@pytest.mark.parametrize("kind", ["inner", "left"])
@pytest.mark.parametrize("repeated", ["first", "every"])
def test_joins_agree_with_two_loops(run: Run, kind: str, repeated: str) -> None:
    made = run(plan_of(join_step(kind, repeated=repeated)))
    expected: list[tuple[str, str, float | None]] = []
    for row in PEOPLE:
        found = [city[:3] for city in CITIES if "?" not in (row[3], city[0]) and city[0] == row[3]]
        found = found[:1] if repeated == "first" else found
        expected += [(row[0], city[1], float(city[2])) for city in found]
        if not found and kind == "left":
            expected.append((row[0], "?", None))
    rows = [(r["id"], r["country"], None if r["size"] == "?" else float(r["size"])) for r in made.rows()]
    assert rows == expected
    step = made.report()["steps"][0]
    assert step["repeatedKeys"] == 1
    assert step["unmatched"] == {"all": 2}
    assert made.statements["made"][1].build_definition.external_parameters.datasets == {
        "dataset": "people",
        "joined:cities": "cities",
    }


def test_repeated_keys_are_refused_or_declared(run: Run) -> None:
    with pytest.raises(FormatError) as caught:
        run(plan_of(join_step(repeated="refuse")))
    assert caught.value.reason == "preprocess-repeated-key"
    once = [CITIES[0], CITIES[1], CITIES[3], [*CITIES[3][:3], "9"]]
    assert run(plan_of(join_step(repeated="refuse")), cities=once).column("id") == ["0", "1", "2", "5", "6"]


def test_a_join_that_explodes_is_refused_before_it_is_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [[str(i), "1", "1", "Ulm", "true", "no"] for i in range(8000)]
    cities = [["Ulm", "DE", "1", str(i)] for i in range(8000)]
    with pytest.raises(FormatError) as caught:
        run(plan_of(join_step(repeated="every")), people, cities)
    assert caught.value.reason == "preprocess-join-size"
    assert join_module.MAX_JOINED_ROWS < 8000 * 8000
    monkeypatch.setattr(join_module, "MAX_JOINED_ROWS", 10)
    with pytest.raises(FormatError) as small:
        run(plan_of(join_step(repeated="every")), people[:4], cities[:3])
    assert small.value.reason == "preprocess-join-size"


def test_a_dataset_joined_with_itself_is_one_dataset(run: Run, read: Read) -> None:
    step = "{step: join, dataset: people, on: {id: id}, kind: inner, bring: [], repeated: refuse}"
    plan = plan_of(step)
    assert run(plan).column("id") == [row[0] for row in PEOPLE]
    one, other = read({"a.csv": table(PEOPLE)}), read({"b.csv": table(PEOPLE[:3])})
    given_ = {"dataset": Given(artifact=one, name="p"), "joined:people": Given(artifact=other, name="p")}
    with pytest.raises(FormatError) as caught:
        plan.measure(given_, Context())
    assert caught.value.reason == "transform-names"


# Other formats, real data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "jsonl", "arrow"])
def test_rows_of_other_formats_give_the_same_bytes(run: Run, read: Read, form: str) -> None:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    steps = ["{step: dropMissing, columns: [member]}", split_step(), "{step: sort, columns: [city], descending: true}"]
    text = transform_text(*steps, outputs=OUT)
    types: dict[str, Callable[[str], Any]] = {
        "id": int,
        "age": int,
        "score": float,
        "city": str,
        "member": "true".__eq__,
    }
    rows = [
        {name: None if value == "?" else types.get(name, str)(value) for name, value in zip(COLUMNS, row, strict=True)}
        for row in MANY
    ]
    stream = io.BytesIO()
    if form == "jsonl":
        stream.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    elif form == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), stream)
    else:
        pyarrow.feather.write_feather(pa.Table.from_pylist(rows), stream, compression="uncompressed")
    other = text.replace(
        'people: {format: csv, delimiter: ",", header: true, trim: false, nullToken: "?",',
        f"people: {{format: {form}, nullToken: null,",
    ).replace("people: {schema: people, skipLines: 0,", "people: {schema: people,")
    artifact = read({f"people.{form}": stream.getvalue()})
    outcome = (
        load(other).require_transform("prepare").measure({"dataset": Given(artifact=artifact, name="x")}, Context())
    )
    expected = run(load(text).require_transform("prepare"), MANY).outputs
    assert {name: made.files for name, made in outcome.outputs.items()} == {n: m.files for n, m in expected.items()}


def test_uci_adult_split_after_duplicates_are_dropped(adult: Path) -> None:
    kinds = "integer string integer string integer string string string string string integer integer integer string"
    columns = ", ".join(f"{{name: c{i}, type: {kind}}}" for i, kind in enumerate([*kinds.split(), "string"]))
    label = '{column: c14, classes: {"<=50K": 0, ">50K": 1}}'
    job = load(
        "apiVersion: lamslsa.dev/job/v1\nkind: Job\nschemas:\n"
        f'  adult: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?", columns: [{columns}],'
        f" label: {label}}}\n"
        "datasets: {adult: {schema: adult, skipLines: 0, groups: [], overlap: []}}\n"
        "transforms: {t: {transform: preprocess/1, dataset: adult, steps: [{step: dropDuplicates, columns: all},"
        " {step: split, into: {train: 4, test: 1}, seed: 0, together: [], stratify: [c14]}],"
        f' nullToken: "?", label: {label}, outputs: {{train: tr, test: te}}}}}}\n'
    )
    with read_verified(adult / "adult.data", "dataset") as artifact:
        made = Made(job.require_transform("t").measure({"dataset": Given(artifact=artifact, name="adult")}, Context()))
    lines = [
        tuple(line.split(", ")) for line in (adult / "adult.data").read_text(encoding="utf-8").splitlines() if line
    ]
    kept = list(dict.fromkeys(lines))
    expected: list[list[int]] = [[], []]
    for income in ("<=50K", ">50K"):
        members = sorted((i for i, row in enumerate(kept) if row[14] == income), key=lambda i: draw(0, i))
        expected[0] += members[: len(members) * 4 // 5]
        expected[1] += members[len(members) * 4 // 5 :]
    for name, indices in zip(("tr", "te"), expected, strict=True):
        text = made.outputs[name].files["data.csv"].decode().splitlines()[1:]
        assert [tuple(line.split(",")) for line in text] == [kept[i] for i in sorted(indices)]
    assert len(lines) == 32_561
    assert len(kept) == 32_537
    train = {kept[i][:14] for i in expected[0]}
    assert made.report("te")["shared"]["train"] == sum(kept[i][:14] in train for i in expected[1])


# What a host could try ------------------------------------------------------------------------------------------------


def test_a_model_is_no_dataset(run: Run, read: Read) -> None:
    plan = plan_of()
    with pytest.raises(FormatError) as caught:
        plan.measure({"dataset": Given(artifact=read({"a.csv": table(PEOPLE)}, "model"), name="x")}, Context())
    assert caught.value.reason == "dataset-kind"


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [
        (PEOPLE, [*COLUMNS[:5], "z"], "csv-header"),
        ([[*row, "1"] for row in PEOPLE], COLUMNS, "csv-fields"),
        ([["9007199254740993", *PEOPLE[0][1:]]], COLUMNS, "table-type"),
        ([[*PEOPLE[0][:2], "1e999", *PEOPLE[0][3:]]], COLUMNS, "table-type"),
        ([[*PEOPLE[0][:2], "nan", *PEOPLE[0][3:]]], COLUMNS, "table-type"),
        ([[*PEOPLE[0][:3], "a\nb", *PEOPLE[0][4:]]], COLUMNS, "csv-fields"),
    ],
)
def test_another_file_than_declared_is_refused(read: Read, rows: list[Row], columns: list[str], reason: str) -> None:
    plan = plan_of("{step: drop, columns: [age]}")
    with pytest.raises(FormatError) as caught:
        plan.measure({"dataset": Given(artifact=read({"a.csv": table(rows, columns)}), name="x")}, Context())
    assert caught.value.reason in (reason, "csv-quote")


def test_names_that_look_like_queries_are_names(run: Run) -> None:
    made = run(
        plan_of(
            "{step: rename, names: {age: 'c0; drop table t0', city: \"'\"}}",
            '{step: sort, columns: ["\'"], descending: false}',
            '{step: mapValues, column: "\'", values: {Ulm: "\'); drop table t0; --"}, others: keep}',
        )
    )
    assert made.column("'")[-1] == "'); drop table t0; --"


def test_steps_are_named_before_they_run() -> None:
    plan = plan_of("{step: drop, columns: [age]}")
    assert plan.steps() == ("drop, step 1", "write made from part all")
    assert [item.role for item in plan_of(join_step()).inputs] == ["dataset", "joined:cities"]


def test_an_output_is_one_file_of_a_fixed_name(run: Run) -> None:
    made = run(plan_of())
    assert isinstance(made.outputs["made"], Output)
    assert [entry.path for entry in made.outputs["made"].manifest.files] == ["data.csv"]
    assert made.outputs["made"].manifest.kind == "dataset"
