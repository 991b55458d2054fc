"""Members of JSON objects that others wrote, by type; what is null counts as absent, as it does in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lamslsa._plain import plain
from lamslsa.errors import FormatError

__all__ = ["MAX_TEXT", "members", "quoted", "rows", "text", "texts"]

MAX_TEXT: Final = 1024
_SHOWN: Final = 160


def quoted(value: str) -> str:
    """A text from elsewhere for a message: in quotes, escaped, and not too long."""
    return f'"{plain(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")}"'


def members(value: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """The object of this name; an empty one where there is none.

    Raises:
        FormatError: something else (admission-shape).
    """
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _other("an object", where, name, found)
    return found


def rows(value: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    """The list of objects of this name; an empty one where there is none.

    Raises:
        FormatError: something else (admission-shape).
    """
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _other("a list of objects", where, name, found)
    return found


def text(value: Mapping[str, Any], name: str, where: str) -> str:
    """The text of this name; an empty one where there is none.

    Raises:
        FormatError: something else, or longer than `MAX_TEXT` (admission-shape).
    """
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > MAX_TEXT:
        raise _other(f"a text of at most {MAX_TEXT} characters", where, name, found)
    return found


def texts(value: Mapping[str, Any], name: str, where: str, *, limit: int) -> tuple[str, ...]:
    """The list of texts of this name.

    Raises:
        FormatError: something else, none, too many or too long a one (admission-shape).
    """
    found = value.get(name)
    if (
        not isinstance(found, list)
        or len(found) > limit
        or not all(isinstance(item, str) and 0 < len(item) <= MAX_TEXT for item in found)
    ):
        raise _other(f"a list of at most {limit} texts of at most {MAX_TEXT} characters", where, name, found)
    return tuple(found)


def _other(wanted: str, where: str, name: str, found: object) -> FormatError:
    kind = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}.get(type(found), "something else")
    return FormatError(f"expected {wanted} in {where}{name}, got {kind} that is none", reason="admission-shape")
