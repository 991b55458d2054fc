"""The spool: the host reads nothing from it, and whatever it changes there is refused."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamslsa.artifact.reader import VerifiedArtifact, read_verified
from lamslsa.artifact.spool import BLOCK_BYTES, Spool, SpoolFile
from lamslsa.errors import FormatError, UnavailableError, VerificationError

_SEALED = BLOCK_BYTES + 16
DATA = random.Random(1).randbytes(3 * BLOCK_BYTES + 12_345)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SpoolFile]:
    made = Spool(tmp_path).create()
    for start in range(0, len(DATA), 700_001):
        made.write(DATA[start : start + 700_001])
    made.seal()
    yield made
    made.close()


def on_disk(file: SpoolFile) -> bytes:
    return os.pread(file._descriptor, 10 * _SEALED, 0)


def test_what_was_written_is_read_in_any_order(file: SpoolFile) -> None:
    assert file.size == len(DATA)
    with file.open(0, len(DATA)) as stream:
        assert stream.read() == DATA
    source = random.Random(2)
    with file.open(100, len(DATA) - 100) as stream:
        inner = DATA[100:-100]
        for _ in range(200):
            start, size = source.randrange(len(inner) + 50), source.randrange(5000)
            stream.seek(start)
            assert stream.read(size) == inner[start : start + size]
        assert stream.seek(-5, os.SEEK_END) == len(inner) - 5
        assert stream.read() == inner[-5:]


def test_the_disk_holds_neither_name_nor_text_and_each_run_another_key(tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        made = Spool(tmp_path).create()
        made.write(b"secret " * 200_000)
        made.seal()
        assert b"secret" not in on_disk(made)
        seen.add(on_disk(made))
        made.close()
    assert len(seen) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offset", [0, BLOCK_BYTES - 1, BLOCK_BYTES, _SEALED - 1, 3 * _SEALED + 7])
def test_one_bit_changed_on_disk_is_refused(file: SpoolFile, offset: int) -> None:
    old = os.pread(file._descriptor, 1, offset)
    os.pwrite(file._descriptor, bytes([old[0] ^ 1]), offset)
    with pytest.raises(VerificationError) as caught, file.open(0, file.size) as stream:
        stream.read()
    assert caught.value.reason == "spool-changed"


def test_blocks_moved_or_cut_are_refused(file: SpoolFile) -> None:
    first, second = (os.pread(file._descriptor, _SEALED, at * _SEALED) for at in (0, 1))
    os.pwrite(file._descriptor, second + first, 0)
    for index in (0, 1):
        with pytest.raises(VerificationError):
            file.block(index)
    assert file.block(2) == DATA[2 * BLOCK_BYTES : 3 * BLOCK_BYTES]
    os.ftruncate(file._descriptor, 2 * _SEALED + 50)
    for index in (2, 3):
        with pytest.raises(VerificationError):
            file.block(index)


def test_a_folder_that_takes_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        Spool(tmp_path / "absent").create()
    assert caught.value.reason == "spool-disk"


@pytest.fixture
def artifact(tmp_path: Path) -> Iterator[VerifiedArtifact]:
    root = tmp_path / "data"
    root.mkdir()
    (root / "a.bin").write_bytes(DATA)
    (root / "b.bin").write_bytes(b"small")
    (tmp_path / "spool").mkdir()
    with read_verified(root, "dataset", max_bytes=1000, spool=Spool(tmp_path / "spool")) as found:
        (root / "a.bin").write_bytes(b"swapped")
        yield found


def test_an_artifact_larger_than_memory_has_the_same_identity(artifact: VerifiedArtifact, tmp_path: Path) -> None:
    (tmp_path / "data" / "a.bin").write_bytes(DATA)
    with read_verified(tmp_path / "data", "dataset") as in_memory:
        assert artifact.manifest == in_memory.manifest
        for name in ("a.bin", "b.bin"):
            with artifact.file(name).open() as left, in_memory.file(name).open() as right:
                content = left.read()
                assert content == right.read()
                assert right.seek(3) == left.seek(3)
                assert left.read(2) == right.read(2) == content[3:5]
            assert hashlib.sha256(content).hexdigest() == artifact.file(name).entry.sha256
        assert in_memory.file("a.bin").in_memory


def test_whoever_needs_a_spooled_file_in_memory_is_refused(artifact: VerifiedArtifact) -> None:
    file = artifact.file("a.bin")
    assert not file.in_memory
    for use in (file.view, file.bytes, lambda: file.library_path):
        with pytest.raises(FormatError) as caught:
            use()
        assert caught.value.reason == "artifact-spooled"
