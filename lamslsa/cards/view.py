"""What a card shows, as values: built once from an appraisal, the same for every renderer.

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

from lamslsa.policy.appraisal import Outcome

__all__ = [
    "LEGEND",
    "MARKS",
    "OUTCOMES",
    "WORDS",
    "Card",
    "Dataset",
    "Distribution",
    "Edge",
    "Evaluation",
    "Evidence",
    "Fact",
    "Graph",
    "GroupRow",
    "GroupTable",
    "Listing",
    "Measure",
    "Miss",
    "Node",
    "Reference",
    "Rule",
    "SetAsideBundle",
    "Share",
    "Source",
    "Standing",
    "StatementRow",
    "Training",
    "Verdict",
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
OUTCOMES: Final = MappingProxyType[Outcome, str](
    {"satisfied": "✓ satisfied", "refused": "✕ refused", "not-evaluated": "– not evaluated"}
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
    """A name and its value, both as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision in words."""

    accepted: bool
    exit_code: int
    headline: str
    summary: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the policy.

    Attributes:
        unverified: ``observed`` comes from a statement that no rule relied on: the nearest miss.
    """

    name: str
    outcome: Outcome
    subject: str
    observed: str
    unverified: bool
    threshold: str
    signer: str
    tee: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Why rules are not satisfied and what would mend it; rules that fail for the same reason stand together."""

    rules: tuple[str, ...]
    outcome: Outcome
    reason: str
    message: str
    mend: str


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
    """The metrics of one slice, in the order of the table's metrics."""

    groups: tuple[str, ...]
    samples: str
    measures: tuple[Measure | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTable:
    """Slices over the same columns; ``references`` are the values over all rows."""

    columns: tuple[str, ...]
    metrics: tuple[Fact, ...]
    references: tuple[float | None, ...]
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of this model on one dataset."""

    source: Source
    dataset: Reference
    facts: tuple[Fact, ...]
    overall: Listing[Measure]
    differences: Listing[Measure]
    groups: tuple[GroupTable, ...]
    slices_omitted: int


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
class Dataset:
    """A datasheet; ``role`` is what this model used the dataset for."""

    source: Source
    reference: Reference
    role: str
    facts: tuple[Fact, ...]
    missing: Listing[Fact]
    distributions: Listing[Distribution]
    overlaps: Listing[str]
    declared: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the model was made; ``reported`` is what the operating system says of the machine."""

    source: Source
    facts: tuple[Fact, ...]
    ingredients: Listing[Fact]
    parameters: Listing[Fact]
    packages: tuple[Fact, ...]
    package_count: str
    reported: Listing[Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An authentic quote."""

    standing: Standing
    tee: str
    simulated: bool
    measurement: str
    tcb: str
    root: str
    covers: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """An authentic statement and what it is about."""

    source: Source
    kind: str
    subject: Reference
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideBundle:
    """A bundle that is not authentic."""

    source: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An artifact or a run in the lineage.

    Attributes:
        rank: 0 training data and base models, 1 training, 2 the model, 3 evaluation, 4 test data.
    """

    key: str
    rank: int
    kind: str
    name: str
    digest: str
    signers: str
    tee: str
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """From an ingredient to what was made of it; ``overlap`` edges join two datasets that share rows."""

    start: str
    end: str
    standing: Standing
    overlap: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The lineage of the model; ``omitted`` nodes are left out of the drawing."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything that a card shows.

    Attributes:
        policy: the policy's file; ``policy_closure`` is its digest together with the keys and roots that it names.
        simulation: a sentence that says so if any TEE is simulated; empty otherwise.
    """

    model: Reference
    policy: Reference
    policy_closure: str
    at: str
    command: str
    verdict: Verdict
    simulation: str
    rules: tuple[Rule, ...]
    misses: tuple[Miss, ...]
    graph: Graph
    evaluations: Listing[Evaluation]
    datasets: Listing[Dataset]
    trainings: Listing[Training]
    evidence: Listing[Evidence]
    statements: Listing[StatementRow]
    set_aside: Listing[SetAsideBundle]
    warnings: Listing[str]
