r"""From YAML nodes to the structures that describe a file: one description, read strictly.

Rules:
- A mapping is described by a `Keys`: its fields are its keys, in camelCase, and nothing else may stand there.
- A list has one item at least, and none twice; a mapping of names has one entry at least.
- Every `Keys` knows its node, and so does each of its fields (`Keys.at`): what is only found out later still names line
  and column.
- The same description yields the JSON Schema (`lamslsa.policy._schema`).

>>> from lamslsa import _yaml
>>> class Point(Keys):
...     across: int
...     note: str | None = None
>>> read(Point, _yaml.loads(b"across: 3", source="p.yaml")).across
3
>>> read(Point, _yaml.loads(b"across: 3\nnoet: x", source="p.yaml"))
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: p.yaml:2:1: expected a known key, got 'noet'
"""

from __future__ import annotations

import difflib
import functools
import json
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta

from lamslsa._yaml import Mapping_, Node, Sequence_

__all__ = [
    "ByKey",
    "Keys",
    "Most",
    "OneOf",
    "Value",
    "Via",
    "is_keys",
    "members",
    "read",
    "taken_apart",
]

K = TypeVar("K", bound="Keys")


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Of a type: how its value is read, and what JSON Schema says the same."""

    read: Callable[[Node], Any]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Via:
    """Of a type: read as ``kind``, and then made into what the type says."""

    kind: Any
    convert: Callable[[Any, Node], Any]


@dataclass(frozen=True, slots=True, eq=False)
class ByKey:
    """Of a mapping: the keys that it may have, each with the type of its value; at least one of them is there."""

    kinds: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Most:
    """Of a list: how many items it may have."""

    count: int
    what: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """Of a mapping: keys of which exactly one has to be there, or with ``several`` one at least.

    As an annotation of a union of `Keys` it leaves ``keys`` empty: those are the `Keys.MARK` of its members.
    """

    reason: str
    keys: tuple[str, ...] = ()
    several: bool = False
    hint: str | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True, rename="camel", dict=True):
    """A mapping of the file.

    Attributes:
        MARK: the key by which this mapping is told from the others that may stand in its place.
        ONE_OF: which of its keys go together.
    """

    MARK: ClassVar[str] = ""
    ONE_OF: ClassVar[tuple[OneOf, ...]] = ()

    @property
    def node(self) -> Mapping_:
        """Where this mapping stands."""
        return cast("Mapping_", self.__dict__["node"])

    def at(self, field: str) -> Node:
        """Where the value of a field stands; the mapping, where the file does not have it."""
        entry = self.node.entries.get(_names(type(self))[field])
        return self.node if entry is None else entry[1]


@functools.cache
def _fields(keys: type[Keys]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(keys)


@functools.cache
def _names(keys: type[Keys]) -> dict[str, str]:
    return {field.name: field.encode_name for field in _fields(keys)}


def taken_apart(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what it is annotated with; without the None of a key that may be left out."""
    marks: tuple[Any, ...] = ()
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            marks += tuple(more)
            continue
        if members(kind) == (kind,) or len(members(kind)) > 1:
            return kind, marks
        (kind,) = members(kind)


def members(kind: Any) -> tuple[Any, ...]:
    """The types of a union, without None; or the one type that it is."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return (kind,)
    return tuple(item for item in get_args(kind) if item is not type(None))


def is_keys(kind: Any) -> bool:
    """Whether this type is a mapping, or a union of mappings, that is described by `Keys`."""
    return all(isinstance(item, type) and issubclass(item, Keys) for item in members(taken_apart(kind)[0]))


def read(kind: Any, node: Node) -> Any:
    """The value of a node, which has to be of this type.

    Raises:
        FormatError: with line and column.
    """
    plain, marks = taken_apart(kind)
    for mark in marks:
        match mark:
            case Value():
                return mark.read(node)
            case Via():
                return mark.convert(read(mark.kind, node), node)
            case ByKey():
                return _by_key(mark, node)
    if len(members(plain)) > 1:
        return read(_chosen(members(plain), marks, node), node)
    return _keys(plain, node) if is_keys(plain) else _bare(plain, marks, node)


def _bare(plain: Any, marks: Sequence[Any], node: Node) -> Any:
    """The value of a node of a type that is built in."""
    origin = get_origin(plain)
    if origin is Literal:
        return node.choice(get_args(plain))
    if origin is tuple:
        return _items(get_args(plain)[0], marks, node)
    if origin is dict:
        key, value = get_args(plain)
        return _entries(key, value, node)
    return _SCALARS[plain](node, _limits(marks))


_SCALARS: Final[Mapping[Any, Callable[[Node, Mapping[str, Any]], Any]]] = {
    str: lambda node, _: node.string(),
    bool: lambda node, _: node.boolean(),
    int: lambda node, limits: node.integer(**limits),
    float: lambda node, limits: node.number(**limits),
}


def _limits(marks: Sequence[Any]) -> Mapping[str, Any]:
    found = [mark for mark in marks if isinstance(mark, Meta)]
    least = [mark.ge for mark in found if mark.ge is not None]
    most = [mark.le for mark in found if mark.le is not None]
    return {"minimum": least[0] if least else None, "maximum": most[0] if most else None}


def _keys(kind: type[K], node: Node) -> K:
    """1. Every key that has to be there is. 2. No other key is. 3. The keys that go together do."""
    mapping = node.mapping()
    fields = _fields(kind)
    values = {}
    for field in fields:
        if field.required and field.encode_name not in mapping:
            _refuse_misspelt(mapping, field.encode_name, [item.encode_name for item in fields])
        value = mapping.take(field.encode_name) if field.required else mapping.get(field.encode_name)  # (1)
        if value is not None:
            values[field.name] = read(field.type, value)
    mapping.finish()  # (2)
    for one_of in kind.ONE_OF:  # (3)
        found = [key for key in one_of.keys if key in mapping]
        if not found if one_of.several else len(found) != 1:
            _refuse_number(mapping, one_of.keys, found, one_of)
    result = kind(**values)
    result.__dict__["node"] = mapping
    return result


def _refuse_misspelt(mapping: Mapping_, missing: str, known: Sequence[str]) -> None:
    """A key that is missing because it was misspelt is named where it stands."""
    unknown = [key for key in mapping.entries if key not in known]
    if difflib.get_close_matches(missing, unknown, n=1):
        mapping.taken.update(known)
        mapping.finish()


def _refuse_number(mapping: Mapping_, keys: Sequence[str], found: Sequence[str], one_of: OneOf) -> None:
    if one_of.several:
        expected = " or ".join(keys) if len(keys) == 2 else f"{', '.join(keys)} or some of them"
        got = "neither" if len(keys) == 2 else "none"
    elif len(keys) == 2:
        expected, got = f"either {' or '.join(keys)}", "both" if found else "neither"
    else:
        expected, got = f"exactly one of {', '.join(keys)}", " and ".join(found) or "none"
    hint = one_of.hint or (None if found else _misspelt(mapping, keys))
    mapping.refuse(f"expected {expected} at {mapping.where}, got {got}", reason=one_of.reason, hint=hint)


def _misspelt(mapping: Mapping_, keys: Sequence[str]) -> str | None:
    for key in keys:
        for there in difflib.get_close_matches(key, mapping.entries, n=1):
            return f"did you mean {key!r} where {there!r} stands?"
    return None


def _chosen(kinds: Sequence[Any], marks: Sequence[Any], node: Node) -> Any:
    """Which of several types a node is meant to be: a mapping by its key, everything else by its kind."""
    mappings = [kind for kind in kinds if is_keys(kind)]
    others = [kind for kind in kinds if not is_keys(kind)]
    if not mappings or (others and not isinstance(node, Mapping_)):
        lists = [kind for kind in others if get_origin(taken_apart(kind)[0]) is tuple]
        return lists[0] if lists and isinstance(node, Sequence_) else others[0]
    if len(mappings) == 1:
        return mappings[0]
    mapping = node.mapping()
    marked = {kind.MARK: kind for kind in mappings if kind.MARK}
    found = [key for key in marked if key in mapping]
    unmarked = [kind for kind in mappings if not kind.MARK]
    if len(found) != 1 and not (unmarked and not found):
        one_of = next(mark for mark in marks if isinstance(mark, OneOf))
        _refuse_number(mapping, list(marked), found, one_of)
    return marked[found[0]] if found else unmarked[0]


def _items(kind: Any, marks: Sequence[Any], node: Node) -> tuple[Any, ...]:
    items = node.sequence(empty=any(isinstance(mark, Meta) and mark.min_length == 0 for mark in marks))
    for mark in marks:
        if isinstance(mark, Most) and len(items) > mark.count:
            node.refuse(f"expected at most {mark.count} {mark.what}, got {len(items)}", reason=mark.reason)
    result: list[Any] = []
    seen: set[Hashable] = set()
    for item in items:
        value = read(kind, item)
        if not is_keys(kind):
            spelled = value if isinstance(value, str) else json.dumps(item.plain(), sort_keys=True)
            if spelled in seen:
                item.refuse(f"expected each entry once at {node.where}, got one twice", reason="policy-duplicate")
            seen.add(spelled)
        result.append(value)
    return tuple(result)


def _some(node: Node) -> Mapping_:
    mapping = node.mapping()
    if not mapping.entries:
        mapping.refuse(f"expected at least one entry at {mapping.where}, got none", reason="yaml-empty")
    return mapping


def _entries(key_kind: Any, kind: Any, node: Node) -> dict[str, Any]:
    mapping = _some(node)
    return {read(key_kind, mapping.entries[key][0]): read(kind, value) for key, value in mapping}


def _by_key(by_key: ByKey, node: Node) -> dict[str, Any]:
    mapping = _some(node)
    return {key: read(by_key.kinds[mapping.entries[key][0].choice(by_key.kinds)], value) for key, value in mapping}
