"""The run folder: what leaves the TEE, and all that the publisher needs.

    NN-<predicate>.json   the exact payload bytes of each statement
    quote.bin             what the TEE signed
    collateral.json       the endorsements that travel with it, where there are some
    event-log.bin         the boot event log, where there is one
    device-NN.bin         what each attached device answered, where there are some
    beacon.bin            what the nonce is the SHA-256 of, where it is
    evidence.json         media types, nonce, order of statements and devices, time of quoting

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
from lamslsa.evidence.binding import MAX_DEVICES, MAX_NONCE_BYTES
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Beacon, Nonce

__all__ = ["NamedPayload", "Run", "read_run", "staged_run", "write_run"]

_INDEX: Final = "evidence.json"
_QUOTE: Final = "quote.bin"
_COLLATERAL: Final = "collateral.json"
_EVENT_LOG: Final = "event-log.bin"
_BEACON: Final = "beacon.bin"
_NAME: Final = re.compile(r"[0-9]{2}-[a-z][a-z0-9-]{0,63}")
_MAX_QUOTE_BYTES: Final = 64 * 1024
_MAX_DEVICE_BYTES: Final = 256 * 1024
_MAX_EVENT_LOG_BYTES: Final = 1024 * 1024


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
        devices: in the order that the quote covers.
    """

    statements: tuple[NamedPayload, ...]
    nonce: Nonce
    evidence: Evidence
    quoted_at: str
    devices: tuple[DeviceEvidence, ...] = ()


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
        beacon = None if run.nonce.beacon is None else run.nonce.beacon.data
        optional = {_COLLATERAL: run.evidence.collateral, _EVENT_LOG: run.evidence.event_log, _BEACON: beacon}
        for name, data in optional.items():
            if data is not None:
                write_file(staging / name, data)
        for number, device in enumerate(run.devices, start=1):
            write_file(staging / _device(number), device.data)
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
    index: dict[str, Any] = {
        "mediaType": run.evidence.media_type,
        "nonce": _codec.encode_base64(run.nonce.value),
        "statements": [item.name for item in run.statements],
        "devices": [device.media_type for device in run.devices],
        "quotedAt": run.quoted_at,
    }
    if run.nonce.beacon is not None:
        index["beacon"] = run.nonce.beacon.media_type
    return _codec.dumps(index)


def _device(number: int) -> str:
    return f"device-{number:02d}.bin"


def read_run(directory: Path) -> Run:
    """Read a run folder back.

    Raises:
        FormatError: no run folder, or one whose index names what is not there.
    """
    index = _codec.loads(_read(directory / _INDEX, _codec.MAX_JSON_BYTES))
    match index:
        case {
            "mediaType": str(media_type),
            "nonce": str(nonce),
            "statements": [*names],
            "devices": [*devices],
            "quotedAt": str(quoted_at),
        } if len(devices) <= MAX_DEVICES and all(isinstance(item, str) for item in devices):
            pass
        case _:
            raise FormatError(f"expected the index of a run in {directory}, got other fields", reason="run-index")
    return Run(
        statements=tuple(_payloads(directory, names)),
        nonce=Nonce(
            value=_codec.decode_base64(nonce, what="nonce", max_bytes=MAX_NONCE_BYTES),
            beacon=_beacon(directory, index.get("beacon")),
        ),
        evidence=Evidence(
            media_type=media_type,
            quote=_read(directory / _QUOTE, _MAX_QUOTE_BYTES),
            collateral=_optional(directory / _COLLATERAL, _codec.MAX_JSON_BYTES),
            event_log=_optional(directory / _EVENT_LOG, _MAX_EVENT_LOG_BYTES),
        ),
        quoted_at=quoted_at,
        devices=tuple(
            DeviceEvidence(media_type=item, data=_read(directory / _device(number), _MAX_DEVICE_BYTES))
            for number, item in enumerate(devices, start=1)
        ),
    )


def _beacon(directory: Path, media_type: Any) -> Beacon | None:
    if media_type is None:
        return None
    if not isinstance(media_type, str):
        raise FormatError("expected the media type of the beacon in the index, got another value", reason="run-index")
    return Beacon(media_type=media_type, data=_read(directory / _BEACON, MAX_BEACON_BYTES))


def _optional(path: Path, limit: int) -> bytes | None:
    return _read(path, limit) if path.exists() else None


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
