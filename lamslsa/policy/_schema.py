"""The JSON Schema (draft 2020-12) of what `lamslsa.policy._keys` reads: the same description, in other words.

>>> from lamslsa.policy._keys import Keys
>>> class Point(Keys):
...     across: int
>>> made(Point, title="a point", identifier="https://example.com/point")["required"]
['across']
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from lamslsa.policy._keys import ByKey, Keys, Most, OneOf, Value, Via, is_keys, members, taken_apart

__all__ = ["made"]

_SCALARS: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string", "minLength": 1},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
}


def made(kind: type[Keys], *, title: str, identifier: str) -> dict[str, Any]:
    """The schema of a file that is one mapping."""
    definitions: dict[str, Any] = {}
    root = _mapping(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        "title": title,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    plain, marks = taken_apart(kind)
    metas = [mark for mark in marks if isinstance(mark, Meta)]
    result = next(_marked(marks, definitions), None) or _bare(plain, marks, definitions)
    for meta in metas:
        limits = {"description": meta.description, "minimum": meta.ge, "maximum": meta.le}
        result |= {key: value for key, value in limits.items() if value is not None}
    return result


def _marked(marks: Sequence[Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for mark in marks:
        match mark:
            case Value():
                yield dict(mark.schema)
            case Via():
                yield _schema(mark.kind, definitions)
            case ByKey():
                properties = {key: _schema(value, definitions) for key, value in mark.kinds.items()}
                yield {"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": False}


def _bare(plain: Any, marks: Sequence[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if len(members(plain)) > 1:
        return {"anyOf": [_schema(item, definitions) for item in members(plain)]}
    if is_keys(plain):
        return _reference(plain, definitions)
    origin = get_origin(plain)
    if origin is Literal:
        return {"enum": list(get_args(plain))}
    if origin is tuple:
        return _list(get_args(plain)[0], marks, definitions)
    if origin is dict:
        key, value = get_args(plain)
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": _schema(key, definitions),
            "additionalProperties": _schema(value, definitions),
        }
    return dict(_SCALARS[plain])


def _list(kind: Any, marks: Sequence[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    may_be_empty = any(isinstance(mark, Meta) and mark.min_length == 0 for mark in marks)
    result: dict[str, Any] = {"type": "array", "items": _schema(kind, definitions)}
    if not may_be_empty:
        result["minItems"] = 1
    for mark in marks:
        if isinstance(mark, Most):
            result["maxItems"] = mark.count
    if not is_keys(kind):
        result["uniqueItems"] = True
    return result


def _reference(kind: type[Keys], definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__.removesuffix("Keys")
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _mapping(kind, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _mapping(kind: type[Keys], definitions: dict[str, Any]) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    result: dict[str, Any] = {
        "description": inspect.getdoc(kind) or "",
        "type": "object",
        "properties": {field.encode_name: _schema(field.type, definitions) for field in fields},
        "required": [field.encode_name for field in fields if field.required],
        "additionalProperties": False,
    }
    together = [_together(one_of) for one_of in kind.ONE_OF]
    return result | ({"allOf": together} if together else {})


def _together(one_of: OneOf) -> dict[str, Any]:
    return {"anyOf" if one_of.several else "oneOf": [{"required": [key]} for key in one_of.keys]}
