"""What a user's code executes: every file with code, every native library, every piece of code that is in no file.

By an audit hook of the interpreter (PEP 578) and by what is loaded when the code ends. It is a record of honest code
and a guard against accidents, no prison: code in the same process can get around it, which is why its bytes are part of
the measurement and a policy pins them by digest. Connections and other processes are refused where the interpreter
tells of them; native code could still make one, where the enclave's manifest or the guest lets it.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
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
        paths = {Path(name).resolve() for name in self.files | loaded if name and not name.startswith("<")}
        found = [[_label(path, code), _codec.sha256_hex(path.read_bytes())] for path in paths if path.is_file()]
        found += [["<dynamic>", digest] for digest in self.dynamic]
        if len(found) > _MAX_ENTRIES:
            raise FormatError(
                f"expected at most {_MAX_ENTRIES} files and pieces of code, got {len(found)}",
                reason="own-training-modules",
                hint="generate less code while training",
            )
        return sorted(found)


def _label(path: Path, code: Path) -> str:
    roots = {
        "code": code.resolve(),
        "packages": Path(sysconfig.get_path("purelib")).resolve(),
        "python": Path(sysconfig.get_path("stdlib")).resolve(),
    }
    for label, root in roots.items():
        if path.is_relative_to(root):
            return f"{label}/{path.relative_to(root).as_posix()}"
    for entry in sys.path:
        if entry and path.is_relative_to(Path(entry).resolve()):
            return f"packages/{path.relative_to(Path(entry).resolve()).as_posix()}"
    return path.as_posix()


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
