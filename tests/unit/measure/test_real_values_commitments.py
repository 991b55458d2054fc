"""What was kept back of rows of UCI Adult, opened by hashlib alone, and each value by pandas from the bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pandas as pd
import pytest

from lamslsa.measure import Context, Given, load_job
from tests.unit.measure.real_world import ADULT, COLUMNS, SEEN, Census, rich

Wire = dict[str, Any]
WITHHELD = "withhold: [columns, duplicates, distributions, labelBalance]"
GROUPS = "groups: [[sex], [workclass, race]]"


def text_of(value: Any) -> bytes:
    """RFC 8785 of objects whose keys are ASCII, of texts and of whole numbers, by Python's own JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sheet(census: Census, properties: str) -> tuple[Wire, dict[str, bytes]]:
    """The datasheet of the training rows, and what only their owner gets."""
    declared = f"train: {{schema: adult, skipLines: 0, {GROUPS}, overlap: []{properties}}}"
    job = ADULT.replace("train: {schema: adult, skipLines: 0, groups: [], overlap: []}", declared)
    assert declared in job
    plan = load_job(job.encode(), "job.yaml").sheet("train")
    outcome = plan.measure({"dataset": Given(artifact=census.world.data["train"], name="train")}, Context())
    (payload,) = outcome.statements
    return json.loads(payload.data)["predicate"], dict(outcome.private)


def counted(rows: pd.DataFrame, columns: list[str]) -> set[tuple[tuple[str, ...], int]]:
    """How many rows hold which values; ``?`` is missing."""
    known = rows[columns].fillna("?").groupby(columns).size()
    return {(values if isinstance(values, tuple) else (values,), int(count)) for values, count in known.items()}


def by_pandas(rows: pd.DataFrame) -> dict[str, Any]:
    """Every value that was withheld, by where it would stand; of distributions the cells in any order."""
    expected: dict[str, Any] = {"/duplicates": int(rows.duplicated().sum())}
    for place, name in enumerate(COLUMNS):
        expected[f"/columns/{place}/missing"] = int(rows[name].isna().sum())
        expected[f"/columns/{place}/distinct"] = rows[name].nunique()
    for place, columns in enumerate((["sex"], ["workclass", "race"])):
        expected[f"/distributions/{place}"] = counted(rows, columns)
    counts = pd.Series(rich(rows)).value_counts()
    expected["/labelBalance"] = {str(label): int(count) for label, count in counts.items()}
    return expected


def plain(pointer: str, value: Any) -> Any:
    """A withheld value in the form of `by_pandas`."""
    if pointer == "/duplicates":
        return value["rows"]
    if pointer.startswith("/distributions"):
        return {
            (tuple("?" if one is None else one for one in cell["values"]), cell["count"]) for cell in value["cells"]
        }
    if pointer == "/labelBalance":
        return {str(cell["values"][0]): cell["count"] for cell in value["cells"]}
    return value


def test_withheld_values_of_a_datasheet(census: Census) -> None:
    wire, private = sheet(census, f", properties: {{{WITHHELD}}}")
    openings = json.loads(private["openings.json"])["openings"]
    expected = by_pandas(census.train)
    commitments = {item["pointer"]: item["commitment"]["sha256"] for item in wire["withheld"]}
    assert commitments.keys() == expected.keys()
    assert [item["pointer"] for item in openings] == list(commitments)
    for item in openings:
        assert plain(item["pointer"], item["value"]) == expected[item["pointer"]], item["pointer"]
        salt = base64.b64decode(item["salt"])
        assert hashlib.sha256(salt + text_of(item["value"])).hexdigest() == commitments[item["pointer"]]
    assert len({item["salt"] for item in openings}) == len(openings)
    assert expected["/columns/1/missing"] > 0
    text = json.dumps(wire)
    assert "Female" not in text
    assert wire["distributions"] == []
    assert not {"missing", "distinct"} & {key for column in wire["columns"] for key in column}


def test_disclosed_values_are_those_of_the_openings(census: Census) -> None:
    wire, private = sheet(census, "")
    assert not private
    expected = by_pandas(census.train)
    for pointer, value in expected.items():
        found: Any = wire
        for part in pointer.split("/")[1:]:
            found = found[int(part)] if isinstance(found, list) else found[part]
        assert plain(pointer, found) == value, pointer


@pytest.mark.parametrize(("inputs", "outputs"), [(False, False), (True, False), (False, True)])
def test_sides_of_inferences(census: Census, inputs: bool, outputs: bool) -> None:
    text = ADULT.replace(
        "disclose: {inputs: true, outputs: true}",
        f"disclose: {{inputs: {str(inputs).lower()}, outputs: {str(outputs).lower()}}}",
    )
    given = {"model": census.world.model, "dataset": census.world.data["few"]}
    plan = load_job(text.replace("inference/1, dataset: test", "inference/1, dataset: few").encode(), "job.yaml")
    outcome = plan.require_inference().measure(
        {role: Given(artifact=artifact, name=role) for role, artifact in given.items()}, Context()
    )
    rows = census.train.head(300)
    answers = census.asked(rows)
    salts = set()
    for index, line in enumerate(outcome.private["receipts.jsonl"].splitlines()):
        receipt = json.loads(line)
        record, openings = receipt["record"], receipt["openings"]
        assert openings.keys() == {side for side, told in (("input", inputs), ("output", outputs)) if not told}
        values = {}
        for side, told in (("input", inputs), ("output", outputs)):
            if told:
                assert record[side].keys() == {"value"}
                values[side] = record[side]["value"]
                continue
            assert record[side].keys() == {"commitment"}
            salt, values[side] = base64.b64decode(openings[side]["salt"]), openings[side]["value"]
            assert len(salt) == 32
            salts.add(salt)
            # The bytes of the value as the receipt, which is in canonical form itself, holds them.
            ends = f'"{side}":{{"salt":"{openings[side]["salt"]}","value":'.encode()
            start = line.index(ends) + len(ends)
            _, end = json.JSONDecoder().raw_decode(line[start:].decode())
            told_bytes = line[start:].decode()[:end].encode()
            assert hashlib.sha256(salt + told_bytes).hexdigest() == record[side]["commitment"]
        row = {name: None if pd.isna(rows[name].iloc[index]) else rows[name].iloc[index] for name in SEEN}
        assert values["input"] == row
        assert abs(values["output"]["probability"] - answers[index]) < 1e-6
    assert index == len(rows) - 1
    assert len(salts) == len(rows) * (2 - inputs - outputs)
