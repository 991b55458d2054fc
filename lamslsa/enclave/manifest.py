"""The final manifest of an enclave build, refused if it says what it should not.

The final manifest is part of what the processor measures, so whoever knows the measurement and this module knows what
the host can decide: the bytes below ``/job``, ``/data`` and ``/out``, and nothing else (threat model, attester 4).

Rules of `parse_manifest`:
- The world is closed. Every key is known and has a rule for its value; one that is not known, be it that a later
  Gramine adds it, is refused. So no key named ``insecure__…``, and no variable or argument of the host, can slip in.
- Only the folders of the job may be written by the host; every file beside them is listed with its SHA-256.
- What starts is Python, isolated, without site packages of the host, on our entry point: both are trusted files.
- No CPU feature is left open: the measurement would depend on the machine.

Syntax: https://gramine.readthedocs.io/en/stable/manifest-syntax.html (Gramine 1.8 and 1.9).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, get_args

from lamslsa.errors import FormatError

__all__ = [
    "BUILDS",
    "CODE",
    "ENCLAVE_SIZE",
    "ENTRIES",
    "ENVIRONMENT",
    "FLAGS",
    "LIBRARIES",
    "MAX_MANIFEST_BYTES",
    "PACKAGES",
    "PRODUCT_IDS",
    "PYTHON",
    "Build",
    "FinalManifest",
    "parse_manifest",
]

Build = Literal["measure", "train-own", "measure-with"]
BUILDS: Final[tuple[Build, ...]] = get_args(Build)
PRODUCT_IDS: Final[Mapping[Build, int]] = MappingProxyType({"measure": 1, "train-own": 2, "measure-with": 3})

PACKAGES: Final = "/packages"
LIBRARIES: Final = "/libs"
PYTHON: Final = "/python"
CODE: Final = "/code"
_CODE_FILE: Final = "/code/train.py"
ENTRIES: Final[Mapping[Build, str]] = MappingProxyType(
    {
        "measure": f"{PACKAGES}/lamslsa/enclave/entry.py",
        "train-own": f"{PACKAGES}/lamslsa/enclave/entry_own.py",
        "measure-with": f"{PACKAGES}/lamslsa/enclave/entry_with.py",
    }
)
FLAGS: Final = ("-I", "-S", "-B")
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HOME": "/tmp",  # noqa: S108 - enclave memory
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "LD_LIBRARY_PATH": f"/lib:{LIBRARIES}",
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": "1",
        "TZ": "UTC",
    }
)
_HOSTILE: Final[Mapping[str, str]] = MappingProxyType({"/job": "file:job", "/data": "file:data", "/out": "file:out"})
_MEMORY: Final = ("/tmp", "/run/lamslsa")  # noqa: S108 - enclave memory
_MADE_UP: Final = ("/proc", "/sys", "/dev")
_SHOWN: Final = re.compile(
    rf"/lib|{PACKAGES}|{PACKAGES}/lamslsa|{CODE}|{LIBRARIES}/[A-Za-z0-9._+-]+"
    rf"|{PYTHON}/bin/python3\.[0-9]+|{PYTHON}/lib(64)?/python3\.[0-9]+"
)

MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024
_MAX_TRUSTED: Final = 100_000
_KEY: Final = re.compile(r"[A-Za-z0-9_]+")
_MAX_LEVELS: Final = 16
# One key of thousands of names costs the TOML parser their square in time and memory, so it never sees one.
_LONG_KEY: Final = re.compile(
    rb"(?<![\w\\-])(?:(?:[\w-]++|'[^'\n]*+'|" + rb'"(?:[^"\\\n]|\\.)*+")[ \t]*+\.[ \t]*+){64}', re.ASCII
)
ENCLAVE_SIZE: Final = re.compile(r"[1-9][0-9]{0,4}[MG]")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ABSOLUTE_URI: Final = re.compile(r"file:(/[A-Za-z0-9._+@=:,~/()\[\]# -]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalManifest:
    """What a final manifest that was not refused says.

    Attributes:
        trusted: URI to SHA-256 of every file that the enclave may open besides those of the job.
        code: URI of the folder with the user's training code; None in the build that has none.
    """

    build: Build
    svn: int
    edmm: bool
    trusted: Mapping[str, str]
    code: str | None


def parse_manifest(final: bytes) -> FinalManifest:
    """Read a final manifest (``.manifest.sgx``), and refuse one that lets the host decide anything that it should not.

    1. It is TOML of plain keys.
    2. Every key is known, and every one that must be there is.
    3. Every value is one that its key may have.
    4. The environment is ours, and nothing of the host's.
    5. The host may write the folders of the job, and nothing else.
    6. What is mounted is enclave memory, the folders of the job, or shows trusted files only.
    7. Every trusted file is named one by one, with its digest, outside the folders of the job.
    8. What starts is a trusted interpreter, isolated, on a trusted entry point, with the arguments of this build.
    9. A user's code is there in the build for it, and only there.

    Raises:
        FormatError: one of these does not hold.
    """
    document = _toml(final)  # (1)
    values = dict(_leaves(document, ""))
    _refuse_keys(values)  # (2)
    for key, accept in _RULES.items():
        if key in values and not accept(values[key]):  # (3)
            _refuse("value", f"another value of {key}", f"{values[key]!a}")
    _refuse_environment(values)  # (4)
    if values["sgx.allowed_files"] != [f"{uri}/" for uri in _HOSTILE.values()]:  # (5)
        _refuse(
            "allowed", "the folders of the job and no other as sgx.allowed_files", f"{values['sgx.allowed_files']!a}"
        )
    mounts = _mounts(values["fs.mounts"])  # (6)
    trusted = _trusted(values["sgx.trusted_files"])  # (7)
    build = next(name for name, number in PRODUCT_IDS.items() if number == values["sgx.isvprodid"])
    _refuse_start(build, values, mounts, trusted)  # (8)
    _refuse_code(build, mounts, trusted)  # (9)
    return FinalManifest(
        build=build,
        svn=values["sgx.isvsvn"],
        edmm=values["sgx.edmm_enable"],
        trusted=trusted,
        code=mounts.get(CODE),
    )


def _refuse(rule: str, expected: str, got: str) -> NoReturn:
    raise FormatError(
        f"expected {expected} in the manifest of an enclave, got {got:.200}", reason=f"enclave-manifest-{rule}"
    )


def _toml(final: bytes) -> dict[str, Any]:
    if len(final) > MAX_MANIFEST_BYTES:
        _refuse("syntax", f"at most {MAX_MANIFEST_BYTES} bytes", "more")
    if _LONG_KEY.search(final):
        _refuse("syntax", "keys of a few names", "a longer one")
    try:
        document = tomllib.loads(final.decode("ascii"))
    except (ValueError, RecursionError) as err:
        raise FormatError(
            f"expected the manifest of an enclave in TOML and ASCII, got {type(err).__name__}",
            reason="enclave-manifest-syntax",
        ) from err
    _refuse_deep(document)
    return document


def _refuse_deep(document: Mapping[str, Any]) -> None:
    """Bound the nesting before anything recurses into it, a message that quotes a value included."""
    level: list[Any] = [document]
    for _ in range(_MAX_LEVELS):
        inside = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
        level = [child for child in inside if isinstance(child, dict | list)]
        if not level:
            return
    _refuse("syntax", f"at most {_MAX_LEVELS} levels", "more")


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key; what is no table is a value, be it a list."""
    for key, value in table.items():
        if not _KEY.fullmatch(key):  # a key in quotes may hold a dot, and would pass for another
            _refuse("syntax", "plain keys", f"{key!a}")
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _equals(*options: object) -> Callable[[Any], bool]:
    """Equal in type too: 0 is not false."""
    return lambda value: any(type(value) is type(option) and value == option for option in options)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _within(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


_RULES: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "loader.entrypoint.uri": _matches(re.compile(r"file:/[A-Za-z0-9._/-]+/libsysdb\.so")),
        "loader.entrypoint.sha256": _matches(_SHA256),
        "loader.argv": _is_list,
        "loader.log_level": _equals("error", "none"),
        "libos.entrypoint": _matches(re.compile(rf"{PYTHON}/bin/python3\.[0-9]+")),
        "sys.stack.size": _matches(ENCLAVE_SIZE),
        "sys.disallow_subprocesses": _equals(True),  # noqa: FBT003 - a value of the manifest
        "fs.root.type": _equals("tmpfs"),
        "fs.start_dir": _equals("/run/lamslsa"),
        "fs.mounts": _is_list,
        "sgx.debug": _equals(False),  # noqa: FBT003 - a value of the manifest
        "sgx.file_check_policy": _equals("strict"),
        "sgx.remote_attestation": _equals("dcap"),
        "sgx.isvprodid": _equals(*PRODUCT_IDS.values()),
        "sgx.isvsvn": _within(0, 0xFFFF),
        "sgx.max_threads": _within(4, 1024),
        "sgx.enclave_size": _matches(ENCLAVE_SIZE),
        "sgx.edmm_enable": _equals(True, False),  # noqa: FBT003 - values of the manifest
        "sgx.cpu_features.avx": _equals("required"),
        "sgx.cpu_features.avx512": _equals("required", "disabled"),
        "sgx.cpu_features.amx": _equals("required", "disabled"),
        "sgx.cpu_features.mpx": _equals("disabled"),
        "sgx.cpu_features.pkru": _equals("disabled"),
        "sgx.allowed_files": _is_list,
        "sgx.trusted_files": _is_list,
        # Gramine's tools write these into every manifest; the defaults of all are the values accepted here.
        "sgx.enable_stats": _equals(False),  # noqa: FBT003 - a value of the manifest
        "sgx.use_exinfo": _equals(False),  # noqa: FBT003 - a value of the manifest
    }
)
_OPTIONAL: Final = frozenset({"sgx.enable_stats", "sgx.use_exinfo"})
_ENVIRONMENT_PREFIX: Final = "loader.env."


def _refuse_keys(values: Mapping[str, Any]) -> None:
    for key in values:
        if key not in _RULES and not key.startswith(_ENVIRONMENT_PREFIX):
            _refuse("key", "known keys only", key)
    for key in _RULES:
        if key not in values and key not in _OPTIONAL:
            _refuse("missing", f"the key {key}", "none")


def _refuse_environment(values: Mapping[str, Any]) -> None:
    """A variable that the host passes through is a table, whose key is another than the variable's."""
    found = {
        key.removeprefix(_ENVIRONMENT_PREFIX): value
        for key, value in values.items()
        if key.startswith(_ENVIRONMENT_PREFIX)
    }
    if found != ENVIRONMENT:
        _refuse("environment", "the fixed environment and no other variable", f"{found!a}")


def _mounts(entries: Sequence[Any]) -> dict[str, str]:
    """Path to URI of what shows files of the host; everything that may be mounted at all is one of three kinds."""
    shown: dict[str, str] = {}
    memory: list[str] = []
    hostile: dict[str, str] = {}
    for entry in entries:
        match entry:
            case {"type": "tmpfs", "path": str(path), **rest} if not rest and path in _MEMORY:
                memory.append(path)
            case {"path": str(path), "uri": str(uri), **rest} if rest in ({}, {"type": "chroot"}):
                if _HOSTILE.get(path) == uri:
                    hostile[path] = uri
                elif not _SHOWN.fullmatch(path) or _host_path(uri) is None or path in shown:
                    _refuse("mounts", "trusted files in a place for them, each once", f"{entry!a}")
                else:
                    shown[path] = uri
            case _:
                _refuse("mounts", "a folder of the job, enclave memory, or trusted files", f"{entry!a}")
    if sorted(memory) != sorted(_MEMORY) or hostile != _HOSTILE:
        _refuse("mounts", "all folders of the job and all enclave memory, once", "others")
    return shown


def _host_path(uri: str) -> str | None:
    """The path of an absolute file URI; None for any other, for the root, and for what the kernel makes up."""
    match = _ABSOLUTE_URI.fullmatch(uri)
    path = "/" if match is None else match[1]
    plain = "//" not in path and ".." not in path and PurePosixPath(path).as_posix() == path
    if not plain or path == "/" or any(path == place or path.startswith(f"{place}/") for place in _MADE_UP):
        return None
    return path


def _trusted(entries: Sequence[Any]) -> dict[str, str]:
    if len(entries) > _MAX_TRUSTED:
        _refuse("trusted", f"at most {_MAX_TRUSTED} trusted files", f"{len(entries)}")
    found: dict[str, str] = {}
    for entry in entries:
        match entry:
            case {"uri": str(uri), "sha256": str(digest), **rest} if not rest:
                if _host_path(uri) is None or not _SHA256.fullmatch(digest) or uri in found:
                    _refuse("trusted", "each trusted file once, by absolute path and SHA-256", f"{entry!a}")
                found[uri] = digest
            case _:
                _refuse("trusted", "a URI and a SHA-256 for each trusted file", f"{entry!a}")
    return found


def _refuse_start(
    build: Build, values: Mapping[str, Any], mounts: Mapping[str, str], trusted: Mapping[str, str]
) -> None:
    python = values["libos.entrypoint"]
    if values["loader.argv"] != [python, *FLAGS, ENTRIES[build]]:
        _refuse("argv", f"Python with {' '.join(FLAGS)} on {ENTRIES[build]}", f"{values['loader.argv']!a}")
    for path in (python, ENTRIES[build]):
        if _shown_at(path, mounts) not in trusted:
            _refuse("start", f"a trusted file at {path}", "none")


def _refuse_code(build: Build, mounts: Mapping[str, str], trusted: Mapping[str, str]) -> None:
    if (CODE in mounts) != (build == "train-own"):
        _refuse("code", "training code in the build train-own and only there", f"the build {build}")
    if build == "train-own" and _shown_at(_CODE_FILE, mounts) not in trusted:
        _refuse("code", f"a trusted file at {_CODE_FILE}", "none")


def _shown_at(path: str, mounts: Mapping[str, str]) -> str | None:
    """The URI of the file that shows at a path: the innermost mount decides."""
    for place in (PurePosixPath(path), *PurePosixPath(path).parents):
        uri = mounts.get(str(place))
        if uri is not None:
            rest = path.removeprefix(str(place))
            return f"{uri}{rest}"
    return None
