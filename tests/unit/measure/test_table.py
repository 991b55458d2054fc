"""CSV bytes to typed rows: whatever is not exactly as declared is refused, and nothing else can be reached."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.data import csv_rows, database, limits, lines
from lamslsa.measure.data.schema import Column, Label, Schema
from lamslsa.measure.data.table import Source, Table, open_tables

SCHEMA = Schema(
    delimiter=",",
    header=False,
    skip_lines=0,
    trim=True,
    null_token="?",
    columns=(
        Column(name="age", type="integer"),
        Column(name="job", type="string"),
        Column(name="rate", type="number"),
        Column(name="member", type="boolean"),
        Column(name="income", type="string"),
    ),
    label=Label(column="income", classes={"low": 0, "high": 1}),
)
GOOD = b"39, Clerk, 0.5, true, low\n50,?,?,?,high\n"

Opened = Callable[..., Table]


@contextmanager
def opened(path: Path, data: bytes, **changes: Any) -> Iterator[Table]:
    path.write_bytes(data)
    source_schema = replace(SCHEMA, **changes)
    with (
        read_verified(path, "dataset") as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=source_schema)}) as tables,
    ):
        yield tables["t"]


def rows_of(subject: Table) -> list[tuple[Any, ...]]:
    columns = [subject.values(column.name).tolist() for column in subject.schema.columns]
    return [
        tuple(None if isinstance(value, float) and math.isnan(value) else value for value in row)
        for row in zip(*columns, strict=True)
    ]


def refusal(path: Path, data: bytes, **changes: Any) -> FormatError:
    with pytest.raises(FormatError) as caught, opened(path, data, **changes):
        pass
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.csv"


def test_typed_rows_in_order(path: Path) -> None:
    with opened(path, GOOD) as subject:
        assert subject.rows == 2
        assert rows_of(subject) == [(39, "Clerk", 0.5, True, 0), (50, None, None, None, 1)]


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (GOOD.removesuffix(b"\n"), {}),
        (GOOD + b"\n\n\n", {}),
        (GOOD.replace(b"\n", b"\r\n"), {}),
        (GOOD.replace(b"\n", b"\r\n").removesuffix(b"\r\n"), {}),
        (b"|1x3 Cross validator\n" + GOOD, {"skip_lines": 1}),
        (b"\n\n" + GOOD, {"skip_lines": 2}),
        (b'"\n' + GOOD, {"skip_lines": 1}),
        (b' age,job ,rate,"member",income\n' + GOOD, {"header": True}),
        (b"junk\nage,job,rate,member,income\n" + GOOD, {"header": True, "skip_lines": 1}),
        (GOOD.replace(b",", b";"), {"delimiter": ";"}),
        (GOOD.replace(b",", b"\t"), {"delimiter": "\t"}),
        (GOOD.replace(b",", b"|"), {"delimiter": "|"}),
        (b'39,"Clerk",0.5,"true","low"\n50,"?",?,?,high\n', {}),
    ],
)
def test_spellings_of_the_same_rows(path: Path, data: bytes, changes: dict[str, Any]) -> None:
    with opened(path, data, **changes) as subject:
        assert rows_of(subject) == [(39, "Clerk", 0.5, True, 0), (50, None, None, None, 1)]


def test_texts_are_data_whatever_they_look_like(path: Path) -> None:
    texts = ["=1+1", "@cmd", "'; drop table t0; --", "NULL", "null", "", "é", "a\\", "#a", '"x,"']
    fields = ['"' + text.replace('"', '""') + '"' for text in texts]
    data = "".join(f"1,{field},1,true,low\n" for field in fields).encode()
    with opened(path, data) as subject:
        assert subject.values("job").tolist() == texts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n")), min_size=1, max_size=20),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    terminator=st.sampled_from(["\n", "\r\n"]),
)
def test_what_csv_writes_is_read_back(
    path: Path, rows: list[str], delimiter: str, quoting: Literal[0, 1], terminator: str
) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=terminator)
    writer.writerows([1, row, 0.5, "true", "low"] for row in rows)
    with opened(path, stream.getvalue().encode(), delimiter=delimiter, trim=False, null_token=None) as subject:
        assert subject.values("job").tolist() == rows


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b",", b'"', b"\n", b"\r\n", b" ", b"1", b"low", b"true", b"\xff", b"?"]), max_size=40))
def test_any_bytes_are_rows_or_refused(path: Path, parts: list[bytes]) -> None:
    with suppress(FormatError), opened(path, GOOD + b"".join(parts)) as subject:
        assert subject.rows == len(rows_of(subject))


@pytest.mark.parametrize(
    ("token", "fields", "expected"),
    [
        (None, ["?", "", "x"], ["?", "", "x"]),
        ("", ["?", "", "x"], ["?", None, "x"]),
        ("N/A", ["N/A", " N/A ", "n/a"], [None, None, "n/a"]),
        ("'", ["'", "''", "x"], [None, "''", "x"]),
    ],
)
def test_null_token(path: Path, token: str | None, fields: list[str], expected: list[str | None]) -> None:
    data = "".join(f"1,{field},1,true,low\n" for field in fields).encode()
    with opened(path, data, null_token=token) as subject:
        assert subject.values("job").tolist() == expected


def test_without_trim_a_blank_is_part_of_the_field(path: Path) -> None:
    with opened(path, b"1, Clerk\t,1,true,low\n", trim=False) as subject:
        assert subject.values("job").tolist() == [" Clerk\t"]
    assert refusal(path, b" 1,Clerk,1,true,low\n", trim=False).reason == "table-type"


def test_trim_takes_blanks_and_tabs_and_no_other_space(path: Path) -> None:
    with opened(path, "1,\u00a0Clerk \t,1,true,low\n".encode()) as subject:
        assert subject.values("job").tolist() == ["\u00a0Clerk"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [("1e3", 1000.0), ("-.5", -0.5), ("3.", 3.0), ("0.1", 0.1), ("2.2250738585072014e-308", 2.2250738585072014e-308)],
)
def test_numbers_are_rounded_as_python_does(path: Path, field: str, expected: float) -> None:
    with opened(path, f"1,x,{field},true,low\n".encode()) as subject:
        assert subject.values("rate").tolist() == [expected]


def test_minus_zero_is_zero(path: Path) -> None:
    with opened(path, b"1,x,-0.0,true,low\n1,x,0,true,low\n") as subject:
        assert [math.copysign(1, value) for value in subject.values("rate").tolist()] == [1.0, 1.0]
        assert subject.duplicates() == 1


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"39,Clerk,0.5,true\n", "csv-fields", 1),
        (GOOD + b"39,Clerk,0.5,true\n", "csv-fields", 3),
        (GOOD + b"39,Clerk,0.5,true,low,\n", "csv-fields", 3),
        (GOOD + b",,,,,,,,\n", "csv-fields", 3),
        (GOOD + b"," * 100_000 + b"\n", "csv-fields", 3),
        (GOOD.replace(b",", b";"), "csv-fields", 1),
        (GOOD + b"\n" + GOOD, "csv-empty-line", 3),
        (b"\n" + GOOD, "csv-empty-line", 1),
        (b'39,"Clerk,0.5,true,low\n', "csv-quote", 1),
        (b'39,"Cl\nerk",0.5,true,low\n', "csv-quote", 1),
        (b'39,Cl"er"k,0.5,true,low\n', "csv-quote", 1),
        (b'39, "Clerk",0.5,true,low\n', "csv-quote", 1),
        (b'39,"Clerk"x,0.5,true,low\n', "csv-quote", 1),
        (GOOD.replace(b"Clerk", b"Cl\xffrk"), "csv-utf8", 1),
        (GOOD.replace(b"Clerk", b"\xed\xa0\x80"), "csv-utf8", 1),
        (GOOD.replace(b"Clerk", b"Cl\0rk"), "csv-nul", 1),
        (b"\xef\xbb\xbf" + GOOD, "csv-bom", 1),
        (GOOD.replace(b"Clerk", b"Cl\rrk"), "csv-line-end", 1),
        (GOOD.replace(b"\n", b"\r\n", 1), "csv-line-end", 2),
        (GOOD.replace(b"high\n", b"high\r\n"), "csv-line-end", 2),
        (GOOD.replace(b"\n", b"\r\r\n"), "csv-line-end", 1),
        (GOOD + b"1," + b"x" * (limits.MAX_LINE_BYTES) + b",1,true,low\n", "csv-line-size", 3),
        (b"age,job,rate,member,income\n" + GOOD, "table-type", 1),
        (GOOD + b"4.0,x,1,true,low\n", "table-type", 3),
        (GOOD + b"+4,x,1,true,low\n", "table-type", 3),
        (GOOD + b"0x4,x,1,true,low\n", "table-type", 3),
        (GOOD + b"1 000,x,1,true,low\n", "table-type", 3),
        (GOOD + b"9007199254740993,x,1,true,low\n", "table-type", 3),
        (GOOD + b"99999999999999999999,x,1,true,low\n", "table-type", 3),
        (GOOD + "٣,x,1,true,low\n".encode(), "table-type", 3),
        (GOOD + b",x,1,true,low\n", "table-type", 3),
        (GOOD + b"1,x,NaN,true,low\n", "table-type", 3),
        (GOOD + b"1,x,inf,true,low\n", "table-type", 3),
        (GOOD + b"1,x,1e400,true,low\n", "table-type", 3),
        (GOOD + b"1,x,1_0,true,low\n", "table-type", 3),
        (GOOD + b"1,x,1,True,low\n", "table-type", 3),
        (GOOD + b"1,x,1,1,low\n", "table-type", 3),
        (GOOD + b"1,x,1,true,middle\n", "table-label", 3),
        (GOOD + b"1,x,1,true,?\n", "table-label", 3),
        (GOOD + b"1,x,1,true,LOW\n", "table-label", 3),
    ],
)
def test_hostile_lines_are_refused_by_number(path: Path, data: bytes, reason: str, line: int) -> None:
    error = refusal(path, data)
    assert error.reason == reason
    assert f"line {line}:" in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("column", "row", "words"),
    [
        ("rate", b"1,x,nan,true,low\n", "expected a label that is a finite number, got 'nan'"),
        ("rate", b"1,x,?,true,low\n", "expected a label that is a finite number, got '?'"),
        ("age", b"1.5,x,1,true,low\n", "expected a label that is an integer, got '1.5'"),
    ],
)
def test_a_label_that_is_no_number_is_told_as_one(path: Path, column: str, row: bytes, words: str) -> None:
    data = b"39, Clerk, 0.5, true, low\n" + row
    error = refusal(path, data, label=Label(column=column, classes=None))
    assert (error.reason, str(error)) == ("table-label", f"t.csv: line 2: column {column!r}: {words}")


@pytest.mark.parametrize(
    ("data", "changes", "reason"),
    [
        (b"\n", {}, "csv-rows"),
        (b"junk\n", {"skip_lines": 1}, "csv-rows"),
        (b"junk\n", {"skip_lines": 3}, "csv-short"),
        (b"age,job,rate,member,income\n", {"header": True}, "csv-rows"),
        (GOOD, {"header": True}, "csv-header"),
        (b"job,age,rate,member,income\n" + GOOD, {"header": True}, "csv-header"),
        (b"age,job,rate,member\n" + GOOD, {"header": True}, "csv-fields"),
    ],
)
def test_files_without_the_declared_rows_are_refused(
    path: Path, data: bytes, changes: dict[str, Any], reason: str
) -> None:
    assert refusal(path, data, **changes).reason == reason


def test_line_of_a_wrong_type_counts_skipped_lines_and_header(path: Path) -> None:
    data = b"junk\nage,job,rate,member,income\n" + GOOD + b"x,x,1,true,low\n"
    assert "line 5: column 'age'" in str(refusal(path, data, skip_lines=1, header=True))


def test_size_is_capped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TABLE_BYTES", len(GOOD) - 1)
    assert refusal(path, GOOD).reason == "table-size"


def test_memory_is_capped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.CONFIG, "memory_limit", "1MB")
    data = b"".join(b"%d,%d,%d,true,low\n" % (number, number, number) for number in range(200_000))
    assert refusal(path, data).reason == "table-memory"


def test_file_swapped_after_it_was_read_changes_nothing(path: Path) -> None:
    path.write_bytes(GOOD)
    with read_verified(path, "dataset") as artifact:
        path.write_bytes(GOOD.replace(b"39", b"93"))
        source = Source(file=artifact.only(), schema=SCHEMA)
        with open_tables({"t": source}) as tables:
            path.unlink()
            assert tables["t"].values("age").tolist() == [39, 50]


def test_the_row_count_is_compared_with_the_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "measure_lines", lambda *_: lines.Layout(rows=3, first_line=1, carriage_return=False))
    assert refusal(path, GOOD).reason == "csv-rows"


@pytest.fixture
def locked(path: Path) -> Iterator[Any]:
    with opened(path, GOOD) as subject:
        yield subject._connection


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('/proc/self/environ')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "select * from read_csv('https://example.com/a.csv')",
        "copy t0 to 'OUT/x.csv'",
        "export database 'OUT/db'",
        "attach 'OUT/x.db'",
        "install httpfs",
        "load httpfs",
        "load 'OUT/x.duckdb_extension'",
        "set enable_external_access = true",
        "set threads = 2",
        "set lock_configuration = false",
        "set allowed_paths = ['/etc/passwd']",
        "reset memory_limit",
    ],
)
def test_duckdb_reaches_nothing_else(locked: Any, tmp_path: Path, statement: str) -> None:
    import duckdb

    before = sorted(tmp_path.iterdir())
    with pytest.raises(duckdb.Error) as caught:
        locked.execute(statement.replace("OUT", str(tmp_path)))
    assert isinstance(
        caught.value, (duckdb.PermissionException, duckdb.InvalidInputException, duckdb.CatalogException)
    ), caught.value
    assert sorted(tmp_path.iterdir()) == before


def test_duckdb_runs_as_declared(locked: Any) -> None:
    found = dict(locked.execute("select name, value from duckdb_settings()").fetchall())
    assert found["threads"] == "1"
    assert found["enable_external_access"] == "false"
    assert found["lock_configuration"] == "true"
    assert found["autoload_known_extensions"] == "false"
    assert found["temp_directory"] == ""
    assert found["allowed_paths"].count("/fd/") == 1


def test_cells_are_bounded_and_sorted(path: Path) -> None:
    data = b"".join(f"{number},{job},1,true,low\n".encode() for number in (3, 1, 10, 2) for job in ("b", "a", "?"))
    with opened(path, data + b"?,a,1,true,low\n") as subject:
        cells = subject.cells(["age", "job"], limit=13)
        assert [values for values, _ in cells][:4] == [(None, "a"), (1, None), (1, "a"), (1, "b")]
        assert sum(count for _, count in cells) == 13
        with pytest.raises(FormatError) as caught:
            subject.cells(["age", "job"], limit=12)
        assert caught.value.reason == "table-groups"
