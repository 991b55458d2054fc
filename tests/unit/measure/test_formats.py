"""Parquet, JSON Lines and Arrow: the same rows as CSV, and every lie about them refused."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import math
import pickle
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.data import exact, limits
from lamslsa.measure.data.schema import Column, Label, Schema, TableFormat
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.data.thrift import I32, I64, LIST, STRUCT, Budget, Reader, write

FORMATS: tuple[TableFormat, ...] = ("parquet", "jsonl", "arrow")
SCHEMA = Schema(
    delimiter="",
    header=False,
    skip_lines=0,
    trim=False,
    null_token="?",
    columns=(
        Column(name="age", type="integer"),
        Column(name="rate", type="number"),
        Column(name="gruppé", type="string"),
        Column(name="member", type="boolean"),
        Column(name="income", type="string"),
    ),
    label=Label(column="income", classes={"low": 0, "high": 1}),
)
GOOD: dict[str, list[Any]] = {
    "income": ["low", "high", "low"],
    "age": [39, None, 2**53],
    "rate": [0.5, None, -0.0],
    "gruppé": ["日本", "?", None],
    "member": [True, None, False],
}


def parquet(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def arrow(table: pa.Table, *, stream: bool = False, **options: Any) -> bytes:
    sink = io.BytesIO()
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def jsonl(columns: dict[str, list[Any]]) -> bytes:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def written(columns: dict[str, Any], form: TableFormat) -> bytes:
    if form == "jsonl":
        return jsonl(columns)
    return parquet(pa.table(columns)) if form == "parquet" else arrow(pa.table(columns))


@contextmanager
def opened(folder: Path, data: bytes, form: TableFormat, **changes: Any) -> Iterator[Table]:
    path = folder / "table"
    path.write_bytes(data)
    schema = replace(SCHEMA, format=form, **changes)
    with (
        read_verified(path, "dataset") as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=schema)}) as tables,
    ):
        yield tables["t"]


def refusal(folder: Path, data: bytes, form: TableFormat, **changes: Any) -> str:
    start = time.monotonic()
    with pytest.raises(FormatError) as caught, opened(folder, data, form, **changes):
        pass
    assert time.monotonic() - start < 5
    assert len(str(caught.value)) < 400
    return caught.value.reason


@pytest.mark.parametrize("form", FORMATS)
def test_typed_rows_in_order(tmp_path: Path, form: TableFormat) -> None:
    with opened(tmp_path, written(GOOD, form), form) as table:
        rows = [table.values(column.name).tolist() for column in SCHEMA.columns]
        assert str(rows) == str(
            [[39.0, np.nan, 2.0**53], [0.5, np.nan, 0.0], ["日本", None, None], [True, None, False], [0, 1, 0]]
        )
        assert table.numbers("rate").tolist() == [0.5, 0.0]
        assert [batch["age"].tolist()[:1] for batch in table.batches(["age"], rows=2)] == [[39.0], [2.0**53]]
        with pytest.raises(FormatError) as caught:
            table.numbers("member")
        assert caught.value.reason == "table-not-numbers"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("age", [1, 2, 2**53 + 1], "table-type"),
        ("age", [1, 2, -(2**53) - 1], "table-type"),
        ("rate", [1.0, 2.0, float("nan")], "table-type"),
        ("rate", [1.0, float("-inf"), 2.0], "table-type"),
        ("rate", [1, 2, 2**53 + 1], "table-type"),
        ("income", ["low", "high", "LOW"], "table-label"),
        ("income", ["low", "high", None], "table-label"),
        ("income", ["low", "high", "?"], "table-label"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    tmp_path: Path, form: TableFormat, column: str, values: list[Any], reason: str
) -> None:
    expected = "table-type" if form == "jsonl" and "label" not in reason else reason
    assert refusal(tmp_path, written({**GOOD, column: values}, form), form) == expected


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("age", pa.array([1.0, 2.0, 3.0])),
        ("age", pa.array(["1", "2", "3"])),
        ("age", pa.array([dt.date(2020, 1, 1)] * 3)),
        ("rate", pa.array([decimal.Decimal("1.5")] * 3, pa.decimal128(30, 2))),
        ("rate", pa.array(np.zeros(3, dtype=np.float16))),
        ("rate", pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)] * 3)),
        ("gruppé", pa.array([b"x"] * 3)),
        ("gruppé", pa.array([["x"]] * 3)),
        ("gruppé", pa.array([{"x": 1}] * 3)),
        ("gruppé", pa.array([1, 2, 3])),
        ("member", pa.array([1, 0, 1])),
        ("age", pa.nulls(3)),
        ("gruppé", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * 3, pa.binary(16)))),
        ("gruppé", pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"] * 3))),
    ],
)
def test_types_that_do_not_fit_are_refused(tmp_path: Path, form: TableFormat, column: str, values: Any) -> None:
    expected = {f"{form}-type", "parquet-columns"}
    assert refusal(tmp_path, written({**GOOD, column: values}, form), form) in expected


@pytest.mark.parametrize("form", FORMATS)
def test_columns_are_exactly_those_declared(tmp_path: Path, form: TableFormat) -> None:
    for columns in (
        {**GOOD, "more": [1, 2, 3]},
        {k: v for k, v in GOOD.items() if k != "age"},
        {**GOOD, "Age": [1] * 3},
    ):
        assert refusal(tmp_path, written(columns, form), form) == f"{form}-columns"


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_are_refused(tmp_path: Path, form: TableFormat) -> None:
    table = pa.table(GOOD).slice(0, 0)
    data = {"parquet": parquet(table), "arrow": arrow(table), "jsonl": b""}[form]
    assert refusal(tmp_path, data, form) == f"{form}-rows"


@pytest.mark.parametrize("form", FORMATS)
def test_label_of_numbers_is_never_missing(tmp_path: Path, form: TableFormat) -> None:
    label = Label(column="rate", classes=None)
    data = {**GOOD, "rate": [1.5, 2.5, 3.5]}
    with opened(tmp_path, written(data, form), form, label=label) as table:
        assert table.values("rate").tolist() == [1.5, 2.5, 3.5]
    for other, got in ((None, "null"), (math.nan, "'nan'"), (math.inf, "'inf'")):
        if form == "jsonl" and other is not None:
            continue
        missing = written({**GOOD, "rate": [1.5, other, 3.5]}, form)
        with pytest.raises(FormatError) as caught, opened(tmp_path, missing, form, label=label):
            pass
        assert caught.value.reason == "table-label"
        assert str(caught.value).endswith(f"row 2: column 'rate': expected a label that is a finite number, got {got}")


def _zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil", b"x")
    return stream.getvalue()


@pytest.mark.parametrize("form", [*FORMATS, "csv"])
@pytest.mark.parametrize(
    "data", [pickle.dumps(print), _zipped(), b"\x93NUMPY\x01\x00", b"", b"PAR1" * 5, b"ARROW1" * 9]
)
def test_other_things_in_costume_are_refused(tmp_path: Path, form: TableFormat, data: bytes) -> None:
    assert refusal(tmp_path, data, form, delimiter=",").startswith(form)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1.0, "b": "x"}', "table-type"),
        (b'{"a": "1", "b": "x"}', "table-type"),
        (b'{"a": true, "b": "x"}', "table-type"),
        (b'{"a": {}, "b": "x"}', "table-type"),
        (b'{"a": NaN, "b": "x"}', "table-type"),
        (b'{"a": 1, "b": "\\ud800"}', "table-type"),
        (b'{"a": 1, "a": 1, "b": "x"}', "jsonl-columns"),
        (b'{"a": 1}', "jsonl-columns"),
        (b"[1]", "jsonl-syntax"),
        (b"", "jsonl-syntax"),
        (b'\xef\xbb\xbf{"a": 1, "b": "x"}', "jsonl-syntax"),
        (b'{"a": 1, "b": "\xff"}', "jsonl-syntax"),
        (b'{"a": 1, "b": "x"} {}', "jsonl-syntax"),
        (b"[" * 100_000, "jsonl-syntax"),
        (b'{"a": ' + b"9" * 10_000 + b', "b": "x"}', "jsonl-syntax"),
        (b'{"a": 1, "b": "' + b"x" * limits.MAX_LINE_BYTES + b'"}', "jsonl-line-size"),
    ],
)
def test_hostile_lines_of_json(tmp_path: Path, line: bytes, reason: str) -> None:
    columns = (Column(name="a", type="integer"), Column(name="b", type="string"))
    good = b'{"b": "x", "a": 1}\n'
    with opened(tmp_path, good, "jsonl", columns=columns, label=None) as table:
        assert table.rows == 1
    assert refusal(tmp_path, good + line + b"\n" + good, "jsonl", columns=columns, label=None) == reason


def changed(data: bytes, change: Any) -> bytes:
    """A Parquet file with another footer."""
    length = int.from_bytes(data[-8:-4], "little")
    fields = Reader(data[-8 - length : -8], Budget(10**6)).struct()
    change(fields)
    footer = write(fields)
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def chunk_of(fields: Any, column: int, group: int = 0) -> Any:
    return fields[4][1][1][group][1][1][1][column]


def test_statistics_in_a_footer_are_not_believed(tmp_path: Path) -> None:
    ages = list(range(1000, 2000))
    columns = (Column(name="age", type="integer"), Column(name="rate", type="number"))
    data = parquet(pa.table({"age": ages, "rate": [0.0] * 1000}))
    low = (7).to_bytes(8, "little")

    def lie(fields: Any) -> None:
        chunk_of(fields, 0)[3][1][12] = (STRUCT, {3: (I64, 0), 5: (8, low), 6: (8, low)})

    forged = changed(data, lie)
    assert pq.ParquetFile(io.BytesIO(forged)).metadata.row_group(0).column(0).statistics.max == 7
    with opened(tmp_path, forged, "parquet", columns=columns, label=None) as table:
        connection, name = table.relation
        found = connection.execute(f"select min(c0), max(c0), count(*) filter (where c0 > 7) from {name}").fetchall()
        assert found == [(1000, 1999, 1000)]
        assert connection.execute(f"select count(*) from {name} where c0 > 1500").fetchall() == [(499,)]


def _set(number: int, value: Any) -> Any:
    return lambda fields: fields.__setitem__(number, value)


def _in_chunk(number: int, value: Any) -> Any:
    return lambda fields: chunk_of(fields, 0)[3][1].__setitem__(number, value)


def _share(fields: Any) -> None:
    first, second = chunk_of(fields, 1)[3][1], chunk_of(fields, 1, group=1)[3][1]
    for key in (6, 7, 9, 11):
        second[key] = first[key]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set(3, (I64, 4)), "parquet-rows"),
        (_set(3, (I64, -1)), "parquet-rows"),
        (_set(8, (STRUCT, {})), "parquet-encrypted"),
        (_set(9, (8, b"")), "parquet-encrypted"),
        (_set(2, (LIST, (STRUCT, []))), "parquet-columns"),
        (lambda fields: fields.pop(4), "parquet-metadata"),
        (lambda fields: chunk_of(fields, 0).__setitem__(1, (8, b"/etc/passwd")), "parquet-external"),
        (lambda fields: chunk_of(fields, 0).__setitem__(8, (STRUCT, {})), "parquet-encrypted"),
        (_in_chunk(5, (I64, 2)), "parquet-columns"),
        (_in_chunk(1, (I32, 5)), "parquet-columns"),
        (_in_chunk(3, (LIST, (8, [b"age"]))), "parquet-columns"),
        (_in_chunk(7, (I64, 10**12)), "parquet-columns"),
        (_in_chunk(9, (I64, -5)), "parquet-columns"),
        (_share, "parquet-overlap"),
    ],
)
def test_footers_that_lie_are_refused(tmp_path: Path, change: Any, reason: str) -> None:
    data = changed(parquet(pa.table(GOOD), row_group_size=1), change)
    assert refusal(tmp_path, data, "parquet") == reason


def test_bombs_end_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def around(footer: bytes) -> bytes:
        return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"

    many = b"\x19\xfc\xff\xff\xff\xff\x0f"  # a list of 2^32 - 1 structures
    assert refusal(tmp_path, around(many + b"\0"), "parquet") == "parquet-metadata"
    assert (
        refusal(tmp_path, around(b"\x19\xfc\x80\x80\x80\x02" + b"\0" * 4 * 1024**2), "parquet")
        == "parquet-metadata-size"
    )
    assert refusal(tmp_path, around(b"\x1c" * 1000), "parquet") == "parquet-metadata"
    assert refusal(tmp_path, b"PAR1" + b"\xff\xff\xff\x7fPAR1", "parquet") == "parquet-metadata-size"
    wide = parquet(pa.table({f"c{number}": [1] for number in range(5000)}))
    assert refusal(tmp_path, wide, "parquet") == "parquet-columns"
    zeros = {**GOOD, "age": [0] * 60_000, "rate": [0.0] * 60_000, "income": ["low"] * 60_000}
    zeros |= {"gruppé": ["x"] * 60_000, "member": [True] * 60_000}
    packed = parquet(pa.table(zeros), use_dictionary=False, compression="zstd", data_page_size=10**6)
    monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 10**5)
    assert refusal(tmp_path, packed, "parquet") == "parquet-page-size"
    monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 10**9)
    monkeypatch.setattr(limits, "MAX_UNCOMPRESSED_BYTES", 10**6)
    assert refusal(tmp_path, packed, "parquet") == "parquet-unpacked-size"
    assert refusal(tmp_path, b",".join(b"c%d" % n for n in range(10**6)), "csv", delimiter=",") == "csv-line-size"


def test_pages_that_are_broken_or_hide_rows_are_refused(tmp_path: Path) -> None:
    data = parquet(pa.table(GOOD), compression="zstd", use_dictionary=False)
    at = data.index(b"\x28\xb5\x2f\xfd")
    assert refusal(tmp_path, data[:at] + b"\0\0" + data[at + 2 :], "parquet") == "parquet-syntax"

    def shorter(fields: Any) -> None:
        fields[3] = (I64, 2)
        group = fields[4][1][1][0]
        group[3] = (I64, 2)
        for chunk in group[1][1][1]:
            chunk[3][1][5] = (I64, 2)

    assert refusal(tmp_path, changed(data, shorter), "parquet") == "parquet-page"


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"compression": "zstd"}, "arrow-packed"), ({"compression": "lz4"}, "arrow-packed")],
)
def test_packed_arrow_is_refused(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    assert refusal(tmp_path, arrow(pa.table({k: v * 100 for k, v in GOOD.items()}), **options), "arrow") == reason


def test_arrow_whose_footer_and_stream_differ_is_refused(tmp_path: Path) -> None:
    table = pa.table(GOOD)
    data = arrow(table)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        for _ in range(2):
            writer.write_table(table)
    twice = sink.getvalue()
    length = int.from_bytes(data[-10:-6], "little")
    assert refusal(
        tmp_path, twice[: -10 - int.from_bytes(twice[-10:-6], "little")] + data[-10 - length :], "arrow"
    ) in ("arrow-footer")
    assert refusal(tmp_path, arrow(table, stream=True) + b"more", "arrow") == "arrow-end"
    renamed = table.rename_columns(["income", "age", "rate", "gruppé", "member"]).replace_schema_metadata({"a": "b"})
    other = arrow(renamed)
    for name, value in ((b"age", b"eag"),):
        tail = other[-10 - int.from_bytes(other[-10:-6], "little") :]
        forged = other[: -len(tail)] + tail.replace(name, value)
        assert refusal(tmp_path, forged, "arrow") == "arrow-footer"


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_any_byte_changed_gives_rows_or_a_refusal(tmp_path: Path, form: TableFormat) -> None:
    data = written(GOOD, form)
    source = np.random.default_rng(1)
    for _ in range(50):
        broken = bytearray(data)
        for at in source.integers(0, len(data), 2):
            broken[at] = source.integers(0, 256)
        with suppress(FormatError), opened(tmp_path, bytes(broken), form) as table:
            assert len(table.values("age")) == table.rows


def _adult(folder: Path) -> dict[str, list[Any]]:
    lines = (folder / "adult.data").read_text().strip().split("\n")
    columns = [list(values) for values in zip(*(line.split(", ") for line in lines), strict=True)]
    return dict(zip("abcdefghijklmno", columns, strict=True))


@pytest.mark.parametrize("parted", [False, True])
def test_adult_counts_the_same_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adult: Path, parted: bool
) -> None:
    if parted:
        monkeypatch.setattr(limits, "PART_BYTES", 400_000)
    raw = _adult(adult)
    whole = "acekl"
    columns = tuple(Column(name=key, type="integer" if key in whole else "string") for key in raw)
    label = Label(column="o", classes={"<=50K": 0, ">50K": 1})
    base = Schema(delimiter=",", header=False, skip_lines=0, trim=True, null_token="?", columns=columns, label=label)
    typed = {key: [int(v) for v in values] if key in whole else list(values) for key, values in raw.items()}
    files: dict[str, bytes] = {form: written(typed, form) for form in FORMATS} if not parted else {}
    files["csv"] = (adult / "adult.data").read_bytes()
    part = {key: values[:9000] for key, values in typed.items()}
    (tmp_path / "part").write_bytes(parquet(pa.table(part)))
    found = {}
    for form, data in files.items():
        (tmp_path / form).write_bytes(data)
        with (
            read_verified(tmp_path / form, "dataset") as artifact,
            read_verified(tmp_path / "part", "dataset") as other,
            open_tables(
                {
                    "t": Source(file=artifact.only(), schema=replace(base, format=form)),  # type: ignore[arg-type]
                    "o": Source(file=other.only(), schema=replace(base, format="parquet")),
                }
            ) as tables,
        ):
            table = tables["t"]
            found[form] = (
                table.column_counts(),
                table.duplicates(),
                table.overlap(tables["o"]),
                tables["o"].overlap(table),
                table.cells(["j", "o"], limit=100),
                table.numbers("c").sum(),
            )
    rows = list(zip(*raw.values(), strict=True))
    features = [row[:-1] for row in rows]
    known = set(features[:9000])
    counts = [(values.count("?"), len(set(values) - {"?"})) for values in raw.values()]
    for result in found.values():
        assert result[:3] == (counts, len(rows) - len(set(rows)), (sum(f in known for f in features), len(known)))
        assert result[3] == (9000, len(known))
        assert result == found["csv"]


def test_rows_that_share_hashes_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB's hash is no cryptographic one: here every row has the same."""
    columns = (Column(name="age", type="integer"), Column(name="rate", type="number"))
    data = parquet(pa.table({"age": [1, 1, 2, 3, None, None], "rate": [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]}))
    with opened(tmp_path, data, "parquet", columns=columns, label=None) as table:
        connection, name = table.relation
        connection.execute("create temp macro hash(a, b) as 7::UBIGINT")
        assert connection.execute("select hash(1, 2)").fetchone() == (7,)
        assert exact.different_rows(connection, name, ["c0", "c1"], 6) == 4
        assert exact.common_rows(connection, name, name, [("c0", "c0"), ("c1", "c1")], 12) == (6, 4)
