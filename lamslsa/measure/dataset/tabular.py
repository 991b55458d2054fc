"""Measurer ``tabular-dataset/1``: the datasheet of one CSV file under its declared schema.

Every value is an integer count over typed rows, so that two runs on any machine give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Progress, silent
from lamslsa.measure.job import DatasetJob, Job
from lamslsa.measure.table import Source, Table, open_tables
from lamslsa.predicates._common import ArtifactReference, Digest, File, Measurer
from lamslsa.predicates.dataset import PREDICATE_TYPE, Cell, Column, Dataset, Distribution, Duplicates, Overlap

__all__ = ["MAX_CELLS", "measure_dataset", "the_table"]

MAX_CELLS: Final = 10_000
_NAME: Final = "tabular-dataset"
_VERSION: Final = "1"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy")


def the_table(artifact: VerifiedArtifact, what: str) -> VerifiedFile:
    """The one file of a tabular dataset.

    Raises:
        FormatError: the artifact is not a dataset, or has several files.
    """
    if artifact.manifest.kind != "dataset":
        raise FormatError(f"expected a dataset as {what}, got a {artifact.manifest.kind}", reason="dataset-kind")
    return artifact.only()


def measure_dataset(
    artifact: VerifiedArtifact,
    *,
    name: str,
    job: Job,
    others: Mapping[str, VerifiedArtifact] | None = None,
    progress: Progress = silent,
) -> bytes:
    """Measure a dataset.

    Args:
        artifact: the verified bytes of one CSV file.
        name: the name under which the job declares the dataset.
        job: the job file.
        others: the datasets that the job compares this one with, by name.
        progress: is told how far the measurement has come.

    Returns:
        The payload bytes of a statement with predicate ``https://lamslsa.dev/dataset/v1``.

    Raises:
        FormatError: the file is not what the schema declares, or a dataset to compare with is missing.
    """
    declared = job.dataset(name)
    compared = _compared(declared, others or {})
    steps = 4 + len(declared.groups) + len(compared)
    progress("reading rows", 0, steps)
    sources = {name: Source(file=the_table(artifact, name), schema=declared.schema)}
    for other, its_artifact in compared.items():
        sources[other] = Source(file=the_table(its_artifact, other), schema=job.dataset(other).schema)
    with open_tables(sources) as tables:
        table = tables[name]
        progress("counting", 1, steps)
        columns = _columns(table)
        duplicates = Duplicates(rows=table.duplicates(), method="exact")
        progress("counting", 2, steps)
        distributions = []
        for done, group in enumerate(declared.groups, 3):
            distributions.append(_distribution(table, group))
            progress("counting", done, steps)
        balance = _distribution(table, (declared.schema.label.column,))
        overlaps = []
        for done, (other, its_artifact) in enumerate(compared.items(), 3 + len(declared.groups)):
            overlaps.append(_overlap(table, tables[other], other, its_artifact))
            progress("comparing datasets", done, steps)
        rows = table.rows
    predicate = Dataset(
        kind="dataset",
        measurer=Measurer(name=_NAME, version=_VERSION),
        schema=declared.schema.resolved(),
        schema_digest=Digest(sha256=declared.schema.sha256),
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
    subject = statement.Subject(name=name, sha256=artifact.manifest.sha256)
    return statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))


def _compared(declared: DatasetJob, others: Mapping[str, VerifiedArtifact]) -> dict[str, VerifiedArtifact]:
    for other in declared.overlap:
        if other not in others:
            raise FormatError(
                f"expected the dataset {other!r} to compare {declared.name!r} with, got none", reason="dataset-overlap"
            )
    for other in others:
        if other not in declared.overlap:
            raise FormatError(
                f"expected only datasets that {declared.name!r} is compared with, got {other[:80]!r}",
                reason="dataset-overlap",
                hint="list it under overlap in the job file",
            )
    return {other: others[other] for other in declared.overlap}


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
