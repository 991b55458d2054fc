"""Steps that choose and order rows, of every part alike; no value changes.

filter: column, operator, value, missing (keep | drop)
dropMissing: columns (a list, or all) · dropDuplicates: columns (a list, or all); the first of equal rows stays
sort: columns, descending; stable, texts by their UTF-8 bytes, missing first
sample: rows, seed
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.transform.preprocess.frame import Frame, Workspace, literal
from lamslsa.measure.transform.preprocess.interface import Applied, Frames, Known, columns_of, constant
from lamslsa.measure.transform.preprocess.order import drawn

__all__ = ["Rows", "drop_duplicates", "drop_missing", "filter_rows", "sample", "sort"]

_ORDERED: Final = MappingProxyType({"<": "<", "<=": "<=", ">": ">", ">=": ">="})
_OPERATORS: Final = MappingProxyType({"==": "=", "!=": "<>", **_ORDERED})
_MEMBERS: Final = MappingProxyType({"in": "in", "not in": "not in"})
_MAX_MEMBERS: Final = 10_000
MAX_SEED: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some of the rows of each part, or all in another order.

    Attributes:
        choose: a frame and where to work, to a frame.
    """

    declared: Mapping[str, Any]
    choose: Callable[[Frame, Workspace], Frame]

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return dict(self.declared)

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Choose among the rows of each part."""
        return Applied(frames={part: self.choose(frame, space) for part, frame in frames.items()})


def filter_rows(node: _yaml.Mapping_, known: Known) -> Rows:
    """``{step: filter, column, operator, value, missing}``: rows whose value compares so; no expressions."""
    column = known.column(node.take("column"))
    operator_node, value_node = node.take("operator"), node.take("value")
    operator = operator_node.choice([*_OPERATORS, *_MEMBERS])
    kept = node.take("missing").choice(["keep", "drop"]) == "keep"
    if operator in _ORDERED and column.type not in ("integer", "number"):
        operator_node.refuse(
            f"expected == or != or in or not in for a column of type {column.type}, got {operator}",
            reason="preprocess-type",
        )
    # A number is compared as a number: an integer column can be held against 30.5.
    kind = "number" if column.type == "integer" else column.type
    if operator in _MEMBERS:
        items = value_node.sequence()
        if len(items) > _MAX_MEMBERS:
            value_node.refuse(f"expected at most {_MAX_MEMBERS} values, got {len(items)}", reason="preprocess-values")
        value: Any = [constant(item, kind) for item in items]
        right = f"{_MEMBERS[operator]} ({', '.join(map(literal, value))})"
    else:
        value = constant(value_node, kind)
        right = f"{_OPERATORS[operator]} {literal(value)}"

    def choose(frame: Frame, space: Workspace) -> Frame:
        sql = frame.field(column.name).sql
        left = f"{sql}::DOUBLE" if kind == "number" else sql
        return space.keep_rows(frame, f"coalesce({left} {right}, {literal(kept)})")

    declared = {"step": "filter", "column": column.name, "operator": operator, "value": value}
    return Rows(declared={**declared, "missing": "keep" if kept else "drop"}, choose=choose)


def drop_missing(node: _yaml.Mapping_, known: Known) -> Rows:
    """``{step: dropMissing, columns}``: rows that lack none of these values stay."""
    columns = columns_of(node.take("columns"), known)

    def choose(frame: Frame, space: Workspace) -> Frame:
        return space.keep_rows(frame, " and ".join(f"{frame.field(name).sql} is not null" for name in columns))

    return Rows(declared={"step": "dropMissing", "columns": list(columns)}, choose=choose)


def drop_duplicates(node: _yaml.Mapping_, known: Known) -> Rows:
    """``{step: dropDuplicates, columns}``: of rows equal in these columns (missing equals missing) the first stays."""
    columns = columns_of(node.take("columns"), known)

    def choose(frame: Frame, space: Workspace) -> Frame:
        keys = frame.sql(columns)
        first = f"select min(rowid) from {frame.table} group by {keys}"
        return space.keep_rows(frame, f"rowid in ({first}) order by rowid")

    return Rows(declared={"step": "dropDuplicates", "columns": list(columns)}, choose=choose)


def sort(node: _yaml.Mapping_, known: Known) -> Rows:
    """``{step: sort, columns, descending}``."""
    columns = columns_of(node.take("columns"), known)
    descending = node.take("descending").boolean()

    def choose(frame: Frame, space: Workspace) -> Frame:
        direction = "desc nulls last" if descending else "asc nulls first"
        order = ", ".join(f"{frame.field(name).sql} {direction}" for name in columns)
        return space.keep_rows(frame, f"true order by {order}, rowid")

    return Rows(declared={"step": "sort", "columns": list(columns), "descending": descending}, choose=choose)


def sample(node: _yaml.Mapping_, known: Known) -> Rows:
    """``{step: sample, rows, seed}``: so many rows of each part, drawn as `order` says, in their order."""
    del known
    wanted = node.take("rows").integer(minimum=1)
    seed = node.take("seed").integer(minimum=0, maximum=MAX_SEED)

    def choose(frame: Frame, space: Workspace) -> Frame:
        if frame.rows < wanted:
            raise FormatError(
                f"expected at least {wanted} rows to draw from, got {frame.rows}",
                reason="preprocess-sample",
                hint="draw fewer",
            )
        first = f"select rowid from {frame.table} order by {drawn(seed)}, rowid limit {wanted}"
        return space.keep_rows(frame, f"rowid in ({first}) order by rowid")

    return Rows(declared={"step": "sample", "rows": wanted, "seed": seed}, choose=choose)
