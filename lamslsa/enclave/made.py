"""What leaves an enclave beside the run: artifacts by the names that the job gives them, and private files.

    out/made.json        {"outputs": [{"name": …, "kind": …}, …], "private": [name, …]}
    out/outputs/<n>/     the files of an artifact, by its place in that list
    out/private/<n>      a private file, by its place

Names are the job's and may be anything printable, so places are numbered. Nothing here is authentic: an artifact counts
as far as a statement names its digest. The host sees private files: whoever orders a measurement on the host of someone
else does not ask for any (docs/threat-model.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from lamslsa import _codec
from lamslsa._files import open_regular, write_file
from lamslsa.artifact.manifest import Kind
from lamslsa.enclave.job import MADE, OUTPUTS, PRIVATE, is_base_name
from lamslsa.errors import FormatError
from lamslsa.measure.interface import Output

__all__ = ["MadeIndex", "read_made", "write_made"]

_KINDS: Final[tuple[Kind, ...]] = ("dataset", "model")
_MAX_INDEX_BYTES: Final = 64 * 1024
_MAX_ENTRIES: Final = 64
_MAX_NAME: Final = 256
_MAX_PRIVATE_BYTES: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeIndex:
    """The list, parsed.

    Attributes:
        outputs: name to kind, in their places.
        private: names of files, in their places.
    """

    outputs: Mapping[str, Kind]
    private: tuple[str, ...]

    @staticmethod
    def place(root: Path, position: int) -> Path:
        """Where an artifact lies."""
        return root / OUTPUTS / str(position)


def write_made(root: Path, outputs: Mapping[str, Output], private: Mapping[str, bytes]) -> None:
    """Write what was made, as plain files: a host's folder can be asked for little more.

    Raises:
        OSError: the host refused.
    """
    index = {
        "outputs": [{"name": name, "kind": output.manifest.kind} for name, output in outputs.items()],
        "private": list(private),
    }
    for position, output in enumerate(outputs.values()):
        for path, data in output.files.items():
            target = MadeIndex.place(root, position) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, data)
    for position, data in enumerate(private.values()):
        (root / PRIVATE).mkdir(exist_ok=True)
        write_file(root / PRIVATE / str(position), data, mode=0o600)
    write_file(root / MADE, _codec.dumps(index))


def read_made(root: Path) -> tuple[MadeIndex, dict[str, bytes]]:
    """Read what was made, and the private files; hostile.

    Raises:
        FormatError: not such a list, or a file that is missing or too large (enclave-made).
    """
    try:
        with open_regular(root / MADE, what="list of what was made") as file:
            document = _codec.loads(file.read(_MAX_INDEX_BYTES + 1), max_bytes=_MAX_INDEX_BYTES)
        index = _parse(document)
        private = {name: _private(root / PRIVATE / str(place)) for place, name in enumerate(index.private)}
    except OSError as err:
        raise FormatError(
            f"expected what the enclave says it made, got: {err.strerror}", reason="enclave-made"
        ) from err
    return index, private


def _parse(document: Any) -> MadeIndex:
    match document:
        case {"outputs": list(outputs), "private": list(private), **rest} if not rest:
            pairs = [_output(item) for item in outputs]
            names = [_name(item, base=True) for item in private]
        case _:
            _refuse("outputs and private files", "something else")
    if len(dict(pairs)) != len(pairs) or len(set(names)) != len(names) or len(pairs) + len(names) > _MAX_ENTRIES:
        _refuse(f"at most {_MAX_ENTRIES} different names", "others")
    return MadeIndex(outputs=dict(pairs), private=tuple(names))


def _output(item: Any) -> tuple[str, Kind]:
    if not isinstance(item, dict) or set(item) != {"name", "kind"} or item["kind"] not in _KINDS:
        _refuse("a name and a kind", f"{item!a:.80}")
    return _name(item["name"], base=False), item["kind"]


def _name(value: Any, *, base: bool) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        _refuse("a printable name", f"{value!a:.80}")
    if base and not is_base_name(value):
        _refuse("the name of a file", f"{value!a:.80}")
    return value


def _private(path: Path) -> bytes:
    with open_regular(path, what="private file") as file:
        data = file.read(_MAX_PRIVATE_BYTES + 1)
    if len(data) > _MAX_PRIVATE_BYTES:
        _refuse(f"at most {_MAX_PRIVATE_BYTES} bytes in a private file", "more")
    return data


def _refuse(expected: str, got: str) -> NoReturn:
    raise FormatError(f"expected {expected} in what an enclave made, got {got}", reason="enclave-made")
