"""Inputs that would keep one waiting: a pipe in place of a file is refused at once, whoever put it there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.inputs import read_capped, read_passphrase
from lamslsa.errors import FormatError

Run = Any


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    return path


def refused(lamslsa: Run, *words: str | Path) -> None:
    done = lamslsa(*words, "--format", "json")
    assert done.returncode == 3, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["reason"] == "input-kind"
    assert "pipe" in error["hint"]


def test_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_capped(path, what="policy", limit=5) == b"12345"
    with pytest.raises(FormatError) as caught:
        read_capped(path, what="policy", limit=4)
    assert caught.value.reason == "input-size"


def test_a_pipe(pipe: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read_capped(pipe, what="policy")
    assert caught.value.reason == "input-kind"


def test_a_passphrase_need_not_lie_on_a_disk(tmp_path: Path) -> None:
    assert read_passphrase(None) is None
    ours, theirs = os.pipe()
    with os.fdopen(ours), os.fdopen(theirs, "wb") as writer:
        writer.write(b"a word\r\nmore\n")
        writer.close()
        assert read_passphrase(Path(f"/dev/fd/{ours}")) == b"a word"
    for content, reason in ((b"\n", "key-passphrase"), (b"x" * 4097, "input-size")):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(FormatError) as caught:
            read_passphrase(tmp_path / "file")
        assert caught.value.reason == reason


@pytest.mark.parametrize("command", [("inspect",), ("evidence", "inspect"), ("enclave", "measurement", "--sigstruct")])
def test_files_to_look_at(lamslsa: Run, pipe: Path, command: tuple[str, ...]) -> None:
    refused(lamslsa, *command, pipe)


def test_a_policy(lamslsa: Run, pipe: Path, tmp_path: Path) -> None:
    refused(lamslsa, "verify", tmp_path, "--policy", pipe)


def test_collateral_in_a_folder(lamslsa: Run, chain: Any, pipe: Path, tmp_path: Path) -> None:
    refused(lamslsa, "verify", chain.model, "--policy", chain.policy, "--collateral", tmp_path)


def test_a_quote_to_fetch_for(lamslsa: Run, pipe: Path, tmp_path: Path) -> None:
    refused(lamslsa, "fetch-collateral", pipe, "--out", tmp_path / "out")
