"""Which logs, which witnesses, and how many of them: the file format of C2SP tlog-policy.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>…
    quorum <name>

Rules:
- ``quorum none`` is refused: without a witness nothing says when a checkpoint was made.
- A name is a member of at most one group, once, as the specification asks for: each witness counts in one way only.
- URLs are for those who ask a log; nothing is ever asked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence._note import COSIGNATURE, ED25519, Key

__all__ = ["WitnessPolicy", "parse_witness_policy"]

_MAX_BYTES: Final = 64 * 1024
_MAX_ENTRIES: Final = 64
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE: Final = re.compile(r"[ \t]+")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPolicy:
    """Logs and witnesses by key, and the quorum.

    Attributes:
        logs: a checkpoint of any of them counts.
        witnesses: by the name that the file gives them.
        groups: by name, how many of which members are needed.
        quorum: name of the witness or group that has to have cosigned.
    """

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Key]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def since(self, times: Mapping[str, int]) -> int | None:
        """The latest time T such that some quorum cosigned at T or later; None when none cosigned.

        Of a group that needs k members, that is the k-th latest of its members' times.
        """
        return self._since(self.quorum, times)

    def _since(self, name: str, times: Mapping[str, int]) -> int | None:
        if name not in self.groups:
            return times.get(name)
        needed, members = self.groups[name]
        known = sorted((time for member in members if (time := self._since(member, times)) is not None), reverse=True)
        return known[needed - 1] if len(known) >= needed else None


@dataclass(slots=True, kw_only=True)
class _Reader:
    """The lines so far."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    quorum: str | None = None

    def read(self, line: str) -> None:
        match [word for word in _SPACE.split(line) if word]:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", vkey] | ["log", vkey, _]:
                self.logs.append(_new(Key.parse(vkey, type_=ED25519), self.logs))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._name(name)
                self.witnesses[name] = _new(Key.parse(vkey, type_=COSIGNATURE), self.witnesses.values())
            case ["group", name, needed, *members] if members:
                self._group(name, needed, members)
            case ["quorum", name] if self.quorum is None:
                self._known(name)
                self.quorum = name
            case _:
                raise _other("a line that begins with log, witness, group or, once, quorum", line)

    def _name(self, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise _other("a name of its own for each witness and group", name)

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise _other("the name of a witness or group on a line before", name)

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        self._name(name)
        for member in members:
            self._known(member)
            if member in self.members:
                raise _other("each name as a member once", member)
            self.members.add(member)
        count = {"any": 1, "all": len(members)}.get(needed) or (int(needed) if _NUMBER.fullmatch(needed) else 0)
        if not 1 <= count <= len(members):
            raise _other(f"all, any or a number from 1 to {len(members)}", needed)
        self.groups[name] = (count, tuple(members))


def parse_witness_policy(data: bytes) -> WitnessPolicy:
    """Read a file of logs, witnesses and a quorum.

    Raises:
        FormatError: not such a file, no log, or a quorum that needs no witness.
    """
    try:
        text = data[: _MAX_BYTES + 1].decode("utf-8")
    except UnicodeDecodeError as err:
        raise _other("UTF-8", "other bytes") from err
    if len(data) > _MAX_BYTES or _CONTROL.search(text) or not text.endswith("\n"):
        raise _other(f"at most {_MAX_BYTES} bytes of lines that end with a line feed", "something else")
    reader = _Reader()
    for line in text.split("\n"):
        reader.read(line)
        if max(len(reader.logs), len(reader.witnesses), len(reader.groups)) > _MAX_ENTRIES:
            raise _other(f"at most {_MAX_ENTRIES} logs, witnesses and groups", "more")
    if not reader.logs or reader.quorum is None:
        raise _other("a log and a quorum", "none")
    return WitnessPolicy(
        logs=tuple(reader.logs), witnesses=reader.witnesses, groups=reader.groups, quorum=reader.quorum
    )


def _new(key: Key, others: Iterable[Key]) -> Key:
    if any(other.public == key.public for other in others):
        raise _other("each key once", key.name)
    return key


def _other(expected: str, got: str) -> FormatError:
    return FormatError(
        f"expected {expected} among logs and witnesses, got {got[:80]!r}",
        reason="beacon-witnesses",
        hint="the format is that of https://c2sp.org/tlog-policy",
    )
