"""Steps that change values by what is declared; a missing value stays missing.

bin: column, edges [e1 < e2 …], labels; a value below e1 has the first label, one from e1 on and below e2 the second …
mapValues: column, values {<text>: <text or null>}, others (keep | refuse | missing)
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Column
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Workspace, literal
from lamslsa.measure.transform.preprocess.interface import Applied, Frames, Known, printable

__all__ = ["Bin", "MapValues", "bin_values", "map_values"]

_MAX_EDGES: Final = 1000
_MAX_VALUES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Numbers to texts."""

    column: str
    edges: tuple[float, ...]
    labels: tuple[str, ...]

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {"step": "bin", "column": self.column, "edges": list(self.edges), "labels": list(self.labels)}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Put every number into its bin."""
        return Applied(frames={part: self._of(frame, space) for part, frame in frames.items()})

    def _of(self, frame: Frame, space: Workspace) -> Frame:
        sql = frame.field(self.column).sql
        *below, last = self.labels
        cases = " ".join(
            f"when {sql}::DOUBLE < {literal(edge)} then {literal(label)}"
            for edge, label in zip(self.edges, below, strict=True)
        )
        text = f"case when {sql} is null then null {cases} else {literal(last)} end"
        return space.change(frame, {self.column: [Field.of(Column(name=self.column, type="string"), text)]})


def bin_values(node: _yaml.Mapping_, known: Known) -> Bin:
    """``{step: bin, column, edges, labels}``; the column becomes a text."""
    column_node = node.take("column")
    column = known.column(column_node, "integer", "number")
    edges_node, labels_node = node.take("edges"), node.take("labels")
    edges = tuple(item.number() + 0.0 for item in edges_node.sequence())
    labels = tuple(printable(item) for item in labels_node.sequence())
    if len(edges) > _MAX_EDGES or any(first >= second for first, second in pairwise(edges)):
        edges_node.refuse(f"expected at most {_MAX_EDGES} edges that increase, got others", reason="preprocess-bins")
    if len(labels) != len(edges) + 1:
        labels_node.refuse(f"expected {len(edges) + 1} labels, got {len(labels)}", reason="preprocess-bins")
    known.retype(column_node, column.name, "string")
    return Bin(column=column.name, edges=edges, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapValues:
    """Texts to texts."""

    column: str
    values: Mapping[str, str | None]
    others: str

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {"step": "mapValues", "column": self.column, "values": dict(self.values), "others": self.others}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Map every value.

        Raises:
            FormatError: a value is not mapped, and the others are to be refused.
        """
        return Applied(frames={part: self._of(frame, space) for part, frame in frames.items()})

    def _of(self, frame: Frame, space: Workspace) -> Frame:
        sql = frame.field(self.column).sql
        if self.others == "refuse":
            known = ", ".join(map(literal, self.values))
            odd = space.all(f"select {sql} from {frame.table} where {sql} not in ({known}) limit 1")
            if odd:
                raise FormatError(
                    f"expected only values that are mapped in column {self.column!a:.80}, got {odd[0][0][:40]!a}",
                    reason="preprocess-unmapped",
                )
        cases = " ".join(f"when {literal(old)} then {literal(new)}" for old, new in self.values.items())
        text = f"case {sql} {cases} else {sql if self.others == 'keep' else 'null'} end"
        return space.change(frame, {self.column: [Field.of(Column(name=self.column, type="string"), text)]})


def map_values(node: _yaml.Mapping_, known: Known) -> MapValues:
    """``{step: mapValues, column, values, others}``."""
    column = known.column(node.take("column"), "string")
    values_node = node.take("values").mapping()
    values: dict[str, str | None] = {}
    for old, new in values_node:
        if not old.isprintable():
            new.refuse(f"expected a printable text to map, got {old[:40]!a}", reason="preprocess-text")
        is_null = isinstance(new, _yaml.Scalar) and new.value is None
        values[old] = None if is_null else printable(new)
    if not 1 <= len(values) <= _MAX_VALUES:
        values_node.refuse(f"expected 1 to {_MAX_VALUES} values, got {len(values)}", reason="preprocess-values")
    others = node.take("others").choice(["keep", "refuse", "missing"])
    return MapValues(column=column.name, values=values, others=others)
