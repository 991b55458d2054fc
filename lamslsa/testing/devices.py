"""Devices in memory that answer as the kernel and Gramine do, and that insist on their protocols.

Where a real device would quote something else than was meant, a double raises `BrokenProtocolError`: when report data
are written twice without closing the file, when a quote is read before they are, when something is left open. A test
plays the other users of a device through ``meanwhile``. configfs-tsm is in `lamslsa.testing.tsm`.

>>> kernel = FakeLinux(GramineDevice(quote=lambda report_data: b"a quote of " + report_data))
>>> descriptor = kernel.open("/dev/attestation/quote", "r")
Traceback (most recent call last):
    ...
lamslsa.testing.devices.BrokenProtocolError: quote opened before report data were written
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from lamslsa.evidence._kernel import Mode

__all__ = [
    "BrokenProtocolError",
    "Device",
    "FakeLinux",
    "FileDevice",
    "GramineDevice",
    "NsmDevice",
    "OpenFile",
    "failure",
]

_REPORT_DATA_BYTES: Final = 64
_RESPONSE_BYTES: Final = 0x3000


class BrokenProtocolError(AssertionError):
    """Something was done that a device cannot answer truthfully."""


def failure(number: int, path: str) -> OSError:
    """The error of a system call."""
    return OSError(number, os.strerror(number), path)


@dataclass(slots=True, kw_only=True)
class OpenFile:
    """One opened file: what it holds, and what becomes of what is written to it."""

    path: str
    mode: Mode
    content: bytes = b""
    one_write: bool = False
    on_write: Callable[[bytes], None] | None = None
    on_close: Callable[[bytes], None] | None = None
    control: Callable[[int, bytearray], None] | None = None
    written: list[bytes] = field(default_factory=list)
    position: int = 0


class Device(Protocol):
    """Something that files stand for; each method returns None or False for paths of others."""

    def open(self, path: str, mode: Mode) -> OpenFile | None:
        """Open a file."""
        ...

    def mkdir(self, path: str) -> bool:
        """Make a folder."""
        ...

    def rmdir(self, path: str) -> bool:
        """Remove a folder."""
        ...

    def settled(self) -> None:
        """Refuse what is left over."""
        ...


class FakeLinux:
    """The kernel of a machine with these devices.

    Args:
        devices: what is there; all other paths are absent.
        chunk: how much one read gives at most.
        short_writes: how many bytes each write leaves untaken.
    """

    def __init__(self, *devices: Device, chunk: int = 1 << 20, short_writes: int = 0) -> None:
        self._devices = devices
        self._chunk = chunk
        self._short_writes = short_writes
        self._files: dict[int, OpenFile] = {}
        self._next = 3

    def open(self, path: str, mode: Mode) -> int:
        """Open a file that exists."""
        for device in self._devices:
            file = device.open(path, mode)
            if file is not None:
                self._files[self._next] = file
                self._next += 1
                return self._next - 1
        raise failure(errno.ENOENT, path)

    def read(self, descriptor: int, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        file = self._file(descriptor)
        if "r" not in file.mode:
            raise failure(errno.EBADF, file.path)
        part = file.content[file.position : file.position + min(size, self._chunk)]
        file.position += len(part)
        return part

    def write(self, descriptor: int, data: bytes) -> int:
        """How many bytes were taken."""
        file = self._file(descriptor)
        if "w" not in file.mode:
            raise failure(errno.EBADF, file.path)
        if file.one_write and file.written:
            raise BrokenProtocolError(f"{file.path} written twice without closing it")
        taken = data[: len(data) - self._short_writes]
        file.written.append(taken)
        if file.on_write is not None:
            file.on_write(taken)
        return len(taken)

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> None:
        """Hand ``argument`` to a device."""
        file = self._file(descriptor)
        if file.control is None:
            raise failure(errno.ENOTTY, file.path)
        file.control(request, argument)

    def close(self, descriptor: int) -> None:
        """Close a descriptor, and commit what was written."""
        file = self._file(descriptor)
        del self._files[descriptor]
        if file.written and file.on_close is not None:
            file.on_close(b"".join(file.written))

    def mkdir(self, path: str) -> None:
        """Make a folder."""
        if not any(device.mkdir(path) for device in self._devices):
            raise failure(errno.ENOENT, path)

    def rmdir(self, path: str) -> None:
        """Remove a folder; not while a file in it is open."""
        if any(file.path.startswith(f"{path}/") for file in self._files.values()):
            raise failure(errno.EBUSY, path)
        if not any(device.rmdir(path) for device in self._devices):
            raise failure(errno.ENOENT, path)

    def settled(self) -> None:
        """Refuse descriptors and folders that were left behind.

        Raises:
            BrokenProtocolError: something was.
        """
        if self._files:
            raise BrokenProtocolError(f"left open: {', '.join(file.path for file in self._files.values())}")
        for device in self._devices:
            device.settled()

    def _file(self, descriptor: int) -> OpenFile:
        if descriptor not in self._files:
            raise BrokenProtocolError(f"descriptor {descriptor} used after it was closed")
        return self._files[descriptor]


class FileDevice:
    """Plain files that can only be read, and folders that cannot be made."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def open(self, path: str, mode: Mode) -> OpenFile | None:
        """Open a file."""
        if path not in self.files:
            return None
        if mode != "r":
            raise failure(errno.EACCES, path)
        return OpenFile(path=path, mode=mode, content=self.files[path])

    def mkdir(self, path: str) -> bool:  # noqa: ARG002 - the protocol's signature
        """No folder can be made."""
        return False

    def rmdir(self, path: str) -> bool:  # noqa: ARG002 - the protocol's signature
        """No folder can be removed."""
        return False

    def settled(self) -> None:
        """Nothing is ever left over."""


class GramineDevice(FileDevice):
    """``/dev/attestation`` of a Gramine enclave.

    Args:
        quote: what the quoting enclave signs for 64 bytes of report data.
        attestation_type: of the manifest; None for Gramine without SGX, which has no such file.
        meanwhile: another thread, run between the writing of the report data and the making of the quote; what it
            returns takes the place of the report data.
        quoting_enclave: whether there is one on the host.
    """

    _FOLDER: Final = "/dev/attestation"

    def __init__(
        self,
        *,
        quote: Callable[[bytes], bytes],
        attestation_type: bytes | None = b"dcap",
        meanwhile: Callable[[bytes], bytes] | None = None,
        quoting_enclave: bool = True,
    ) -> None:
        super().__init__({} if attestation_type is None else {f"{self._FOLDER}/attestation_type": attestation_type})
        self._quote = quote
        self._meanwhile = meanwhile
        self._quoting_enclave = quoting_enclave
        self._report_data: bytes | None = None
        self._writing = False
        self._reported = attestation_type is not None
        self._quoted = attestation_type not in (None, b"none")

    def open(self, path: str, mode: Mode) -> OpenFile | None:
        """Open a file; that of the quote has it made."""
        if self._reported and path == f"{self._FOLDER}/user_report_data" and mode == "w":
            self._writing = True
            return OpenFile(path=path, mode=mode, one_write=True, on_write=self._refuse_size, on_close=self._commit)
        if self._quoted and path == f"{self._FOLDER}/quote" and mode == "r":
            return OpenFile(path=path, mode=mode, content=self._make_quote(path))
        return super().open(path, mode)

    def _refuse_size(self, data: bytes) -> None:
        if len(data) > _REPORT_DATA_BYTES:
            raise BrokenProtocolError(f"{len(data)} bytes of report data, of which Gramine keeps 64")

    def _commit(self, data: bytes) -> None:
        self._writing = False
        self._report_data = data.ljust(_REPORT_DATA_BYTES, b"\0")  # Gramine pads

    def _make_quote(self, path: str) -> bytes:
        if self._writing:
            raise BrokenProtocolError("quote opened before the file of the report data was closed")
        if self._report_data is None:
            raise BrokenProtocolError("quote opened before report data were written")
        report_data, self._report_data = self._report_data, None
        if self._meanwhile is not None:
            report_data = self._meanwhile(report_data)
        if not self._quoting_enclave:
            raise failure(errno.EACCES, path)
        return self._quote(report_data)


class NsmDevice(FileDevice):
    """``/dev/nsm`` of a Nitro enclave: the driver, which copies between buffers, and a security module behind it.

    Args:
        answer: the module's answer, as CBOR, to a request, as CBOR.
        length: what the driver says the length of the answer is, where it lies.
    """

    _PATH: Final = "/dev/nsm"
    _REQUEST: Final = 0xC0200A00
    _BUFFERS: Final = struct.Struct("=QQQQ")

    def __init__(self, *, answer: Callable[[bytes], bytes], length: int | None = None) -> None:
        super().__init__({})
        self._answer = answer
        self._length = length

    def open(self, path: str, mode: Mode) -> OpenFile | None:
        """Open the device."""
        return OpenFile(path=path, mode=mode, control=self._control) if path == self._PATH else None

    def _control(self, request: int, argument: bytearray) -> None:
        if request != self._REQUEST or len(argument) != self._BUFFERS.size:
            raise failure(errno.EINVAL, self._PATH)
        asked_at, asked, answer_at, room = self._BUFFERS.unpack(argument)
        if not 0 < asked <= 0x1000 or room > _RESPONSE_BYTES:
            raise BrokenProtocolError(f"buffers of {asked} and {room} bytes")
        answer = self._answer(ctypes.string_at(asked_at, asked))
        if len(answer) > room:
            raise failure(errno.EFBIG, self._PATH)
        ctypes.memmove(answer_at, answer, len(answer))
        length = len(answer) if self._length is None else self._length
        argument[:] = self._BUFFERS.pack(asked_at, asked, answer_at, length)
