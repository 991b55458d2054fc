from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import hashlib
import mmap
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamslsa.artifact import Progress, VerifiedFile, hash_artifact, read_verified
from lamslsa.artifact.reader import refuse_size
from lamslsa.errors import FormatError, LamslsaError, UnavailableError

MIB = 1024 * 1024


@contextmanager
def limit(which: int, value: int) -> Iterator[None]:
    before = resource.getrlimit(which)
    resource.setrlimit(which, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


def descriptors() -> list[str]:
    gc.collect()  # what other tests left open
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def refused(root: Path, kind: type[LamslsaError] = FormatError, **arguments: object) -> str:
    with pytest.raises(kind) as caught, read_verified(root, "dataset", **arguments):  # type: ignore[arg-type] # any
        pass
    return caught.value.reason


@pytest.fixture
def single(tmp_path: Path) -> Path:
    path = tmp_path / "adult.data"
    path.write_bytes(b"39, State-gov\n" * 1000)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a.csv").write_bytes(b"first")
    (root / "b" / "c.csv").write_bytes(b"second")
    (root / "empty.csv").write_bytes(b"")
    (root / "large.bin").write_bytes(os.urandom(2 * MIB + 7))
    return root


def test_the_manifest_is_that_of_hashing(folder: Path) -> None:
    with read_verified(folder, "dataset") as artifact:
        assert artifact.manifest == hash_artifact(folder, "dataset")


def test_every_entry_is_the_digest_of_the_bytes_that_are_handed_out(folder: Path) -> None:
    with read_verified(folder, "model") as artifact:
        for entry in artifact.manifest.files:
            file = artifact.file(entry.path)
            data = (folder / entry.path).read_bytes()
            assert file.entry == entry
            assert file.bytes() == bytes(file.view()) == Path(file.library_path).read_bytes() == data
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry.sha256, entry.size)


def test_a_single_file(single: Path) -> None:
    with read_verified(single, "dataset") as artifact:
        file = artifact.only()
        assert file is artifact.file("adult.data")
        assert file.bytes() == Path(file.library_path).read_bytes() == single.read_bytes()


def test_only_refuses_several_files(folder: Path) -> None:
    with read_verified(folder, "dataset") as artifact, pytest.raises(FormatError) as caught:
        artifact.only()
    assert caught.value.reason == "artifact-not-single"


@pytest.mark.parametrize("path", ["nothing", "b", "./a.csv", "b/../a.csv", "/etc/passwd"])
def test_a_file_that_is_not_in_the_manifest_is_refused(path: str, folder: Path) -> None:
    with read_verified(folder, "dataset") as artifact, pytest.raises(FormatError) as caught:
        artifact.file(path)
    assert caught.value.reason == "artifact-no-file"


def rewrite(path: Path) -> None:
    path.write_bytes(b"X" * path.stat().st_size)


def swap(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"X" * path.stat().st_size)
    other.replace(path)


def through_a_map(path: Path) -> None:
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapping:
        mapping[:] = b"X" * len(mapping)


@pytest.mark.parametrize("tamper", [rewrite, swap, through_a_map, Path.unlink])
@pytest.mark.parametrize("name", ["a.csv", "large.bin"])
def test_what_happens_on_disk_after_reading_changes_nothing(
    tamper: Callable[[Path], None], name: str, folder: Path
) -> None:
    good = (folder / name).read_bytes()
    with read_verified(folder, "dataset") as artifact:
        file = artifact.file(name)
        view = file.view()
        tamper(folder / name)
        assert view == file.bytes() == Path(file.library_path).read_bytes() == good
        assert hashlib.sha256(Path(file.library_path).read_bytes()).hexdigest() == file.entry.sha256
        assert artifact.manifest.files == tuple(artifact.file(entry.path).entry for entry in artifact.manifest.files)


@pytest.mark.parametrize("tamper", [rewrite, swap])
def test_bytes_that_change_while_they_are_read_are_hashed_as_they_are_used(
    tamper: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(8 * MIB))
    left = [tamper]

    def report(_: Progress) -> None:
        if left:
            left.pop()(path)

    with read_verified(path, "dataset", progress=report) as artifact:
        assert not left
        file = artifact.only()
        for data in (file.bytes(), Path(file.library_path).read_bytes()):
            assert hashlib.sha256(data).hexdigest() == file.entry.sha256 == artifact.manifest.files[0].sha256


@pytest.mark.parametrize("size", [0, 3 * MIB - 1, 3 * MIB + 1, 9 * MIB])
def test_a_file_that_changes_its_size_while_it_is_read_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * MIB))
    left = [size]

    def report(_: Progress) -> None:
        if left:
            os.truncate(path, left.pop())

    assert refused(tmp_path, progress=report) == "artifact-changed"


def test_a_file_that_keeps_growing_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * MIB))
    with contextlib.ExitStack() as stack:

        def report(_: Progress) -> None:
            os.truncate(path, 64 * MIB)
            stack.enter_context(limit(resource.RLIMIT_FSIZE, 8 * MIB))

        assert refused(tmp_path, progress=report) == "artifact-changed"


@pytest.fixture(params=["single", "several"])
def sealed(request: pytest.FixtureRequest, single: Path, folder: Path) -> Iterator[VerifiedFile]:
    root, name = (single, "adult.data") if request.param == "single" else (folder, "large.bin")
    with read_verified(root, "dataset") as artifact:
        yield artifact.file(name)


def test_the_view_cannot_be_written(sealed: VerifiedFile) -> None:
    view = sealed.view()
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1


def write_inside(fd: int, size: int) -> None:
    os.pwrite(fd, b"X", size - 1)


def write_behind(fd: int, size: int) -> None:
    os.pwrite(fd, b"X", size + 4096)


def shrink(fd: int, size: int) -> None:
    os.truncate(fd, size - 1)


def grow(fd: int, size: int) -> None:
    os.truncate(fd, size * 2 + 4096)


def map_shared(fd: int, size: int) -> None:
    mmap.mmap(fd, size, flags=mmap.MAP_SHARED).close()


def add_seal(fd: int, size: int) -> None:
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0)


def test_the_sealed_copy_cannot_be_written(sealed: VerifiedFile) -> None:
    fd = os.open(sealed.library_path, os.O_RDWR)
    own = int(sealed.library_path.rpartition("/")[2])
    try:
        for target in (fd, own):
            for attempt in (write_inside, write_behind, shrink, grow, map_shared, add_seal):
                with pytest.raises(OSError) as caught:
                    attempt(target, sealed.entry.size)
                assert caught.value.errno in (errno.EPERM, errno.EACCES)
    finally:
        os.close(fd)
    assert hashlib.sha256(Path(sealed.library_path).read_bytes()).hexdigest() == sealed.entry.sha256


def test_every_seal_is_set(sealed: VerifiedFile) -> None:
    seals = fcntl.fcntl(int(sealed.library_path.rpartition("/")[2]), fcntl.F_GET_SEALS)
    wanted = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    assert seals & wanted == wanted


def test_a_library_path_is_made_once(sealed: VerifiedFile) -> None:
    assert sealed.library_path == sealed.library_path


def test_a_file_starts_where_numerical_libraries_want_it(folder: Path) -> None:
    with read_verified(folder, "dataset") as artifact:
        start = artifact.file("a.csv").view()
        whole = start.obj
        assert isinstance(whole, mmap.mmap)
        assert [whole.find(artifact.file(name).bytes()) % 64 for name in ("b/c.csv", "large.bin")] == [0, 0]


def test_nothing_is_handed_out_after_the_end(folder: Path, single: Path) -> None:
    for root, name in ((folder, "a.csv"), (single, "adult.data")):
        with read_verified(root, "dataset") as artifact:
            file = artifact.file(name)
            view = file.view()
            good = bytes(view)
        for use in (file.view, file.bytes, lambda file=file: file.library_path):
            with pytest.raises(RuntimeError):
                use()
        file.close()
        assert bytes(view) == good


def test_no_descriptor_stays_open(folder: Path, single: Path) -> None:
    before = descriptors()
    for root in (folder, single):
        with read_verified(root, "dataset") as artifact:
            for entry in artifact.manifest.files:
                assert artifact.file(entry.path).library_path
    refused(folder, progress=lambda _: os.truncate(folder / "large.bin", 1))
    del artifact
    assert descriptors() == before


def test_more_bytes_than_the_limit_are_refused(folder: Path) -> None:
    total = sum(entry.size for entry in hash_artifact(folder, "dataset").files)
    with read_verified(folder, "dataset", max_bytes=total):
        pass
    assert refused(folder, max_bytes=total - 1) == "artifact-size"


@pytest.mark.parametrize(
    ("total", "limit"),
    [
        (746, "746"),
        (8191, "8191"),
        (8193, "9K"),
        (2**33, "8G"),
        (2**33 + 1, "9G"),
        (2**33 - 1, "8192M"),
        (2**46, "64T"),
    ],
)
def test_the_hint_names_a_limit_that_is_enough(total: int, limit: str) -> None:
    for streamed in (False, True):
        with pytest.raises(FormatError) as caught:
            refuse_size(total, total - 1, streamed=streamed)
        assert f"(--memory-limit {limit})" in (caught.value.hint or "")
        assert ("--spool" in (caught.value.hint or "")) == streamed


def test_a_hole_of_many_terabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as stream:
        stream.truncate(2**42)
    assert refused(tmp_path) == "artifact-size"


def test_a_system_without_sealed_memory_is_refused(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert refused(single, UnavailableError) == "memfd-unavailable"


def test_too_little_memory_is_refused(folder: Path) -> None:
    with limit(resource.RLIMIT_FSIZE, MIB):
        assert refused(folder, UnavailableError) == "artifact-memory"


def test_too_many_open_files_are_refused(tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / str(index)).write_text(str(index))
    with read_verified(tmp_path, "dataset") as artifact:
        free = os.dup(0)
        os.close(free)
        with limit(resource.RLIMIT_NOFILE, free + 8), pytest.raises(FormatError) as caught:
            assert [artifact.file(str(index)).library_path for index in range(40)]
        assert caught.value.reason == "artifact-open-files"
        assert artifact.file("39").bytes() == b"39"


def test_progress_reaches_the_total(folder: Path) -> None:
    seen: list[Progress] = []
    with read_verified(folder, "dataset", progress=seen.append) as artifact:
        total = sum(entry.size for entry in artifact.manifest.files)
    assert seen[-1] == Progress(bytes_done=total, bytes_total=total, files_done=4, files_total=4)
