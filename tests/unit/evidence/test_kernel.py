"""The real system calls, and how their errors read."""

from __future__ import annotations

import errno
import os
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._kernel import (
    Linux,
    answering,
    read_file,
    refuse_other_report_data,
    require_report_data,
    write_file,
)
from lamslsa.testing.devices import BrokenProtocolError, FakeLinux, FileDevice


def test_files_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "attribute"
    path.write_bytes(b"longer than what is written")
    write_file(Linux(), str(path), b"short")
    assert read_file(Linux(), str(path), limit=27) == b"shortr than what is written", "nothing is truncated"
    with pytest.raises(FileNotFoundError):
        write_file(Linux(), str(tmp_path / "other"), b"x")
    assert not (tmp_path / "other").exists(), "nothing is made"


def test_folders_are_made_and_removed(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    Linux().mkdir(str(entry))
    assert entry.is_dir()
    with pytest.raises(FileExistsError):
        Linux().mkdir(str(entry))
    Linux().rmdir(str(entry))
    assert not entry.exists()


def test_descriptors_are_not_inherited_and_modes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    linux = Linux()
    reading, writing, both = (linux.open(str(path), mode) for mode in ("r", "w", "rw"))
    assert not any(os.get_inheritable(descriptor) for descriptor in (reading, writing, both))
    with pytest.raises(OSError, match="Bad file descriptor"):
        linux.write(reading, b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        linux.read(writing, 1)
    assert (linux.read(both, 3), linux.write(both, b"!")) == (b"con", 1)
    for descriptor in (reading, writing, both):
        linux.close(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_device_changes_the_argument_in_place() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"seven..")
    argument = bytearray(4)
    Linux().ioctl(reading, termios.FIONREAD, argument)
    assert struct.unpack("=i", argument) == (7,)
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_gives_and_takes_little_at_a_time() -> None:
    kernel = FakeLinux(FileDevice({"/file": b"0123456789"}), chunk=3)
    assert read_file(kernel, "/file", limit=10) == b"0123456789"
    with pytest.raises(FormatError) as caught:
        read_file(kernel, "/file", limit=9)
    assert caught.value.reason == "device-answer-size"
    kernel.settled()


def test_nothing_is_written_twice() -> None:
    with pytest.raises(PermissionError):
        write_file(FakeLinux(FileDevice({"/file": b""})), "/file", b"x")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "tee-missing"),
        (errno.ENOTDIR, "tee-missing"),
        (errno.ENXIO, "tee-missing"),
        (errno.ENODEV, "tee-missing"),
        (errno.ENOTTY, "tee-missing"),
        (errno.EACCES, "tee-denied"),
        (errno.EPERM, "tee-denied"),
        (errno.EIO, "tee-failed"),
        (errno.EBUSY, "tee-failed"),
        (None, "tee-failed"),
    ],
)
def test_errors_of_the_kernel(number: int | None, reason: str) -> None:
    error = OSError("odd") if number is None else OSError(number, os.strerror(number), "/dev/x")
    with pytest.raises(UnavailableError) as caught, answering("the device", hint="mend it"):
        raise error
    assert (caught.value.reason, caught.value.hint) == (reason, "mend it")
    assert str(caught.value) == (
        "expected the device to answer, got odd"
        if number is None
        else f"expected the device to answer, got {os.strerror(number)} at /dev/x"
    )
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [UnavailableError("x", reason="y"), ValueError("a bug"), KeyboardInterrupt()])
def test_other_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, answering("the device", hint="mend it"):
        raise error
    assert caught.value is error


def test_an_answer_that_is_no_evidence() -> None:
    with pytest.raises(UnavailableError) as caught, answering("the device", hint="mend it"):
        raise FormatError("expected a quote, got 3 bytes", reason="quote-size")
    assert (caught.value.reason, caught.value.hint) == ("tee-answer", "mend it")
    assert "expected a quote, got 3 bytes" in str(caught.value)


@pytest.mark.parametrize("found", [b"", b"a" * 63, b"a" * 65, b"a" * 63 + b"b", b"b" + b"a" * 63])
def test_other_report_data(found: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        refuse_other_report_data(found, b"a" * 64, what="the quote")
    assert caught.value.reason == "evidence-race"
    assert caught.value.hint


@pytest.mark.parametrize("size", [0, 63, 65])
def test_report_data_are_64_bytes(size: int) -> None:
    require_report_data(bytes(64))
    with pytest.raises(ValueError, match=f"expected 64 bytes of report data, got {size}"):
        require_report_data(bytes(size))


def test_the_double_knows_closed_descriptors_and_modes() -> None:
    kernel = FakeLinux(FileDevice({"/file": b"x"}))
    descriptor = kernel.open("/file", "r")
    with pytest.raises(OSError, match="Bad file descriptor"):
        kernel.write(descriptor, b"x")
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        kernel.ioctl(descriptor, 1, bytearray())
    kernel.close(descriptor)
    uses: list[Any] = [lambda: kernel.read(descriptor, 1), lambda: kernel.close(descriptor)]
    for use in uses:
        with pytest.raises(BrokenProtocolError, match="after it was closed"):
            use()
    with pytest.raises(FileNotFoundError):
        kernel.mkdir("/folder")
    with pytest.raises(FileNotFoundError):
        kernel.rmdir("/folder")
