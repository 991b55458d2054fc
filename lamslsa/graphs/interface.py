"""What is drawn: artifacts by (kind, digest), and the attestations about each of them.

Rules:
- Every attestation says how good it is: relied on by a rule, authentic, not authentic, or claimed where no policy says
  who may sign. Names are labels, and those that better attestations use come first.
- Time is what a third party has signed. A time that a statement or a bundle states is never shown.
- What a graph leaves out it counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from lamslsa.lineage import Artifact, Fault, Link, RunKind
from lamslsa.sign.interface import TrustedTime

__all__ = [
    "FORMS",
    "KINDS",
    "STANDINGS",
    "Form",
    "Graph",
    "Node",
    "Quote",
    "Signed",
    "Standing",
    "Step",
    "StepKind",
    "Verdict",
    "View",
]

Form = Literal["tree", "dot", "mermaid", "json"]
FORMS: Final[tuple[Form, ...]] = ("tree", "dot", "mermaid", "json")
Standing = Literal["qualifying", "authentic", "not authentic", "claimed"]
STANDINGS: Final[tuple[Standing, ...]] = ("qualifying", "authentic", "not authentic", "claimed")
"""Best first; ``claimed`` stands alone, where nothing was verified."""
StepKind = RunKind | Literal["datasheet", "properties", "evaluation", "inference", "verification summary"]
KINDS: Final[tuple[StepKind, ...]] = (
    "preprocessing", "training", "own training", "transform", "datasheet", "properties", "evaluation", "inference",
    "verification summary",
)  # fmt: skip
"""As they follow upon each other in the life of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signature.

    Attributes:
        who: the policy's name of the identity; of what is not authentic, what the bundle says.
        times: at which third parties have seen it; of verified signatures only.
    """

    who: str
    times: tuple[TrustedTime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Quote:
    """A quote that covers a statement.

    Attributes:
        simulated: None where the quote was not verified, and nobody knows.
    """

    tee: str
    simulated: bool | None

    @property
    def words(self) -> str:
        """In words, simulation in plain sight."""
        return self.tee + {True: ", SIMULATED", False: "", None: ", not verified"}[self.simulated]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An attestation.

    Attributes:
        sha256: of the statement.
        code: whose code made or measured the subject, as ``name/version``; of a summary the verifier and its word.
        links: from the subject to other artifacts; one that repeats another is left out.
        fault: why a provenance gives no lineage.
        reason: why it is not authentic.
    """

    sha256: str
    kind: StepKind
    code: str
    subject: Artifact
    name: str
    links: tuple[Link, ...]
    standing: Standing
    signed: tuple[Signed, ...]
    quotes: tuple[Quote, ...]
    fault: Fault | None = None
    reason: str | None = None

    @property
    def at(self) -> dt.datetime | None:
        """The earliest trusted time, at which it existed; None where no third party has seen it."""
        return min((time.at for signed in self.signed for time in signed.times), default=None)

    @property
    def simulated(self) -> bool:
        """Whether some quote is known to be of a simulated TEE."""
        return any(quote.simulated for quote in self.quotes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An artifact that the model's lineage reaches.

    Attributes:
        names: what it is called, by the best attestations first; may be empty.
        distance: how many attestations lead to it from the model.
        steps: what is said about it: the best first, then in the order of a model's life, then by trusted time; what
            nobody has dated comes last, by digest.
    """

    artifact: Artifact
    names: tuple[str, ...]
    distance: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The policy under which attestations were verified, and what it came to."""

    policy: str
    policy_sha256: str
    accepted: bool
    exit_code: Literal[0, 4, 5]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Everything that the model's lineage reaches.

    Attributes:
        verdict: None where there is no policy, and nothing is verified.
        nodes: the model first, then by distance.
        beside: what was there and is no part of it, in words, and how many of each.
    """

    model: Artifact
    name: str
    verdict: Verdict | None
    nodes: tuple[Node, ...]
    beside: Mapping[str, int] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether some quote is known to be of a simulated TEE."""
        return any(step.simulated for node in self.nodes for step in node.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How much of a graph is drawn, and how; JSON has all of it.

    Attributes:
        depth: artifacts further away from the model than this are counted.
        limit: attestations about one artifact, and artifacts that one attestation names; the others are counted.
        colour: whether a terminal shows it.
    """

    depth: int = 20
    limit: int = 20
    colour: bool = False
