"""Run folders: written whole, read back with suspicion."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, read_run, write_run
from lamslsa.predicates.tee_evidence import BEACON_CHECKPOINT_MEDIA_TYPE

RUN = Run(
    statements=(NamedPayload(name="01-dataset", payload=b'{"a":1}'), NamedPayload(name="02-more", payload=b"{}")),
    nonce=Nonce.of_beacon(b"a checkpoint"),
    evidence=Evidence(media_type="application/x", quote=b"quote", collateral=b'{"c":1}', event_log=b"log"),
    quoted_at="2026-11-22T00:00:00Z",
    devices=(DeviceEvidence(media_type="x/y", data=b"one"), DeviceEvidence(media_type="x/y", data=b"two")),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(RUN, tmp_path / "run")
    return tmp_path / "run"


def test_what_is_written_is_read_back(folder: Path) -> None:
    assert read_run(folder) == RUN
    assert sorted(path.name for path in folder.iterdir()) == [
        "01-dataset.json",
        "02-more.json",
        "beacon.bin",
        "collateral.json",
        "device-01.bin",
        "device-02.bin",
        "event-log.bin",
        "evidence.json",
        "quote.bin",
    ]
    assert (folder / "01-dataset.json").read_bytes() == b'{"a":1}', "the exact payload bytes"


def test_collateral_is_optional(folder: Path) -> None:
    (folder / "collateral.json").unlink()
    assert read_run(folder).evidence.collateral is None


def test_a_nonce_need_not_be_of_a_beacon_nor_have_devices(folder: Path) -> None:
    index = json.loads((folder / "evidence.json").read_bytes())
    del index["beacon"]
    (folder / "evidence.json").write_text(json.dumps(index | {"devices": []}))
    (folder / "event-log.bin").unlink()
    run = read_run(folder)
    assert run.nonce.beacon is None
    assert run.devices == ()
    assert run.evidence.event_log is None


def test_a_pipe_is_no_quote(folder: Path) -> None:
    (folder / "quote.bin").unlink()
    os.mkfifo(folder / "quote.bin")
    with pytest.raises(FormatError) as caught:
        read_run(folder)
    assert caught.value.reason == "run-file"


def test_an_existing_folder_is_refused(folder: Path) -> None:
    with pytest.raises(FormatError) as caught:
        write_run(RUN, folder)
    assert caught.value.reason == "output-exists"


def _index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "evidence.json").read_bytes())
    (folder / "evidence.json").write_text(json.dumps(index | changes))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda at: (at / "evidence.json").unlink(), "run-file"),
        (lambda at: (at / "quote.bin").unlink(), "run-file"),
        (lambda at: (at / "02-more.json").unlink(), "run-file"),
        (lambda at: (at / "quote.bin").write_bytes(bytes(65 * 1024)), "run-file"),
        (lambda at: (at / "evidence.json").write_text("[]"), "run-index"),
        (lambda at: (at / "evidence.json").write_text("{"), "json-syntax"),
        (lambda at: _index(at, nonce=7), "run-index"),
        (lambda at: _index(at, nonce="AA"), "base64"),
        (lambda at: _index(at, statements=[]), "run-index"),
        (lambda at: _index(at, statements=["01-dataset", "01-dataset"]), "run-index"),
        (lambda at: _index(at, statements=["../../etc/passwd"]), "run-index"),
        (lambda at: _index(at, statements=[1]), "run-index"),
        (lambda at: _index(at, devices=None), "run-index"),
        (lambda at: _index(at, devices=[1]), "run-index"),
        (lambda at: _index(at, devices=["x/y"] * 65), "run-index"),
        (lambda at: _index(at, devices=["x/y"] * 3), "run-file"),
        (lambda at: _index(at, beacon=7), "run-index"),
        (lambda at: (at / "beacon.bin").unlink(), "run-file"),
        (lambda at: (at / "beacon.bin").write_bytes(bytes(65 * 1024)), "run-file"),
        (lambda at: (at / "device-01.bin").write_bytes(bytes(257 * 1024)), "run-file"),
        (lambda at: (at / "event-log.bin").write_bytes(bytes(1025 * 1024)), "run-file"),
    ],
)
def test_another_folder_is_refused(folder: Path, change: Callable[[Path], None], reason: str) -> None:
    change(folder)
    with pytest.raises(FormatError) as caught:
        read_run(folder)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("quote.bin", 64 * 1024),
        ("device-01.bin", 256 * 1024),
        ("event-log.bin", 1024 * 1024),
        ("beacon.bin", 64 * 1024),
        ("collateral.json", 16 * 1024 * 1024),
        ("02-more.json", 16 * 1024 * 1024),
    ],
)
def test_the_largest_files(folder: Path, name: str, limit: int) -> None:
    (folder / name).write_bytes(bytes(limit))
    assert read_run(folder)
    (folder / name).write_bytes(bytes(limit + 1))
    with pytest.raises(FormatError, match=f"expected at most {limit} bytes in .*{name}") as caught:
        read_run(folder)
    assert caught.value.reason == "run-file"


def test_the_largest_nonce(folder: Path) -> None:
    _index(folder, nonce=base64.b64encode(bytes(64)).decode())
    assert read_run(folder).nonce.value == bytes(64)
    _index(folder, nonce=base64.b64encode(bytes(65)).decode())
    with pytest.raises(FormatError):
        read_run(folder)


def test_as_many_devices_as_a_quote_covers(folder: Path) -> None:
    for number in range(1, 65):
        (folder / f"device-{number:02d}.bin").write_bytes(bytes([number]))
    _index(folder, devices=["x/y"] * 64)
    assert [device.data[0] for device in read_run(folder).devices] == list(range(1, 65))


def test_what_is_in_the_index(folder: Path) -> None:
    assert json.loads((folder / "evidence.json").read_bytes()) == {
        "mediaType": "application/x",
        "nonce": base64.b64encode(RUN.nonce.value).decode(),
        "statements": ["01-dataset", "02-more"],
        "devices": ["x/y", "x/y"],
        "quotedAt": "2026-11-22T00:00:00Z",
        "beacon": BEACON_CHECKPOINT_MEDIA_TYPE,
    }


@pytest.mark.parametrize("changes", [{"nonce": ...}, {"mediaType": 7}, {"quotedAt": 7}, {"statements": "01-dataset"}])
def test_an_index_with_other_fields(folder: Path, changes: dict[str, object]) -> None:
    index = json.loads((folder / "evidence.json").read_bytes()) | changes
    (folder / "evidence.json").write_text(json.dumps({name: value for name, value in index.items() if value != ...}))
    with pytest.raises(FormatError, match="expected the index of a run") as caught:
        read_run(folder)
    assert caught.value.reason == "run-index"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ([], "names of different statements"),
        (["01-dataset", "01-dataset"], "names of different statements"),
        (["1-dataset"], "name of a statement in the index, got '1-dataset'"),
        (["01-Dataset"], "name of a statement"),
        (["01-dataset\n"], "name of a statement"),
        ([None], "name of a statement in the index, got None"),
    ],
)
def test_names_that_no_statement_has(folder: Path, statements: list[object], message: str) -> None:
    _index(folder, statements=statements)
    with pytest.raises(FormatError, match=message) as caught:
        read_run(folder)
    assert caught.value.reason == "run-index"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="got No such file or directory") as caught:
        read_run(tmp_path / "nothing")
    assert caught.value.hint == "name a folder that lamslsa attest wrote"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evidence.json").mkdir()
    with pytest.raises(FormatError, match=r"got another kind|got Is a directory"):
        read_run(tmp_path / "run")
