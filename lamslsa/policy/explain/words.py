"""Sections, and what several of them say alike: times, numbers, digests and lists in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from lamslsa.policy.model import DatasetTerms, Witness

__all__ = ["Item", "Section", "age", "count", "digest", "either", "listed", "number", "sheet", "time", "witness"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One statement.

    Attributes:
        key: what it is about, once in a section.
        text: plain English, with names that the policy's author chose.
        exact: what was put into words; equal where it decides the same.
    """

    key: str
    text: str
    exact: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What a policy says about one matter.

    Attributes:
        items: never empty.
    """

    title: str
    items: tuple[Item, ...]


def either(names: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return _joined(names, "or")


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return _joined(names, "and")


def _joined(names: Iterable[str], word: str) -> str:
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last


def time(at: dt.datetime) -> str:
    """``1 July 2027, 00:00:00 UTC``."""
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def age(value: dt.timedelta) -> str:
    """``90 days``, ``1 day and 12 hours``."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"day": days, "hour": hours, "minute": minutes, "second": seconds}
    return listed([count(number, unit) for unit, number in parts.items() if number] or ["0 seconds"])


def count(number: int, what: str) -> str:
    """``1 row``, ``10,000 rows``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def number(value: float) -> str:
    """As short as it can be written; whole numbers with commas."""
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else repr(value)


def digest(sha256: str) -> str:
    """As people compare it."""
    return f"sha256:{sha256[:12]}…"


def witness(terms: Witness) -> str:
    """``signed by trainer on platform production``, with how old the quote may be."""
    aged = "" if terms.max_age is None else f", by a quote at most {age(terms.max_age)} old"
    return f"signed by {terms.signed_by} on platform {terms.platform}{aged}"


def sheet(terms: DatasetTerms) -> str:
    """How a dataset is read, by whose word."""
    schema = "" if terms.schema is None else f", under the schema {digest(terms.schema)} and no other"
    return f"read as a datasheet says that is {witness(terms.datasheet)}{schema}"
