"""Predicate ``https://lamslsa.dev/dataset/v1``: a datasheet. Normative text: predicates/dataset/v1/README.md."""

from __future__ import annotations

from typing import Any, Final, Literal

from lamslsa.predicates._common import (
    ArtifactReference,
    Count,
    Digest,
    Environment,
    File,
    Measurer,
    WireModel,
)

__all__ = ["PREDICATE_TYPE", "Cell", "Column", "Dataset", "Declared", "Distribution", "Duplicates", "Overlap"]

PREDICATE_TYPE: Final = "https://lamslsa.dev/dataset/v1"


class Column(WireModel, frozen=True, kw_only=True):
    """One column: ``missing`` rows hold the declared null token, ``distinct`` counts the other values."""

    name: str
    type: str
    missing: Count
    distinct: Count


class Duplicates(WireModel, frozen=True, kw_only=True):
    """``rows`` that equal an earlier row in every column, label included."""

    rows: Count
    method: Literal["exact"]


class Cell(WireModel, frozen=True, kw_only=True):
    """How many rows hold exactly ``values``, in the order of the distribution's columns; null is missing."""

    values: tuple[str | int | float | bool | None, ...]
    count: Count


class Distribution(WireModel, frozen=True, kw_only=True):
    """Joint counts over one or more columns; the counts add up to ``samples``."""

    columns: tuple[str, ...]
    samples: Count
    cells: tuple[Cell, ...]


class Overlap(WireModel, frozen=True, kw_only=True):
    """Rows shared with another dataset, compared as typed tuples over ``columns`` (the label left out).

    Attributes:
        rows: rows of the subject whose tuple occurs in the other dataset.
        distinct: different tuples that occur in both.
    """

    dataset: ArtifactReference
    schema_digest: Digest
    columns: tuple[str, ...]
    samples: Count
    rows: Count
    distinct: Count


class Declared(WireModel, frozen=True, kw_only=True):
    """What the owner says and nobody measured."""

    license: str | None = None
    source: str | None = None
    description: str | None = None


class Dataset(WireModel, frozen=True, kw_only=True):
    """The datasheet of the subject.

    Attributes:
        schema: how bytes became rows: format, skipped lines, columns and types, null token, label map.
        schema_digest: SHA-256 over the RFC 8785 form of ``schema``; evaluations and trainings repeat it.
        configuration: which columns are groups and which datasets were compared.
    """

    kind: Literal["dataset"]
    measurer: Measurer
    schema: dict[str, Any]
    schema_digest: Digest
    configuration: dict[str, Any]
    files: tuple[File, ...]
    rows: Count
    columns: tuple[Column, ...]
    duplicates: Duplicates
    distributions: tuple[Distribution, ...]
    environment: Environment
    label_balance: Distribution | None = None
    overlaps: tuple[Overlap, ...] = ()
    declared: Declared | None = None
