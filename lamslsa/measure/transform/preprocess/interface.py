"""What the steps of ``preprocess/1`` share.

A transform works on *parts*: there is one, ``all``, until a split makes several. A step applies to every part alike;
what it learns from rows it learns from one named part, so that nobody has to guess whether a value was learned from
rows that a model is tested on later.

Steps are declared against `Columns`, the names and types that are known before any row is read, and run on `Frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import MAX_COLUMNS, Column, ColumnType
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.transform.preprocess.frame import Frame, Workspace

__all__ = ["WHOLE", "Applied", "Frames", "Known", "Step", "columns_of", "constant", "printable", "refuse_text"]

WHOLE: Final = "all"
MAX_TEXT: Final = 1024

Frames = Mapping[str, Frame]


@dataclass(kw_only=True)
class Known:
    """What is known of the rows at one point among the steps, before any row is read.

    Attributes:
        columns: names and types, in order.
        parts: the parts, in order.
        scope: the datasets of the job.
        joined: the datasets that were joined so far.
        apart: columns taken apart by one-hot encoding with learned categories: still named here, as a whole, since
            the names of what they became are not known before rows are read.
    """

    columns: tuple[Column, ...]
    scope: Scope
    parts: tuple[str, ...] = (WHOLE,)
    joined: list[DatasetJob] = field(default_factory=list)
    apart: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def column(self, node: _yaml.Node, *types: ColumnType) -> Column:
        """The column that a node names, of one of ``types`` if any are given.

        Raises:
            FormatError: there is no such column at this step, or it has another type.
        """
        wanted = node.choice(self.names)
        if wanted in self.apart:
            node.refuse(
                f"expected a column with values, got {wanted!a:.80}, which was taken apart", reason="preprocess-type"
            )
        found = self.named(wanted)
        if types and found.type not in types:
            node.refuse(
                f"expected a column of type {' or '.join(types)}, got {wanted!r}, which is {found.type}",
                reason="preprocess-type",
            )
        return found

    def named(self, wanted: str) -> Column:
        """The column of that name, which is there."""
        return next(column for column in self.columns if column.name == wanted)

    def part(self, node: _yaml.Node) -> str:
        """The part that a node names."""
        return node.choice(self.parts)

    def retype(self, node: _yaml.Node, wanted: str, kind: ColumnType) -> None:
        """Go on with one column of another type."""
        self.replace(node, [Column(name=c.name, type=kind) if c.name == wanted else c for c in self.columns])

    def replace(self, node: _yaml.Node, columns: Sequence[Column]) -> None:
        """Go on with other columns.

        Raises:
            FormatError: two have one name, or there are none or too many.
        """
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            twice = next(item for item in names if names.count(item) > 1)
            node.refuse(f"expected columns of different names, got {twice!a:.80} twice", reason="preprocess-columns")
        if not 1 <= len(names) <= MAX_COLUMNS:
            node.refuse(f"expected 1 to {MAX_COLUMNS} columns, got {len(names)}", reason="preprocess-columns")
        self.columns = tuple(columns)
        self.apart &= set(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a step made, and what of it belongs into the statement beside the counts of rows."""

    frames: Frames
    facts: Mapping[str, Any] = field(default_factory=dict)


class Step(Protocol):
    """One declared step."""

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement: everything that was declared."""
        ...

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Apply it to every part.

        Raises:
            FormatError: the rows are not what the step needs.
        """
        ...


def columns_of(node: _yaml.Node, known: Known) -> tuple[str, ...]:
    """A list of different columns, or the word ``all``."""
    if isinstance(node, _yaml.Scalar):
        node.choice([WHOLE])
        return tuple(known.names)
    found = tuple(item.choice(known.names) for item in node.sequence())
    if len(set(found)) != len(found):
        node.refuse("expected each column once, got one twice", reason="preprocess-columns")
    return found


def constant(node: _yaml.Node, kind: ColumnType) -> str | int | float | bool:
    """A value of a column's type."""
    if kind == "string":
        return printable(node)
    if kind == "boolean":
        return node.boolean()
    return node.integer() if kind == "integer" else node.number() + 0.0


def printable(node: _yaml.Node, *, empty: bool = True) -> str:
    """A text that can stand in a statement and in a field."""
    text = node.text() if empty else name(node)
    if not text.isprintable() or len(text) > MAX_TEXT:
        node.refuse(f"expected at most {MAX_TEXT} printable characters, got {text[:40]!a}", reason="preprocess-text")
    return text


def refuse_text(text: str, column: str) -> NoReturn:
    """Refuse a learned text that cannot stand in a statement."""
    raise FormatError(
        f"expected printable texts of at most {MAX_TEXT} characters in column {column!a:.80}, got {text[:40]!a}",
        reason="preprocess-text",
        hint="map such values first, or declare the categories",
    )
