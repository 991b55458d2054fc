"""The endorsements that a verifier holds, out of the files that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lamslsa._cli.inputs import read_capped
from lamslsa.errors import FormatError

__all__ = ["parsed", "read"]

_MAX_FILES: Final = 256
_MAX_BYTES: Final = 64 * 1024 * 1024


def read(paths: Sequence[Path]) -> tuple[bytes, ...]:
    """Every file, and every ``*.json`` of every folder, each in a format that is known.

    Raises:
        FormatError: one is not, a folder is empty, or there are more than the limits allow.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not found:
            raise FormatError(f"expected collateral in {path}, got no file named *.json", reason="collateral-folder")
        files += found
    held: list[bytes] = []
    for file in files:
        held.append(read_capped(file, what="collateral"))
        _refuse_more(held)
        _refuse_other_than_collateral(str(file), held[-1])
    return tuple(held)


def parsed(files: Sequence[bytes]) -> tuple[bytes, ...]:
    """The endorsements of an archive, each in a format that is known.

    Raises:
        FormatError: one is not, or there are more than the limits allow.
    """
    _refuse_more(files)
    for number, data in enumerate(files):
        _refuse_other_than_collateral(f"file {number} of the archive", data)
    return tuple(files)


def _refuse_more(held: Sequence[bytes]) -> None:
    if len(held) > _MAX_FILES or sum(map(len, held)) > _MAX_BYTES:
        raise FormatError(
            f"expected at most {_MAX_FILES} files of collateral and {_MAX_BYTES} bytes, got more", reason="input-size"
        )


def _refuse_other_than_collateral(source: str, data: bytes) -> None:
    """Refuse a file that no verifier would take: it would be passed over in silence."""
    from lamslsa.evidence.collateral import parse as parse_dcap
    from lamslsa.evidence.snp.collateral import parse as parse_snp

    messages: list[str] = []
    for words, parse in (("Intel's", parse_dcap), ("AMD's", parse_snp)):
        try:
            parse(data)
        except FormatError as err:
            messages.append(f"not {words}: {err}")
        else:
            return
    raise FormatError(f"expected collateral in {source}, got none; {'; '.join(messages)}", reason="collateral-shape")
