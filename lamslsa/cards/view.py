"""What a card shows, as values: built once from an appraisal, the same for every renderer (`lamslsa.cards.parts`)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lamslsa.cards.parts import (
    Curve,
    Distribution,
    Fact,
    GroupTable,
    Listing,
    Measure,
    Reference,
    Source,
    Standing,
    Table,
)
from lamslsa.policy.appraisal import Outcome

__all__ = [
    "OUTCOMES",
    "Alert",
    "Card",
    "Dataset",
    "Edge",
    "Evaluation",
    "Evidence",
    "Graph",
    "Inference",
    "Miss",
    "Node",
    "Properties",
    "Rule",
    "SetAsideBundle",
    "StatementRow",
    "Training",
    "Verdict",
]

OUTCOMES: Final = MappingProxyType[Outcome, str](
    {"satisfied": "✓ satisfied", "refused": "✕ refused", "not-evaluated": "– not evaluated"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision in words."""

    accepted: bool
    exit_code: int
    headline: str
    summary: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A sentence that belongs at the top of the card, and how good the statement is that it comes from."""

    standing: Standing
    text: str


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
class Evaluation:
    """Metrics of this model on one dataset.

    Attributes:
        notices: what to know before reading the values.
        references: what else was read, by role and name, with its digest.
        tables: slices, and metrics that have parameters.
        omitted: how many values of such tables are not shown.
    """

    source: Source
    dataset: Reference
    notices: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    configuration: Listing[Fact]
    references: Listing[Fact]
    overall: Listing[Measure]
    differences: Listing[Measure]
    tables: tuple[GroupTable, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A datasheet; ``role`` is what this model used the dataset for."""

    source: Source
    reference: Reference
    role: str
    notices: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    missing: Listing[Fact]
    distributions: Listing[Distribution]
    tables: tuple[Table, ...]
    overlaps: Listing[str]
    withheld: Listing[Fact]
    declared: Listing[Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How an artifact was made: by a training, by a transform, or a dataset out of datasets.

    Attributes:
        kind: what kind of run, in words.
        product: what came out, and ``about`` what that is to this model; empty for the model itself.
        privacy: of a private training.
        losses: None where none are published.
        measured: what was measured on the way and has no table of its own.
        reported: what the operating system says of the machine.
    """

    source: Source
    kind: str
    product: Reference
    about: str
    notices: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    ingredients: Listing[Fact]
    parameters: Listing[Fact]
    privacy: Listing[Fact]
    losses: Curve | None
    tables: tuple[Table, ...]
    measured: Listing[Fact]
    packages: tuple[Fact, ...]
    package_count: str
    reported: Listing[Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What the files of this model are."""

    source: Source
    notices: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    findings: Table
    files: Table
    statistics: tuple[Fact, ...]
    tensors: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What this model answered: one record, or a commitment to many."""

    source: Source
    title: str
    dataset: Reference
    notices: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    input: Listing[Fact]
    output: Listing[Fact]
    configuration: Listing[Fact]


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
        rank: 2 the model, 1 the training or transform that made it, 0 what that read; below 0 the same of a parent, or
            of a dataset that was made of others; 3 evaluation, 4 test data.
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
    """From an ingredient to what was made of it; ``overlap`` edges join two datasets that share rows or an origin."""

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
        simulation: a sentence that says so if any TEE is simulated, or none was asked for; empty otherwise.
        alerts: what the reader must not miss, such as files that can run code.
        preparations: how datasets were made of others.
        trainings: how the model was made, and its parents.
    """

    model: Reference
    policy: Reference
    policy_closure: str
    at: str
    command: str
    verdict: Verdict
    simulation: str
    alerts: tuple[Alert, ...]
    rules: tuple[Rule, ...]
    misses: tuple[Miss, ...]
    graph: Graph
    properties: Listing[Properties]
    evaluations: Listing[Evaluation]
    inferences: Listing[Inference]
    datasets: Listing[Dataset]
    preparations: Listing[Training]
    trainings: Listing[Training]
    evidence: Listing[Evidence]
    statements: Listing[StatementRow]
    set_aside: Listing[SetAsideBundle]
    warnings: Listing[str]
