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
_MAX_PICKLES: Final = 64
_MAX_IMPORTS: Final = 64
_CALLS: Final = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
_IMPORTS: Final = frozenset({"GLOBAL", "INST"})
_TEXTS: Final = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_PROTOCOLS: Final = range(2, 6)


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
    ended: bool = False


def look(data: bytes | memoryview) -> Pickle | None:
    """What the pickle does that these bytes start with, or None where they start with none."""
    head = bytes(data[:2])
    framed = len(head) == 2 and head[0] == 0x80 and head[1] in _PROTOCOLS
    stream = io.BytesIO(data)
    seen = _Seen(imports={})
    whole = _follow(stream, seen)
    if not framed and not (seen.imports and (seen.calls or seen.ended)):
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
            if name in _TEXTS:
                texts = [*texts[-1:], str(argument)]
            elif name in _IMPORTS:
                seen.imports.setdefault(".".join(str(argument).split(" ", 1))[:200])
            elif name == "STACK_GLOBAL":
                seen.imports.setdefault(".".join(texts)[:200] if len(texts) == 2 else "?")
            elif name.startswith(("EXT", "PERSID", "BINPERSID")):
                seen.imports.setdefault("?")
            seen.calls += name in _CALLS
    except Exception:  # noqa: BLE001 - genops raises many kinds on bytes that are no pickle
        return False
    seen.ended = True
    return True
