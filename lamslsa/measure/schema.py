"""The declared schema of a table: how bytes become rows, with nothing left to guess.

Rules:
- The schema is written by whoever owns the data, never sniffed from it; a datasheet holds it in full, and its digest
  stands wherever the dataset is named, since the same bytes under another schema are other rows.
- The label is a string column whose texts are mapped to the classes 0 and 1; every text that occurs must be mapped.

>>> label = Label(column="income", classes={"<=50K": 0, ">50K": 1})
>>> schema = Schema(delimiter=",", header=False, skip_lines=0, trim=True, null_token="?", label=label,
...     columns=(Column(name="age", type="integer"), Column(name="income", type="string")))
>>> [column.name for column in schema.features]
['age']
>>> schema.resolved()["skipLines"]
0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lamslsa import predicates

__all__ = ["MAX_COLUMNS", "TYPES", "Column", "ColumnType", "Label", "Schema"]

ColumnType = Literal["integer", "number", "string", "boolean"]

TYPES: Final[tuple[ColumnType, ...]] = ("integer", "number", "string", "boolean")
MAX_COLUMNS: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared column."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The column that a model predicts, and the class of each of its texts."""

    column: str
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema with everything resolved; format ``csv`` is defined in `lamslsa.measure.table`.

    Attributes:
        skip_lines: lines at the top that are no records.
        trim: whether spaces and tabs around a field are no part of it.
        null_token: the field that means "missing", compared after trimming; None if no field does.
    """

    delimiter: str
    header: bool
    skip_lines: int
    trim: bool
    null_token: str | None
    columns: tuple[Column, ...]
    label: Label

    @property
    def features(self) -> tuple[Column, ...]:
        """Every column but the label, in the order declared."""
        return tuple(column for column in self.columns if column.name != self.label.column)

    def position(self, name: str) -> int:
        """The index of a declared column; a KeyError for any other name is a bug of the caller."""
        for index, column in enumerate(self.columns):
            if column.name == name:
                return index
        raise KeyError(name)

    def resolved(self) -> dict[str, Any]:
        """The schema as it stands in a datasheet: plain JSON values without fractions."""
        return {
            "format": "csv",
            "delimiter": self.delimiter,
            "header": self.header,
            "skipLines": self.skip_lines,
            "trim": self.trim,
            "nullToken": self.null_token,
            "columns": [{"name": column.name, "type": column.type} for column in self.columns],
            "label": {"column": self.label.column, "classes": dict(self.label.classes)},
        }

    @property
    def sha256(self) -> str:
        """Digest of the resolved schema, lower-case hexadecimal."""
        return predicates.configuration_digest(self.resolved())
