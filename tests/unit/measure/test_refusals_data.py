"""Every reason for which a table is refused, each by a file with nothing else wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.arrow import Arrow
from lamslsa.measure.data.schema import Column, Schema, TableFormat, TextSchema
from lamslsa.measure.data.table import Source, open_tables

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
