"""Steps that choose and name columns; no value changes.

select: columns · drop: columns · rename: names {old: new} · copy: column, to
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lamslsa import _yaml
from lamslsa.measure.data.schema import Column
from lamslsa.measure.declarations import name
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Workspace
from lamslsa.measure.transform.preprocess.interface import Applied, Frames, Known, columns_of

__all__ = ["Copy", "Rename", "Select", "copy", "drop", "rename", "select"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Keep these columns, in this order."""

    columns: tuple[str, ...]
    declared: Mapping[str, Any]

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return dict(self.declared)

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Choose; columns that one-hot encoding learned belong to the column that they came from."""
        del space
        return Applied(frames={part: self._of(frame) for part, frame in frames.items()})

    def _of(self, frame: Frame) -> Frame:
        return frame.with_fields(frame.named(self.columns))


def select(node: _yaml.Mapping_, known: Known) -> Select:
    """``{step: select, columns: […]}``."""
    columns_node = node.take("columns")
    columns = columns_of(columns_node, known)
    known.replace(columns_node, [known.named(column) for column in columns])
    return Select(columns=columns, declared={"step": "select", "columns": list(columns)})


def drop(node: _yaml.Mapping_, known: Known) -> Select:
    """``{step: drop, columns: […]}``."""
    columns_node = node.take("columns")
    dropped = columns_of(columns_node, known)
    columns = tuple(column for column in known.names if column not in dropped)
    known.replace(columns_node, [known.named(column) for column in columns])
    return Select(columns=columns, declared={"step": "drop", "columns": list(dropped)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Call columns something else."""

    names: Mapping[str, str]

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {"step": "rename", "names": dict(self.names)}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Rename."""
        del space
        return Applied(
            frames={
                part: frame.with_fields([self._renamed(field) for field in frame.fields])
                for part, frame in frames.items()
            }
        )

    def _renamed(self, field: Field) -> Field:
        new = self.names.get(field.origin)
        return field if new is None else Field.of(replace(field.column, name=new), field.sql)


def rename(node: _yaml.Mapping_, known: Known) -> Rename:
    """``{step: rename, names: {<old>: <new>}}``."""
    names_node = node.take("names").mapping()
    names: dict[str, str] = {}
    for old, new in names_node:
        if old not in known.names or old in known.apart:
            new.refuse(f"expected a column to rename, got {old!a:.80}", reason="preprocess-columns")
        names[old] = name(new)
    known.replace(names_node, [replace(item, name=names.get(item.name, item.name)) for item in known.columns])
    return Rename(names=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Have a column a second time, under another name, after the last column."""

    column: str
    to: str

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {"step": "copy", "column": self.column, "to": self.to}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Copy."""
        del space
        return Applied(frames={part: self._of(frame) for part, frame in frames.items()})

    def _of(self, frame: Frame) -> Frame:
        field = frame.field(self.column)
        return frame.with_fields([*frame.fields, Field.of(replace(field.column, name=self.to), field.sql)])


def copy(node: _yaml.Mapping_, known: Known) -> Copy:
    """``{step: copy, column: <column>, to: <name>}``."""
    column = known.column(node.take("column"))
    to_node = node.take("to")
    to = name(to_node)
    known.replace(to_node, [*known.columns, Column(name=to, type=column.type)])
    return Copy(column=column.name, to=to)
