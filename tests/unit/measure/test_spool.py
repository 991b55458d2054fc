"""Tables that do not fit into memory as files are the same tables when they are read from the spool."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa.artifact.reader import read_verified
from lamslsa.artifact.spool import Spool
from lamslsa.errors import FormatError
from lamslsa.measure.data import limits
from lamslsa.measure.data.schema import Column, Schema, TableFormat
from lamslsa.measure.data.table import Source, open_tables

SCHEMA = Schema(
    delimiter=",",
    header=True,
    skip_lines=1,
    trim=False,
    null_token=None,
    columns=(Column(name="n", type="integer"), Column(name="text", type="string")),
    label=None,
)
ROWS = 5000
TABLE = pa.table({"n": list(range(ROWS)), "text": [f"row {n % 97} é" for n in range(ROWS)]})


def written(form: TableFormat) -> bytes:
    stream = io.BytesIO()
    if form == "parquet":
        pq.write_table(TABLE, stream, row_group_size=700)
    elif form == "arrow":
        with pa.ipc.new_file(stream, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=700)
    elif form == "jsonl":
        stream.write("".join(json.dumps(row) + "\n" for row in TABLE.to_pylist()).encode())
    else:
        stream.write(b"junk\nn,text\n" + "".join(f"{r['n']},{r['text']}\n" for r in TABLE.to_pylist()).encode())
        stream.write(b"\n\n\n")
    return stream.getvalue()


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
@pytest.mark.parametrize("spooled", [True, False])
def test_rows_come_in_order_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: TableFormat, spooled: bool
) -> None:
    monkeypatch.setattr(limits, "CHUNK_BYTES", 9_000)
    monkeypatch.setattr(limits, "BATCH_ROWS", 333)
    path = tmp_path / "t"
    path.write_bytes(written(form))
    with (
        read_verified(path, "dataset", max_bytes=100 if spooled else 10**9, spool=Spool(tmp_path)) as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=replace(SCHEMA, format=form))}) as tables,
    ):
        assert artifact.only().in_memory is not spooled
        table = tables["t"]
        assert table.values("n").tolist() == list(range(ROWS))
        assert table.values("text").tolist() == TABLE["text"].to_pylist()
        connection, name = table.relation
        assert connection.execute(f"select c0 from {name} where rowid = 4321").fetchall() == [(4321,)]


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_a_wrong_value_in_a_later_part_is_named_by_its_place_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: TableFormat
) -> None:
    monkeypatch.setattr(limits, "CHUNK_BYTES", 9_000)
    wrong = TABLE.set_column(0, "n", pa.array([2**53 + 1 if n == 4321 else n for n in range(ROWS)]))
    monkeypatch.setitem(globals(), "TABLE", wrong)
    path = tmp_path / "t"
    path.write_bytes(written(form))
    place = {"csv": "line 4324", "jsonl": "line 4322"}.get(form, "row 4322")
    with (
        pytest.raises(FormatError, match=place) as caught,
        read_verified(path, "dataset", max_bytes=100, spool=Spool(tmp_path)) as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=replace(SCHEMA, format=form))}),
    ):
        pass
    assert caught.value.reason == "table-type"
