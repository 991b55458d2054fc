r"""Regular expressions of policies, matched against what a prover could choose: only those whose work is bounded.

Python's matcher goes back and tries again, and three ``.*`` cost it seconds. Here a pattern moves the set of all places
in the subject that it may have come to, each of its parts once, so that no subject costs more than some milliseconds.

The language is a part of Python's, which says what is an error and what a class of characters means. Repeated groups,
flags, look-around, named groups, references to groups and possessive repetitions are refused; the match is always one
of the whole subject.

>>> matches(compiled(r"https://github\.com/acme/.+/\.github/workflows/(train|eval)\.yml@refs/tags/v[0-9]+"), "x")
False
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from lamslsa.errors import FormatError

__all__ = ["MAX_SUBJECT", "Pattern", "compiled", "matches"]

MAX_SUBJECT: Final = 512
_MAX_PATTERN: Final = 256
_TOKEN: Final = re.compile(
    r"""
    (?P<escaped>\\.)
    | (?P<set>\[\^?\]?(?:[^\]\\]|\\.)*\])  # a class of characters, whose own signs repeat nothing
    | (?P<open>\((?:\?:?)?)
    | (?P<close>\))
    | (?P<either>\|)
    | (?P<edge>[\^$])
    | (?P<repeat>(?:[*+?]|\{(?P<low>[0-9]+)(?P<more>,(?P<high>[0-9]*))?\})(?P<mode>[?+]?))
    | (?P<char>[^{}])
    """,
    re.VERBOSE | re.DOTALL,
)

_Places: TypeAlias = int
"""A set of places in the subject: bit i stands for that before character i."""
_Part: TypeAlias = "Callable[[_Subject, _Places], _Places]"
"""From the places where a part of a pattern may begin to those where it may end."""


class _Subject:
    """A subject, and where in it single characters match."""

    def __init__(self, text: str) -> None:
        self.text, self.end = text, 1 << len(text)
        self._found: dict[re.Pattern[str], _Places] = {}

    def places(self, character: re.Pattern[str]) -> _Places:
        """Before which characters a pattern of one character matches."""
        if character not in self._found:
            self._found[character] = sum(1 << match.start() for match in character.finditer(self.text))
        return self._found[character]


class Pattern:
    """A regular expression whose work is bounded.

    Attributes:
        pattern: as it is written.
    """

    def __init__(self, pattern: str, whole: _Part) -> None:
        self.pattern: Final = pattern
        self._whole = whole

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches; its length is the caller's task."""
        subject = _Subject(text)
        return bool(self._whole(subject, 1) & subject.end)


def compiled(pattern: str) -> Pattern:
    """A pattern of a policy, ready to be matched.

    Raises:
        FormatError: too long, no regular expression, or one whose work is not bounded.
    """
    if not 0 < len(pattern) <= _MAX_PATTERN or not pattern.isprintable():
        raise FormatError(
            f"expected a pattern of 1 to {_MAX_PATTERN} printable characters, got {len(pattern)} or others",
            reason="terms-pattern",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what another version of Python will read in another way
            re.compile(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError, Warning) as err:
        raise FormatError(f"expected a regular expression, got {pattern!r}: {err}", reason="terms-pattern") from err
    return Pattern(pattern, _either(_tokens(pattern)))


def matches(pattern: Pattern, subject: str) -> bool:
    """Whether the whole subject matches; one that is too long never does."""
    return len(subject) <= MAX_SUBJECT and pattern.fullmatch(subject)


def _tokens(pattern: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise _refused("a brace that repeats nothing")
        yield token
        position = token.end()


def _either(tokens: Iterator[re.Match[str]]) -> _Part:
    """Alternatives up to the end of their group; Python has found the parentheses in order."""
    ways: list[list[_Part]] = [[]]
    grouped = False  # whether the part before this token is a group
    for token in tokens:
        way = ways[-1]
        match token.lastgroup:
            case "close":
                break
            case "either":
                ways.append([])
            case "open":
                if token[0] == "(?":
                    raise _refused("an extension (?…)")
                way.append(_either(tokens))
            case "edge":
                way.append(_start if token[0] == "^" else _end)
            case "repeat":
                way.append(_repeated(token, way.pop(), grouped=grouped))
            case _:
                way.append(_single(token[0]))
        grouped = token.lastgroup == "open"
    return _alternatives([_sequence(way) for way in ways])


def _single(text: str) -> _Part:
    if text.startswith("\\") and text[1].isalnum() and text[1] not in "dwsDWS":
        raise _refused(f"the escape {text}")
    character = re.compile(text, re.ASCII)
    return lambda subject, places: (places & subject.places(character)) << 1


def _start(_: _Subject, places: _Places) -> _Places:
    return places & 1


def _end(subject: _Subject, places: _Places) -> _Places:
    return places & subject.end


def _sequence(parts: list[_Part]) -> _Part:
    def part(subject: _Subject, places: _Places) -> _Places:
        for step in parts:
            places = step(subject, places)
        return places

    return part


def _alternatives(ways: list[_Part]) -> _Part:
    def part(subject: _Subject, places: _Places) -> _Places:
        found = 0
        for way in ways:
            found |= way(subject, places)
        return found

    return part


def _repeated(token: re.Match[str], inner: _Part, *, grouped: bool) -> _Part:
    if token["mode"] == "+":
        raise _refused("a possessive repetition")
    sign = token[0][0]
    if grouped and sign != "?":
        raise _refused("a repeated group")
    if sign == "{":
        low = int(token["low"])
        high = low if token["more"] is None else int(token["high"] or MAX_SUBJECT)
    else:
        low, high = {"?": (0, 1), "*": (0, MAX_SUBJECT), "+": (1, MAX_SUBJECT)}[sign]

    def part(subject: _Subject, places: _Places) -> _Places:
        for _ in range(low):
            places = inner(subject, places)
            if not places:
                break
        found = step = places
        for _ in range(high - low):
            step = inner(subject, step) & ~found  # a place that was reached before leads nowhere new
            if not step:
                break
            found |= step
        return found

    return part


def _refused(what: str) -> FormatError:
    return FormatError(
        f"expected a pattern of characters, their repetitions, and alternatives, got {what}",
        reason="terms-pattern",
        hint="name the subject exactly, or list the identities one by one",
    )
