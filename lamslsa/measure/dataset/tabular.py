"""Measurer ``tabular-dataset/1``: the datasheet of one CSV file under its declared schema.

Every value is an integer count over typed rows, so that two runs on any machine give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Payload, Plan, named
from lamslsa.predicates._common import ArtifactReference, Digest, File
from lamslsa.predicates.dataset import PREDICATE_TYPE, Cell, Column, Dataset, Distribution, Duplicates, Overlap

__all__ = ["COMPARED", "MAX_CELLS", "NAME", "TabularDatasheet", "declare", "the_table"]

MAX_CELLS: Final = 10_000
NAME: Final = "tabular-dataset/1"
COMPARED: Final = "compared:"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy")


def the_table(artifact: VerifiedArtifact, what: str) -> VerifiedFile:
    """The one file of a tabular dataset.

    Raises:
        FormatError: the artifact is not a dataset, or has several files.
    """
    if artifact.manifest.kind != "dataset":
        raise FormatError(f"expected a dataset as {what}, got a {artifact.manifest.kind}", reason="dataset-kind")
    return artifact.only()


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularDatasheet:
    """The plan of a table's datasheet.

    Attributes:
        dataset: what it is about.
        others: the datasets that it is compared with.
    """

    dataset: DatasetJob
    others: tuple[DatasetJob, ...]

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The dataset, and those that it is compared with."""
        return (
            Input(role="dataset", kind="dataset", name=self.dataset.name),
            *(Input(role=f"{COMPARED}{other.name}", kind="dataset", name=other.name) for other in self.others),
        )

    def steps(self) -> tuple[str, ...]:
        """What would be counted."""
        return (
            "rows, missing and distinct values, exact duplicates",
            *(f"joint counts over {', '.join(group)}" for group in self.dataset.groups),
            *(f"overlap with {other.name}" for other in self.others),
        )

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Count; see `lamslsa.measure.interface.Plan`."""
        artifact, declared, progress = inputs["dataset"].artifact, self.dataset, context.progress
        compared = [(other, inputs[f"{COMPARED}{other.name}"].artifact) for other in self.others]
        schema = declared.table
        steps = 4 + len(declared.groups) + len(compared)
        progress("reading rows", 0, steps)
        sources = {declared.name: Source(file=the_table(artifact, declared.name), schema=schema)}
        for other, its_artifact in compared:
            sources[other.name] = Source(file=the_table(its_artifact, other.name), schema=other.table)
        with open_tables(sources) as tables:
            table = tables[declared.name]
            progress("counting", 1, steps)
            columns = _columns(table)
            duplicates = Duplicates(rows=table.duplicates(), method="exact")
            progress("counting", 2, steps)
            distributions = []
            for done, group in enumerate(declared.groups, 3):
                distributions.append(_distribution(table, group))
                progress("counting", done, steps)
            balance = None if schema.label is None else _distribution(table, (schema.label.column,))
            overlaps = []
            for done, (other, its_artifact) in enumerate(compared, 3 + len(declared.groups)):
                overlaps.append(_overlap(table, tables[other.name], other.name, its_artifact))
                progress("comparing datasets", done, steps)
            rows = table.rows
        predicate = Dataset(
            kind="dataset",
            measurer=self.measurer,
            schema=schema.resolved(),
            schema_digest=Digest(sha256=schema.sha256),
            configuration={"groups": [list(group) for group in declared.groups], "overlap": list(declared.overlap)},
            files=tuple(
                File(path=entry.path, digest=Digest(sha256=entry.sha256), size=entry.size)
                for entry in artifact.manifest.files
            ),
            rows=rows,
            columns=columns,
            duplicates=duplicates,
            distributions=tuple(distributions),
            environment=environment(_PACKAGES),
            label_balance=balance,
            overlaps=tuple(overlaps),
            declared=declared.declared,
        )
        progress("counting", steps, steps)
        subject = statement.Subject(name=declared.name, sha256=artifact.manifest.sha256)
        payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
        return Outcome(statements=[Payload(label="dataset", data=payload)])


def declare(dataset: DatasetJob, fields: _yaml.Mapping_ | None, scope: Scope) -> Plan:
    """The plan of a table's datasheet."""
    if fields is not None:
        fields.finish()
    return TabularDatasheet(dataset=dataset, others=tuple(scope.datasets[name] for name in dataset.overlap))


def _columns(table: Table) -> tuple[Column, ...]:
    return tuple(
        Column(name=column.name, type=column.type, missing=missing, distinct=distinct)
        for column, (missing, distinct) in zip(table.schema.columns, table.column_counts(), strict=True)
    )


def _distribution(table: Table, columns: tuple[str, ...]) -> Distribution:
    cells = tuple(Cell(values=values, count=count) for values, count in table.cells(columns, limit=MAX_CELLS))
    return Distribution(columns=columns, samples=table.rows, cells=cells)


def _overlap(table: Table, other: Table, name: str, artifact: VerifiedArtifact) -> Overlap:
    rows, distinct = table.overlap(other)
    return Overlap(
        dataset=ArtifactReference(name=name, digest=Digest(sha256=artifact.manifest.sha256)),
        schema_digest=Digest(sha256=other.schema.sha256),
        columns=tuple(column.name for column in table.schema.features),
        samples=table.rows,
        rows=rows,
        distinct=distinct,
    )
