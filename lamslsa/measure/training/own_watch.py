"""What a user's code executes: every file with code, every native library, every piece of code that is in no file.

By an audit hook of the interpreter (PEP 578) and by what is loaded when the code ends. It is a record of honest code
and a guard against accidents, no prison: code in the same process can get around it, which is why its bytes are part of
the measurement and a policy pins them by digest. Connections and other processes are refused where the interpreter
tells of them; native code could still make one, where the enclave's manifest or the guest lets it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = ["Watch", "watching"]

_MAX_ENTRIES: Final = 20_000
_REFUSED: Final = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.sendto",
    "socket.sendmsg",
    "subprocess.Popen",
    "os.system",
    "os.fork",
    "os.forkpty",
)
_REFUSED_PREFIXES: Final = ("os.exec", "os.posix_spawn")
_INSTALLED: Final = (("packages", "purelib"), ("python", "stdlib"))
_current: Final[list[Watch]] = []
_installed: Final[list[bool]] = []


class Watch:
    """What was executed, as it is seen.

    Attributes:
        files: names of files with code, as the interpreter has them.
        dynamic: SHA-256 of each piece of source that is in no file.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.dynamic: set[str] = set()

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an event of the interpreter.

        Raises:
            PermissionError: a connection or another process is asked for.
        """
        if event in _REFUSED or event.startswith(_REFUSED_PREFIXES):
            raise PermissionError(f"expected training code to stay in its process, got {event}")
        if event == "exec" and arguments and isinstance(arguments[0], CodeType):
            self.files.add(arguments[0].co_filename)
        elif event == "compile" and len(arguments) > 1 and isinstance(arguments[0], str | bytes):
            self._source(arguments[0], str(arguments[1]))
        elif event == "ctypes.dlopen" and arguments and isinstance(arguments[0], str):
            self.files.add(arguments[0])

    def _source(self, source: str | bytes, name: str) -> None:
        if not name.startswith("<"):
            self.files.add(name)
            return
        data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
        self.dynamic.add(hashlib.sha256(data).hexdigest())

    def modules(self, code: Path) -> list[list[str]]:
        """Path and SHA-256 of every file that was executed or is loaded, sorted; paths say what they belong to.

        Args:
            code: folder of the user's code.

        Raises:
            FormatError: more files and pieces than a statement could hold.
        """
        loaded = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
        paths = {os.path.realpath(name) for name in self.files | loaded if name and not name.startswith("<")}
        roots = _roots(code)
        files = {path: Path(path) for path in paths}
        found = [
            [_label(path, roots), _codec.sha256_hex(at.read_bytes())] for path, at in files.items() if at.is_file()
        ]
        found += [["<dynamic>", digest] for digest in self.dynamic]
        if len(found) > _MAX_ENTRIES:
            raise FormatError(
                f"expected at most {_MAX_ENTRIES} files and pieces of code, got {len(found)}",
                reason="own-training-modules",
                hint="generate less code while training",
            )
        return sorted(found)


def _roots(code: Path) -> list[tuple[str, str]]:
    """Folders with a slash at the end, and what their files belong to; the first that holds a file counts."""
    named = [("code", code), *((label, Path(sysconfig.get_path(key))) for label, key in _INSTALLED)]
    named += [("packages", Path(entry)) for entry in sys.path if entry]
    return [(f"{str(folder.resolve()).rstrip('/')}/", label) for label, folder in named]


def _label(path: str, roots: Sequence[tuple[str, str]]) -> str:
    for folder, label in roots:
        if path.startswith(folder):
            return f"{label}/{path.removeprefix(folder)}"
    return path


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch to the end of the block. The hook itself cannot be taken away again, and does nothing afterwards."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)
    watch = Watch()
    _current.append(watch)
    try:
        yield watch
    finally:
        _current.remove(watch)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current:
        _current[-1].see(event, arguments)
