"""What the files of a model are, by their bytes and whatever they are called, and which of them can run code.

Nothing is unpickled, executed or imported; archives are looked into without writing anything. A file is what its bytes
say; where they say nothing that is known here, it is ``unknown``, and never taken for safe.

severity ``code``     what a usual loader of this format runs or imports: pickles in whatever costume, Python and
                      notebooks, native libraries, classes named in ``config.json``, Lambda layers, custom operators
         ``unknown``  what could not be looked into, or is of no known format
         ``notice``   data that a loader interprets: chat templates, Jinja
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lamslsa.measure.model import archives, documents, graphs, pickles
from lamslsa.measure.model.tensors import MalformedError, parse_safetensors
from lamslsa.predicates.model import Finding, Severity

__all__ = ["MAX_DEPTH", "MAX_FINDINGS", "Scan", "scan"]

MAX_DEPTH: Final = 4
MAX_FINDINGS: Final = 1000
_MAX_DETAIL: Final = 500
_ROOM: Final = 2 * 1024**3
_MEMBER: Final = 4096  # what looking at a member costs, however small it is

_NATIVE: Final = (
    (b"\x7fELF", "elf"),
    (b"MZ", "pe"),
    (b"\xfe\xed\xfa\xce", "mach-o"),
    (b"\xfe\xed\xfa\xcf", "mach-o"),
    (b"\xce\xfa\xed\xfe", "mach-o"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\xca\xfe\xba\xbe", "java-class"),
    (b"\0asm", "wasm"),
    (b"!<arch>\n", "library"),
)
_DATA: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
)


@dataclass(slots=True)
class Scan:
    """What was found; ``formats`` of the files themselves, not of what lies in them.

    Attributes:
        room: bytes that may still be unpacked, archives in archives included: each unpacks to many, and those again.
    """

    formats: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    room: int = 0

    def add(self, path: str, kind: str, severity: Severity, detail: str) -> None:
        """One finding more; past `MAX_FINDINGS` only that there are more."""
        if len(self.findings) < MAX_FINDINGS:
            printable = "".join(character if character.isprintable() else "?" for character in detail)
            self.findings.append(
                Finding(path=path[:1024], kind=kind, severity=severity, detail=printable[:_MAX_DETAIL])
            )
        elif len(self.findings) == MAX_FINDINGS:
            self.findings.append(
                Finding(path=path[:1024], kind="findings", severity="unknown", detail="more findings were left out")
            )


def scan(files: Iterator[tuple[str, memoryview]]) -> Scan:
    """Look at every file."""
    found = Scan(room=_ROOM)
    for path, data in files:
        found.room += 2 * len(data)
        found.formats[path] = _look(found, path, data, depth=0)
    return found


def _look(found: Scan, path: str, data: memoryview, *, depth: int) -> str:
    """The format of some bytes; what is to be said about them is added."""
    if not len(data):
        return "empty"
    for recognise in _FORMATS:
        name = recognise(found, path, data)
        if name is not None:
            break
    else:
        name = "unknown"
    inside = _open(found, path, data, depth)
    if inside is not None:
        return inside if name in ("unknown", "pickle") else name
    if name == "unknown":
        found.add(path, "unknown-format", "unknown", f"starts with {bytes(data[:16]).hex()}")
    return name


def _open(found: Scan, path: str, data: memoryview, depth: int) -> str | None:
    """Look into an archive or a compressed file, whatever else the bytes may be; None if they are none."""
    archive = archives.open_archive(data)
    if archive is None:
        return None
    if depth >= MAX_DEPTH:
        found.add(path, "archive-depth", "unknown", f"an archive {depth} archives deep was not looked into")
        return archive.format
    names = []
    for member in archive.members():
        found.room -= len(member.data or b"") + _MEMBER
        if found.room < 0:
            found.add(path, "archive", "unknown", "more is packed in these files than was looked at")
            break
        names.append(member.name)
        inner = f"{path}!{member.name}"
        if member.unsafe_name:
            found.add(inner, "archive-path", "code", "a member that leads out of the folder it is unpacked to")
        if member.problem is not None:
            found.add(inner, "archive-member", "unknown", member.problem)
        if member.data is not None:
            _look(found, inner, memoryview(member.data), depth=depth + 1)
    if archive.problem is not None:
        found.add(path, "archive", "unknown", archive.problem)
    if any(name.rpartition("/")[2] == "constants.pkl" or "/code/" in f"/{name}" for name in names):
        found.add(path, "torchscript", "code", "a TorchScript program")
    elif any(name.rpartition("/")[2] in ("archive_format", "archive_version") for name in names):
        found.add(path, "torch-export", "code", "a torch.export archive, whose loader falls back to unpickling")
    return archive.format


def _pickle(found: Scan, path: str, data: memoryview) -> str | None:
    seen = pickles.look(data)
    if seen is None:
        return None
    whole = "" if seen.whole else "; not followed to the end"
    found.add(path, "pickle", "code", f"imports {', '.join(seen.imports) or 'nothing'}; {seen.calls} calls{whole}")
    return "pickle"


def _native(found: Scan, path: str, data: memoryview) -> str | None:
    head = bytes(data[:8])
    for magic, name in _NATIVE:
        if head.startswith(magic):
            found.add(path, "native", "code", f"native code ({name})")
            return name
    if head[2:4] == b"\r\n" and len(data) >= 16 and head[1] in (0x0A, 0x0B, 0x0C, 0x0D, 0x0E):
        found.add(path, "native", "code", "compiled Python")
        return "pyc"
    return None


def _data(found: Scan, path: str, data: memoryview) -> str | None:
    head = bytes(data[:8])
    name = next((name for magic, name in _DATA if head.startswith(magic)), None)
    if name in ("parquet", "arrow") and b"arrow.py_extension_type" in bytes(data):
        found.add(path, "arrow-pickle", "code", "an Arrow extension type that is a pickle")
    return name


def _numpy(found: Scan, path: str, data: memoryview) -> str | None:
    if bytes(data[:6]) != b"\x93NUMPY":
        return None
    holds = documents.numpy_objects(bytes(data[:65_600]))
    if holds is None:
        found.add(path, "malformed", "unknown", "a NumPy array with a header that could not be read")
    elif holds:
        found.add(path, "numpy-object", "code", "a NumPy array of objects, which is a pickle")
    return "npy"


def _safetensors(found: Scan, path: str, data: memoryview) -> str | None:
    if len(data) < 9 or data[8] != 0x7B or int.from_bytes(data[:8], "little") > len(data) - 8:
        return None
    try:
        parse_safetensors(data)
    except MalformedError as err:
        found.add(path, "malformed", "unknown", f"safetensors that are not sound: {err}")
        return "unknown-safetensors"
    return "safetensors"


def _gguf(found: Scan, path: str, data: memoryview) -> str | None:
    if bytes(data[:4]) != b"GGUF":
        return None
    for kind, severity, detail in graphs.gguf(data):
        found.add(path, kind, severity, detail)
    return "gguf"


def _onnx(found: Scan, path: str, data: memoryview) -> str | None:
    problems = graphs.onnx(data)
    if problems is None:
        return None
    for kind, severity, detail in problems:
        found.add(path, kind, severity, detail)
    return "onnx"


def _hdf5(found: Scan, path: str, data: memoryview) -> str | None:
    if bytes(data[:8]) != b"\x89HDF\r\n\x1a\n":
        return None
    kind, severity, detail = graphs.hdf5(data)
    found.add(path, kind, severity, detail)
    return "hdf5"


def _text(found: Scan, path: str, data: memoryview) -> str | None:
    text = documents.decode(data)
    if text is None:
        return None
    name, problems = documents.look(path.rpartition("!")[2], text)
    for kind, severity, detail in problems:
        found.add(path, kind, severity, detail)
    return name


_FORMATS: Final[tuple[Callable[[Scan, str, memoryview], str | None], ...]] = (
    _pickle,
    _safetensors,
    _native,
    _data,
    _numpy,
    _gguf,
    _hdf5,
    _text,
    _onnx,
)
