"""The run folder: what leaves the TEE, and all that the publisher needs.

    NN-<predicate>.json   the exact payload bytes of each statement
    quote.bin             what the TEE signed
    collateral.json       the endorsements that travel with it, where there are some
    evidence.json         media type of the quote, nonce, order of the statements, time of quoting

A run is all or nothing (`lamslsa._files`). Everything read back is untrusted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lamslsa import _codec
from lamslsa._files import new_folder, write_file
from lamslsa.errors import FormatError
from lamslsa.evidence.binding import MAX_NONCE_BYTES
from lamslsa.evidence.interface import Evidence

__all__ = ["NamedPayload", "Run", "read_run", "staged_run", "write_run"]

_INDEX: Final = "evidence.json"
_QUOTE: Final = "quote.bin"
_COLLATERAL: Final = "collateral.json"
_NAME: Final = re.compile(r"[0-9]{2}-[a-z][a-z0-9-]{0,63}")
_MAX_QUOTE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPayload:
    """A statement's name within its run (``01-dataset``) and its exact payload bytes."""

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The statements of one run and the one quote that vouches for all of them.

    Attributes:
        statements: in the order that the quote covers.
        quoted_at: the host's clock, RFC 3339; informative.
    """

    statements: tuple[NamedPayload, ...]
    nonce: bytes
    evidence: Evidence
    quoted_at: str


@contextmanager
def staged_run(run: Run, directory: Path) -> Iterator[None]:
    """Have the run on disk, and give it its final name at the end of the block, if the block ends well.

    Raises:
        FormatError: something of that name exists.
    """
    with new_folder(directory) as staging:
        for item in run.statements:
            write_file(staging / f"{item.name}.json", item.payload)
        write_file(staging / _QUOTE, run.evidence.quote)
        if run.evidence.collateral is not None:
            write_file(staging / _COLLATERAL, run.evidence.collateral)
        write_file(staging / _INDEX, _index(run))
        yield


def write_run(run: Run, directory: Path) -> None:
    """Write a run folder, which must not exist yet; it is complete or absent whatever happens.

    Raises:
        FormatError: something of that name exists.
    """
    with staged_run(run, directory):
        pass


def _index(run: Run) -> bytes:
    return _codec.dumps(
        {
            "mediaType": run.evidence.media_type,
            "nonce": _codec.encode_base64(run.nonce),
            "statements": [item.name for item in run.statements],
            "quotedAt": run.quoted_at,
        }
    )


def read_run(directory: Path) -> Run:
    """Read a run folder back.

    Raises:
        FormatError: no run folder, or one whose index names what is not there.
    """
    match _codec.loads(_read(directory / _INDEX, _codec.MAX_JSON_BYTES)):
        case {"mediaType": str(media_type), "nonce": str(nonce), "statements": [*names], "quotedAt": str(quoted_at)}:
            pass
        case _:
            raise FormatError(f"expected the index of a run in {directory}, got other fields", reason="run-index")
    collateral = directory / _COLLATERAL
    return Run(
        statements=tuple(_payloads(directory, names)),
        nonce=_codec.decode_base64(nonce, what="nonce", max_bytes=MAX_NONCE_BYTES),
        evidence=Evidence(
            media_type=media_type,
            quote=_read(directory / _QUOTE, _MAX_QUOTE_BYTES),
            collateral=_read(collateral, _codec.MAX_JSON_BYTES) if collateral.exists() else None,
        ),
        quoted_at=quoted_at,
    )


def _payloads(directory: Path, names: Sequence[Any]) -> list[NamedPayload]:
    if not names or len(set(map(str, names))) != len(names):
        raise FormatError("expected the names of different statements in the index, got others", reason="run-index")
    payloads = []
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise FormatError(f"expected the name of a statement in the index, got {name!r:.80}", reason="run-index")
        payloads.append(NamedPayload(name=name, payload=_read(directory / f"{name}.json", _codec.MAX_JSON_BYTES)))
    return payloads


def _read(path: Path, limit: int) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FormatError(f"expected a file at {path}, got another kind", reason="run-file")
            data = file.read(limit + 1)
    except OSError as err:
        raise FormatError(
            f"expected {path}, got {err.strerror}", reason="run-file", hint="name a folder that lamslsa attest wrote"
        ) from err
    if len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes in {path}, got more", reason="run-file")
    return data
