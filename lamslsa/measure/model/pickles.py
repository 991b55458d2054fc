r"""Pickles by their opcodes, without unpickling anything.

A pickle is a program: what it imports and calls runs when it is read (https://docs.python.org/3/library/pickle.html).
Bytes count as a pickle when they start with the opcode of a protocol from 2 on, or when opcodes of older protocols,
which have no such start, come as far as a call or an import followed by an end.

>>> import pickle
>>> look(b"\x80\x04K\x01.").imports, look(b"# a text") is None
((), True)
>>> look(pickle.dumps(print, protocol=0)).imports
('__builtin__.print',)
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_OPCODES", "Pickle", "look"]

MAX_OPCODES: Final = 200_000
_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_PICKLES: Final = 64
_MAX_IMPORTS: Final = 64
_CALLS: Final = frozenset({"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
_IMPORTS: Final = frozenset({"GLOBAL", "INST"})
_TEXTS: Final = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_PROTOCOLS: Final = range(2, 6)
_ASCII: Final = bytes(code if code < 0x80 else 0x3F for code in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pickle:
    """What a pickle would do.

    Attributes:
        imports: ``module.name`` of what it imports, in order and without repetition; ``?`` where the name is computed.
        calls: opcodes that call something.
        whole: whether the opcodes could be followed to the end.
    """

    imports: tuple[str, ...]
    calls: int
    whole: bool


@dataclass(slots=True)
class _Seen:
    imports: dict[str, None]
    calls: int = 0
    opcodes: int = 0
    pushed: int = 0
    marks: int = 0
    ended: bool = False

    @property
    def acts(self) -> bool:
        """Whether it imports and calls, or imports and ends, or is too long to say."""
        return self.opcodes > MAX_OPCODES or bool(self.imports and (self.calls or self.ended))


def look(data: bytes | memoryview) -> Pickle | None:
    """What the pickle does that these bytes start with, or None where they start with none."""
    head = bytes(data[:_MAX_BYTES])
    framed = len(head) > 1 and head[0] == 0x80 and head[1] in _PROTOCOLS
    seen = _Seen(imports={})
    stream = io.BytesIO(head)
    whole = _follow(stream, seen)
    if not framed and not whole and not seen.acts and not head.isascii():
        # pickletools takes names of the older protocols for ASCII, the unpickler for UTF-8.
        seen = _Seen(imports={})
        stream = io.BytesIO(head.translate(_ASCII))
        whole = _follow(stream, seen)
    if not (seen.opcodes > 1 if framed else seen.acts):
        return None
    # What is stored as several pickles, one after the other, is read as several.
    for _ in range(_MAX_PICKLES):
        if not whole or stream.read(1) != b"\x80":
            break
        stream.seek(-1, io.SEEK_CUR)
        whole = _follow(stream, seen)
    return Pickle(imports=tuple(seen.imports)[:_MAX_IMPORTS], calls=seen.calls, whole=whole)


def _follow(stream: io.BytesIO, seen: _Seen) -> bool:
    """Follow one pickle; whether its end was reached."""
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            seen.opcodes += 1
            if seen.opcodes > MAX_OPCODES:
                return False
            name = opcode.name
            if name == "INST" and not seen.marks:
                return False  # where the unpickler fails, before it imports
            if name in _TEXTS:
                texts = [*texts[-1:], str(argument)]
            elif name in _IMPORTS:
                seen.imports.setdefault(".".join(str(argument).split(" ", 1))[:200])
            elif name == "STACK_GLOBAL":
                seen.imports.setdefault(".".join(texts)[:200] if len(texts) == 2 else "?")
            elif name.startswith(("EXT", "PERSID", "BINPERSID")):
                seen.imports.setdefault("?")
            # A call takes two things from the stack at least: on fewer the unpickler fails.
            seen.calls += name == "INST" or (name in _CALLS and seen.pushed > 1)
            seen.pushed += bool(opcode.stack_after)
            seen.marks += name == "MARK"
    except Exception:  # noqa: BLE001 - genops raises many kinds on bytes that are no pickle
        return False
    seen.ended = True
    return True
