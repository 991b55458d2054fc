"""The datasheet against a count in plain Python over the same texts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.errors import FormatError
from lamslsa.measure import Job, load_job
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.dataset import reading
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset

ROOT = Path(__file__).resolve().parents[3]
Read = Callable[..., VerifiedArtifact]
Row = tuple[Any, ...]


def _duplicates(sheet: Dataset) -> int:
    assert sheet.duplicates is not None
    return sheet.duplicates.rows


def parsed(payload: bytes) -> Dataset:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Dataset)
    return predicate


def independently(texts: list[list[str]], schema: Schema) -> list[Row]:
    """Typed rows by the csv module's texts and Python's own types."""
    kinds: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "boolean": {"true": True, "false": False}.__getitem__,
        "string": str,
    }
    rows = []
    for text in texts:
        row: list[Any] = []
        for untrimmed, column in zip(text, schema.columns, strict=True):
            field = untrimmed.strip(" \t")
            if column.name == schema.target.column:
                row.append((schema.target.classes or {})[field])
            else:
                row.append(None if field == schema.null_token else kinds[column.type](field))
        rows.append(tuple(row))
    return rows


def assert_counts(sheet: Dataset, rows: list[Row], schema: Schema) -> None:
    names = [column.name for column in schema.columns]
    assert sheet.rows == len(rows)
    assert _duplicates(sheet) == len(rows) - len(set(rows))
    assert [column.name for column in sheet.columns] == names
    for index, column in enumerate(sheet.columns):
        values = [row[index] for row in rows]
        assert column.missing == values.count(None)
        assert column.distinct == len(set(values) - {None})
    assert sheet.label_balance is not None
    for distribution in (*sheet.distributions, sheet.label_balance):
        positions = [names.index(name) for name in distribution.columns]
        expected = Counter(tuple(row[position] for position in positions) for row in rows)
        assert {cell.values: cell.count for cell in distribution.cells} == dict(expected)
        assert len(distribution.cells) == len(expected)
        assert distribution.samples == len(rows) == sum(cell.count for cell in distribution.cells)


def overlap_of(rows: list[Row], others: list[Row]) -> tuple[int, int]:
    mine, theirs = [row[:-1] for row in rows], {row[:-1] for row in others}
    return sum(row in theirs for row in mine), len(set(mine) & theirs)


def test_datasheet_of_the_training_set(job: Job, train_set: VerifiedArtifact, train_rows: list[list[str]]) -> None:
    sheet = parsed(measure_dataset(train_set, name="people-train", job=job))
    schema = job.dataset("people-train").table
    rows = independently(train_rows, schema)
    assert_counts(sheet, rows, schema)
    assert _duplicates(sheet) > 0
    assert [item.columns for item in sheet.distributions] == [("sex",), ("sex", "race"), ("race", "income")]
    assert sheet.overlaps == ()
    assert sheet.declared is None
    assert sheet.schema == schema.resolved()
    assert sheet.schema_digest.sha256 == schema.sha256
    assert sheet.files[0].path == "people.data"
    assert sheet.files[0].digest.sha256 == train_set.manifest.files[0].sha256
    assert str(sheet.measurer) == "tabular-dataset/1"
    assert sheet.configuration == {"groups": [["sex"], ["sex", "race"], ["race", "income"]], "overlap": []}


def test_datasheet_of_the_test_set_counts_the_overlap(
    job: Job,
    train_set: VerifiedArtifact,
    test_set: VerifiedArtifact,
    train_rows: list[list[str]],
    test_rows: list[list[str]],
) -> None:
    payload = measure_dataset(test_set, name="people-test", job=job, others={"people-train": train_set})
    sheet = parsed(payload)
    schema = job.dataset("people-test").table
    mine, theirs = independently(test_rows, schema), independently(train_rows, schema)
    assert_counts(sheet, mine, schema)
    (overlap,) = sheet.overlaps
    assert (overlap.rows, overlap.distinct) == overlap_of(mine, theirs)
    assert overlap.rows >= 7
    assert overlap.samples == len(mine)
    assert overlap.columns == ("age", "work class", "score", "member", "sex", "race")
    assert overlap.dataset.digest.sha256 == train_set.manifest.sha256
    assert overlap.schema_digest.sha256 == job.dataset("people-train").table.sha256
    assert sheet.declared is not None
    assert sheet.declared.license == "CC-BY-4.0"
    subject = statement.parse(payload).subjects
    assert [(item.name, item.sha256) for item in subject] == [("people-test", test_set.manifest.sha256)]


def test_overlap_over_some_columns_is_that_of_the_rows_without_the_others(
    make_job: Callable[..., Job],
    train_set: VerifiedArtifact,
    test_set: VerifiedArtifact,
    train_rows: list[list[str]],
    test_rows: list[list[str]],
) -> None:
    """Every set of features, several in one datasheet; with more of them never more rows."""
    names = ("age", "work class", "score", "member", "sex", "race")
    sets = [each for size in range(1, 7) for each in combinations(names, size)]
    for properties in ("{}", "{normalization: {text: [], digits: null}}"):
        asked = ", ".join(f"{{dataset: people-train, columns: [{', '.join(reversed(each))}]}}" for each in sets)
        job = make_job(("overlap: [people-train]", f"overlap: [{asked}]\n    properties: {properties}"))
        sheet = parsed(measure_dataset(test_set, name="people-test", job=job, others={"people-train": train_set}))
        schema = job.dataset("people-test").table
        mine, theirs = independently(test_rows, schema), independently(train_rows, schema)
        found = {overlap.columns: overlap for overlap in sheet.overlaps}
        assert list(found) == sets
        assert sheet.configuration["overlap"] == [{"dataset": "people-train", "columns": list(each)} for each in sets]
        for columns, overlap in found.items():
            at = [names.index(name) for name in columns]
            left, right = ([tuple(row[place] for place in at) for row in rows] for rows in (mine, theirs))
            there = set(right)
            assert overlap.rows == sum(row in there for row in left)
            assert overlap.distinct == len(there.intersection(left))
            assert all(overlap.rows >= more.rows for name, more in found.items() if set(name) > set(columns))


def test_a_row_number_hides_every_shared_row_and_its_absence_none(read: Read) -> None:
    """The same 200 people, numbered from 0 and from 1000: by all features none is shared, by what a model sees all."""
    text = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  s: {format: csv, delimiter: ",", header: false, trim: true, nullToken: "?", label: {column: y, classes: {a: 0, b: 1}},
      columns: [{name: id, type: integer}, {name: age, type: integer}, {name: sex, type: string},
        {name: y, type: string}]}
datasets:
  train: {schema: s, skipLines: 0, groups: [], overlap: []}
  test: {schema: s, skipLines: 0, groups: [], overlap: [train, {dataset: train, columns: [sex, age]}]}
"""
    train, test = (
        read({"t": "".join(f"{start + i},{20 + i % 50},{'mf'[i % 2]},{'ab'[i % 2]}\n" for i in range(200)).encode()})
        for start in (0, 1000)
    )
    job = load_job(text.encode(), "job.yaml")
    sheet = parsed(measure_dataset(test, name="test", job=job, others={"train": train}))
    assert [(item.columns, item.rows) for item in sheet.overlaps] == [(("id", "age", "sex"), 0), (("age", "sex"), 200)]
    assert "overlap with train by age, sex" in job.sheet("test").steps()


def test_overlap_ignores_the_label_and_takes_missing_as_equal(job: Job, read: Read) -> None:
    train = read({"a": b"1,?,?,true,Male,White,>50K\n2,x,1,true,Male,White,>50K\n"})
    test = read({"b": b"junk\n1,?,?,true,Male,White,<=50K\n1,?,?,true,Male,White,>50K\n2,x,1.0,true,Male,White,>50K\n"})
    sheet = parsed(measure_dataset(test, name="people-test", job=job, others={"people-train": train}))
    assert (sheet.overlaps[0].rows, sheet.overlaps[0].distinct) == (3, 2)


def test_bytes_do_not_change_from_run_to_run(job: Job, train_set: VerifiedArtifact) -> None:
    first, second = (measure_dataset(train_set, name="people-train", job=job) for _ in range(2))
    assert first == second


def test_cells_are_sorted_with_missing_first(job: Job, read: Read) -> None:
    line = "1,?,?,true,{},{},>50K\n"
    data = "".join(line.format(*pair) for pair in [("b", "?"), ("a", "z"), ("?", "y"), ("B", "y"), ("a", "?")])
    sheet = parsed(measure_dataset(read({"a": data.encode()}), name="people-train", job=job))
    cells = [cell.values for cell in sheet.distributions[1].cells]
    assert cells == [(None, "y"), ("B", "y"), ("a", None), ("a", "z"), ("b", None)]


def test_other_datasets_must_be_those_of_the_job(
    job: Job, train_set: VerifiedArtifact, test_set: VerifiedArtifact
) -> None:
    with pytest.raises(FormatError) as missing:
        measure_dataset(test_set, name="people-test", job=job)
    with pytest.raises(FormatError) as foreign:
        measure_dataset(train_set, name="people-train", job=job, others={"people-test": test_set})
    with pytest.raises(FormatError) as unknown:
        measure_dataset(train_set, name="nobody", job=job)
    reasons = [error.value.reason for error in (missing, foreign, unknown)]
    assert reasons == ["measure-input", "measure-input", "job-dataset"]


def test_subject_is_one_file_of_a_dataset(job: Job, read: Read, train_rows: list[list[str]]) -> None:
    with pytest.raises(FormatError) as two:
        measure_dataset(read({"a": b"1", "b": b"2"}), name="people-train", job=job)
    with pytest.raises(FormatError) as model:
        measure_dataset(read({"a": b"1"}, "model"), name="people-train", job=job)
    assert (two.value.reason, model.value.reason) == ("artifact-not-single", "dataset-kind")


def test_too_many_cells_are_refused(job: Job, train_set: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CELLS", 3)
    with pytest.raises(FormatError) as caught:
        measure_dataset(train_set, name="people-train", job=job)
    assert caught.value.reason == "table-groups"


def test_progress_only_goes_forward(job: Job, train_set: VerifiedArtifact, test_set: VerifiedArtifact) -> None:
    stages: list[tuple[str, int, int]] = []
    others = {"people-train": train_set}
    measure_dataset(test_set, name="people-test", job=job, others=others, progress=lambda *step: stages.append(step))
    assert stages[-1][1] == stages[-1][2]
    assert [done for _, done, _ in stages] == sorted(done for _, done, _ in stages)


def test_adult(adult: Path) -> None:
    job = load_job((ROOT / "examples" / "census" / "census.yaml").read_bytes(), "census.yaml")
    schema = job.dataset("census-test").table
    texts = {}
    for name in ("adult.data", "adult.test"):
        with (adult / name).open(encoding="utf-8") as stream:
            texts[name] = [row for row in csv.reader(stream) if len(row) == 15]
    train, test = (independently(texts[name], schema) for name in ("adult.data", "adult.test"))
    with read_verified(adult / "adult.data", "dataset") as one, read_verified(adult / "adult.test", "dataset") as two:
        train_sheet = parsed(measure_dataset(one, name="census-train", job=job))
        test_sheet = parsed(measure_dataset(two, name="census-test", job=job, others={"census-train": one}))
    assert (train_sheet.rows, test_sheet.rows) == (32_561, 16_281)
    assert_counts(train_sheet, train, schema)
    assert_counts(test_sheet, test, schema)
    (overlap,) = test_sheet.overlaps
    seen = [[row[:2] + row[3:] for row in rows] for rows in (test, train)]  # without fnlwgt, which training drops
    assert (overlap.rows, overlap.distinct) == overlap_of(*seen)
    assert (overlap.rows, len(overlap.columns), overlap_of(test, train)[0]) == (2979, 13, 26)


def test_payload_holds_counts_and_no_fraction(job: Job, train_set: VerifiedArtifact) -> None:
    def refuse(text: str) -> float:
        raise AssertionError(text)

    json.loads(measure_dataset(train_set, name="people-train", job=job), parse_float=refuse)
