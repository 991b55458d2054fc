"""How attesters reach a device: the few system calls that they make, and their errors in one place.

Rules:
- A file is opened for one read or for one write and closed again. Gramine and configfs take what was written when it is
  closed, and make what is read when it is opened, so nothing is kept open and nothing is buffered.
- An answer is capped before it is kept, and a write that takes fewer bytes than given is a failure.
- A quote leaves here only when it carries the report data that was asked for: device files are shared by all threads
  of an enclave, and another one may have written in between.

>>> refuse_other_report_data(b"a" * 64, b"a" * 64, what="the quote")
"""

from __future__ import annotations

import errno
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

from lamslsa.errors import FormatError, UnavailableError

__all__ = [
    "REPORT_DATA_BYTES",
    "Kernel",
    "Linux",
    "Mode",
    "answering",
    "read_file",
    "refuse_other_report_data",
    "require_report_data",
    "write_file",
]

REPORT_DATA_BYTES: Final = 64
Mode = Literal["r", "w", "rw"]
_FLAGS: Final = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ENOTTY})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


class Kernel(Protocol):
    """The system calls; each raises OSError as the one of its name does."""

    def open(self, path: str, mode: Mode) -> int:
        """Open a file that exists; it is neither made nor truncated."""
        ...

    def read(self, descriptor: int, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...

    def write(self, descriptor: int, data: bytes) -> int:
        """How many bytes were taken."""
        ...

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> None:
        """Hand ``argument`` to a device, which may change it."""
        ...

    def close(self, descriptor: int) -> None:
        """Close a descriptor; some files take what was written only now."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a folder."""
        ...

    def rmdir(self, path: str) -> None:
        """Remove a folder."""
        ...


class Linux:
    """The kernel of this machine."""

    def open(self, path: str, mode: Mode) -> int:
        """Open a file that exists; it is neither made nor truncated."""
        return os.open(path, _FLAGS[mode] | os.O_CLOEXEC)

    def read(self, descriptor: int, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        return os.read(descriptor, size)

    def write(self, descriptor: int, data: bytes) -> int:
        """How many bytes were taken."""
        return os.write(descriptor, data)

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> None:
        """Hand ``argument`` to a device, which may change it."""
        import fcntl

        fcntl.ioctl(descriptor, request, argument, True)  # noqa: FBT003 - positional only: change it in place

    def close(self, descriptor: int) -> None:
        """Close a descriptor; some files take what was written only now."""
        os.close(descriptor)

    def mkdir(self, path: str) -> None:
        """Make a folder."""
        Path(path).mkdir()

    def rmdir(self, path: str) -> None:
        """Remove a folder."""
        Path(path).rmdir()


def read_file(kernel: Kernel, path: str, *, limit: int) -> bytes:
    """Open a file, read it to its end, close it.

    Raises:
        OSError: it cannot be read.
        FormatError: more than ``limit`` bytes.
    """
    descriptor = kernel.open(path, "r")
    try:
        data = b""
        while part := kernel.read(descriptor, limit + 1 - len(data)):
            data += part
            if len(data) > limit:
                raise FormatError(f"expected at most {limit} bytes from {path}, got more", reason="device-answer-size")
    finally:
        kernel.close(descriptor)
    return data


def write_file(kernel: Kernel, path: str, data: bytes) -> None:
    """Open a file, write once, close it.

    Raises:
        OSError: it cannot be written, or took fewer bytes than given.
    """
    descriptor = kernel.open(path, "w")
    try:
        taken = kernel.write(descriptor, data)
    finally:
        kernel.close(descriptor)
    if taken != len(data):
        raise OSError(errno.EIO, f"{taken} of {len(data)} bytes taken", path)


def require_report_data(report_data: bytes) -> None:
    """Refuse a caller that does not pass 64 bytes.

    Raises:
        ValueError: another size.
    """
    if len(report_data) != REPORT_DATA_BYTES:
        raise ValueError(f"expected {REPORT_DATA_BYTES} bytes of report data, got {len(report_data)}")


def refuse_other_report_data(found: bytes, expected: bytes, *, what: str) -> None:
    """Refuse an answer that is about something else than what was asked.

    Raises:
        UnavailableError: ``found`` is not ``expected``.
    """
    if not hmac.compare_digest(found, expected):
        raise UnavailableError(
            f"expected {what} to carry the report data asked for, got another",
            reason="evidence-race",
            hint="something else in this TEE used the device at the same time: try again",
        )


@contextmanager
def answering(what: str, *, hint: str) -> Iterator[None]:
    """Turn what goes wrong between us and a device into one class of error.

    Raises:
        UnavailableError: the device is absent, refuses, fails, or answers with something that is not evidence.
    """
    try:
        yield
    except OSError as err:
        reason = "tee-missing" if err.errno in _ABSENT else "tee-denied" if err.errno in _DENIED else "tee-failed"
        where = f" at {err.filename}" if err.filename else ""
        raise UnavailableError(
            f"expected {what} to answer, got {err.strerror or err}{where}", reason=reason, hint=hint
        ) from err
    except FormatError as err:
        raise UnavailableError(f"expected evidence from {what}, got: {err}", reason="tee-answer", hint=hint) from err
