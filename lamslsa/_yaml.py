r"""YAML for people, read strictly: the YAML 1.2 core schema, with the line and column of every value kept.

Rules:
- ``no`` is a string, ``010`` is ten, ``1e-3`` is a number (YAML 1.2.2 section 10.3); PyYAML's own resolver is YAML 1.1.
- Refused: duplicate keys, keys that are not strings, anchors, aliases, tags, merges, directives, a second document.
- A reader takes a mapping apart with `Mapping_.take` and ends with `Mapping_.finish`, which refuses what is left over:
  no key is ever ignored.

>>> node = loads(b"a: 010\nb: no\n", source="example.yaml")
>>> node.plain()
{'a': 10, 'b': 'no'}
>>> loads(b"a: 1\na: 2\n", source="example.yaml")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: example.yaml:2:1: expected unique keys, got "a" twice
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml

from lamslsa.errors import FormatError

__all__ = ["MAX_YAML_BYTES", "Mapping_", "Node", "Scalar", "Sequence_", "loads"]

MAX_YAML_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 32
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_ENDS: Final = frozenset("\r\x85\u2028\u2029")
_HIDDEN: Final = re.compile(r"\r(?!\n)|[^\x00-\x7f]")
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+")
_RADIX: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(ABC):
    """A value and where it stands: 1-based line and column of its first character."""

    source: str
    line: int
    column: int
    where: str

    def refuse(self, message: str, *, reason: str, hint: str | None = None) -> NoReturn:
        """Raise a FormatError that names file, line and column."""
        raise FormatError(f"{self.source}:{self.line}:{self.column}: {message}", reason=reason, hint=hint)

    def _expected(self, kind: str) -> NoReturn:
        at = f" at {self.where}" if self.where else ""
        self.refuse(f"expected {kind}{at}, got {self.kind}", reason="yaml-type")

    @property
    @abstractmethod
    def kind(self) -> str:
        """What this node is, in words, for messages."""

    @abstractmethod
    def plain(self) -> Any:
        """The value as plain Python objects."""

    def mapping(self) -> Mapping_:
        """This node as a mapping, or a FormatError."""
        if not isinstance(self, Mapping_):
            self._expected("a mapping")
        return self

    def sequence(self, *, empty: bool = False) -> tuple[Node, ...]:
        """The items of this node; an empty list is refused unless ``empty``."""
        if not isinstance(self, Sequence_):
            self._expected("a list")
        if not self.items and not empty:
            self.refuse(f"expected at least one item at {self.where}, got an empty list", reason="yaml-empty")
        return self.items

    def string(self) -> str:
        """A non-empty string, or a FormatError: ``1`` and ``true`` are no strings, write them in quotes."""
        if not isinstance(self, Scalar) or not isinstance(self.value, str):
            self._expected("a string")
        if not self.value:
            self.refuse(f"expected a string at {self.where}, got an empty one", reason="yaml-empty")
        return self.value

    def text(self) -> str:
        """A string that may be empty, or a FormatError."""
        if not isinstance(self, Scalar) or not isinstance(self.value, str):
            self._expected("a string")
        return self.value

    def boolean(self) -> bool:
        """``true`` or ``false``, or a FormatError."""
        if not isinstance(self, Scalar) or not isinstance(self.value, bool):
            self._expected("true or false")
        return self.value

    def integer(self, *, minimum: int | None = None, maximum: int | None = None) -> int:
        """An integer within the bounds given, or a FormatError."""
        if not isinstance(self, Scalar) or isinstance(self.value, bool) or not isinstance(self.value, int):
            self._expected("an integer")
        self._within(self.value, minimum, maximum)
        return self.value

    def number(self, *, minimum: float | None = None, maximum: float | None = None) -> float:
        """A finite number within the bounds given, or a FormatError."""
        if not isinstance(self, Scalar) or isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            self._expected("a number")
        self._within(self.value, minimum, maximum)
        return float(self.value)

    def choice(self, options: Iterable[str]) -> str:
        """One of ``options``, or a FormatError that names the nearest."""
        value = self.string()
        allowed = list(options)
        if not allowed:
            self.refuse(
                f"expected no choice at {self.where}, where there is nothing to choose from, got {value!r}",
                reason="yaml-choice",
                hint="declare what is chosen here first, or leave it out",
            )
        if value not in allowed:
            self.refuse(
                f"expected one of {', '.join(allowed)} at {self.where}, got {value!r}",
                reason="yaml-choice",
                hint=_nearest(value, allowed),
            )
        return value

    def _within(self, value: float, minimum: float | None, maximum: float | None) -> None:
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            bounds = f"{'' if minimum is None else minimum}..{'' if maximum is None else maximum}"
            self.refuse(f"expected a number in {bounds} at {self.where}, got {value}", reason="yaml-range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Node):
    """A string, number, truth value or null."""

    value: str | int | float | bool | None

    @property
    def kind(self) -> str:
        return "null" if self.value is None else f"{self.value!r}"

    def plain(self) -> Any:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence_(Node):  # noqa: N801 - the underscore keeps it apart from collections.abc
    """A list."""

    items: tuple[Node, ...]

    @property
    def kind(self) -> str:
        return "a list"

    def plain(self) -> Any:
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping_(Node):  # noqa: N801 - the underscore keeps it apart from collections.abc
    """A mapping that knows which of its keys were read."""

    entries: dict[str, tuple[Scalar, Node]]
    taken: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return "a mapping"

    def plain(self) -> Any:
        return {key: value.plain() for key, (_, value) in self.entries.items()}

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        """Every key with its value; for mappings whose keys are names that the author chose."""
        self.taken.update(self.entries)
        return iter([(key, value) for key, (_, value) in self.entries.items()])

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def take(self, key: str) -> Node:
        """The value of a key that must be there."""
        value = self.get(key)
        if value is None:
            at = f" at {self.where}" if self.where else ""
            self.refuse(f"expected the key {key!r}{at}, got none", reason="yaml-missing-key")
        return value

    def get(self, key: str) -> Node | None:
        """The value of a key that may be there."""
        self.taken.add(key)
        entry = self.entries.get(key)
        return None if entry is None else entry[1]

    def finish(self) -> None:
        """Refuse the first key that nobody asked for."""
        for key, (node, _) in self.entries.items():
            if key not in self.taken:
                at = f" at {self.where}" if self.where else ""
                known = sorted(self.taken - set(self.entries)) + sorted(self.taken & set(self.entries))
                node.refuse(
                    f"expected a known key{at}, got {key!r}",
                    reason="yaml-unknown-key",
                    hint=_nearest(key, known) or f"known here: {', '.join(sorted(self.taken)) or 'nothing'}",
                )


def _nearest(value: str, options: list[str]) -> str | None:
    close = difflib.get_close_matches(value, options, n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _resolve(text: str, at: Scalar) -> str | int | float | bool | None:
    """YAML 1.2.2 section 10.3.2, core schema, for a plain scalar."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _DECIMAL.fullmatch(text) or _RADIX.fullmatch(text):
        if len(text) > 20:
            at.refuse("expected an integer of at most 2^53, got a longer one", reason="yaml-number")
        value = int(text, 10) if _DECIMAL.fullmatch(text) else int(text, 0)
        if abs(value) > 2**53:
            at.refuse("expected an integer of at most 2^53, got a larger one", reason="yaml-number")
        return value
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        at.refuse(f"expected a finite number, got {text[:32]}", reason="yaml-number")
    return float(text) if _FLOAT.fullmatch(text) else text


class _Builder:
    """Events to nodes, by recursive descent with a bounded depth."""

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        self._events = yaml.parse(data, Loader=_LOADER)

    def _position(self, event: yaml.Event, where: str) -> dict[str, Any]:
        mark = event.start_mark
        if mark is None:
            return {"source": self._source, "line": 1, "column": 1, "where": where}
        return {"source": self._source, "line": mark.line + 1, "column": mark.column + 1, "where": where}

    def document(self) -> Node:
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            Scalar(value=None, **self._position(start, "")).refuse(
                "expected a document, got nothing", reason="yaml-empty"
            )
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            Scalar(value=None, **self._position(start, "")).refuse(
                "expected no directive, got one", reason="yaml-directive", hint="remove the line that starts with %"
            )
        root = self._node(next(self._events), "", 0)
        next(self._events)
        end = next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            Scalar(value=None, **self._position(end, "")).refuse(
                "expected one document, got several", reason="yaml-documents"
            )
        return root

    def _node(self, event: yaml.Event, where: str, depth: int) -> Node:
        position = self._position(event, where)
        bare = Scalar(value=None, **position)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            bare.refuse(
                "expected a plain value, got an anchor or alias", reason="yaml-anchor", hint="write the value out"
            )
        if (tag := getattr(event, "tag", None)) is not None:
            bare.refuse(f"expected a plain value, got the tag {tag}", reason="yaml-tag", hint="remove the tag")
        if depth > _MAX_DEPTH:
            bare.refuse(f"expected at most {_MAX_DEPTH} levels, got more", reason="yaml-depth")
        if isinstance(event, yaml.ScalarEvent):
            event.value.encode("utf-8")  # the parser in Python, unlike libyaml, lets an escaped lone surrogate through
            return Scalar(value=_resolve(event.value, bare) if event.implicit[0] else event.value, **position)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence_(items=tuple(self._items(where, depth)), **position)
        if not isinstance(event, yaml.MappingStartEvent):
            bare.refuse("expected a value, got none", reason="yaml-syntax")
        return Mapping_(entries=self._entries(where, depth), **position)

    def _items(self, where: str, depth: int) -> Iterator[Node]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, f"{where}[{index}]", depth + 1)
            index += 1

    def _entries(self, where: str, depth: int) -> dict[str, tuple[Scalar, Node]]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, where, depth + 1)
            if not isinstance(key, Scalar) or not isinstance(key.value, str) or key.value == "<<":
                key.refuse(f"expected a string as key, got {key.kind}", reason="yaml-key")
            name = key.value
            if name in entries:
                key.refuse(f'expected unique keys, got "{name}" twice', reason="yaml-duplicate-key")
            child = f"{where}.{name}" if where else name
            entries[name] = (key, self._node(next(self._events), child, depth + 1))
        return entries


def _refuse_hidden(text: str, source: str) -> None:
    """Refuse characters by which a reviewer and the parser would see different lines.

    The parser is one of YAML 1.1 and ends a line, and so a comment, at U+0085, U+2028, U+2029 and a lone carriage
    return; editors and diffs show one line. Format characters (bidirectional, zero width) hide or reorder text.
    """
    for match in _HIDDEN.finditer(text):
        character = match.group()
        if character in _LINE_ENDS or unicodedata.category(character) == "Cf":
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            raise FormatError(
                f"{source}:{line}:{column}: expected text that everybody sees alike, got U+{ord(character):04X}",
                reason="yaml-hidden",
                hint="end lines with a line feed, and leave out invisible characters",
            )


def loads(data: bytes, *, source: str) -> Node:
    """Parse untrusted YAML bytes strictly into nodes that know where they stand.

    Raises:
        FormatError: not one YAML document, or one of the constructions that this module refuses.
    """
    if len(data) > MAX_YAML_BYTES:
        raise FormatError(
            f"{source}: expected at most {MAX_YAML_BYTES} bytes of YAML, got {len(data)}", reason="yaml-size"
        )
    try:
        text = data.decode("utf-8")
        _refuse_hidden(text, source)
        return _Builder(text.encode("utf-8"), source).document()
    except UnicodeError as err:
        raise FormatError(
            f"{source}: expected UTF-8 without lone surrogates, got other bytes", reason="yaml-utf8"
        ) from err
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        at = f"{mark.line + 1}:{mark.column + 1}: " if mark else " "
        line = "".join(text.split("\n")[mark.line : mark.line + 1]) if mark else ""
        tabs = "\t" in line[: len(line) - len(line.lstrip())]
        raise FormatError(
            f"{source}:{at}expected YAML, got an error: {err.problem}",
            reason="yaml-syntax",
            hint="indent with spaces, not with tabs" if tabs else None,
        ) from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise FormatError(f"{source}: expected YAML, got {type(err).__name__}", reason="yaml-syntax") from err
