"""A datasheet statement as Croissant JSON-LD.

- ``distribution``: the files, each with its SHA-256; ``recordSet``: the columns of a table. Fields have a source only
  where a reader of Croissant finds the same columns: CSV or TSV with a header and nothing skipped or trimmed, JSON
  Lines, Parquet. Croissant cannot say how other tables are read; ``readAs`` holds the schema in full.
- ``license``, ``description``, ``isBasedOn`` and ``readAs`` are what the owner declares; ``lamslsa:declared`` has their
  names.
- ``measured`` is what the statement says, unchanged; ``additionalProperty`` has the headline numbers for readers that
  know no more than schema.org. Each names the statement by the digest of its bytes.
- There are no dates: nothing that was measured knows one. A document of a dataset without a declared licence or
  description has none, and a reader may warn about that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamslsa import _codec, predicates, statement
from lamslsa.croissant.vocabulary import CONFORMS_TO, CONTEXT, RAI_CONFORMS_TO, RAI_PREFIX
from lamslsa.errors import FormatError
from lamslsa.predicates import Dataset

__all__ = ["to_croissant"]

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.-]+")
_DATA_TYPES: Final = {"integer": "sc:Integer", "number": "sc:Float", "string": "sc:Text", "boolean": "sc:Boolean"}
_FORMATS: Final = {"parquet": "application/x-parquet", "jsonl": "application/jsonlines"}
_SUFFIXES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".txt": "text/plain"}
_RECORDS: Final = "records"
_OTHER: Final = "application/octet-stream"
_NOT_MEASURED: Final = frozenset(
    {"kind", "measurer", "schema", "schemaDigest", "configuration", "files", "environment"}
)
_IN_TOTO: Final = "application/vnd.in-toto+json"


def to_croissant(payload: bytes) -> dict[str, Any]:
    """The Croissant document of a datasheet; nothing is verified here.

    Args:
        payload: the bytes of the statement.

    Raises:
        FormatError: not a statement, or one that is no datasheet.
    """
    parsed = statement.parse(payload)
    sheet = predicates.parse(parsed)
    if not isinstance(sheet, Dataset):
        raise FormatError(
            f"expected a datasheet, got a statement of type {parsed.predicate_type[:120]!a}",
            reason="croissant-no-datasheet",
            hint="a datasheet is what 'lamslsa attest dataset' writes",
        )
    (subject,) = parsed.subjects
    wire = _codec.loads(_codec.dumps(predicates.to_wire(sheet)))
    reference = {"@id": f"urn:sha256:{parsed.sha256}"}
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": subject.name,
        "conformsTo": [CONFORMS_TO, RAI_CONFORMS_TO] if _is_responsible(sheet) else CONFORMS_TO,
        "identifier": f"sha256:{subject.sha256}",
        **_declared(sheet),
        "distribution": list(_files(sheet)),
        **_record_set(sheet),
        "readAs": wire["schema"],
        "subjectOf": {
            **reference,
            "@type": "sc:DigitalDocument",
            "name": "datasheet",
            "encodingFormat": _IN_TOTO,
            "sha256": parsed.sha256,
            "additionalType": parsed.predicate_type,
        },
        "additionalProperty": [
            {
                "@type": "sc:PropertyValue",
                "name": name,
                "value": value,
                "measurementTechnique": str(sheet.measurer),
                "subjectOf": reference,
            }
            for name, value in _headlines(sheet)
        ],
        "measured": {key: value for key, value in wire.items() if key not in _NOT_MEASURED | {"declared"}},
    }


def _declared(sheet: Dataset) -> dict[str, Any]:
    said = {} if sheet.declared is None else predicates.to_wire(sheet.declared)
    responsible = {f"{RAI_PREFIX}{key}": text for key, text in said.pop("responsible", {}).items()}
    named = {"isBasedOn" if key == "source" else key: value for key, value in said.items()} | responsible
    return {**named, "lamslsa:declared": [*sorted(named), "readAs"]}


def _is_responsible(sheet: Dataset) -> bool:
    return sheet.declared is not None and bool(sheet.declared.responsible)


def _files(sheet: Dataset) -> Iterator[dict[str, Any]]:
    for file in sheet.files:
        yield {
            "@type": "cr:FileObject",
            "@id": _file_id(sheet, file.path),
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": _format(sheet.schema, file.path),
            "sha256": file.digest.sha256,
        }


def _file_id(sheet: Dataset, path: str) -> str:
    """The path where it can be an identifier, else its place in the list."""
    if _PLAIN_ID.fullmatch(path) and path != _RECORDS and not path.startswith("file-"):
        return path
    return f"file-{[file.path for file in sheet.files].index(path)}"


def _format(schema: Mapping[str, Any], path: str) -> str:
    if schema.get("format") == "csv":
        return "text/tab-separated-values" if schema.get("delimiter") == "\t" else "text/csv"
    known = _FORMATS.get(str(schema.get("format")))
    return known or next((kind for end, kind in _SUFFIXES.items() if path.lower().endswith(end)), _OTHER)


def _record_set(sheet: Dataset) -> dict[str, Any]:
    columns = sheet.schema.get("columns")
    if not isinstance(columns, list):
        return {}
    readable = _readable(sheet.schema) and len(sheet.files) == 1
    fields = []
    for index, column in enumerate(columns):
        name = column["name"]
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{_RECORDS}/{_local_id(name, index)}",
            "name": name,
            "dataType": _DATA_TYPES[column["type"]],
        }
        if readable:
            file = {"@id": _file_id(sheet, sheet.files[0].path)}
            field["source"] = {"fileObject": file, "extract": {"column": name}}
        fields.append(field)
    return {"recordSet": [{"@type": "cr:RecordSet", "@id": _RECORDS, "name": _RECORDS, "field": fields}]}


def _local_id(name: str, index: int) -> str:
    """The name where it can be an identifier that no position is mistaken for, else the position."""
    is_plain = _PLAIN_ID.fullmatch(name) and not name.startswith("column-")
    return name if is_plain else f"column-{index}"


def _readable(schema: Mapping[str, Any]) -> bool:
    """Whether a reader of Croissant finds the columns that the schema says: it has no words for another CSV."""
    if schema["format"] == "csv":
        layout = (schema["header"], schema["skipLines"], schema["trim"])
        return layout == (True, 0, False) and schema["delimiter"] in (",", "\t")
    return schema["format"] in _FORMATS


def _headlines(sheet: Dataset) -> Iterator[tuple[str, int | float | bool]]:
    yield "rows", sheet.rows
    if sheet.duplicates is not None:
        yield "duplicate rows", sheet.duplicates.rows
    for column in sheet.columns:
        if column.missing is not None:
            yield f"missing in {column.name}", column.missing
    for overlap in sheet.overlaps:
        yield f"rows shared with {overlap.dataset.name}", overlap.rows
    for anonymity in sheet.anonymity:
        yield f"k-anonymity over {', '.join(anonymity.quasi_identifiers)}", anonymity.smallest_class
    for share in sheet.shares:
        group = ", ".join(f"{key}={value}" for key, value in share.where.items())
        yield f"share of {group} at least {share.at_least}", share.holds
