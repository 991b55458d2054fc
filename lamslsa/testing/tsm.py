"""configfs-tsm in memory, with the kernel's rules and a few of our own.

As in the kernel: what is written to ``inblob`` counts when the file is closed, and each write raises the generation,
our own or another's. `BrokenProtocolError` where the kernel would answer with something that proves nothing: ``inblob``
written twice, or before the generation was read; a report read before ``inblob`` was written; an entry left behind.

Source: Linux, drivers/virt/coco/guest/report.c and fs/configfs/file.c.

>>> device = TsmDevice(quote=lambda inblob: b"a report", provider="tdx_guest")
>>> device.mkdir("/sys/kernel/config/tsm/report/mine")
True
>>> device.open("/sys/kernel/config/tsm/report/mine/outblob", "r")
Traceback (most recent call last):
    ...
lamslsa.testing.devices.BrokenProtocolError: outblob opened before inblob was written
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lamslsa.evidence._kernel import REPORT_DATA_BYTES, Mode
from lamslsa.testing.devices import BrokenProtocolError, OpenFile, failure

__all__ = ["TsmDevice", "TsmEntry"]


@dataclass(slots=True, kw_only=True)
class TsmEntry:
    """What configfs keeps of one report."""

    generation: int = 0
    inblob: bytes = b""
    privilege_level: int | None = None
    answered: int = -1
    report: bytes = b""
    watched: bool = False


class TsmDevice:
    """``/sys/kernel/config/tsm/report`` of a confidential guest.

    Args:
        quote: what the security module signs for 64 bytes.
        provider: what it calls itself; None where no module is loaded.
        auxiliary: content of ``auxblob``; None where there is no such attribute.
        floor: most privileged level that this guest may ask for; None where there are no levels.
        busy: how often the module is busy before it answers.
        taken: how many names are taken already.
        meanwhile: another writer, called with the entry each time a file of it has been read or written.
    """

    _FOLDER: Final = "/sys/kernel/config/tsm/report"

    def __init__(
        self,
        *,
        quote: Callable[[bytes], bytes],
        provider: str | None,
        auxiliary: bytes | None = None,
        floor: int | None = None,
        busy: int = 0,
        taken: int = 0,
        meanwhile: Callable[[str, TsmEntry], None] | None = None,
    ) -> None:
        self.entries: dict[str, TsmEntry] = {}
        self.names: list[str] = []
        self._quote = quote
        self._provider = provider
        self._auxiliary = auxiliary
        self._floor = floor
        self._busy = busy
        self._taken = taken
        self._meanwhile = meanwhile

    def mkdir(self, path: str) -> bool:
        """Make an entry."""
        if not path.startswith(f"{self._FOLDER}/"):
            return False
        if self._provider is None:
            raise failure(errno.ENXIO, path)
        if path in self.names:
            raise BrokenProtocolError(f"{path} asked for twice")
        self.names.append(path)
        if self._taken:
            self._taken -= 1
            raise failure(errno.EEXIST, path)
        self.entries[path] = TsmEntry()
        return True

    def rmdir(self, path: str) -> bool:
        """Remove an entry."""
        return self.entries.pop(path, None) is not None

    def settled(self) -> None:
        """Refuse entries that were left behind."""
        if self.entries:
            raise BrokenProtocolError(f"left behind: {', '.join(self.entries)}")

    def open(self, path: str, mode: Mode) -> OpenFile | None:
        """Open an attribute."""
        folder, _, name = path.rpartition("/")
        entry = self.entries.get(folder)
        if entry is None:
            return None
        if mode == "w":
            return self._open_for_writing(entry, path, name)
        return OpenFile(path=path, mode=mode, content=self._content(entry, path, name))

    def _open_for_writing(self, entry: TsmEntry, path: str, name: str) -> OpenFile | None:
        if name == "inblob":

            def refuse_size(data: bytes) -> None:
                if len(data) > REPORT_DATA_BYTES:
                    raise failure(errno.EFBIG, path)

            def commit(data: bytes) -> None:  # a binary attribute counts from here; its errors are lost
                self._written(entry, name)
                if entry.inblob:
                    raise BrokenProtocolError("inblob written twice")
                entry.inblob = data
                self._now(name, entry)

            return OpenFile(path=path, mode="w", one_write=True, on_write=refuse_size, on_close=commit)
        if name == "privlevel" and self._floor is not None:

            def set_level(data: bytes) -> None:  # a text attribute counts at once
                level = int(data)
                if level < (self._floor or 0):
                    raise failure(errno.EINVAL, path)
                self._written(entry, name)
                entry.privilege_level = level
                self._now(name, entry)

            return OpenFile(path=path, mode="w", one_write=True, on_write=set_level)
        return None

    def _content(self, entry: TsmEntry, path: str, name: str) -> bytes:
        match name:
            case "generation":
                entry.watched = True
                content = f"{entry.generation}\n".encode("ascii")
            case "provider":
                content = f"{self._provider}\n".encode("ascii")
            case "outblob":
                self._answer(entry, path)
                content = entry.report
            case "auxblob" if self._auxiliary is not None:
                self._answer(entry, path)
                content = self._auxiliary
            case _:
                raise failure(errno.ENOENT, path)
        self._now(name, entry)
        return content

    def _answer(self, entry: TsmEntry, path: str) -> None:
        if not entry.inblob:
            raise BrokenProtocolError(f"{path.rpartition('/')[2]} opened before inblob was written")
        if self._floor is not None and entry.privilege_level is None:
            raise BrokenProtocolError("report asked for before a privilege level was chosen")
        if entry.answered == entry.generation:
            return
        if self._busy:
            self._busy -= 1
            raise failure(errno.EBUSY, path)
        if len(entry.inblob) != REPORT_DATA_BYTES:
            raise failure(errno.EINVAL, path)
        entry.report = self._quote(entry.inblob)
        entry.answered = entry.generation

    def _written(self, entry: TsmEntry, name: str) -> None:
        if not entry.watched:
            raise BrokenProtocolError(f"{name} written before the generation was read")
        entry.generation += 1

    def _now(self, name: str, entry: TsmEntry) -> None:
        if self._meanwhile is not None:
            self._meanwhile(name, entry)
