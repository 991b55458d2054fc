"""Which files an enclave build may open: an interpreter with its standard library, packages, native libraries, code.

Each is listed by path and SHA-256, so the list is the build's bill of materials, and the same installation gives the
same list.

Rules:
- Packages are lamslsa and what its measurers require, by the RECORD of each; nothing else of an environment gets in.
  What only publishers and verifiers require stays out, with all that it requires.
- What is no input of a running program is left out: byte code (derived, and different each time), headers, stubs and
  static libraries, tests and examples (one has weights in a pickle), and of the standard library the parts for
  developers, desktops and networks.
- The C library and its dynamic linker are Gramine's own, and are not listed here.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lamslsa.artifact.package import HOST_ONLY, package_files
from lamslsa.enclave.manifest import LIBRARIES, PACKAGES, PYTHON
from lamslsa.enclave.programs import run_program
from lamslsa.enclave.template import Mount, TrustedFile
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.measure.plugins import GROUP
from lamslsa.measure.sources import unmeasured

__all__ = ["Files", "Interpreter", "gather", "read_code"]

_PACKAGE: Final = "lamslsa"
_EXTRAS: Final = ("dataset", "images", "onnx", "privacy", "robustness", "tabular", "text")
_ASK: Final = (
    "import json, sys, sysconfig; base = {'base': sys.base_prefix, 'platbase': sys.base_prefix}; "
    "print(json.dumps({'executable': sys._base_executable, 'stdlib': sysconfig.get_path('stdlib', vars=base), "
    "'packages': sysconfig.get_path('purelib')}))"
)
_LEFT_OUT_SUFFIXES: Final = frozenset({".pyc", ".pyi", ".h", ".hh", ".hpp", ".cuh", ".a", ".cmake", ".pth"})
_LEFT_OUT_FOLDERS: Final = frozenset({"__pycache__", "examples", "tests"})
_LEFT_OUT_OF_STDLIB: Final = frozenset(
    {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"}
)
_CONFIG_FOLDER: Final = "config-"
# Native modules that talk to desktops, terminals and networks: with them their libraries stay out.
_LEFT_OUT_NATIVE: Final = ("_ssl", "_tkinter", "readline", "_curses", "_dbm", "_gdbm", "nis", "_test", "_xx", "xx")
_C_LIBRARY: Final = re.compile(
    r"(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnss_\w+)\.so\.\d+"
)
_LINKED: Final = re.compile(r"\t(\S+) => (/.+) \(0x[0-9a-f]+\)")
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")
_ELF: Final = b"\x7fELF"
_MAX_CODE_FILES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python on the host.

    Attributes:
        executable: the program itself, no link and no part of a virtual environment.
        stdlib: folder of its standard library.
        packages: folder with lamslsa and what it requires.
    """

    executable: Path
    stdlib: Path
    packages: Path

    @classmethod
    def ask(cls, python: Path, *, packages: Path | None = None) -> Interpreter:
        """Have an interpreter say where it lies.

        Raises:
            UnavailableError: it cannot be run.
            FormatError: it says something else.
        """
        if not python.is_file():
            raise FormatError(f"expected a Python interpreter at {python}, got none", reason="enclave-python")
        answer = json.loads(run_program(str(python.absolute()), ["-I", "-B", "-c", _ASK], cwd=Path("/")))
        return cls(
            executable=Path(answer["executable"]).resolve(),
            stdlib=Path(answer["stdlib"]).resolve(),
            packages=(packages or Path(answer["packages"])).resolve(),
        )

    @property
    def place(self) -> PurePosixPath:
        """Where it shows in an enclave; it finds its standard library from there."""
        return PurePosixPath(PYTHON, "bin", self.stdlib.name)

    @property
    def stdlib_place(self) -> PurePosixPath:
        """Where its standard library shows in an enclave."""
        return PurePosixPath(PYTHON, self.stdlib.parent.name, self.stdlib.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a build may open, and where it shows."""

    mounts: tuple[Mount, ...]
    trusted: tuple[TrustedFile, ...]


def gather(interpreter: Interpreter, *, code: Path | None = None, measurers: str | None = None) -> Files:
    """List and hash the files of a build; reads each of them once.

    Args:
        interpreter: whose files.
        code: folder of a user's training code.
        measurers: name of the distribution with a third party's measurers.

    Raises:
        UnavailableError: a package is not installed, or ``ldd`` is missing.
        FormatError: the training code is not usable, or the distribution is not the only one with measurers.
    """
    packages, package_mounts = _packages(interpreter.packages, measurers)
    found = [interpreter.executable, *_stdlib(interpreter.stdlib), *packages]
    libraries = _libraries(found)
    mounts = [
        Mount(path=str(interpreter.place), uri=f"file:{interpreter.executable}"),
        Mount(path=str(interpreter.stdlib_place), uri=f"file:{interpreter.stdlib}"),
        Mount(path=PACKAGES, uri=f"file:{interpreter.packages}"),
        *package_mounts,
        *(Mount(path=f"{LIBRARIES}/{name}", uri=f"file:{path}") for name, path in libraries.items()),
    ]
    if code is not None:
        found += read_code(code)
    everything = sorted({*found, *libraries.values()})
    with ThreadPoolExecutor() as pool:  # a gigabyte, mostly of torch
        return Files(mounts=tuple(mounts), trusted=tuple(pool.map(_trusted, everything)))


def read_code(code: Path) -> list[Path]:
    """The files of a user's training code, sorted; the training starts in ``train.py``.

    Raises:
        FormatError: no such folder, no ``train.py``, a link, byte code, or too many files.
    """
    files = list(package_files(code))
    if code / "train.py" not in files:
        raise FormatError(f"expected {code / 'train.py'} to start the training in, got none", reason="enclave-code")
    if len(files) > _MAX_CODE_FILES or unmeasured(code) is not None:
        raise FormatError(
            f"expected at most {_MAX_CODE_FILES} files, no links and no byte code in {code}, got others",
            reason="enclave-code",
        )
    return files


def _trusted(path: Path) -> TrustedFile:
    with path.open("rb") as file:
        return TrustedFile(uri=f"file:{path}", sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _left_out(parts: Sequence[str]) -> bool:
    return PurePosixPath(parts[-1]).suffix in _LEFT_OUT_SUFFIXES or not _LEFT_OUT_FOLDERS.isdisjoint(parts[:-1])


def _stdlib(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] in _LEFT_OUT_OF_STDLIB or parts[0].startswith(_CONFIG_FOLDER) or _left_out(parts):
            continue
        if path.is_file() and not (path.suffix == ".so" and path.name.startswith(_LEFT_OUT_NATIVE)):
            yield path


def _packages(folder: Path, measurers: str | None) -> tuple[list[Path], list[Mount]]:
    """Files of lamslsa and of what it requires; an editable lamslsa lies elsewhere and is mounted into its place.

    With a third party's measurers their distribution and what it requires are there too, and no other measurers are:
    the enclave takes the only ones that it finds.
    """
    found: set[Path] = set()
    mounts: list[Mount] = []
    distributions = _closure(folder, measurers)
    _refuse_other_measurers(distributions, measurers)
    for distribution in distributions:
        files = list(_files(distribution, folder))
        found.update(files)
        if _normal(distribution.metadata["Name"]) == _PACKAGE:
            home = _home(distribution, folder)
            found.update(package_files(home))
            if home != folder / _PACKAGE:
                mounts.append(Mount(path=f"{PACKAGES}/{_PACKAGE}", uri=f"file:{home}"))
    return sorted(found), mounts


def _home(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not direct.get("dir_info", {}).get("editable"):
        return folder / _PACKAGE
    return Path(str(direct["url"]).removeprefix("file://")) / _PACKAGE


def _files(distribution: importlib.metadata.Distribution, folder: Path) -> Iterator[Path]:
    """The files of a distribution that lie in the folder of packages; its scripts lie outside."""
    for entry in distribution.files or ():
        if ".." not in entry.parts and not _left_out(entry.parts):
            path = folder / entry
            if path.is_file():
                yield path


def _refuse_other_measurers(distributions: Iterable[importlib.metadata.Distribution], measurers: str | None) -> None:
    having = {_normal(item.metadata["Name"]) for item in distributions if item.entry_points.select(group=GROUP)}
    wanted = set() if measurers is None else {_normal(measurers)}
    if having != wanted:
        raise FormatError(
            f"expected measurers in {', '.join(wanted) or 'no other distribution'}, "
            f"got them in {', '.join(sorted(having)) or 'none'}",
            reason="enclave-measurers",
            hint=f"entry points in the group {GROUP}; docs/extending.md",
        )


def _closure(folder: Path, measurers: str | None) -> list[importlib.metadata.Distribution]:
    """Ourselves with what our measurers require; a requirement of a requirement that is not installed is left out."""
    installed = {_normal(item.metadata["Name"]): item for item in importlib.metadata.distributions(path=[str(folder)])}
    wanted = [name for name in _requirements(_known(installed, _PACKAGE), _EXTRAS) if name not in HOST_ONLY]
    if measurers is not None:
        _known(installed, _normal(measurers))
        wanted.append(_normal(measurers))
    found = {_PACKAGE, *wanted}
    for name in wanted:
        _known(installed, name)
    while wanted:
        for name in _requirements(installed[wanted.pop()], ()):
            if name in installed and name not in found and name not in HOST_ONLY:
                found.add(name)
                wanted.append(name)
    return [installed[name] for name in sorted(found)]


def _known(installed: dict[str, importlib.metadata.Distribution], name: str) -> importlib.metadata.Distribution:
    if name not in installed:
        raise UnavailableError(
            f"expected the package {name} among those of the enclave, got none",
            reason="enclave-package",
            hint="install 'lamslsa[measure]' where --packages points",
        )
    return installed[name]


def _requirements(distribution: importlib.metadata.Distribution, extras: Iterable[str]) -> Iterator[str]:
    """Names of what a distribution requires, by itself or for one of ``extras``; other markers are not evaluated."""
    for requirement in distribution.requires or ():
        name, extra = _REQUIREMENT.match(requirement), _EXTRA.search(requirement)
        if name is not None and (extra is None or extra[1] in extras) and _normal(name[1]) != _PACKAGE:
            yield _normal(name[1])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _libraries(files: Iterable[Path]) -> dict[str, Path]:
    """Name to path of every native library that the files link to and that is not among them."""
    native = [path for path in files if _is_native(path)]
    if not native:
        return {}
    known = {path.name for path in native}
    text = run_program("ldd", list(map(str, native)), cwd=Path("/"), environment={"LC_ALL": "C"})
    return {
        name: Path(path)
        for name, path in sorted(set(_LINKED.findall(text)))
        if name not in known and not _C_LIBRARY.fullmatch(name)
    }


def _is_native(path: Path) -> bool:
    named = path.suffix == ".so" or ".so." in path.name or path.parent.name == "bin"
    if not named:
        return False
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF
