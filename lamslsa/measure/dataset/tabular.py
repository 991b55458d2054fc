"""Measurer ``tabular-dataset/1``: the datasheet of a table under its declared schema.

What stands in every datasheet is an integer count over typed rows, so that two runs on any machine give the same
numbers; `lamslsa.measure.dataset.properties` adds what a job asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset import properties as asked
from lamslsa.measure.dataset import reading, sheet
from lamslsa.measure.dataset.overlap import overlap
from lamslsa.measure.dataset.properties import Properties
from lamslsa.measure.dataset.reading import COMPARED, the_table
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.predicates._common import Digest
from lamslsa.predicates.dataset import Cell, Column, Dataset, Distribution, Duplicates

__all__ = ["COMPARED", "NAME", "TabularDatasheet", "declare", "the_table"]

NAME: Final = "tabular-dataset/1"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularDatasheet:
    """The plan of a table's datasheet.

    Attributes:
        dataset: what it is about.
        others: the datasets that it is compared with.
        properties: what is asked for besides.
    """

    dataset: DatasetJob
    others: tuple[DatasetJob, ...]
    properties: Properties

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The dataset, and those that it is compared with."""
        return sheet.inputs(self.dataset, self.others)

    @property
    def makes_private(self) -> bool:
        """Openings, where values are withheld."""
        return self.properties.disclosure.opens

    @property
    def configuration(self) -> dict[str, Any]:
        """All that was asked for."""
        declared = self.dataset
        return {
            "groups": [list(group) for group in declared.groups],
            "overlap": [item.resolved() for item in declared.overlap],
            **self.properties.resolved(),
        }

    def steps(self) -> tuple[str, ...]:
        """What would be counted."""
        return (
            "rows, missing and distinct values, exact duplicates",
            *(f"joint counts over {', '.join(group)}" for group in self.dataset.groups),
            *(f"overlap with {item}" for item in self.dataset.overlap),
            *(item.step() for _, item in self.properties),
        )

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return sheet.estimate(self.dataset, self.others, self.properties, sizes)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Count; see `lamslsa.measure.interface.Plan`."""
        artifact, declared, progress = inputs["dataset"].artifact, self.dataset, context.progress
        steps = 3 + len(declared.groups) + len(declared.overlap) + len(list(self.properties))
        seed = sheet.property_seed(artifact, declared.schema.sha256, self.configuration)
        progress("reading rows", 0, steps)
        with sheet.opened((declared, *self.others), inputs, own=declared.name) as others:
            subject = others.pop(declared.name)
            table = subject.table
            progress("counting", 1, steps)
            columns = _columns(table)
            duplicates = Duplicates(rows=table.duplicates(), method="exact")
            done = 2
            progress("counting", done, steps)
            distributions = []
            for group in declared.groups:
                distributions.append(_distribution(table, group))
                progress("counting", done := done + 1, steps)
            label = table.schema.label
            balance = None if label is None or label.classes is None else _distribution(table, (label.column,))
            overlaps = []
            for item in declared.overlap:
                found = overlap(subject, others[item.dataset], self.properties.normalization, item.columns)
                overlaps.append(found)
                progress("comparing datasets", done := done + 1, steps)
            counted = itertools.count(done + 1)
            more = sheet.measured(
                self.properties, subject, others, seed, lambda: progress("measuring properties", next(counted), steps)
            )
            rows = table.rows
        predicate = Dataset(
            kind="dataset",
            measurer=self.measurer,
            schema=declared.schema.resolved(),
            schema_digest=Digest(sha256=declared.schema.sha256),
            configuration=self.configuration,
            files=sheet.files(artifact),
            rows=rows,
            columns=columns,
            duplicates=duplicates,
            distributions=tuple(distributions),
            environment=environment(sheet.packages(_PACKAGES, self.properties)),
            label_balance=balance,
            overlaps=tuple(overlaps),
            declared=declared.declared,
            **more,
        )
        progress("counting", steps, steps)
        return sheet.finish(predicate, self.properties, name=declared.name, artifact=artifact)


def declare(dataset: DatasetJob, fields: _yaml.Mapping_ | None, scope: Scope) -> Plan:
    """The plan of a table's datasheet."""
    label = dataset.table.label
    always = ("columns", "duplicates", *(["labelBalance"] if label is not None and label.classes is not None else []))
    properties = asked.declare(fields, dataset, scope, families=asked.TABLE_FAMILIES, always=always)
    return TabularDatasheet(
        dataset=dataset, others=sheet.compared_with(dataset, properties, scope), properties=properties
    )


def _columns(table: Table) -> tuple[Column, ...]:
    return tuple(
        Column(name=column.name, type=column.type, missing=missing, distinct=distinct)
        for column, (missing, distinct) in zip(table.schema.columns, table.column_counts(), strict=True)
    )


def _distribution(table: Table, columns: tuple[str, ...]) -> Distribution:
    cells = tuple(Cell(values=values, count=count) for values, count in table.cells(columns, limit=reading.MAX_CELLS))
    return Distribution(columns=columns, samples=table.rows, cells=cells)
