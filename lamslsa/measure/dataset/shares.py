"""Property ``shares``: whether a group has at least a share of the rows, without saying how large the share is.

    shares: [{where: {sex: Female}, atLeast: 0.3, by: count},
             {where: {sex: Female, race: Black}, atLeast: 0.04, by: wilson, confidenceLevel: 0.95}]

By ``count``: rows of the group / rows >= the share, in exact arithmetic, with the share as the decimal that was
written. By ``wilson``: the lower end of the two-sided Wilson interval (Wilson 1927) is at least the share, which says
something of the population from which the rows are a sample. A row where a column is missing is a row outside of every
group but that of ``null``, and counts among all rows. A class of the label is its number.
"""

# ruff: noqa: S608 - the query holds positions of columns, never a declared name or value

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from lamslsa import _yaml
from lamslsa.measure.data.schema import ColumnType, Schema
from lamslsa.measure.dataset.reading import Reading, query
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.predicates import dataset as wire

__all__ = ["Share", "declare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One requirement."""

    where: Mapping[str, wire.Value]
    at_least: float
    by: Literal["count", "wilson"]
    confidence_level: float | None
    references: tuple[str, ...] = ()

    def step(self) -> str:
        """What is decided."""
        group = ", ".join(f"{column} = {value}" for column, value in self.where.items())
        return f"whether the share of {group} is at least {self.at_least}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        level = {} if self.confidence_level is None else {"confidenceLevel": self.confidence_level}
        return {"where": dict(self.where), "atLeast": self.at_least, "by": self.by, **level}

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.Share:
        """Decide."""
        del others, seed
        table = subject.table
        same = " and ".join(f"c{table.schema.position(column)} is not distinct from ?" for column in self.where)
        sql = f"select count(*) from {table.relation[1]} where {same}"
        count = int(query(table, sql, list(self.where.values()))[0][0])
        return wire.Share(
            where=dict(self.where),
            at_least=self.at_least,
            by=self.by,
            samples=table.rows,
            holds=self._holds(count, table.rows),
            confidence_level=self.confidence_level,
        )

    def _holds(self, count: int, rows: int) -> bool:
        if self.confidence_level is None:
            return Fraction(count, rows) >= Fraction(repr(self.at_least))
        from lamslsa.measure.evaluation.intervals import wilson

        return wilson(count, rows, level=self.confidence_level)[0] >= self.at_least


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> Share:
    """Read one entry of ``shares``."""
    del scope
    where_node = fields.take("where").mapping()
    where = {column: _value(node, column, dataset.table) for column, node in where_node}
    if not where:
        where_node.refuse("expected at least one column, got none", reason="yaml-empty")
    by = fields.take("by").choice(["count", "wilson"])
    return Share(
        where=where,
        at_least=fraction(fields.take("atLeast")),
        by="count" if by == "count" else "wilson",
        confidence_level=fraction(fields.take("confidenceLevel")) if by == "wilson" else None,
    )


def _value(node: _yaml.Node, column: str, schema: Schema) -> wire.Value:
    """A value as rows hold it."""
    kinds: dict[str, ColumnType] = {item.name: item.type for item in schema.columns}
    if column not in kinds:
        node.refuse(f"expected a column of the schema, got {column[:40]!r}", reason="job-column")
    label = schema.label
    if label is not None and label.column == column and label.classes is not None:
        return node.integer(minimum=0, maximum=max(label.classes.values()))
    if isinstance(node, _yaml.Scalar) and node.value is None:
        return None
    if kinds[column] == "string":
        return node.text()
    if kinds[column] == "boolean":
        return node.boolean()
    return node.integer() if kinds[column] == "integer" else node.number()
