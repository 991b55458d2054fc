"""Audit archives: what is written is read back, and hostile ones are refused before they are unpacked."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa import _stored_zip, archive
from lamslsa.archive import Archive
from lamslsa.errors import FormatError
from lamslsa.testing import chain

AT = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def whole() -> Archive:
    return Archive(
        now=AT,
        at=AT - dt.timedelta(days=1),
        model_name="census-mlp",
        manifest=chain.model(),
        bundles={"0123.sigstore.json": b"{}", "4567.intoto.jsonl": b"{}\n"},
        policy=b"kind: IngredientsPolicy\n",
        policy_files={"keys/auditor.pub": b"pem", "root.pem": b"root"},
        trusted_root=b"{}",
        collateral=[b"one", b"two"],
    )


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def zipped(files: dict[str, bytes], method: int | None = None) -> bytes:
    """A ZIP file in our spelling, or as another tool writes it."""
    if method is None:
        return _stored_zip.write(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        archive.read(data)
    return caught.value.reason


def test_what_is_written_is_read(whole: Archive) -> None:
    data = archive.write(whole)
    read = archive.read(data)
    assert read == whole
    assert len(read.sha256) == 64
    assert archive.write(read) == data
    assert archive.is_archive(data)
    assert [item.source for item in read.stored()] == sorted(whole.bundles)


def test_without_root_and_collateral(whole: Archive) -> None:
    bare = dataclasses.replace(whole, trusted_root=None, collateral=[], bundles={}, policy_files={})
    assert archive.read(archive.write(bare)) == bare


def test_the_order_of_the_parts_decides_nothing(whole: Archive) -> None:
    turned = dataclasses.replace(
        whole,
        bundles=dict(sorted(whole.bundles.items(), reverse=True)),
        policy_files=dict(sorted(whole.policy_files.items(), reverse=True)),
    )
    assert archive.write(turned) == archive.write(whole)


def test_files_of_the_policy(whole: Archive) -> None:
    read = archive.read(archive.write(whole))
    assert read.read_policy_file(Path("keys/auditor.pub"), 3) == b"pem"
    assert read.read_policy_file(Path("./keys//auditor.pub"), 3) == b"pem"
    with pytest.raises(FormatError) as caught:
        read.read_policy_file(Path("root.pem"), 3)
    assert caught.value.reason == "policy-file"
    for name in ("absent.pem", "../policy/root.pem", "/etc/passwd"):
        with pytest.raises(FileNotFoundError):
            read.read_policy_file(Path(name), 100)


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", bytes(100)])
def test_other_bytes(data: bytes) -> None:
    assert not archive.is_archive(data)
    assert refusal(data) in {"zip-spelling", "archive-shape"}


def test_another_zip(whole: Archive) -> None:
    data = zipped({"weights.bin": b"1"})
    assert not archive.is_archive(data)
    assert refusal(data) == "archive-name"


@pytest.mark.parametrize("name", ["audit.json", "model/manifest.json", "policy/policy.yaml"])
def test_a_part_is_missing(whole: Archive, name: str) -> None:
    files = entries(archive.write(whole))
    del files[name]
    assert refusal(zipped(files)) == "archive-shape"


@pytest.mark.parametrize(
    "name",
    [
        "other.json",
        "bundles/../policy/policy.yaml",
        "bundles/a/b.sigstore.json",
        "bundles/a.txt",
        "bundles/",
        "bundles/.sigstore.json",
        "policy/../../x",
        "policy/.hidden",
        "policy//x",
        "/policy/x",
        "policy/a b",
        "collateral/" + "x" * 200,
        "model/weights",
        "sigstore/other.json",
    ],
)
def test_names_that_no_archive_has(whole: Archive, name: str) -> None:
    assert refusal(zipped(entries(archive.write(whole)) | {name: b"x"})) == "archive-name"


def test_names_that_are_not_written(whole: Archive) -> None:
    for changed in (
        dataclasses.replace(whole, policy_files={"../outside.pem": b""}),
        dataclasses.replace(whole, bundles={"x.json": b""}),
    ):
        with pytest.raises(FormatError) as caught:
            archive.write(changed)
        assert caught.value.reason == "archive-name"


def test_a_file_that_unpacks_to_too_much(whole: Archive) -> None:
    files = entries(archive.write(whole)) | {"policy/bomb": bytes(17 * 1024 * 1024)}
    assert refusal(zipped(files)) == "archive-size"


def test_too_much_in_all(whole: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive.write(whole)
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 500)
    assert refusal(data) == "archive-size"
    with pytest.raises(FormatError) as caught:
        archive.write(whole)
    assert caught.value.reason == "archive-size"


def test_too_many_files(whole: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive.write(whole)
    monkeypatch.setattr(archive, "_MAX_ENTRIES", 5)
    assert refusal(data) == "archive-size"


def test_another_spelling_of_the_same_files(whole: Archive) -> None:
    """What other tools write, and what stands before, between and behind the entries: there is one reading only."""
    data, files = archive.write(whole), entries(archive.write(whole))
    for other in (
        zipped(files, zipfile.ZIP_STORED),
        zipped(files, zipfile.ZIP_DEFLATED),
        b"\x80\x04." + data,
        data + b"x",
        data.replace(b"PK\x05\x06", b"xPK\x05\x06"),
    ):
        assert refusal(other) == "zip-spelling"
    assert not archive.is_archive(b"\x80\x04." + data)


def test_any_unzip_reads_it(whole: Archive) -> None:
    with zipfile.ZipFile(io.BytesIO(archive.write(whole))) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == sorted(opened.namelist())
        assert opened.read("policy/policy.yaml") == whole.policy


def edited(whole: Archive, edit: Callable[[dict[str, object]], object]) -> bytes:
    files = entries(archive.write(whole))
    index = json.loads(files["audit.json"])
    edit(index)
    return zipped(files | {"audit.json": json.dumps(index).encode()})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda index: index.update(mediaType="application/vnd.lamslsa.audit.v2+json"), "archive-version"),
        (lambda index: index.pop("mediaType"), "archive-version"),
        (lambda index: index.pop("model"), "archive-shape"),
        (lambda index: index.update(model=["x"]), "archive-shape"),
        (lambda index: index["model"].update(name=1), "archive-shape"),
        (lambda index: index.update(at="yesterday"), "archive-shape"),
        (lambda index: index.update(at=7), "archive-shape"),
        (lambda index: index.pop("exportedAt"), "archive-shape"),
        (lambda index: index.update(exportedAt="2026-13-01T00:00:00Z"), "archive-shape"),
        (lambda index: index["model"].update(digest="sha256:" + "0" * 64), "archive-manifest"),
        (lambda index: index["model"].update(digest=None), "archive-shape"),
    ],
)
def test_an_index_that_is_none(whole: Archive, edit: Callable[[dict[str, object]], object], reason: str) -> None:
    assert refusal(edited(whole, edit)) == reason


def test_manifest_in_another_spelling(whole: Archive) -> None:
    files = entries(archive.write(whole))
    files["model/manifest.json"] += b"\n"
    assert refusal(zipped(files)) == "manifest-not-canonical"


def test_manifest_that_is_too_large(whole: Archive) -> None:
    files = entries(archive.write(whole)) | {"model/manifest.json": b" " * 4_000_001}
    assert refusal(zipped(files)) == "archive-shape"
