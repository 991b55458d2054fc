"""Run folders: written whole, read back with suspicion."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, read_run, write_run

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
