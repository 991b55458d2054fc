"""What a description is made of."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lamslsa.sign import BundleVerifier
from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["Description", "Surroundings", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a file is looked at with.

    Attributes:
        at: expiry is judged as of this time; timezone-aware.
        now: how platforms stand is judged as of this time; timezone-aware.
        held: endorsements at hand.
        keys: public keys at hand, by the name of their file.
        root: trusted root of a Sigstore, and ``root_name`` what to call it; None where none is at hand.
    """

    at: dt.datetime
    now: dt.datetime
    held: tuple[bytes, ...]
    keys: Mapping[str, BundleVerifier]
    root: SigstoreRoot | None = None
    root_name: str = "a trusted root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a file says.

    Attributes:
        kind: what it is, in words.
        facts: what it says; JSON values.
        verified: what holds, each a sentence.
        unverified: what was not looked at or does not hold, each a sentence.
        parts: what lies inside.
    """

    kind: str
    facts: Mapping[str, Any]
    verified: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    parts: tuple[Description, ...] = ()

    def document(self) -> dict[str, Any]:
        """The description as JSON."""
        return {
            "kind": self.kind,
            "facts": dict(self.facts),
            "verified": list(self.verified),
            "unverified": list(self.unverified),
            "parts": [part.document() for part in self.parts],
        }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def plain(value: Any) -> Any:
    """A parsed value as JSON: bytes in hexadecimal, times in RFC 3339, dataclasses with names in lowerCamelCase."""
    match value:
        case bytes():
            result: Any = value.hex()
        case dt.datetime():
            result = value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case Mapping():
            result = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case str() | int() | float() | bool() | None:
            result = value
        case frozenset() | set():
            result = sorted(str(item) for item in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            result = {_camel(field.name): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            result = str(value)
    return result
