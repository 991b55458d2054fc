"""What the parts of a job file share: the datasets that it declares, and how names and groupings are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import AnySchema, Schema
from lamslsa.predicates.dataset import Declared

__all__ = ["MAX_NAME", "Compared", "DatasetJob", "Groups", "Scope", "fraction", "groups", "name", "some_columns"]

MAX_NAME: Final = 128
_MAX_GROUPINGS: Final = 64
_MAX_GROUP_COLUMNS: Final = 8

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One overlap that a datasheet is to have.

    Attributes:
        dataset: the other dataset, by its name in the job file.
        columns: the features that are compared, in the schema's order; None for all there are.
    """

    dataset: str
    columns: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.dataset if self.columns is None else f"{self.dataset} by {', '.join(self.columns)}"

    def resolved(self) -> str | dict[str, Any]:
        """As it stands in the configuration, and in the job file."""
        return self.dataset if self.columns is None else {"dataset": self.dataset, "columns": list(self.columns)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetJob:
    """One dataset as a job declares it.

    Attributes:
        schema: how its bytes become rows, images or texts.
        groups: the joint counts wanted; of tables only.
        overlap: the datasets that it is compared with, and by which columns.
        properties: what else is to be measured, as the job file has it; each dataset measurer reads its own.
    """

    name: str
    schema: AnySchema
    groups: Groups
    overlap: tuple[Compared, ...]
    declared: Declared | None

    @property
    def table(self) -> Schema:
        """The schema of a table.

        Raises:
            FormatError: the dataset is none.
        """
        return self.schema.as_table(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a part of a job file may refer to."""

    datasets: Mapping[str, DatasetJob]

    def dataset(self, node: _yaml.Node) -> DatasetJob:
        """The dataset that a node names.

        Raises:
            FormatError: the job declares no such dataset.
        """
        return self.datasets[node.choice(self.datasets)]


def name(node: _yaml.Node) -> str:
    """A label that ends up in a statement."""
    text = node.string()
    if len(text) > MAX_NAME or not text.isprintable():
        node.refuse(f"expected at most {MAX_NAME} printable characters, got {text[:40]!a}", reason="job-name")
    return text


def fraction(node: _yaml.Node) -> float:
    """A number strictly between 0 and 1."""
    value = node.number()
    if not 0 < value < 1:
        node.refuse("expected a number between 0 and 1, got another", reason="yaml-range")
    return value


def groups(node: _yaml.Node, columns: list[str]) -> Groups:
    """Groupings: lists of columns, each grouping once."""
    items = node.sequence(empty=True)
    if len(items) > _MAX_GROUPINGS:
        node.refuse(f"expected at most {_MAX_GROUPINGS} groupings, got {len(items)}", reason="job-groups")
    found = [some_columns(item, columns) for item in items]
    if len(set(found)) != len(found):
        node.refuse("expected each grouping once, got one twice", reason="job-groups")
    return tuple(found)


def some_columns(node: _yaml.Node, columns: list[str]) -> tuple[str, ...]:
    """One column or several, each once."""
    names = tuple(part.choice(columns) for part in node.sequence())
    if len(set(names)) != len(names) or len(names) > _MAX_GROUP_COLUMNS:
        node.refuse(f"expected 1 to {_MAX_GROUP_COLUMNS} different columns, got others", reason="job-groups")
    return names
