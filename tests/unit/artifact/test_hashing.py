from __future__ import annotations

import errno
import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamslsa.artifact import Progress, _walk, hash_artifact, hashing
from lamslsa.errors import FormatError

MIB = 1024 * 1024


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail instead of waiting for a writer that never comes."""

    def give_up(*_: object) -> None:
        raise TimeoutError("expected an answer, got stuck")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def descriptors() -> list[str]:
    gc.collect()  # what other tests left open
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def refused(root: Path, progress: Callable[[Progress], None] | None = None, threads: int | None = None) -> FormatError:
    with no_waiting(), pytest.raises(FormatError) as caught:
        hash_artifact(root, "model", threads=threads, progress=progress)
    return caught.value


def once(action: Callable[[], object]) -> Callable[[Progress], None]:
    """A progress callback that does something the first time that bytes were read, so in the middle of reading."""
    left = [action]

    def report(_: Progress) -> None:
        if left:
            left.pop()()

    return report


def test_order_times_and_permissions_do_not_matter(tmp_path: Path) -> None:
    names = ["a", "b/c", "b/d", "e" * 40]
    for root, ordered in (("one", names), ("two", names[::-1])):
        for name in ordered:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    os.utime(tmp_path / "two" / "a", (1, 1))
    (tmp_path / "two" / "a").chmod(0o700)
    (tmp_path / "two" / "empty").mkdir()
    assert hash_artifact(tmp_path / "one", "model").sha256 == hash_artifact(tmp_path / "two", "model").sha256


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_the_number_of_threads_does_not_matter(threads: int | None, tmp_path: Path) -> None:
    for index, size in enumerate([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 2 * MIB]):
        (tmp_path / str(index)).write_bytes(bytes([index]) * size)
    expected = hash_artifact(tmp_path, "dataset", threads=1)
    assert hash_artifact(tmp_path, "dataset", threads=threads) == expected
    assert [file.size for file in expected.files] == [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 2 * MIB]


def test_a_single_file_is_named_by_its_base_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("1")
    manifest = hash_artifact(tmp_path / "folder" / "a.csv", "dataset")
    assert [file.path for file in manifest.files] == ["a.csv"]
    assert manifest == hash_artifact(tmp_path / "folder", "dataset")


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("1")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "b.csv").symlink_to("folder/a.csv")
    assert hash_artifact(tmp_path / "link", "dataset") == hash_artifact(tmp_path / "folder", "dataset")
    assert [file.path for file in hash_artifact(tmp_path / "b.csv", "dataset").files] == ["b.csv"]


def test_links_inside_a_root_that_is_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("1")
    (tmp_path / "folder" / "b.csv").symlink_to(tmp_path / "folder" / "a.csv")
    (tmp_path / "link").symlink_to("folder")
    assert len(hash_artifact(tmp_path / "link", "dataset").files) == 2


def test_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert hash_artifact(Path(), "dataset") == hash_artifact(tmp_path, "dataset")
    assert hash_artifact(Path("a.csv"), "dataset") == hash_artifact(tmp_path, "dataset")


@pytest.mark.parametrize("name", ["nothing", "a.csv/below", "nul\0"])
def test_a_missing_root_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    assert refused(tmp_path / name).reason == "artifact-missing"


def test_a_root_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = refused(tmp_path / "pipe")
    assert error.reason == "artifact-special"
    assert "named pipe" in str(error)
    assert refused(Path("/dev/null")).reason == "artifact-special"


def test_a_root_that_is_a_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert refused(tmp_path / "loop").reason == "artifact-link-loop"


def test_a_link_that_leaves_the_root_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "blob").write_text("1")
    (tmp_path / "root" / "a.bin").symlink_to("../blob")
    error = refused(tmp_path / "root")
    assert error.reason == "artifact-link-outside"
    assert "lamslsa digest PATH --materialize DIR" in str(error.hint)


def test_a_path_longer_than_the_system_takes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("1")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=here)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert refused(tmp_path).reason == "artifact-unreadable"


@pytest.mark.parametrize("name", ["a.bin", "folder"])
def test_what_may_not_be_read_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_text("1")
    (tmp_path / "folder").mkdir()
    really_open = os.open

    def forbidden(path: str, *rest: int, **more: int) -> int:
        """As for a user who is not root; root may read everything."""
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really_open(path, *rest, **more)

    monkeypatch.setattr(os, "open", forbidden)
    assert refused(tmp_path).reason == "artifact-unreadable"


def test_files_are_counted_while_they_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "MAX_FILES", 3)
    for index in range(3):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "file").write_text("1")
    assert len(hash_artifact(tmp_path, "model").files) == 3
    (tmp_path / "2" / "link").symlink_to("file")
    assert refused(tmp_path).reason == "artifact-files"


def test_folders_are_counted_while_they_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "_MAX_FOLDERS", 3)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").write_text("1")
    assert len(hash_artifact(tmp_path, "model").files) == 1
    (tmp_path / "a" / "b" / "c" / "d").mkdir()
    assert refused(tmp_path).reason == "artifact-folders"


@pytest.mark.parametrize("size", [3 * MIB - 1, 3 * MIB + 1, 0])
def test_a_file_that_changes_its_size_while_it_is_read_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * MIB))
    assert refused(tmp_path, once(lambda: os.truncate(path, size))).reason == "artifact-changed"


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_file_that_changes_its_size_before_it_is_read_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(2 * MIB))
    (tmp_path / "b.bin").write_bytes(b"later")
    error = refused(tmp_path, once(lambda: os.truncate(tmp_path / "b.bin", size)), threads=1)
    assert error.reason == "artifact-changed"


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    (path.parent.parent / "outside.bin").write_bytes(b"later")
    path.symlink_to("../outside.bin")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_an_empty_file_that_is_replaced_by_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(2 * MIB))
    (tmp_path / "b.bin").write_bytes(b"")
    error = refused(tmp_path, once(lambda: replace_by_pipe(tmp_path / "b.bin")), threads=1)
    assert error.reason == "artifact-changed"


@pytest.mark.parametrize("replace", [replace_by_pipe, replace_by_link, replace_by_folder, Path.unlink])
def test_a_file_that_is_replaced_before_it_is_read_is_refused(replace: Callable[[Path], None], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.bin").write_bytes(bytes(2 * MIB))
    (root / "b.bin").write_bytes(b"later")
    assert refused(root, once(lambda: replace(root / "b.bin")), threads=1).reason == "artifact-changed"


def test_a_file_whose_size_is_not_what_the_system_says_is_refused() -> None:
    assert refused(Path("/proc/version")).reason == "artifact-changed"


def raise_enough(_: Progress) -> None:
    raise InterruptedError("enough")


def test_the_error_of_one_thread_is_the_error_of_all(tmp_path: Path) -> None:
    for index in range(8):
        (tmp_path / str(index)).write_bytes(bytes(2 * MIB))
    with pytest.raises(InterruptedError, match="enough"):
        hash_artifact(tmp_path, "model", threads=4, progress=raise_enough)


@pytest.mark.parametrize("size", [1, 2 * MIB])
def test_the_error_of_one_thread_stops_the_others(size: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    left = [raise_enough]

    def report(progress: Progress) -> None:
        if left:
            left.pop()(progress)

    with _walk.opened(tmp_path) as tree:
        jobs = deque([file] for _ in range(20_000 if size == 1 else 2_000) for file in tree.files)
        hasher = hashing._Hasher(tree, jobs, hashing.Meter(tree.files, report))
        with pytest.raises(InterruptedError, match="enough"):
            hasher.run(4)
    assert jobs


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_reaches_the_total_and_never_goes_back(threads: int, tmp_path: Path) -> None:
    sizes = [0, 10, MIB, 2 * MIB + 1]
    for index, size in enumerate(sizes):
        (tmp_path / str(index)).write_bytes(bytes(size))
    seen: list[Progress] = []
    hash_artifact(tmp_path, "model", threads=threads, progress=seen.append)
    assert seen[-1] == Progress(bytes_done=sum(sizes), bytes_total=sum(sizes), files_done=4, files_total=4)
    assert [p.bytes_done for p in seen] == sorted(p.bytes_done for p in seen)
    assert [p.files_done for p in seen] == sorted(p.files_done for p in seen)


def test_progress_is_reported_at_most_ten_times_a_second(tmp_path: Path) -> None:
    for index in range(200):
        (tmp_path / str(index)).write_text("1")
    seen: list[Progress] = []
    hash_artifact(tmp_path, "model", progress=seen.append)
    assert len(seen) < 100
    assert seen[-1].files_done == 200


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.bin").write_bytes(bytes(2 * MIB))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.bin").write_bytes(bytes(2 * MIB))
    (tmp_path / "bad" / "link").symlink_to("nowhere")
    before = descriptors()
    hash_artifact(tmp_path / "good", "model")
    refused(tmp_path / "bad")
    refused(tmp_path / "good", once(lambda: os.truncate(tmp_path / "good" / "a.bin", 1)))
    assert descriptors() == before


def test_a_chain_of_links_ends_where_the_kernel_ends_it(tmp_path: Path) -> None:
    (tmp_path / "l0000").write_text("1")
    for index in range(1, 3000):
        (tmp_path / f"l{index:04}").symlink_to(f"l{index - 1:04}")
    assert refused(tmp_path).reason == "artifact-link-loop"
