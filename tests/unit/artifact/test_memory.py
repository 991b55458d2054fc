"""Memory for verified bytes: sealed by the kernel, or an enclave's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lamslsa.artifact import read_verified
from lamslsa.artifact.memory import SEALED, EnclaveMemory, Memory
from lamslsa.errors import UnavailableError


@pytest.fixture(params=["sealed", "enclave"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Memory:
    (tmp_path / "memory").mkdir()
    return SEALED if request.param == "sealed" else EnclaveMemory(tmp_path / "memory")


def test_what_is_written_is_there_after_closing_too(memory: Memory) -> None:
    file = memory.create()
    for part in (b"one ", memoryview(b"two"), b""):
        file.write(part)
    file.seal()
    content = file.content()
    assert Path(file.path).read_bytes() == b"one two"
    file.close()
    assert bytes(content) == b"one two"
    assert content.readonly


def test_an_empty_file(memory: Memory) -> None:
    file = memory.create()
    file.seal()
    assert bytes(file.content()) == b""
    file.close()


def test_sealed_memory_takes_no_more() -> None:
    file = SEALED.create()
    file.write(b"x")
    file.seal()
    with pytest.raises(UnavailableError) as caught:
        file.write(b"y")
    assert caught.value.reason == "artifact-memory"
    with pytest.raises(OSError, match="not permitted"):
        os.truncate(file.path, 0)
    file.close()


def test_an_enclaves_files_are_private_and_go_with_closing(tmp_path: Path) -> None:
    memory = EnclaveMemory(tmp_path)
    files = [memory.create() for _ in range(3)]
    assert len({file.path for file in files}) == 3
    assert {Path(file.path).stat().st_mode & 0o777 for file in files} == {0o600}
    for file in files:
        file.close()
    assert list(tmp_path.iterdir()) == []


def test_an_enclave_without_its_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        EnclaveMemory(tmp_path / "absent").create()
    assert caught.value.reason == "artifact-memory"


@pytest.mark.parametrize("count", [1, 3])
def test_an_artifact_is_read_into_the_memory_that_is_named(tmp_path: Path, memory: Memory, count: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.csv").write_bytes(b"x" * (number + 1))
    with read_verified(folder, "dataset", memory=memory) as artifact:
        for number in range(count):
            file = artifact.file(f"{number}.csv")
            assert file.bytes() == b"x" * (number + 1)
            assert Path(file.library_path).read_bytes() == b"x" * (number + 1)
            enclave = isinstance(memory, EnclaveMemory)
            assert file.library_path.startswith(str(tmp_path / "memory") if enclave else "/proc/self/fd/")
    assert list((tmp_path / "memory").iterdir()) == []
