"""Audit archives: limits to the last one that is taken, and entries that lie about themselves."""

from __future__ import annotations

import datetime as dt
import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from lamslsa import archive
from lamslsa.archive import Archive
from lamslsa.errors import FormatError
from lamslsa.testing import chain

AT = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def whole() -> Archive:
    return Archive(
        at=AT,
        now=AT,
        model_name="m",
        manifest=chain.model(),
        bundles={"b.sigstore.json": b"{}", "a.intoto.jsonl": b"{}\n"},
        policy=b"kind: IngredientsPolicy\n",
        policy_files={},
        trusted_root=None,
        collateral=[],
    )


def sizes(data: bytes) -> list[int]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return [info.file_size for info in zipped.infolist()]


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        archive.read(data)
    return caught.value.reason


def test_bundles_come_in_the_order_of_their_names(whole: Archive) -> None:
    assert [(item.source, item.data) for item in whole.stored()] == sorted(whole.bundles.items())


def test_files_are_what_everybody_may_read(whole: Archive) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.write(whole))) as zipped:
        found = {(info.external_attr, info.compress_type, info.date_time) for info in zipped.infolist()}
    assert found == {(0o100644 << 16, zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))}


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("MAX_ARCHIVE_BYTES", lambda data: max(len(data), sum(sizes(data)))),
        ("_MAX_ENTRIES", lambda data: len(sizes(data))),
        ("_MAX_ENTRY_BYTES", lambda data: max(sizes(data))),
    ],
)
def test_as_much_as_there_may_be(
    whole: Archive, monkeypatch: pytest.MonkeyPatch, name: str, limit: Callable[[bytes], int]
) -> None:
    data = archive.write(whole)
    monkeypatch.setattr(archive, name, limit(data))
    assert archive.write(whole) == data
    assert archive.read(data) == whole
    monkeypatch.setattr(archive, name, limit(data) - 1)
    assert refusal(data) == "archive-size"


def test_a_file_as_large_as_an_archive_may_be(whole: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is larger than what is in it."""
    data = archive.write(whole)
    assert len(data) > sum(sizes(data))
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", len(data))
    assert archive.read(data) == whole
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", len(data) - 1)
    assert refusal(data) == "archive-size"


def test_a_manifest_as_large_as_one_may_be(whole: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    data, size = archive.write(whole), len(whole.manifest.canonical)
    monkeypatch.setattr(archive, "MAX_MANIFEST_BYTES", size)
    assert archive.read(data) == whole
    monkeypatch.setattr(archive, "MAX_MANIFEST_BYTES", size - 1)
    assert refusal(data) == "archive-shape"


def test_an_empty_zip() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    assert refusal(buffer.getvalue()) == "archive-shape"


def test_a_file_that_is_shorter_than_it_says(whole: Archive) -> None:
    """Bytes and checksum are right, the size is not."""
    data = bytearray(archive.write(whole))
    at = data.rindex(b"policy/policy.yaml") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = struct.pack("<I", len(whole.policy) + 5)
    assert refusal(bytes(data)) == "zip-spelling"
