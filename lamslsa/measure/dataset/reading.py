"""A dataset as a datasheet reads it: a table or texts, under a name and a schema, with the digest of its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import AnySchema, ColumnType, Schema
from lamslsa.measure.data.table import Table
from lamslsa.predicates._common import ArtifactReference, Digest, WireModel
from lamslsa.predicates.dataset import Value

__all__ = ["COMPARED", "MAX_CELLS", "Property", "Reading", "a_dataset", "columns", "is_numeric", "query", "the_table"]

COMPARED: Final = "compared:"
MAX_CELLS: Final = 10_000


def a_dataset(artifact: VerifiedArtifact, what: str) -> VerifiedArtifact:
    """The artifact, if it is a dataset.

    Raises:
        FormatError: it is not.
    """
    if artifact.manifest.kind != "dataset":
        raise FormatError(f"expected a dataset as {what}, got a {artifact.manifest.kind}", reason="dataset-kind")
    return artifact


def the_table(artifact: VerifiedArtifact, what: str) -> VerifiedFile:
    """The one file of a tabular dataset.

    Raises:
        FormatError: the artifact is not a dataset, or has several files.
    """
    return a_dataset(artifact, what).only()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One dataset that is open.

    Attributes:
        sha256: digest of its manifest.
        source: the typed table; None where it is texts.
        texts: reads the documents; None where it is a table.
    """

    name: str
    sha256: str
    schema: AnySchema
    source: Table | None = None
    texts: Callable[[], Iterable[str]] | None = None

    @property
    def table(self) -> Table:
        """The typed table.

        Raises:
            FormatError: it is none.
        """
        if self.source is None:
            self.schema.as_table(self.name)
            raise RuntimeError("expected a table that is open, got one that nobody opened")
        return self.source

    @property
    def reference(self) -> ArtifactReference:
        """How a statement names it."""
        return ArtifactReference(name=self.name, digest=Digest(sha256=self.sha256))

    @property
    def schema_digest(self) -> Digest:
        """What it was read as."""
        return Digest(sha256=self.schema.sha256)

    def documents(self, column: str | None) -> Iterable[str]:
        """The texts, in order: documents, or a column of a table without what is missing."""
        if self.texts is not None:
            return self.texts()
        return [str(text) for text in self.table.values(column or "") if text is not None]


class Property(Protocol):
    """Something more that is measured of a dataset, as declared in a job file."""

    @property
    def references(self) -> tuple[str, ...]:
        """The datasets that it is compared with."""
        ...

    def step(self) -> str:
        """What is measured, in one line."""
        ...

    def resolved(self) -> dict[str, Any]:
        """All that was asked for, as it stands in the configuration."""
        ...

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> WireModel:
        """Measure; ``seed`` is derived from the dataset and the whole configuration."""
        ...


def query(table: Table, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query; ``values`` stand for its question marks, so that no declared text becomes part of it."""
    connection, _ = table.relation
    rows: list[tuple[Any, ...]] = connection.execute(sql, list(values)).fetchall()
    return rows


def columns(table: Table, names: Sequence[str]) -> str:
    """Columns by position, as SQL."""
    return ", ".join(f"c{table.schema.position(name)}" for name in names)


def is_numeric(schema: Schema, column: str) -> bool:
    """Whether the values of a column are numbers; classes are not."""
    kinds: tuple[ColumnType, ...] = ("integer", "number")
    return schema.columns[schema.position(column)].type in kinds
