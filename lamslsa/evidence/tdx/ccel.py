"""The boot event log of a TD (CCEL): parse it, and replay it to the registers of a verified quote.

Rules:
- Every byte is accounted for: the events follow each other without gaps, and only one filler, zeros or ones, may follow
  the last of them.
- Authentic is what a register was extended with: the digests of the events of that register, in their order. The data
  of an event is authentic only where the digest is computed over it (`Event.measures_its_data`); its type, and all of
  an event of type EV_NO_ACTION, which extends nothing, are claims of whoever handed the log over.

Layout: TCG PC Client Platform Firmware Profile, section 10.2 (crypto-agile log: a Spec ID event, then TCG_PCR_EVENT2);
registers: UEFI 2.10, section 38.4.1, where index 0 is MRTD and 1 to 4 are RTMR0 to RTMR3. Integers are little-endian.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.tdx.verify import TdxClaims

__all__ = ["MAX_LOG_BYTES", "Event", "parse", "replay", "verify_event_log"]

MAX_LOG_BYTES: Final = 1024 * 1024
_MAX_EVENTS: Final = 8192
_MAX_ALGORITHMS: Final = 8

_NO_ACTION: Final = 3
_SHA384: Final = 0x000C
_REGISTERS: Final = (1, 2, 3, 4)
_HEADER: Final = struct.Struct("<II")
_FIRST: Final = struct.Struct("<II20sI")
_SPEC_ID: Final = struct.Struct("<16sI4BI")
_SIGNATURE: Final = b"Spec ID Event03\0"
_ALGORITHM: Final = struct.Struct("<HH")
_COUNT: Final = struct.Struct("<I")
_IDENTIFIER: Final = struct.Struct("<H")
_FILLERS: Final = (b"\x00", b"\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a log.

    Attributes:
        register: 0 for MRTD, 1 to 4 for RTMR0 to RTMR3.
        kind: number of the event's type; never authentic.
        digest: SHA-384, what the register was extended with.
        data: what the event says.
    """

    register: int
    kind: int
    digest: bytes
    data: bytes

    @property
    def extends(self) -> bool:
        """Whether a register was extended with the digest."""
        return self.kind != _NO_ACTION

    @property
    def measures_its_data(self) -> bool:
        """Whether the digest is over the data itself; otherwise the data only describes what was measured."""
        return self.extends and hmac.compare_digest(hashlib.sha384(self.data).digest(), self.digest)


class _Reader:
    """Takes a log apart from its start."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def bytes(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise FormatError(
                f"expected {count} bytes at {self.at} of the event log, got {len(self._data) - self.at}",
                reason="event-log-truncated",
            )
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.bytes(layout.size))

    def ends(self) -> bool:
        """Whether what follows is the filler and not an event; then nothing else may follow.

        Raises:
            FormatError: other bytes after the filler.
        """
        filler = self._data[self.at : self.at + 1]
        if filler not in _FILLERS or self._data[self.at : self.at + _HEADER.size].strip(filler):
            return not filler
        if self._data.count(filler, self.at) != len(self._data) - self.at:
            raise FormatError(
                f"expected only filler after {self.at} bytes of event log, got other bytes", reason="event-log-trailing"
            )
        return True


def parse(data: bytes) -> tuple[Event, ...]:
    """Take an event log apart; the Spec ID event that opens it is not among the events.

    Raises:
        FormatError: not a log, larger than 1 MiB, or with more than 8192 events.
    """
    if len(data) > MAX_LOG_BYTES:
        raise FormatError(
            f"expected at most {MAX_LOG_BYTES} bytes of event log, got {len(data)}", reason="event-log-size"
        )
    reader = _Reader(data)
    sizes = _spec_id(reader)
    events: list[Event] = []
    while not reader.ends():
        if len(events) == _MAX_EVENTS:
            raise FormatError(f"expected at most {_MAX_EVENTS} events, got more", reason="event-log-size")
        events.append(_event(reader, sizes))
    return tuple(events)


def _spec_id(reader: _Reader) -> dict[int, int]:
    """Size of each digest by its algorithm, from the first event, which has the layout of the old log."""
    register, kind, digest, size = _FIRST.unpack(reader.bytes(_FIRST.size))
    end = reader.at + size
    signature, _, _, _, _, _, count = _SPEC_ID.unpack(reader.bytes(_SPEC_ID.size))
    # The old layout knows no register of a TD; firmware writes 0 or 1.
    if register > 1 or (kind, digest, signature) != (_NO_ACTION, bytes(20), _SIGNATURE):
        raise FormatError("expected the Spec ID event of a crypto-agile log, got another", reason="event-log-spec-id")
    if count > _MAX_ALGORITHMS:
        raise FormatError(f"expected at most {_MAX_ALGORITHMS} algorithms, got {count}", reason="event-log-spec-id")
    sizes: dict[int, int] = {}
    for _ in range(count):
        algorithm, length = reader.unpack(_ALGORITHM)
        sizes[algorithm] = length
    if len(sizes) != count or sizes.get(_SHA384) != hashlib.sha384().digest_size:
        raise FormatError(
            "expected different algorithms with SHA-384 among them, got others", reason="event-log-spec-id"
        )
    reader.bytes(reader.bytes(1)[0])  # the vendor's information
    if reader.at != end:
        raise FormatError(f"expected a Spec ID event of {size} bytes, got another length", reason="event-log-spec-id")
    return sizes


def _event(reader: _Reader, sizes: dict[int, int]) -> Event:
    start = reader.at
    register, kind = reader.unpack(_HEADER)
    if register not in _REGISTERS and (register, kind) != (0, _NO_ACTION):
        raise FormatError(
            f"expected an event of register 1 to 4 at {start}, got register {register}", reason="event-log-register"
        )
    (count,) = reader.unpack(_COUNT)
    if count != len(sizes):
        raise FormatError(
            f"expected {len(sizes)} digests in the event at {start}, got {count}", reason="event-log-digests"
        )
    digests: dict[int, bytes] = {}
    for _ in range(count):
        (algorithm,) = reader.unpack(_IDENTIFIER)
        if algorithm not in sizes or algorithm in digests:
            raise FormatError(
                f"expected each algorithm of the log once in the event at {start}, got {algorithm:#06x}",
                reason="event-log-digests",
            )
        digests[algorithm] = reader.bytes(sizes[algorithm])
    (length,) = reader.unpack(_COUNT)
    return Event(register=register, kind=kind, digest=digests[_SHA384], data=reader.bytes(length))


def replay(events: Sequence[Event]) -> tuple[bytes, bytes, bytes, bytes]:
    """RTMR0 to RTMR3 as the events extend them: each new value is SHA-384(old value ‖ digest), from zeros."""
    values = dict.fromkeys(_REGISTERS, bytes(48))
    for event in events:
        if event.extends and event.register in values:
            values[event.register] = hashlib.sha384(values[event.register] + event.digest).digest()
    return values[1], values[2], values[3], values[4]


def verify_event_log(log: bytes, claims: TdxClaims) -> tuple[Event, ...]:
    """Hold an event log against the registers of a verified quote.

    1. The log has the right shape; every byte is accounted for.
    2. It replays to all four registers of the quote, at full length.

    Returns:
        The events; see the module's rules for what of them is authentic.

    Raises:
        FormatError: not a log.
        VerificationError: it replays to other values (evidence-event-log).
    """
    events = parse(log)  # (1)
    replayed = replay(events)
    for number, (expected, found) in enumerate(zip(claims.rtmrs, replayed, strict=True)):  # (2)
        if not hmac.compare_digest(bytes.fromhex(expected), found):
            raise VerificationError(
                f"expected an event log that replays to RTMR{number} {expected}, got {found.hex()}",
                reason="evidence-event-log",
                hint="pass the log of this boot, read when the quote was made",
            )
    return events
