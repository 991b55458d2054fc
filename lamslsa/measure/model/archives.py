"""Archives and compressed files, read in memory and within bounds.

A ZIP archive is found by its end, as its readers find it, so one that is glued to other bytes is found too.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["MAX_MEMBERS", "MAX_MEMBER_BYTES", "Archive", "Member", "open_archive"]

MAX_MEMBERS: Final = 10_000
MAX_MEMBER_BYTES: Final = 64 * 1024 * 1024
_MAX_TOTAL: Final = 1024 * 1024 * 1024
_END: Final = b"PK\x05\x06"
_LONGEST_END: Final = 22 + 65_535
_OTHERS: Final = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What lies in an archive; ``data`` is None where it was not read, and then ``problem`` says why."""

    name: str
    data: bytes | None
    problem: str | None = None

    @property
    def unsafe_name(self) -> bool:
        """Whether unpacking it by its name writes somewhere else."""
        parts = self.name.replace("\\", "/").split("/")
        return ".." in parts or self.name.startswith(("/", "\\")) or (len(self.name) > 1 and self.name[1] == ":")


class Archive:
    """An archive; ``problem`` is set when `members` has been run through."""

    def __init__(self, form: str, read: Callable[[], Iterator[Member]]) -> None:
        self.format = form
        self.problem: str | None = None
        self._read = read

    def members(self) -> Iterator[Member]:
        """The members, as far as they can be read and are few enough."""
        total = 0
        try:
            for count, member in enumerate(self._read()):
                total += len(member.data or b"")
                if count >= MAX_MEMBERS or total > _MAX_TOTAL:
                    self.problem = f"more than {MAX_MEMBERS} members or {_MAX_TOTAL} bytes were not looked at"
                    return
                yield member
        except Exception as err:  # noqa: BLE001 - these libraries raise whatever a hostile archive leads to
            self.problem = f"could not be read: {type(err).__name__}"


def open_archive(data: memoryview) -> Archive | None:
    """The archive that these bytes are, or None."""
    head = bytes(data[:8])
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return Archive(name, _refuse)
    if head.startswith(b"PK\x03\x04") or _ends_as_zip(data):
        return Archive("zip", lambda: _zip(data))
    if bytes(data[257:262]) == b"ustar":
        return Archive("tar", lambda: _tar(data))
    for name, magics, make in _COMPRESSED:
        if head.startswith(magics):
            return _compressed(name, data, make)
    return None


def _refuse() -> Iterator[Member]:
    raise ValueError("not looked into")


def _ends_as_zip(data: memoryview) -> bool:
    tail = bytes(data[-_LONGEST_END:])
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        return False
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    start = len(data) - len(tail) + at - size
    return start >= 0 and (size == 0 or bytes(data[start : start + 4]) == b"PK\x01\x02")


def _zip(data: memoryview) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            yield _zip_member(archive, info)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.filename[:512]
    try:
        with archive.open(info) as stream:
            content = stream.read(MAX_MEMBER_BYTES + 1)
    except Exception as err:  # noqa: BLE001 - as above, for one member
        return Member(name=name, data=None, problem=f"could not be read: {type(err).__name__}")
    return _bounded(name, content)


def _tar(data: memoryview) -> Iterator[Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            if info.issym() or info.islnk():
                yield Member(name=info.name[:512], data=None, problem=f"a link to {info.linkname[:200]}")
            elif info.isfile():
                stream = archive.extractfile(info)
                yield _bounded(info.name[:512], b"" if stream is None else stream.read(MAX_MEMBER_BYTES + 1))


def _bounded(name: str, content: bytes) -> Member:
    if len(content) > MAX_MEMBER_BYTES:
        return Member(
            name=name, data=content[:MAX_MEMBER_BYTES], problem=f"only the first {MAX_MEMBER_BYTES} bytes were read"
        )
    return Member(name=name, data=content)


def _compressed(name: str, data: memoryview, make: Callable[[], Any]) -> Archive | None:
    """A compressed file as an archive of one member; None if it does not decompress."""
    try:
        decompressor = make()
        content: bytes = decompressor.decompress(data, MAX_MEMBER_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return None
    if not content:
        return None
    rest = len(decompressor.unused_data)
    problem = f"{rest} bytes behind the compressed ones were not looked at" if rest else None
    member = _bounded("content", content)
    return Archive(name, lambda: iter([member if problem is None else replace(member, problem=problem)]))


_COMPRESSED: Final[tuple[tuple[str, tuple[bytes, ...], Callable[[], Any]], ...]] = (
    ("gzip", (b"\x1f\x8b",), lambda: zlib.decompressobj(31)),
    ("zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), zlib.decompressobj),
    ("bzip2", (b"BZh",), bz2.BZ2Decompressor),
    ("xz", (b"\xfd7zXZ\0", b"\x5d\0\0"), lambda: lzma.LZMADecompressor(memlimit=2**28)),
)
