"""Output is complete or absent, and never overwrites."""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path

import pytest

from lamslsa._files import new_folder, open_regular, refuse_existing, write_file
from lamslsa.errors import FormatError


def _write(folder: Path, files: dict[str, bytes]) -> None:
    with new_folder(folder) as staging:
        for name, data in files.items():
            write_file(staging / name, data)


def test_a_folder_is_complete_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    with pytest.raises(FileNotFoundError):
        _write(out, {"a": b"1", "missing/b": b"2"})
    assert list((tmp_path / "new").iterdir()) == []
    _write(out, {"a": b"1"})
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("a", b"1")]
    assert list(out.parent.iterdir()) == [out]


def test_nothing_has_its_final_name_before_the_end(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as staging:
        write_file(staging / "a", b"1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("kind", ["folder", "file", "dangling"])
def test_what_exists_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    match kind:
        case "folder":
            out.mkdir()
        case "file":
            out.write_bytes(b"mine")
        case _:
            out.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FormatError) as caught:
        refuse_existing(out)
    assert caught.value.reason == "output-exists"
    with pytest.raises(FormatError):
        _write(out, {"a": b"1"})
    assert sorted(tmp_path.iterdir()) == before


def test_somebody_faster_keeps_what_he_wrote(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def race() -> None:
        with new_folder(out):
            out.mkdir()
            write_file(out / "his", b"1")

    with pytest.raises(FormatError) as caught:
        race()
    assert caught.value.reason == "output-exists"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "his").read_bytes() == b"1"


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"1", mode=0o600)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def _refused(path: Path, *, writing: bool = False) -> FormatError:
    with pytest.raises(FormatError) as caught:
        open_regular(path, what="a policy", writing=writing)
    assert caught.value.reason == "input-kind"
    assert str(path) in str(caught.value)
    return caught.value


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name, what="a policy") as file:
            assert (file.read(), file.writable()) == (b"abc", False)
    with open_regular(tmp_path / "link", what="a policy", writing=True) as file:
        assert file.read() == b"abc"
        file.seek(1)
        file.write(b"x")
        assert (tmp_path / "file").read_bytes() == b"axc", "nothing is kept back"


@pytest.mark.parametrize("writing", [False, True])
def test_nothing_that_keeps_one_waiting_is_opened(tmp_path: Path, writing: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
    for name in ("pipe", "link", "socket"):
        assert "pipe" in str(_refused(tmp_path / name, writing=writing).hint)
    _refused(Path("/dev/null"), writing=writing)


def test_a_pipe_that_was_named_on_purpose_is_refused(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours), os.fdopen(theirs, "wb", buffering=0) as writer:
        writer.write(b"content")
        _refused(Path(f"/dev/fd/{ours}"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    _refused(tmp_path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path, what="a policy", writing=True)


def test_what_is_refused_is_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    gc.collect()  # what other tests left open
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(10):
        _refused(tmp_path / "pipe")
    assert len(list(Path("/dev/fd").iterdir())) <= before
