"""The spool to the byte: how often a block is read, what stands around it, and what a failing disk comes to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lamslsa.artifact.spool import BLOCK_BYTES, Spool, SpoolFile
from lamslsa.errors import UnavailableError

TAG = 16


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[bytes], SpoolFile]]:
    made: list[SpoolFile] = []

    def one(data: bytes) -> SpoolFile:
        file = Spool(tmp_path).create()
        made.append(file)
        file.write(data)
        file.seal()
        return file

    yield one
    for file in made:
        file.close()


def fails(*_: object) -> Any:
    raise OSError(errno.EIO, "the disk is gone")


def test_each_block_is_sealed_under_its_index(make: Callable[[bytes], SpoolFile]) -> None:
    data = bytes(range(256)) * 4096 + b"rest"
    file = make(data)
    cipher: AESGCM = file._cipher
    for index, part in enumerate((data[:BLOCK_BYTES], b"rest")):
        sealed = os.pread(file._descriptor, len(part) + TAG, index * (BLOCK_BYTES + TAG))
        bound = b"lamslsa spool block\n" + index.to_bytes(8, "big")
        assert cipher.decrypt(bytes(11) + bytes([index]), sealed, bound) == part


@pytest.mark.parametrize("size", [0, 5, BLOCK_BYTES])
def test_nothing_is_written_once_it_is_sealed(make: Callable[[bytes], SpoolFile], size: int) -> None:
    """A block that was short would be written again, under the same nonce."""
    file = make(bytes(size))
    with pytest.raises(RuntimeError):
        file.write(b"more")
    assert file.size == size


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_reading_ends_where_writing_did(make: Callable[[bytes], SpoolFile], size: int) -> None:
    data = b"x" * (size - 1) + b"y" * bool(size)
    file = make(data)
    with file.open(0, size) as stream:
        assert stream.read() == data
        assert stream.read() == b""
        assert stream.raw.seek(0, os.SEEK_SET) == 0
        assert stream.read(1) == data[:1]


def test_a_part_may_begin_in_any_block(make: Callable[[bytes], SpoolFile]) -> None:
    file = make(b"a" * BLOCK_BYTES + b"b" * BLOCK_BYTES + b"c")
    with file.open(BLOCK_BYTES, BLOCK_BYTES + 3) as stream:
        assert stream.read() == b"bbb"
    with file.open(2 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES + 1) as stream:
        assert stream.read() == b"bc"
        with pytest.raises(ValueError, match="offset"):
            stream.raw.seek(-3, os.SEEK_CUR)


def test_what_is_added_behind_changes_nothing(make: Callable[[bytes], SpoolFile]) -> None:
    file = make(b"a" * BLOCK_BYTES + b"last")
    os.pwrite(file._descriptor, b"more" * 100, BLOCK_BYTES + TAG + 4 + TAG)
    assert file.block(1) == b"last"


def test_a_block_is_decrypted_once_while_it_is_read_in_pieces(
    make: Callable[[bytes], SpoolFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(bytes(2 * BLOCK_BYTES))
    offsets: list[int] = []
    read = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        offsets.append(offset)
        return read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counting)
    with file.open(0, file.size) as stream:
        while stream.read(100_000):
            pass
    assert offsets == [0, BLOCK_BYTES + TAG]


def test_a_disk_that_fails_is_told(make: Callable[[bytes], SpoolFile], monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(b"abc")
    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(UnavailableError, match="the disk is gone") as caught:
        file.block(0)
    assert caught.value.reason == "spool-disk"


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Spool(tmp_path).create()
    monkeypatch.setattr(os, "write", fails)
    with pytest.raises(UnavailableError, match="the disk is gone") as caught:
        file.write(bytes(BLOCK_BYTES))
    assert caught.value.reason == "spool-disk"
    monkeypatch.undo()
    file.close()


def test_a_disk_that_takes_little_at_a_time_gets_everything(
    make: Callable[[bytes], SpoolFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:300_000])))
    data = bytes(range(256)) * 5000
    file = make(data)
    with file.open(0, len(data)) as stream:
        assert stream.read() == data
