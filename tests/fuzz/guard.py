"""What no input may bring about: code that runs, a file or a socket that is opened, more memory than there is for one.

Python tells an audit hook of all of these (PEP 578), whoever asks for them; libraries in C open files unseen. What is
told while an input is taken is kept, and looked at afterwards, so that nobody in between can catch it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lamslsa.errors import LamslsaError

__all__ = ["MEMORY", "Guarded"]

MEMORY: Final = 512 * 1024**2
_PAGE: Final = resource.getpagesize()
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ROOT: Final = Path(__file__).resolve().parents[2]
# Modules are imported late, and statements name the files of installed packages.
_OURS: Final = tuple(
    str(Path(folder).resolve()) for folder in (sys.prefix, sys.base_prefix, _ROOT / "lamslsa", "/proc", "/sys")
)
_FORBIDDEN: Final = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "webbrowser.open"),
    *("pickle.find_class", "ctypes.dlopen", "tempfile.mkstemp", "tempfile.mkdtemp", "shutil.rmtree", "os.putenv"),
)


class _Watch:
    """Whether anybody is watching, and what was seen."""

    def __init__(self) -> None:
        self.hooked = False
        self.on = False
        self.seen: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _FORBIDDEN or (event == "open" and not _allowed(*arguments[:3])):
            self.seen.append(f"{event}{arguments!r:.300}")
        elif event == "exec" and not str(getattr(arguments[0], "co_filename", "")).startswith((*_OURS, "<frozen")):
            self.seen.append(f"exec of {arguments[0]!r:.300}")


_WATCH: Final = _Watch()


def _allowed(path: object, mode: object, flags: object) -> bool:
    if isinstance(path, int) or not path:  # a file of no name is none: the compiler looks for one when it fails
        return True
    reads = not (isinstance(flags, int) and flags & _WRITES) and not set(str(mode or "r")) & set("wax+")
    return reads and os.path.abspath(os.fsdecode(path)).startswith(_OURS)  # type: ignore[arg-type] # noqa: PTH100


def _memory() -> int:
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * _PAGE


def _peak() -> int:
    """The most bytes of memory that this process held since `_forget_peak`; proc_pid_status(5), VmHWM."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123
        (line,) = (line for line in file if line.startswith(b"VmHWM:"))
    return int(line.split()[1]) * 1024


def _forget_peak() -> None:
    """What other tests took before would hide what an input takes; proc_pid_clear_refs(5)."""
    with open("/proc/self/clear_refs", "wb") as file:  # noqa: PTH123
        file.write(b"5")


@contextmanager
def _watched() -> Iterator[None]:
    if not _WATCH.hooked:
        sys.addaudithook(_WATCH.hook)
        _WATCH.hooked = True
    _forget_peak()
    before, peak = _memory(), _peak()
    _WATCH.seen.clear()
    _WATCH.on = True
    try:
        yield
    finally:
        _WATCH.on = False
        if _WATCH.seen:
            raise AssertionError(f"an input brought about {_WATCH.seen[:4]}")
        if _peak() > peak and _peak() - before > MEMORY:
            raise AssertionError(f"an input took {_peak() - before} bytes of memory")


class Guarded:
    """A way in that is watched from the second time on: on the first, modules are imported and seeds tried.

    Args:
        take: see `tests.fuzz.target.Target`.
        seeds: tried before the first input.
    """

    def __init__(self, take: Callable[[bytes], object], seeds: Callable[[], Sequence[bytes]]) -> None:
        self._take = take
        self._seeds = seeds
        self._warm = False

    def __call__(self, data: bytes) -> object:
        """What it gives.

        Raises:
            LamslsaError: it refuses.
            AssertionError: it did what no input may bring about.
        """
        if not self._warm:
            for seed in self._seeds():
                try:
                    self._take(seed)
                except LamslsaError:
                    continue
            self._warm = True
        with _watched():
            return self._take(data)
