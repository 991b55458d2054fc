"""Checkpoints: whoever holds the folder can withhold them, and that is all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.measure import checkpoints
from lamslsa.measure.checkpoints import SealedFolder

WORK, OTHER = b"w" * 32, b"o" * 32


@pytest.fixture
def folder(tmp_path: Path) -> SealedFolder:
    return SealedFolder(tmp_path / "kept", key=bytes(range(32)))


def the_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "kept").iterdir()
    return path


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 33, 100])
def test_what_was_kept_comes_back(
    folder: SealedFolder, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_SEGMENT", 16)
    assert folder.latest(WORK) is None
    state = bytes(i % 251 for i in range(size))
    folder.keep(WORK, b"before")
    folder.keep(WORK, state)
    assert folder.latest(WORK) == state
    assert folder.latest(OTHER) is None
    again = SealedFolder(tmp_path / "kept", key=bytes(range(32)))
    assert again.latest(WORK) == state
    assert SealedFolder(tmp_path / "kept", key=bytes(32)).latest(WORK) is None


def test_nothing_can_be_read_without_the_key(folder: SealedFolder, tmp_path: Path) -> None:
    folder.keep(WORK, b"secret" * 100)
    first = the_file(tmp_path).read_bytes()
    assert b"secret" not in first
    assert WORK not in first
    assert the_file(tmp_path).stat().st_mode & 0o077 == 0
    folder.keep(WORK, b"secret" * 100)
    assert the_file(tmp_path).read_bytes() != first


def test_every_altered_byte_is_noticed(folder: SealedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_SEGMENT", 16)
    folder.keep(WORK, bytes(40))
    path = the_file(tmp_path)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        assert folder.latest(WORK) is None
    for end in range(len(good)):
        path.write_bytes(good[:end])
        assert folder.latest(WORK) is None
    path.write_bytes(good + b"\0")
    assert folder.latest(WORK) is None
    path.write_bytes(good)
    assert folder.latest(WORK) == bytes(40)


def test_segments_cannot_be_rearranged(folder: SealedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_SEGMENT", 16)
    folder.keep(WORK, bytes(64))
    path = the_file(tmp_path)
    good = path.read_bytes()
    salt, segments = good[:32], [good[i : i + 32] for i in range(32, len(good), 32)]
    assert len(segments) == 4
    for order in ([1, 0, 2, 3], [0, 0, 2, 3], [0, 1, 2], [0, 1, 3], [3], [0, 1, 2, 3, 3]):
        path.write_bytes(salt + b"".join(segments[i] for i in order))
        assert folder.latest(WORK) is None


def test_file_of_other_work_is_nothing_under_its_name(folder: SealedFolder, tmp_path: Path) -> None:
    folder.keep(OTHER, b"other")
    other = the_file(tmp_path)
    data = other.read_bytes()
    folder.keep(WORK, b"mine")
    (mine,) = set((tmp_path / "kept").iterdir()) - {other}
    mine.write_bytes(data)
    assert folder.latest(WORK) is None
    assert folder.latest(OTHER) == b"other"


def test_a_pipe_or_folder_in_its_place_is_nothing(folder: SealedFolder, tmp_path: Path) -> None:
    import os

    folder.keep(WORK, b"x")
    path = the_file(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert folder.latest(WORK) is None
    path.unlink()
    path.mkdir()
    assert folder.latest(WORK) is None


def test_file_that_is_too_large_is_nothing(
    folder: SealedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep(WORK, bytes(100))
    monkeypatch.setattr(checkpoints, "_MAX_BYTES", the_file(tmp_path).stat().st_size - 1)
    assert folder.latest(WORK) is None


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_key_has_its_length(tmp_path: Path, size: int) -> None:
    with pytest.raises(FormatError) as caught:
        SealedFolder(tmp_path, key=bytes(size))
    assert caught.value.reason == "checkpoint-key"


def test_file_of_the_largest_size_comes_back(
    folder: SealedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep(WORK, bytes(100))
    monkeypatch.setattr(checkpoints, "_MAX_BYTES", the_file(tmp_path).stat().st_size)
    assert folder.latest(WORK) == bytes(100)


def test_folders_above_are_made(tmp_path: Path) -> None:
    folder = SealedFolder(tmp_path / "a" / "b", key=bytes(32))
    for state in (b"one", b"two"):
        folder.keep(WORK, state)
        assert folder.latest(WORK) == state
