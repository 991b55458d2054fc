"""The part ``schemas`` of a job file.

<table>:  {format: csv, delimiter, header, trim, nullToken, columns: [{name, type}], label}
          {format: parquet | jsonl | arrow, nullToken, columns, label}
          label: {column, classes: {<text>: <class>}} | {column, type: number} | null
<images>: {format: images, channels, height, width, classes: {<folder>: <class>}}
<texts>:  {format: text, documents: file | line}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import (
    MAX_CLASSES,
    MAX_COLUMNS,
    TABLES,
    TYPES,
    AnySchema,
    Column,
    ColumnType,
    ImageSchema,
    Label,
    Schema,
    TableFormat,
    TextSchema,
)
from lamslsa.measure.declarations import name

__all__ = ["label", "null_token", "schema"]

_DELIMITERS: Final = (",", ";", "\t", "|")
_MAX_PIXELS: Final = 4096


def schema(node: _yaml.Mapping_) -> AnySchema:
    """One schema.

    Raises:
        FormatError: a key is missing, unknown or of another value than it may have.
    """
    form = node.take("format").choice([*TABLES, *_OTHERS])
    declared = _OTHERS[form](node) if form in _OTHERS else _table(node, next(item for item in TABLES if item == form))
    node.finish()
    return declared


def _images(node: _yaml.Mapping_) -> ImageSchema:
    channels = node.take("channels")
    count = channels.integer()
    if count not in (1, 3):
        channels.refuse(f"expected 1 or 3 channels, got {count}", reason="yaml-range")
    return ImageSchema(
        channels=1 if count == 1 else 3,
        height=node.take("height").integer(minimum=1, maximum=_MAX_PIXELS),
        width=node.take("width").integer(minimum=1, maximum=_MAX_PIXELS),
        classes=_classes(node.take("classes").mapping()),
    )


def _text(node: _yaml.Mapping_) -> TextSchema:
    unit = node.take("documents").choice(["file", "line"])
    return TextSchema(documents="file" if unit == "file" else "line")


_OTHERS: Final[Mapping[str, Callable[[_yaml.Mapping_], AnySchema]]] = {"images": _images, "text": _text}


def _table(node: _yaml.Mapping_, form: TableFormat) -> Schema:
    columns_node = node.take("columns")
    columns = tuple(_column(item.mapping()) for item in columns_node.sequence())
    names = [column.name for column in columns]
    if not 2 <= len(columns) <= MAX_COLUMNS:
        columns_node.refuse(f"expected 2 to {MAX_COLUMNS} columns, got {len(columns)}", reason="job-columns")
    if len(set(names)) != len(names):
        twice = next(item for item in names if names.count(item) > 1)
        columns_node.refuse(f"expected unique column names, got {twice!r} twice", reason="job-columns")
    is_csv = form == "csv"
    return Schema(
        delimiter=node.take("delimiter").choice(_DELIMITERS) if is_csv else "",
        header=node.take("header").boolean() if is_csv else False,
        skip_lines=0,
        trim=node.take("trim").boolean() if is_csv else False,
        null_token=null_token(node.take("nullToken")),
        columns=columns,
        label=label(node.take("label"), columns),
        format=form,
    )


def _column(node: _yaml.Mapping_) -> Column:
    column = name(node.take("name"))
    wanted = node.take("type").choice(TYPES)
    kind: ColumnType = next(option for option in TYPES if option == wanted)
    node.finish()
    return Column(name=column, type=kind)


def null_token(node: _yaml.Node) -> str | None:
    """The field that means "missing", or null."""
    if isinstance(node, _yaml.Scalar) and node.value is None:
        return None
    return _printable(node.text(), node)


def _printable(text: str, node: _yaml.Node) -> str:
    if not text.isprintable():
        node.refuse(f"expected printable characters, got {text[:40]!a}", reason="job-text")
    return text


def label(node: _yaml.Node, columns: tuple[Column, ...]) -> Label | None:
    """A label among these columns, or null.

    Raises:
        FormatError: no such column, or one of another type.
    """
    if isinstance(node, _yaml.Scalar) and node.value is None:
        return None
    fields = node.mapping()
    column_node = fields.take("column")
    column = column_node.choice([item.name for item in columns])
    kind = next(item.type for item in columns if item.name == column)
    if "type" in fields:
        fields.take("type").choice(["number"])
        fields.finish()
        if kind not in ("integer", "number"):
            column_node.refuse(
                f"expected a label column of type number, got {column!r} of type {kind}", reason="job-label"
            )
        return Label(column=column, classes=None)
    if kind != "string":
        column_node.refuse(
            f"expected a label column of type string, got {column!r} of type {kind}",
            reason="job-label",
            hint="a label of numbers is declared as {column: …, type: number}" if kind != "boolean" else None,
        )
    classes = _classes(fields.take("classes").mapping())
    fields.finish()
    return Label(column=column, classes=classes)


def _classes(node: _yaml.Mapping_) -> dict[str, int]:
    classes = {_printable(text, value): value.integer(minimum=0, maximum=MAX_CLASSES - 1) for text, value in node}
    found = set(classes.values())
    if len(found) < 2 or found != set(range(len(found))):
        node.refuse("expected texts for every class, 0 and 1 and so on, got others", reason="job-label")
    return classes
