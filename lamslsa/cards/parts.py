"""What the sections of a card are made of, the same for every renderer.

Rules:
- Every section carries a `Source`: which statement says this, who signed it, which TEE vouches, and its `Standing`.
- ``verified``: some rule of the policy relied on the statement. ``unverified``: authentic, but no rule relied on it.
  ``declared``: said by an owner or reported by a host, measured by nobody, whoever signed it.
- Texts in here are as hostile as the attestations they come from; escaping is the renderer's work.
- Nothing is left out silently: a `Listing` says how many items it does not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, Literal, TypeVar

__all__ = [
    "LEGEND",
    "MARKS",
    "WORDS",
    "Curve",
    "Distribution",
    "Fact",
    "GroupRow",
    "GroupTable",
    "Listing",
    "Measure",
    "Reference",
    "Share",
    "Source",
    "Standing",
    "Table",
]

T_co = TypeVar("T_co", covariant=True)

Standing = Literal["verified", "unverified", "declared"]

MARKS: Final = MappingProxyType[Standing, str]({"verified": "✓", "unverified": "○", "declared": "✎"})
WORDS: Final = MappingProxyType[Standing, str](
    {"verified": "verified", "unverified": "not verified", "declared": "declared"}
)
LEGEND: Final = MappingProxyType[Standing, str](
    {
        "verified": "a rule of the policy relied on the signed statement that says this.",
        "unverified": "the statement is authentic, but no rule of the policy relied on it.",
        "declared": "said by the owner or reported by the host; nobody measured it.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T_co]):
    """The items that are shown, and how many more there are."""

    shown: tuple[T_co, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An artifact: what it is called, and what it is."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and its value, both as text; as a notice, the name is the card's own."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the values of a section come from.

    Attributes:
        statement: SHA-256 of the statement's payload.
        rules: names of the satisfied rules that name this statement.
    """

    standing: Standing
    statement: str
    signers: str
    tee: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric: numbers for drawing, texts for reading.

    Attributes:
        text: value with interval, or why the metric is undefined.
        method: how the interval was made; empty without one.
    """

    name: str
    label: str
    text: str
    method: str
    samples: str
    groups: str = ""
    value: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """The metrics of one slice or of one set of parameters, in the order of the table's metrics."""

    groups: tuple[str, ...]
    samples: str
    measures: tuple[Measure | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTable:
    """Metrics over the same columns: slices, or parameters such as a class or the size of a perturbation.

    Attributes:
        title: what tells the rows apart, and what all of them have in common.
        metrics: what stands in the columns after ``columns``: metrics, or the values of a second parameter.
        references: the values over all rows.
    """

    title: str
    columns: tuple[str, ...]
    metrics: tuple[Fact, ...]
    references: tuple[float | None, ...]
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many rows a group has."""

    label: str
    count: str
    share: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Counts over one or more columns."""

    title: str
    samples: str
    shares: Listing[Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Texts in rows.

    Attributes:
        names: how many columns, from the first, say what a row is about; the others hold values.
        what: what the rows are called where some are not shown.
    """

    title: str
    headers: tuple[str, ...]
    rows: Listing[tuple[str, ...]]
    names: int = 1
    what: str = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Numbers in their order, to be drawn as a line; ``text`` says where they begin and end."""

    title: str
    text: str
    values: tuple[float, ...]
