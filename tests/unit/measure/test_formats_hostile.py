"""Parquet built by hand, so that readers differ in what it says: refused, or read as every reader does."""

from __future__ import annotations

import decimal
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Column, ColumnType, Schema, TableFormat
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.data.thrift import BINARY, BYTE, I32, I64, LIST, STRUCT, TRUE, Struct, write
from lamslsa.measure.data.typed import insert_batches

INT32, INT64, BYTES, FIXED = 1, 2, 6, 7
REQUIRED, OPTIONAL = 0, 1
Change = Callable[[Struct], Any]


def schema(columns: dict[str, ColumnType], form: TableFormat = "parquet") -> Schema:
    return Schema(
        delimiter="",
        header=False,
        skip_lines=0,
        trim=False,
        null_token=None,
        label=None,
        columns=tuple(Column(name=name, type=kind) for name, kind in columns.items()),
        format=form,
    )


@contextmanager
def rows(
    folder: Path, data: bytes, columns: dict[str, ColumnType], form: TableFormat = "parquet"
) -> Iterator[list[tuple[Any, ...]]]:
    path = folder / "table"
    path.write_bytes(data)
    source = schema(columns, form)
    with (
        read_verified(path, "dataset") as artifact,
        open_tables({"t": Source(file=artifact.only(), schema=source)}) as tables,
    ):
        connection, name = tables["t"].relation
        names = ", ".join(f"c{index}" for index in range(len(columns)))
        yield connection.execute(f"select {names} from {name} order by rowid").fetchall()


def refusal(folder: Path, data: bytes, columns: dict[str, ColumnType], form: TableFormat = "parquet") -> str:
    with pytest.raises(FormatError) as caught, rows(folder, data, columns, form):
        pass
    return caught.value.reason


def longs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def page(values: int, body: bytes, *, encoding: int = 0, levels: int = 3, kind: int = I32) -> bytes:
    """A data page of version 1."""
    header = {1: (I32, values), 2: (I32, encoding), 3: (I32, levels), 4: (I32, 3)}
    return write({1: (I32, 0), 2: (kind, len(body)), 3: (I32, len(body)), 5: (STRUCT, header)}) + body


def dictionary(values: int, body: bytes) -> bytes:
    header = {1: (I32, values), 2: (I32, 0)}
    return write({1: (I32, 2), 2: (I32, len(body)), 3: (I32, len(body)), 7: (STRUCT, header)}) + body


def levels(*pairs: tuple[int, int]) -> bytes:
    """Definition levels in runs of (how many, which)."""
    runs = b"".join(bytes([count << 1, level]) for count, level in pairs)
    return struct.pack("<I", len(runs)) + runs


def built(
    pages: bytes,
    *,
    physical: int = INT64,
    repetition: int = REQUIRED,
    element: Struct | None = None,
    chunk: Callable[[int], Struct] = lambda start: {},
    count: int = 3,
    change: Change = lambda root: None,
) -> bytes:
    """A file of one column ``a``; ``chunk`` gets the offset of its pages."""
    fields: Struct = {1: (I32, physical), 3: (I32, repetition), 4: (BINARY, b"a"), **(element or {})}
    said: Struct = {
        1: (I32, physical),
        2: (LIST, (I32, [0, 3, 8])),
        3: (LIST, (BINARY, [b"a"])),
        4: (I32, 0),
        5: (I64, count),
        6: (I64, len(pages)),
        7: (I64, len(pages)),
        9: (I64, 4),
        **chunk(4),
    }
    group: Struct = {1: (LIST, (STRUCT, [{2: (I64, 4), 3: (STRUCT, said)}])), 2: (I64, len(pages)), 3: (I64, count)}
    root: Struct = {
        1: (I32, 1),
        2: (LIST, (STRUCT, [{4: (BINARY, b"s"), 5: (I32, 1)}, fields])),
        3: (I64, count),
        4: (LIST, (STRUCT, [group])),
    }
    change(root)
    footer = write(root)
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


PLAIN = page(3, longs(7, 8, 9))
OTHER_KIND = {I32: I64, I64: I32}


def _metadata(root: Struct) -> Struct:
    found: Struct = root[4][1][1][0][1][1][1][0][3][1]
    return found


def _turned(get: Callable[[Struct], Struct], number: int) -> Change:
    """The field as the other kind of number: every other reader passes over it."""

    def change(root: Struct) -> None:
        fields = get(root)
        kind, value = fields[number]
        fields[number] = (OTHER_KIND[kind], value)

    return change


def test_what_is_built_by_hand_is_read(tmp_path: Path) -> None:
    data = built(PLAIN)
    assert pq.read_table(io.BytesIO(data))["a"].to_pylist() == [7, 8, 9]
    with rows(tmp_path, data, {"a": "integer"}) as found:
        assert found == [(7,), (8,), (9,)]


@pytest.mark.parametrize(
    "change",
    [
        _turned(lambda root: root[2][1][1][0], 5),
        *(_turned(lambda root: root[2][1][1][1], number) for number in (1, 2, 3, 6, 7, 8)),
        *(_turned(_metadata, number) for number in (1, 4, 5, 6, 7, 9)),
        _turned(lambda root: root[4][1][1][0], 3),
        _turned(lambda root: root, 3),
    ],
)
def test_numbers_are_of_the_kind_that_the_format_says(tmp_path: Path, change: Change) -> None:
    """A decimal whose scale is of 64 bits is a whole number to everybody else."""
    decimals: Struct = {2: (I32, 8), 6: (I32, 5), 7: (I32, 2), 8: (I32, 4)}
    assert refusal(tmp_path, built(PLAIN, element=decimals, change=change), {"a": "number"}) == "parquet-metadata"


def test_numbers_in_unions_and_pages_are_of_the_kind_that_the_format_says(tmp_path: Path) -> None:
    for union in ({1: (I64, 2), 2: (I32, 4)}, {1: (I32, 2), 2: (I64, 4)}):
        element: Struct = {6: (I32, 5), 7: (I32, 2), 8: (I32, 4), 10: (STRUCT, {5: (STRUCT, union)})}
        assert refusal(tmp_path, built(PLAIN, element=element), {"a": "number"}) == "parquet-metadata"
    member: Struct = {10: (STRUCT, {1: (I32, 0)})}
    text = page(1, b"\1\0\0\0x")
    assert (
        refusal(tmp_path, built(text, physical=BYTES, element=member, count=1), {"a": "string"}) == "parquet-metadata"
    )
    assert refusal(tmp_path, built(page(3, longs(7, 8, 9), kind=I64)), {"a": "integer"}) == "parquet-metadata"


def test_a_dictionary_offset_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Readers that pass over it begin at a page that lies inside the dictionary."""
    fake = page(3, longs(1, 1, 1))
    body = longs(100, 200) + fake + bytes(-len(fake) % 8)
    first = dictionary(len(body) // 8, body)
    pages = first + page(3, b"\x01\x03\x05", encoding=8)
    inside = 4 + first.index(fake)
    data = built(pages, chunk=lambda start: {9: (I64, inside), 11: (I32, start)})
    assert pq.read_table(io.BytesIO(data))["a"].to_pylist() == [1, 1, 1]
    assert refusal(tmp_path, data, {"a": "integer"}) == "parquet-metadata"
    data = built(pages, chunk=lambda start: {9: (I64, inside), 11: (I64, start)})
    assert refusal(tmp_path, data, {"a": "integer"}) == "parquet-page"
    data = built(pages, chunk=lambda start: {9: (I64, start + len(first)), 11: (I64, start)})
    with rows(tmp_path, data, {"a": "integer"}) as found:
        assert found == [(200,), (100,), (200,)]


@pytest.mark.parametrize(
    ("physical", "body"),
    [
        (INT32, ints(1, 10**4, -5)),
        (INT32, ints(1, -(2**31), -5)),
        (INT64, longs(1, 70_000, -5)),
        (INT64, longs(1, 10**12, -5)),
        (INT64, longs(1, -(2**63), -5)),
        (FIXED, b"".join(value.to_bytes(8, "big", signed=True) for value in (1, -(10**4), 5))),
        (FIXED, b"".join(value.to_bytes(8, "big", signed=True) for value in (1, 10**17, 5))),
    ],
)
def test_decimals_beyond_their_digits_are_refused(tmp_path: Path, physical: int, body: bytes) -> None:
    element: Struct = {6: (I32, 5), 7: (I32, 2), 8: (I32, 4)} | ({2: (I32, 8)} if physical == FIXED else {})
    assert refusal(tmp_path, built(page(3, body), physical=physical, element=element), {"a": "number"}) == "table-type"


@pytest.mark.parametrize("scale", [0, 2, 4])
@pytest.mark.parametrize("physical", [INT32, INT64, FIXED])
def test_decimals_of_all_their_digits_are_read(tmp_path: Path, physical: int, scale: int) -> None:
    values = (9999, -9999, 0)
    fixed = b"".join(value.to_bytes(3, "big", signed=True) for value in values)
    body = {INT32: ints(*values), INT64: longs(*values), FIXED: fixed}[physical]
    element: Struct = {6: (I32, 5), 7: (I32, scale), 8: (I32, 4)} | ({2: (I32, 3)} if physical == FIXED else {})
    data = built(page(3, body), physical=physical, element=element)
    expected = [float(value) for value in pq.read_table(io.BytesIO(data))["a"].to_pylist()]
    assert expected == [float(decimal.Decimal(value).scaleb(-scale)) for value in values]
    with rows(tmp_path, data, {"a": "number"}) as found:
        assert [value for (value,) in found] == expected


@pytest.mark.parametrize(
    ("physical", "changes"),
    [
        (INT32, {8: (I32, 10)}),
        (INT64, {8: (I32, 16)}),
        (INT64, {8: (I32, 0), 7: (I32, 0)}),
        (FIXED, {2: (I32, 0)}),
        (FIXED, {2: (I32, 17)}),
        (BYTES, {}),
    ],
)
def test_decimals_that_readers_take_differently_are_refused(tmp_path: Path, physical: int, changes: Struct) -> None:
    """The empty byte array is zero to DuckDB and an error elsewhere."""
    body = b"".join(struct.pack("<I", len(each)) + each for each in (b"", b"\5", b"\6"))
    element: Struct = {6: (I32, 5), 7: (I32, 0), 8: (I32, 4), **changes}
    assert (
        refusal(tmp_path, built(page(3, body), physical=physical, element=element), {"a": "number"}) == "parquet-type"
    )


@pytest.mark.parametrize(
    ("converted", "least", "largest"),
    [(11, 0, 255), (12, 0, 65535), (15, -128, 127), (16, -(2**15), 2**15 - 1)],
)
def test_small_whole_numbers_hold_no_others(tmp_path: Path, converted: int, least: int, largest: int) -> None:
    bits, signed = (8, 16)[(converted - 11) % 4], converted >= 15
    for element in (
        {6: (I32, converted)},
        {10: (STRUCT, {10: (STRUCT, {1: (BYTE, bits), 2: (TRUE if signed else 2, signed)})})},
    ):
        with rows(
            tmp_path, built(page(3, ints(least, 1, largest)), physical=INT32, element=element), {"a": "integer"}
        ) as found:
            assert found == [(least,), (1,), (largest,)]
        for other in (least - 1, largest + 1):
            data = built(page(3, ints(least, other, 1)), physical=INT32, element=element)
            assert refusal(tmp_path, data, {"a": "integer"}) == "table-type"


@pytest.mark.parametrize(("physical", "converted"), [(INT64, 15), (INT64, 17), (INT64, 13), (INT32, 14), (INT32, 18)])
def test_whole_numbers_are_as_wide_as_they_say(tmp_path: Path, physical: int, converted: int) -> None:
    body = longs(7, 8, 9) if physical == INT64 else ints(7, 8, 9)
    data = built(page(3, body), physical=physical, element={6: (I32, converted)})
    assert refusal(tmp_path, data, {"a": "integer"}) == "parquet-type"


def test_pages_without_values_are_refused(tmp_path: Path) -> None:
    """Other readers end there and see fewer rows."""
    empty = page(0, b"")
    assert pq.read_table(io.BytesIO(built(empty + PLAIN))).num_rows == 0
    for pages in (empty + PLAIN, PLAIN + empty, page(1, longs(7)) + empty + page(2, longs(8, 9))):
        assert refusal(tmp_path, built(pages), {"a": "integer"}) == "parquet-page"


def test_nulls_are_told_in_runs(tmp_path: Path) -> None:
    """DuckDB reads runs whatever the header says; others read packed bits, and other numbers behind them."""
    body = levels((2, 1), (1, 0)) + longs(7, 8)
    with rows(tmp_path, built(page(3, body), repetition=OPTIONAL), {"a": "integer"}) as found:
        assert found == [(7,), (8,), (None,)]
    data = built(page(3, body, levels=4), repetition=OPTIONAL)
    assert refusal(tmp_path, data, {"a": "integer"}) == "parquet-page"
    with rows(tmp_path, built(page(3, longs(7, 8, 9), levels=4)), {"a": "integer"}) as found:
        assert found == [(7,), (8,), (9,)]


HONEST: dict[str, Any] = {
    "age": pa.array([39, None, -(2**53), 7] * 50, pa.int64()),
    "small": pa.array([255, None, 0, 7] * 50, pa.uint8()),
    "rate": pa.array([0.5, None, -1.25, 7] * 50, pa.float32()),
    "money": pa.array([decimal.Decimal(text) for text in ("12.34", "-0.01", "9999999.99", "0.00")] * 50),
    "name": pa.array(["a", None, "日本", ""] * 50),
    "member": pa.array([True, None, False, True] * 50),
}
TYPES: dict[str, ColumnType] = {
    "age": "integer",
    "small": "integer",
    "rate": "number",
    "money": "number",
    "name": "string",
    "member": "boolean",
}


def _expected() -> list[tuple[Any, ...]]:
    columns = [HONEST[name].to_pylist() for name in TYPES]
    return [
        tuple(float(value) if isinstance(value, decimal.Decimal) else value for value in row)
        for row in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_what_pyarrow_writes_is_read(tmp_path: Path, version: Any, compression: str) -> None:
    for use_dictionary in (True, False):
        for pages in ("1.0", "2.0"):
            stream = io.BytesIO()
            pq.write_table(
                pa.table(HONEST),
                stream,
                version=version,
                compression=compression,
                use_dictionary=use_dictionary,
                data_page_version=pages,
                row_group_size=70,
                data_page_size=100,
                write_batch_size=16,
                store_decimal_as_integer=use_dictionary,
            )
            with rows(tmp_path, stream.getvalue(), TYPES) as found:
                assert found == _expected()


@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_duckdb_writes_is_read(tmp_path: Path, compression: str, version: str) -> None:
    path = tmp_path / "copy.parquet"
    table = pa.table(HONEST)
    with duckdb.connect() as connection:
        connection.register("honest", table)
        connection.execute(
            f"copy honest to '{path}' (format parquet, compression {compression}, parquet_version {version})"
        )
    with rows(tmp_path, path.read_bytes(), TYPES) as found:
        assert found == _expected()


def test_arrow_types_that_duckdb_does_not_know_are_refused(tmp_path: Path) -> None:
    column = pa.array([decimal.Decimal("1.5")] * 3, pa.decimal256(15, 3))
    batch = pa.record_batch([column], ["c0"])
    with duckdb.connect() as connection, pytest.raises(FormatError) as caught:
        insert_batches(connection, "t", schema({"a": "number"}, "arrow"), [batch], "x")
    assert caught.value.reason == "table-type"


ARROW: dict[str, ColumnType] = {"z": "string", "sex": "string", "race": "string", "age": "integer"}


def _arrow(*, stream: bool = False, old: bool = False, metadata: dict[str, str] | None = None) -> bytes:
    """Three columns with dictionaries and one without."""

    def words(texts: list[str], indices: list[int]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(texts))

    columns = [words(["q", "r"], [0, 1, 0]), words(["male", "female"], [0, 1, 0]), words(["white", "black"], [0, 0, 1])]
    batch = pa.record_batch([*columns, pa.array([1, 2, 3])], list(ARROW))
    version = pa.ipc.MetadataVersion.V4 if old else pa.ipc.MetadataVersion.V5
    sink = io.BytesIO()
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(sink, batch.schema, options=pa.ipc.IpcWriteOptions(metadata_version=version)) as writer:
        writer.write_batch(batch, custom_metadata=metadata)
    return sink.getvalue()


class _Buffer:
    """FlatBuffers to be changed in place."""

    def __init__(self, data: bytes, *, footer: bool) -> None:
        self.data = bytearray(data)
        length = int.from_bytes(data[-10:-6], "little")
        self.base = len(data) - 10 - length if footer else 8 + 8
        self.root = self.at(self.base)
        self.schema = self.at(self.slots(self.root)[1 if footer else 2])

    def at(self, place: int) -> int:
        found: int = place + struct.unpack_from("<I", self.data, place)[0]
        return found

    def slots(self, table: int) -> dict[int, int]:
        first = table - struct.unpack_from("<i", self.data, table)[0]
        size = struct.unpack_from("<H", self.data, first)[0]
        found = (struct.unpack_from("<H", self.data, first + 4 + 2 * slot)[0] for slot in range((size - 4) // 2))
        return {slot: table + offset for slot, offset in enumerate(found) if offset}

    def big_endian(self) -> bytes:
        """The byte order is left out where it is little, so its slot is made to point at a one."""
        first = self.schema - struct.unpack_from("<i", self.data, self.schema)[0]
        ones = (
            offset for offset in range(4, 2**16, 2) if struct.unpack_from("<h", self.data, self.schema + offset)[0] == 1
        )
        struct.pack_into("<H", self.data, first + 4, next(ones))
        return bytes(self.data)

    def dictionary(self, index: int) -> int:
        """Where the number of a dictionary stands."""
        field = self.at(self.at(self.slots(self.schema)[1]) + 4 + 4 * index)
        return self.slots(self.at(self.slots(field)[4]))[0]


def test_arrow_with_dictionaries_is_read(tmp_path: Path) -> None:
    for stream in (False, True):
        with rows(tmp_path, _arrow(stream=stream), ARROW, "arrow") as found:
            assert found == [("q", "male", "white", 1), ("r", "female", "white", 2), ("q", "male", "black", 3)]


def test_arrow_footer_with_other_dictionaries_is_refused(tmp_path: Path) -> None:
    """The schemas are equal, but readers by the footer take one column's values from the other's dictionary."""
    footer = _Buffer(_arrow(), footer=True)
    first, second = footer.dictionary(1), footer.dictionary(2)
    struct.pack_into("<q", footer.data, first, 2)
    struct.pack_into("<q", footer.data, second, 1)
    data = bytes(footer.data)
    whole = pa.ipc.open_file(io.BytesIO(data))
    assert whole.schema.equals(pa.ipc.open_stream(io.BytesIO(data[8:])).schema)
    assert whole.read_all()["sex"].to_pylist() == ["white", "black", "white"]
    assert refusal(tmp_path, data, ARROW, "arrow") == "arrow-footer"


def test_big_endian_arrow_is_refused(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3]})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    for footer in (True, False):
        data = _Buffer(sink.getvalue(), footer=footer).big_endian()
        assert refusal(tmp_path, data, {"a": "integer"}, "arrow") == "arrow-endianness"
    swapped = _Buffer(sink.getvalue(), footer=True).big_endian()
    assert pa.ipc.open_file(io.BytesIO(swapped)).read_all()["a"].to_pylist() == [1 << 56, 2 << 56, 3 << 56]


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_batches_with_metadata_or_of_old_versions_are_refused(tmp_path: Path, stream: bool) -> None:
    """By metadata of a batch, older versions say that its buffers are packed."""
    assert refusal(tmp_path, _arrow(stream=stream, old=True), ARROW, "arrow") == "arrow-version"
    for old in (False, True):
        data = _arrow(stream=stream, old=old, metadata={"ARROW:experimental_compression": "zstd"})
        assert refusal(tmp_path, data, ARROW, "arrow") == ("arrow-version" if old else "arrow-packed")


def test_an_arrow_footer_of_another_version_is_refused(tmp_path: Path) -> None:
    footer = _Buffer(_arrow(), footer=True)
    struct.pack_into("<h", footer.data, footer.slots(footer.root)[0], 3)
    assert refusal(tmp_path, bytes(footer.data), ARROW, "arrow") == "arrow-footer"


def test_wide_arrow_decimals_are_refused(tmp_path: Path) -> None:
    sink = io.BytesIO()
    table = pa.table({"a": pa.array([decimal.Decimal("1.5")] * 3, pa.decimal256(15, 3))})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert refusal(tmp_path, sink.getvalue(), {"a": "number"}, "arrow") == "arrow-type"


def test_nested_arrow_is_refused_before_it_is_read(tmp_path: Path) -> None:
    sink = io.BytesIO()
    table = pa.table({"a": [[1], [2]]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert refusal(tmp_path, sink.getvalue(), {"a": "integer"}, "arrow") == "arrow-type"
