"""Every reason for which a table is refused, each by a file with nothing else wrong."""

from __future__ import annotations

import decimal
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.arrow import Arrow
from lamslsa.measure.data.schema import Column, Schema, TableFormat, TextSchema
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.data.thrift import BINARY, BYTE, I32, I64, LIST, STRUCT, TRUE, Budget, Reader, Struct, write

COLUMNS = (Column(name="a", type="integer"), Column(name="b", type="string"))
SCHEMA = Schema(
    delimiter=",", header=False, skip_lines=0, trim=False, null_token=None, columns=COLUMNS, label=None, format="csv"
)
TABLE = pa.table({"a": [1, 2], "b": ["x", "y"]})
TEXTS = pa.table({"a": ["1", "2"], "b": ["x", "y"]})
CODED = pa.table({"a": [1, 2], "b": pa.array(["x", "y"]).dictionary_encode()})


def rows(folder: Path, data: bytes, form: TableFormat) -> int:
    path = folder / "table"
    path.write_bytes(data)
    source = replace(SCHEMA, format=form, delimiter="," if form == "csv" else "")
    with (
        read_verified(path, "dataset") as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=source)}) as tables,
    ):
        return tables["t"].rows


def refusal(folder: Path, data: bytes, form: TableFormat) -> str:
    with pytest.raises(FormatError) as caught:
        rows(folder, data, form)
    return caught.value.reason


def parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def stream(table: pa.Table, *more: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for one in (table, *more):
            writer.write_table(one)
    return sink.getvalue()


def file(*tables: pa.Table, emit_deltas: bool = False) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=emit_deltas)
    with pa.ipc.new_file(sink, tables[0].schema, options=options) as writer:
        for one in tables:
            writer.write_table(one)
    return sink.getvalue()


def _without_schema(data: bytes) -> bytes:
    return data[8 + int.from_bytes(data[4:8], "little") :]


def _offset_beyond(data: bytes) -> bytes:
    """The first offset of the schema message leads out of it."""
    return data[:8] + b"\xff\xff\xff\x7f" + data[12:]


def _invalid_utf8(data: bytes) -> bytes:
    at = data.rindex(b"xy")
    return data[:at] + b"\xff\xfe" + data[at + 2 :]


def _grown() -> bytes:
    """A second batch with more words in the dictionary of the first."""
    words = pa.array(["x", "y", "z"])
    first = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), words[:2])
    second = pa.DictionaryArray.from_arrays(pa.array([0, 2], pa.int32()), words)
    tables = [pa.table({"a": [1, 2], "b": item}) for item in (first, second)]
    return file(*tables, emit_deltas=True)


@pytest.mark.parametrize(
    ("form", "make", "reason"),
    [
        ("arrow", lambda: stream(TABLE.slice(0, 0)), "arrow-rows"),
        ("arrow", lambda: stream(TABLE.rename_columns(["a", "c"])), "arrow-columns"),
        ("arrow", lambda: stream(TEXTS), "arrow-type"),
        ("arrow", lambda: _invalid_utf8(stream(TABLE)), "arrow-syntax"),
        ("arrow", lambda: _without_schema(stream(TABLE)), "arrow-message"),
        ("arrow", lambda: stream(TABLE)[:-12], "arrow-message"),
        ("arrow", lambda: b"", "arrow-syntax"),
        ("arrow", lambda: _offset_beyond(stream(TABLE)), "arrow-metadata"),
        ("arrow", lambda: b"ARROW1\0\0" + stream(TABLE), "arrow-magic"),
        ("arrow", _grown, "arrow-dictionary"),
        ("parquet", lambda: parquet(TEXTS), "parquet-type"),
        ("parquet", lambda: parquet(TABLE)[:-1], "parquet-magic"),
        ("parquet", lambda: b"", "parquet-magic"),
        ("jsonl", lambda: b"", "jsonl-rows"),
    ],
)
def test_what_is_wrong_with_a_table_has_a_name(
    tmp_path: Path, form: TableFormat, make: Callable[[], bytes], reason: str
) -> None:
    assert refusal(tmp_path, make(), form) == reason


def _with_footer(change: Callable[[Struct], Any], replaced: tuple[bytes, bytes] | None = None, **columns: Any) -> bytes:
    """A table whose footer says something else, perhaps of a type that is never written."""
    data = parquet(pa.table({"a": pa.array([1, 2], pa.int16()), "b": ["x", "y"], **columns}))
    length = int.from_bytes(data[-8:-4], "little")
    fields = Reader(data[-8 - length : -8], Budget(10**6)).struct()
    change(fields)
    footer = write(fields) if replaced is None else write(fields).replace(*replaced)
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _column(fields: Struct) -> Struct:
    found: Struct = fields[2][1][1][1]
    return found


def _as_integer(details: Struct, *, alone: bool = True) -> Callable[[Struct], None]:
    def change(fields: Struct) -> None:
        _column(fields)[10] = (STRUCT, {10: (STRUCT, details)})
        if alone:
            del _column(fields)[6]

    return change


def _encodings(value: Any) -> Callable[[Struct], None]:
    def change(fields: Struct) -> None:
        fields[4][1][1][0][1][1][1][0][3][1][2] = value

    return change


MARK = b"MARK1234"
DOUBLE = (b"\x18\x08" + MARK, b"\x17" + bytes(8))
MAP = (b"\x18\x08" + MARK, b"\x1b\x01\x55\x02\x02")


@pytest.mark.parametrize(
    ("change", "replaced", "reason"),
    [
        (_as_integer({1: (LIST, (I32, [1])), 2: (TRUE, True)}, alone=False), None, "parquet-type"),
        (_as_integer({1: (BINARY, MARK)}), DOUBLE, "parquet-type"),
        (_as_integer({1: (BINARY, MARK)}), MAP, "parquet-type"),
        (_as_integer({1: (BYTE, 16), 2: (I32, 1)}), None, "parquet-type"),
        (_as_integer({1: (BYTE, 17), 2: (TRUE, True)}), None, "parquet-type"),
        (_as_integer({1: (BYTE, 32), 2: (TRUE, True)}, alone=False), None, "parquet-type"),
        (_encodings((LIST, (BINARY, [MARK]))), DOUBLE, "parquet-metadata"),
        (_encodings((LIST, (STRUCT, [{1: (I32, 1)}]))), None, "parquet-metadata"),
        (lambda fields: _column(fields).__setitem__(2, (I64, 2**40)), None, "parquet-metadata"),
    ],
)
def test_footers_with_values_of_other_types(
    tmp_path: Path, change: Callable[[Struct], Any], replaced: tuple[bytes, bytes] | None, reason: str
) -> None:
    assert refusal(tmp_path, _with_footer(change, replaced), "parquet") == reason


def _values(folder: Path, data: bytes, kind: Literal["integer", "number"]) -> list[float]:
    path = folder / "table"
    path.write_bytes(data)
    columns = (Column(name="a", type=kind), COLUMNS[1])
    schema = replace(SCHEMA, format="parquet", delimiter="", columns=columns)
    with (
        read_verified(path, "dataset") as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=schema)}) as tables,
    ):
        found: list[float] = tables["t"].values("a").tolist()
        return found


@pytest.mark.parametrize("key", [6, 10])
@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("number", pa.array([decimal.Decimal("1.50"), decimal.Decimal("-0.25")], pa.decimal128(9, 2)), [1.5, -0.25]),
        ("number", pa.array([decimal.Decimal("1.50"), decimal.Decimal("-0.25")], pa.decimal128(15, 2)), [1.5, -0.25]),
        ("integer", pa.array([2**32 - 1, 1], pa.uint32()), [2**32 - 1, 1]),
        ("integer", pa.array([255, 1], pa.uint8()), [255, 1]),
        ("integer", pa.array([-128, 1], pa.int8()), [-128, 1]),
    ],
)
def test_either_way_to_say_a_type_gives_the_same_values(
    tmp_path: Path, kind: Literal["integer", "number"], column: pa.Array, expected: list[float], key: int
) -> None:
    """Writers may leave out the old type or the new one, and DuckDB goes by the old one."""
    data = _with_footer(lambda fields: _column(fields).pop(key), a=column)
    assert pq.read_table(io.BytesIO(data))["a"].to_pylist() == expected
    assert _values(tmp_path, data, kind) == expected


def test_a_whole_number_may_say_its_width_in_either_way(tmp_path: Path) -> None:
    for change in (_as_integer({1: (BYTE, 16), 2: (TRUE, True)}), lambda fields: _column(fields).pop(10)):
        assert rows(tmp_path, _with_footer(change), "parquet") == 2


def test_the_same_without_the_fault_is_taken(tmp_path: Path) -> None:
    files: list[tuple[TableFormat, bytes]] = [
        ("arrow", stream(TABLE)),
        ("arrow", stream(CODED)),
        ("arrow", file(CODED)),
        ("parquet", parquet(TABLE)),
        ("jsonl", b'{"b": "x", "a": 1}\n{"a": 2, "b": "y"}'),
        ("csv", b"1,x\n2,y"),
    ]
    assert [rows(tmp_path, data, form) for form, data in files] == [2] * 6


def test_batches_that_pyarrow_does_not_see_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Arrow._source
    end = len(stream(TABLE)) - 8  # of the first batch; the end mark follows

    def shorter(self: Arrow) -> Any:
        return pa.BufferReader(whole(self).read(end))

    monkeypatch.setattr(Arrow, "_source", shorter)
    assert refusal(tmp_path, stream(TABLE, TABLE), "arrow") == "arrow-message"


def test_lines_that_duckdb_does_not_take_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LINE_BYTES", 4)  # what it is told; lines were held against the true limit
    assert refusal(tmp_path, b"1,xxxxxxxx\n", "csv") == "csv-syntax"


def test_what_has_no_label_has_no_target() -> None:
    for schema in (SCHEMA, TextSchema(documents="file")):
        with pytest.raises(FormatError) as caught:
            _ = schema.target
        assert caught.value.reason == "schema-no-label"
