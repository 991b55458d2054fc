"""Croissant JSON-LD as parts of a job file: what its author declares, and nothing else.

Rules:
- Strict JSON, the terms of Croissant's own context and no others: with another context the same keys would mean
  something else. No URL is opened, no ``contentUrl`` fetched, no JSON-LD processed.
- A record set becomes a schema if every field of it is a column of one CSV, TSV, JSON Lines or Parquet file and is
  read unchanged; what it is not is said, never guessed.
- Croissant does not say which field means "missing", and what is to be predicted. For CSV the empty field is taken,
  as its readers do; a label is for whoever measures. What was taken stands in ``assumed``.
- A document that lamslsa exported holds the schema in full; it is taken where it agrees with the record set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from lamslsa import _codec
from lamslsa.croissant.vocabulary import KNOWN_TERMS, RAI_PREFIX, TYPES, VERSIONS
from lamslsa.errors import FormatError

__all__ = ["MAX_DOCUMENT_BYTES", "Imported", "Table", "read_croissant"]

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_MAX_NAME: Final = 128
_MAX_TEXT: Final = 4096
_MAX_COLUMNS: Final = 2048
_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "text/csv": ("csv", ","),
    "text/tab-separated-values": ("csv", "\t"),
    "application/jsonlines": ("jsonl", ""),
    "application/x-ndjson": ("jsonl", ""),
    "application/x-parquet": ("parquet", ""),
    "application/vnd.apache.parquet": ("parquet", ""),
}
_DATASET: Final = frozenset({"sc:Dataset", "Dataset", "schema:Dataset", "https://schema.org/Dataset"})
_FILE: Final = frozenset({"cr:FileObject", "FileObject"})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHANGES: Final = ("transform", "format", "regex", "separator", "replace", "jsonPath")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A record set as a schema of a job file.

    Attributes:
        schema: as `lamslsa.measure.data.schema.Schema.resolved` gives it, ``skipLines`` included where it is CSV.
        file: the name of the file, and ``sha256`` what its author says of it; None if nothing.
        assumed: what Croissant does not say and was taken.
    """

    name: str
    schema: Mapping[str, Any]
    file: str
    sha256: str | None
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a document declares.

    Attributes:
        declared: ``license``, ``source`` and ``description``, those that it has.
        responsible: what it says in the vocabulary of responsible AI, by property.
        left_out: what was not taken, and why.
    """

    name: str
    tables: tuple[Table, ...]
    declared: Mapping[str, str]
    responsible: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_croissant(data: bytes) -> Imported:
    """Read a document.

    Raises:
        FormatError: not strict JSON, not Croissant 1.0 or 1.1, or of another context.
    """
    document = _codec.loads(data, max_bytes=MAX_DOCUMENT_BYTES)
    if not isinstance(document, dict) or not _is_of(document, _DATASET):
        _refuse("a JSON object of type sc:Dataset, got another", "croissant-type")
    _refuse_context(document.get("@context"))
    versions = {text.replace("https://", "http://", 1) for text in _texts(document, "conformsTo", "dct:conformsTo")}
    if not versions & VERSIONS:
        _refuse(f"Croissant 1.0 or 1.1, got {', '.join(sorted(versions)) or 'none'!a:.120}", "croissant-version")
    name = _language(document.get("name"))
    if name is None:
        _refuse("a name, got none", "croissant-name")
    files = {
        item["@id"]: item
        for item in _objects(document, "distribution")
        if isinstance(item.get("@id"), str) and _is_of(item, _FILE)
    }
    tables, left_out = [], []
    for record_set in _objects(document, "recordSet"):
        try:
            tables.append(_table(record_set, files, document))
        except _UnfitError as err:
            left_out.append(f"record set {_short(record_set.get('@id'))}: {err}")
    responsible = {
        key.removeprefix(RAI_PREFIX): _short("; ".join(_texts(document, key)), _MAX_TEXT)
        for key in sorted(document)
        if key.startswith(RAI_PREFIX) and _texts(document, key)
    }
    return Imported(
        name=_short(name, _MAX_NAME),
        tables=tuple(tables),
        declared=_declared(document),
        responsible=responsible,
        left_out=tuple(left_out),
    )


def _refuse(what: str, reason: str) -> NoReturn:
    raise FormatError(f"expected {what}", reason=reason, hint="name a Croissant file (JSON-LD)")


def _refuse_context(context: Any) -> None:
    if not isinstance(context, dict):
        _refuse("the context of Croissant written out, got another", "croissant-context")
    for term, meaning in context.items():
        if term not in KNOWN_TERMS or (meaning != KNOWN_TERMS[term] and term != "@language"):
            _refuse(f"the context of Croissant, got another meaning of {term!a:.80}", "croissant-context")
    for term in ("@vocab", "cr", "sc", "recordSet", "field", "source", "extract", "column", "dataType"):
        if term not in context:
            _refuse(f"the context of Croissant, got none of {term}", "croissant-context")


def _is_of(value: Mapping[str, Any], kinds: frozenset[str]) -> bool:
    kind = value.get("@type")
    return isinstance(kind, str) and kind in kinds


def _objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = value.get(key, [])
    return [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]


def _texts(value: Mapping[str, Any], *keys: str) -> list[str]:
    """The texts of a property; of an object its address or name."""
    found: list[str] = []
    for key in keys:
        raw = value.get(key, [])
        for item in raw if isinstance(raw, list) else [raw]:
            named = (item.get("url") or item.get("@id") or item.get("name")) if isinstance(item, dict) else item
            if isinstance(named, str) and named:
                found.append(named)
    return found


def _language(value: Any) -> str | None:
    """A text, or of one in several languages the English one, or the first by language."""
    if isinstance(value, dict):
        texts = {key: text for key, text in sorted(value.items()) if isinstance(text, str)}
        value = texts.get("en") or next(iter(texts.values()), None)
    return value if isinstance(value, str) and value else None


def _short(value: Any, limit: int = 80) -> str:
    text = value if isinstance(value, str) else "?"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)[:limit]


def _declared(document: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "license": ", ".join(_texts(document, "license")),
        "source": ", ".join(_texts(document, "isBasedOn") or _texts(document, "url")),
        "description": _language(document.get("description")) or "",
    }
    return {key: _short(text, _MAX_TEXT) for key, text in found.items() if text}


class _UnfitError(Exception):
    """Why a record set is no table."""


def _table(record_set: Mapping[str, Any], files: Mapping[str, Any], document: Mapping[str, Any]) -> Table:
    """The schema of a record set.

    Raises:
        _UnfitError: it has none.
    """
    fields = _objects(record_set, "field")
    if not 2 <= len(fields) <= _MAX_COLUMNS:
        raise _UnfitError(f"it has {len(fields)} fields, and a table 2 to {_MAX_COLUMNS}")
    own = _own_schema(document, fields)
    found = [_column(item) for item in fields]
    columns = [column for column, _ in found]
    if len({column["name"] for column in columns}) != len(columns):
        raise _UnfitError("two fields read one column")
    file = _file({source for _, source in found}, files, only=own is not None)
    schema, assumed = (own, ()) if own is not None else _schema(file, columns)
    sha256 = file.get("sha256")
    return Table(
        name=_short(record_set.get("name") or record_set.get("@id"), _MAX_NAME),
        schema=schema,
        file=_short(file.get("contentUrl") or file.get("name"), 1024),
        sha256=sha256 if isinstance(sha256, str) and _DIGEST.fullmatch(sha256) else None,
        assumed=assumed,
    )


def _file(sources: set[str | None], files: Mapping[str, Any], *, only: bool) -> Mapping[str, Any]:
    """The one file of the fields; where ``only``, that of the document is enough."""
    ids = sources if None not in sources else set(files) if only else set()
    if len(ids) != 1 or not ids <= set(files):
        raise _UnfitError("its fields are not columns of one file")
    file: Mapping[str, Any] = files[str(*ids)]
    if "containedIn" in file:
        raise _UnfitError("its file lies in an archive")
    return file


def _column(item: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """A column and the file that it is in."""
    label = _short(item.get("@id"))
    kinds = [TYPES[kind] for kind in _texts(item, "dataType") if kind in TYPES]
    if len(set(kinds)) != 1:
        raise _UnfitError(f"field {label} has no type that a column can have")
    if any(key in item for key in ("subField", "repeated", "isArray", "parentField")):
        raise _UnfitError(f"field {label} is no single value")
    source = item.get("source")
    if source is None:
        name, file = _language(item.get("name")), None
    elif isinstance(source, dict) and isinstance(source.get("extract"), dict):
        if any(key in source or key in source["extract"] for key in _CHANGES):
            raise _UnfitError(f"field {label} is not read unchanged")
        name, file = source["extract"].get("column"), _reference(source.get("fileObject"))
    else:
        raise _UnfitError(f"field {label} is no column")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise _UnfitError(f"field {label} has no name that a column can have")
    return {"name": name, "type": kinds[0]}, file


def _reference(value: Any) -> str | None:
    found = value.get("@id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _schema(file: Mapping[str, Any], columns: list[dict[str, str]]) -> tuple[dict[str, Any], tuple[str, ...]]:
    known = next((_FORMATS[kind] for kind in _texts(file, "encodingFormat") if kind in _FORMATS), None)
    if known is None:
        raise _UnfitError(f"its file is of format {_short(file.get('encodingFormat'))}")
    form, delimiter = known
    rest = {"columns": columns, "label": None}
    if form != "csv":
        return {"format": form, "nullToken": None, **rest}, ("label: null",)
    layout = {"delimiter": delimiter, "header": True, "skipLines": 0, "trim": False}
    return {"format": form, **layout, "nullToken": "", **rest}, ('nullToken: ""', "trim: false", "label: null")


def _own_schema(document: Mapping[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The schema that lamslsa wrote beside the record set, if both say the same columns."""
    schema = document.get("readAs")
    if not isinstance(schema, dict) or "readAs" not in document["@context"]:
        return None
    said = [(item.get("name"), [TYPES.get(kind) for kind in _texts(item, "dataType")]) for item in fields]
    columns = schema.get("columns")
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        return None
    return schema if said == [(column.get("name"), [column.get("type")]) for column in columns] else None
