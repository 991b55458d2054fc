"""Property ``anonymity``: how far rows can be told apart by what others may know of them.

    anonymity: [{quasiIdentifiers: [age, sex, race],
                 sensitive: [{column: income, distance: equal}, {column: hours, distance: ordered}]}]

A class is all rows with the same quasi-identifiers; "missing" is a value of its own, of quasi-identifiers as of
sensitive columns.

- k-anonymity (Sweeney 2002): the rows of the smallest class; besides, the rows in classes of fewer than 2, 3, 5, 10.
- l-diversity (Machanavajjhala et al. 2007): the fewest different sensitive values in a class (distinct), and e to the
  power of the least entropy in a class (entropy l-diversity asks for an entropy of at least log l).
- t-closeness (Li et al. 2007): `lamslsa.measure.dataset.closeness`.
"""

# ruff: noqa: S608 - queries hold positions of columns, never a declared name

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lamslsa import _yaml
from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset import closeness
from lamslsa.measure.dataset.classes import cells, classes
from lamslsa.measure.dataset.reading import Reading, columns, is_numeric, query
from lamslsa.measure.declarations import DatasetJob, Scope, some_columns
from lamslsa.predicates import dataset as wire

__all__ = ["SIZES", "Anonymity", "Sensitive", "declare"]

SIZES: Final = (2, 3, 5, 10)
_NEAR: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """A sensitive column, and what lies between two of its values."""

    column: str
    distance: Literal["equal", "ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymity:
    """One set of quasi-identifiers."""

    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[Sensitive, ...]
    references: tuple[str, ...] = ()

    def step(self) -> str:
        """What is measured."""
        hidden = ", ".join(item.column for item in self.sensitive)
        return f"anonymity by {', '.join(self.quasi_identifiers)}" + (f", diversity of {hidden}" if hidden else "")

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {
            "quasiIdentifiers": list(self.quasi_identifiers),
            "sensitive": [{"column": item.column, "distance": item.distance} for item in self.sensitive],
        }

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.Anonymity:
        """Measure."""
        del others, seed
        table = subject.table
        below = ", ".join(f"coalesce(sum(n) filter (where n < {size}), 0)" for size in SIZES)
        sizes = f"select count(*), min(n), {below} from"
        sensitive: tuple[wire.Sensitive, ...] = ()
        if self.sensitive:
            with classes(table, self.quasi_identifiers) as (connection, name):
                found = connection.execute(f"{sizes} {name}").fetchone()
                sensitive = tuple(self._sensitive(table, item) for item in self.sensitive)
        else:
            keys = columns(table, self.quasi_identifiers)
            found = query(table, f"{sizes} (select count(*) as n from {table.relation[1]} group by {keys})")[0]
        count, smallest, *rows = map(int, found)
        return wire.Anonymity(
            quasi_identifiers=self.quasi_identifiers,
            samples=table.rows,
            classes=count,
            smallest_class=smallest,
            rows_below=tuple(wire.RowsBelow(size=size, rows=count) for size, count in zip(SIZES, rows, strict=True)),
            sensitive=sensitive,
        )

    def _sensitive(self, table: Table, item: Sensitive) -> wire.Sensitive:
        with cells(table, self.quasi_identifiers, item.column) as (connection, name):
            distinct, entropy, least = _diversity(connection, name)
            distance: float | None = None
            undefined: str | None = None
            if item.distance == "equal":
                distance = float(closeness.equal(connection, name, rows=table.rows))
            elif connection.execute(f"select count(*) from {name} where s is null").fetchone()[0]:
                undefined = "missing values have no place in the order"
            else:
                distance = float(closeness.ordered(connection, name, rows=table.rows))
        return wire.Sensitive(
            column=item.column,
            distinct_diversity=distinct,
            entropy_diversity=math.exp(entropy),
            entropy_counts=least,
            distance=item.distance,
            closeness=distance,
            undefined=undefined,
        )


def _diversity(connection: Any, cells: str) -> tuple[int, float, tuple[int, ...]]:
    """The fewest values in a class, the least entropy of one, and the counts of that class, most frequent first.

    The database's logarithms only say which classes may be the one; among these it is decided here, from the counts.
    """
    entropies = (
        f"select id, count(*) as m, ln(any_value(n)) - sum(c * ln(c)) / any_value(n) as h from {cells} group by id"
    )
    distinct, about = connection.execute(f"select min(m), min(h) from ({entropies})").fetchone()
    near = f"select id from ({entropies}) where h <= {float(about) + _NEAR!r}"
    found = connection.execute(
        f"select distinct list(c order by c desc) from {cells} where id in ({near}) group by id"
    ).fetchall()
    entropy, least = min((_entropy(each), each) for each in (tuple(map(int, counts)) for (counts,) in found))
    return int(distinct), entropy, least


def _entropy(counts: tuple[int, ...]) -> float:
    """Shannon's, in nats."""
    total = sum(counts)
    return math.fsum(count / total * math.log(total / count) for count in counts)


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> Anonymity:
    """Read one entry of ``anonymity``."""
    del scope
    names = [column.name for column in dataset.table.columns]
    quasi_identifiers = some_columns(fields.take("quasiIdentifiers"), names)
    node = fields.take("sensitive")
    sensitive = tuple(_declared(item.mapping(), dataset) for item in node.sequence(empty=True))
    hidden = [item.column for item in sensitive]
    if len(set(hidden)) != len(hidden) or set(hidden) & set(quasi_identifiers):
        node.refuse("expected each column once, got one twice", reason="job-columns-twice")
    return Anonymity(quasi_identifiers=quasi_identifiers, sensitive=sensitive)


def _declared(fields: _yaml.Mapping_, dataset: DatasetJob) -> Sensitive:
    schema = dataset.table
    column = fields.take("column").choice([item.name for item in schema.columns])
    node = fields.take("distance")
    distance = node.choice(["equal", "ordered"])
    if distance == "ordered" and not is_numeric(schema, column):
        node.refuse("expected the distance equal of a column without order, got ordered", reason="job-distance")
    fields.finish()
    return Sensitive(column=column, distance="ordered" if distance == "ordered" else "equal")
