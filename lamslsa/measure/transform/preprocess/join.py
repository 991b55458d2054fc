"""The step that brings in columns of another dataset of the job.

join: dataset, on {<column>: <column of the other>}, kind (inner | left), bring […], repeated (refuse | first | every)

Keys are equal if all their values are, as typed; a missing value equals nothing. Rows keep the order of the left side,
and where a key stands several times on the right (``repeated: every``) the order of the right within it.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.transform.preprocess.frame import Frame, Workspace
from lamslsa.measure.transform.preprocess.interface import Applied, Frames, Known

__all__ = ["JOINED", "MAX_JOINED_ROWS", "Join", "join"]

JOINED: Final = "joined:"
MAX_JOINED_ROWS: Final = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Columns of another dataset, by key."""

    dataset: DatasetJob
    on: Mapping[str, str]
    left: bool
    bring: tuple[str, ...]
    repeated: str

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        return {
            "step": "join",
            "dataset": self.dataset.name,
            "on": dict(self.on),
            "kind": "left" if self.left else "inner",
            "bring": list(self.bring),
            "repeated": self.repeated,
        }

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Join every part with the other dataset.

        Raises:
            FormatError: a key stands twice on the right and that is refused, or the result is too large.
        """
        other = space.joined[self.dataset.name]
        keys = other.sql(self.on.values())
        repeated = int(
            space.one(
                f"select count(*) from (select 1 from {other.table} where {_present(other, self.on.values())}"
                f" group by {keys} having count(*) > 1)"
            )
        )
        if repeated and self.repeated == "refuse":
            raise FormatError(
                f"expected every key once in {self.dataset.name!a:.80}, got {repeated} several times",
                reason="preprocess-repeated-key",
                hint="declare 'repeated: first' or 'repeated: every', or drop duplicates there",
            )
        made, unmatched = {}, {}
        for part, frame in frames.items():
            self._refuse_explosion(frame, other, space)
            unmatched[part] = int(
                space.one(
                    f"select count(*) from {frame.table} a where not exists"
                    f" (select 1 from {other.table} b where {self._same(frame, other)})"
                )
            )
            made[part] = self._of(frame, other, space)
        return Applied(frames=made, facts={"repeatedKeys": repeated, "unmatched": unmatched})

    def _of(self, frame: Frame, other: Frame, space: Workspace) -> Frame:
        right = other.table
        if self.repeated == "first":
            keys = other.sql(self.on.values())
            first = f"select min(rowid) from {other.table} group by {keys}"
            right = f"(select *, rowid as r from {other.table} where rowid in ({first}))"
        else:
            right = f"(select *, rowid as r from {other.table})"
        fields = [
            *(replace(field, sql=f"a.{field.sql}") for field in frame.fields),
            *(replace(field, sql=f"b.{field.sql}") for field in other.named(self.bring)),
        ]
        kind = "left join" if self.left else "join"
        same = self._same(frame, other)
        return space.make(fields, f"from {frame.table} a {kind} {right} b on {same} order by a.rowid, b.r")

    def _same(self, frame: Frame, other: Frame) -> str:
        pairs = [(frame.field(mine).sql, other.field(theirs).sql) for mine, theirs in self.on.items()]
        return " and ".join(f"a.{mine} = b.{theirs}" for mine, theirs in pairs)

    def _refuse_explosion(self, frame: Frame, other: Frame, space: Workspace) -> None:
        """Count the rows before they are made: two columns of one value multiply."""
        if self.repeated != "every":
            return
        mine, theirs = frame.sql(self.on), other.sql(self.on.values())
        made = int(
            space.one(
                "select coalesce(sum(a.n::HUGEINT * b.n), 0) from"
                f" (select {mine}, count(*) as n from {frame.table} group by {mine}) a join"
                f" (select {theirs}, count(*) as n from {other.table} group by {theirs}) b"
                f" on {self._same(frame, other)}"
            )
        )
        if made > MAX_JOINED_ROWS:
            raise FormatError(
                f"expected a join of at most {MAX_JOINED_ROWS} rows, got {made}", reason="preprocess-join-size"
            )


def join(node: _yaml.Mapping_, known: Known) -> Join:
    """``{step: join, dataset, on, kind, bring, repeated}``."""
    dataset = known.scope.dataset(node.take("dataset"))
    schema = dataset.table
    on = _keys(node.take("on").mapping(), known, schema)
    left = node.take("kind").choice(["inner", "left"]) == "left"
    bring_node = node.take("bring")
    bring = tuple(item.choice([column.name for column in schema.columns]) for item in bring_node.sequence(empty=True))
    repeated = node.take("repeated").choice(["refuse", "first", "every"])
    known.replace(bring_node, [*known.columns, *(schema.columns[schema.position(column)] for column in bring)])
    if dataset not in known.joined:
        known.joined.append(dataset)
    return Join(dataset=dataset, on=on, left=left, bring=bring, repeated=repeated)


def _keys(node: _yaml.Mapping_, known: Known, schema: Schema) -> dict[str, str]:
    on: dict[str, str] = {}
    for mine, other in node:
        theirs = other.choice([column.name for column in schema.columns])
        if mine not in known.names or mine in known.apart:
            other.refuse(f"expected a column to join on, got {mine!a:.80}", reason="preprocess-columns")
        kind, its = known.named(mine).type, schema.columns[schema.position(theirs)].type
        if kind != its:
            other.refuse(f"expected keys of one type, got {kind} and {its}", reason="preprocess-type")
        on[mine] = theirs
    if not on:
        node.refuse("expected at least one column to join on, got none", reason="preprocess-columns")
    return on


def _present(frame: Frame, names: Any) -> str:
    return " and ".join(f"{field.sql} is not null" for field in frame.named(names))
