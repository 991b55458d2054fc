"""Property ``conditional``: counts of some columns among the rows of each combination of others.

Counts are attested and no shares: a reader divides a cell by the rows of its group, and puts around it the interval of
whatever level the reader likes.

    conditional: [{columns: [income], given: [sex, race]}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lamslsa import _yaml
from lamslsa.measure.dataset import reading
from lamslsa.measure.dataset.reading import Reading
from lamslsa.measure.declarations import DatasetJob, Scope, some_columns
from lamslsa.predicates import dataset as wire

__all__ = ["Conditional", "declare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """Counts of ``columns`` given ``given``."""

    columns: tuple[str, ...]
    given: tuple[str, ...]
    references: tuple[str, ...] = ()

    def step(self) -> str:
        """What is counted."""
        return f"counts of {', '.join(self.columns)} given {', '.join(self.given)}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {"columns": list(self.columns), "given": list(self.given)}

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.Conditional:
        """Count.

        Raises:
            FormatError: there are too many combinations.
        """
        del others, seed
        table, width = subject.table, len(self.given)
        cells = table.cells((*self.given, *self.columns), limit=reading.MAX_CELLS)
        groups = []
        for given, members in groupby(cells, key=lambda cell: cell[0][:width]):
            found = tuple(wire.Cell(values=values[width:], count=count) for values, count in members)
            groups.append(wire.GivenCell(given=given, rows=sum(cell.count for cell in found), cells=found))
        return wire.Conditional(columns=self.columns, given=self.given, samples=table.rows, groups=tuple(groups))


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> Conditional:
    """Read one entry of ``conditional``."""
    del scope
    options = [column.name for column in dataset.table.columns if column.type != "number"]
    given_node = fields.take("given")
    found = some_columns(fields.take("columns"), options)
    given = some_columns(given_node, options)
    if set(found) & set(given):
        given_node.refuse("expected other columns than those counted, got one of them", reason="job-columns-twice")
    return Conditional(columns=found, given=given)
