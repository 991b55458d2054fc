"""The declared schema of a dataset: how bytes become rows, images or texts, with nothing left to guess.

Rules:
- The schema is written by whoever owns the data, never sniffed from it; a datasheet holds it in full, and its digest
  stands wherever the dataset is named, since the same bytes under another schema are other rows.
- A label of classes maps every text that occurs to a class, 0 to K - 1; a label of numbers is a number in every row.

>>> label = Label(column="income", classes={"<=50K": 0, ">50K": 1})
>>> schema = Schema(delimiter=",", header=False, skip_lines=0, trim=True, null_token="?", label=label,
...     columns=(Column(name="age", type="integer"), Column(name="income", type="string")))
>>> [column.name for column in schema.features], str(schema.target.task)
(['age'], 'binary')
>>> schema.resolved()["skipLines"]
0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lamslsa import predicates
from lamslsa.errors import FormatError

__all__ = [
    "MAX_CLASSES",
    "MAX_COLUMNS",
    "TABLES",
    "TYPES",
    "AnySchema",
    "Column",
    "ColumnType",
    "ImageSchema",
    "Label",
    "Schema",
    "TableFormat",
    "Task",
    "TextSchema",
]

ColumnType = Literal["integer", "number", "string", "boolean"]
TableFormat = Literal["csv", "parquet", "jsonl", "arrow"]

TYPES: Final[tuple[ColumnType, ...]] = ("integer", "number", "string", "boolean")
TABLES: Final[tuple[TableFormat, ...]] = ("csv", "parquet", "jsonl", "arrow")
MAX_COLUMNS: Final = 2048
MAX_CLASSES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model says about a row: a class, or a number.

    >>> str(Task(classes=2)), str(Task(classes=10)), str(Task(classes=None))
    ('binary', 'multiclass', 'regression')
    """

    classes: int | None

    def __str__(self) -> str:
        if self.classes is None:
            return "regression"
        return "binary" if self.classes == 2 else "multiclass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The column that a model predicts.

    Attributes:
        classes: the class of each text; None where the label is a number.
    """

    column: str
    classes: Mapping[str, int] | None

    @property
    def task(self) -> Task:
        """What a model of this label does."""
        return Task(classes=None if self.classes is None else max(self.classes.values()) + 1)

    def resolved(self) -> dict[str, Any]:
        """The label as it stands in a datasheet."""
        if self.classes is None:
            return {"column": self.column, "type": "number"}
        return {"column": self.column, "classes": dict(self.classes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared column."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The schema of a table, with everything resolved; `lamslsa.measure.data.table` defines the formats.

    Attributes:
        delimiter: of CSV, as are ``header``, ``skip_lines`` and ``trim``; the other formats have none of them.
        skip_lines: lines at the top that are no records.
        trim: whether spaces and tabs around a field are no part of it.
        null_token: the field that means "missing", compared after trimming; None if no field does.
        label: None where nothing is to be predicted.
    """

    delimiter: str
    header: bool
    skip_lines: int
    trim: bool
    null_token: str | None
    columns: tuple[Column, ...]
    label: Label | None
    format: TableFormat = "csv"

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that read such data."""
        return ("duckdb", "numpy", "pyarrow") if self.format in ("arrow", "jsonl") else ("duckdb", "numpy")

    @property
    def features(self) -> tuple[Column, ...]:
        """Every column but the label, in the order declared."""
        return tuple(column for column in self.columns if self.label is None or column.name != self.label.column)

    @property
    def target(self) -> Label:
        """The label.

        Raises:
            FormatError: the schema has none.
        """
        if self.label is None:
            raise FormatError("expected a dataset with a label, got one without", reason="schema-no-label")
        return self.label

    def as_table(self, name: str) -> Schema:
        """This schema."""
        del name
        return self

    def comparable(self, other: AnySchema) -> bool:
        """Whether rows of the two can be compared: the same feature columns and types, in whatever format."""
        return isinstance(other, Schema) and other.features == self.features

    def position(self, name: str) -> int:
        """The index of a declared column; a KeyError for any other name is a bug of the caller."""
        for index, column in enumerate(self.columns):
            if column.name == name:
                return index
        raise KeyError(name)

    def resolved(self) -> dict[str, Any]:
        """The schema as it stands in a datasheet: plain JSON values without fractions."""
        layout = {
            "delimiter": self.delimiter,
            "header": self.header,
            "skipLines": self.skip_lines,
            "trim": self.trim,
        }
        return {
            "format": self.format,
            **(layout if self.format == "csv" else {}),
            "nullToken": self.null_token,
            "columns": [{"name": column.name, "type": column.type} for column in self.columns],
            "label": None if self.label is None else self.label.resolved(),
        }

    @property
    def sha256(self) -> str:
        """Digest of the resolved schema, lower-case hexadecimal."""
        return predicates.configuration_digest(self.resolved())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSchema:
    """A folder of images, one folder for each class: ``<folder>/<anything>.png``.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        height: of every image, in pixels, as is ``width``; nothing is resized.
        classes: folder to class.
    """

    channels: Literal[1, 3]
    height: int
    width: int
    classes: Mapping[str, int]

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that read such data."""
        return ("numpy", "pillow")

    @property
    def label(self) -> Label:
        """The folder."""
        return Label(column="folder", classes=self.classes)

    @property
    def target(self) -> Label:
        """The folder."""
        return self.label

    def comparable(self, other: AnySchema) -> bool:
        """Whether images of the two can be compared: the same shape."""
        return isinstance(other, ImageSchema) and (self.channels, self.height, self.width) == (
            other.channels,
            other.height,
            other.width,
        )

    def as_table(self, name: str) -> Schema:
        """Refuse: images are no table.

        Raises:
            FormatError: always.
        """
        raise FormatError(f"expected a table as {name[:80]!r}, got images", reason="schema-not-a-table")

    def resolved(self) -> dict[str, Any]:
        """The schema as it stands in a datasheet."""
        return {
            "format": "images",
            "channels": self.channels,
            "height": self.height,
            "width": self.width,
            "classes": dict(self.classes),
        }

    @property
    def sha256(self) -> str:
        """Digest of the resolved schema, lower-case hexadecimal."""
        return predicates.configuration_digest(self.resolved())


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSchema:
    """Files of UTF-8 text without a label.

    Attributes:
        documents: whether a document is a file or a line of one.
    """

    documents: Literal["file", "line"]

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that read such data: none."""
        return ()

    @property
    def label(self) -> None:
        """There is none."""
        return

    def comparable(self, other: AnySchema) -> bool:
        """Whether documents of the two can be compared: if they are the same kind of document."""
        return self == other

    @property
    def target(self) -> Label:
        """Refuse: texts have no label; a column of a table has.

        Raises:
            FormatError: always.
        """
        raise FormatError("expected a dataset with a label, got plain texts", reason="schema-no-label")

    def as_table(self, name: str) -> Schema:
        """Refuse: texts are no table.

        Raises:
            FormatError: always.
        """
        raise FormatError(f"expected a table as {name[:80]!r}, got texts", reason="schema-not-a-table")

    def resolved(self) -> dict[str, Any]:
        """The schema as it stands in a datasheet."""
        return {"format": "text", "documents": self.documents}

    @property
    def sha256(self) -> str:
        """Digest of the resolved schema, lower-case hexadecimal."""
        return predicates.configuration_digest(self.resolved())


AnySchema = Schema | ImageSchema | TextSchema
