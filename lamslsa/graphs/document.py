"""A graph for programs: one document, complete whatever the view, without a rendering's limits.

Rules:
- Within ``lamslsa.dev/graph/v1`` fields are added and none is taken away or changes its meaning.
- Nodes are identified by kind and digest; ``edges`` lead from the subject of the attestation to what it names. An edge
  of an attestation with a ``fault`` is shown and counts as no lineage.
- Text from attestations is passed on as it is; whoever prints it makes it safe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from lamslsa.graphs.interface import Graph, Node, Signed, Standing, Step, StepKind, View
from lamslsa.lineage import Artifact, Relation

__all__ = ["API_VERSION", "GraphDocument", "document", "render"]

API_VERSION: Final = "lamslsa.dev/graph/v1"

_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all parts; what is None stands as null."""


class ArtifactDocument(_Wire, frozen=True, kw_only=True):
    """A node by its identity."""

    kind: Literal["dataset", "model"]
    digest: _Digest


class NodeDocument(_Wire, frozen=True, kw_only=True):
    """An artifact; names are labels, ``distance`` counts the attestations that lead to it from the model."""

    kind: Literal["dataset", "model"]
    digest: _Digest
    names: tuple[str, ...]
    distance: int


class TimeDocument(_Wire, frozen=True, kw_only=True):
    """A time that a third party has signed."""

    at: str
    source: Literal["timestamp", "log"]


class SignatureDocument(_Wire, frozen=True, kw_only=True):
    """Who signed, by the policy's names; of what is not authentic or claimed, what the bundle says."""

    signer: str
    trusted_times: tuple[TimeDocument, ...]


class QuoteDocument(_Wire, frozen=True, kw_only=True):
    """A TEE that vouches; ``simulated`` is null where the quote was not verified."""

    tee: str
    simulated: bool | None


class FaultDocument(_Wire, frozen=True, kw_only=True):
    """Why a provenance gives no lineage."""

    reason: str
    message: str


class AttestationDocument(_Wire, frozen=True, kw_only=True):
    """An attestation; ``reason`` says why it is not authentic."""

    digest: _Digest
    kind: StepKind
    subject: ArtifactDocument
    code: str
    standing: Standing
    signatures: tuple[SignatureDocument, ...]
    tees: tuple[QuoteDocument, ...]
    fault: FaultDocument | None
    reason: str | None


class EdgeDocument(_Wire, frozen=True, kw_only=True):
    """What an attestation says about its subject and another artifact."""

    relation: Relation
    source: ArtifactDocument
    target: ArtifactDocument
    attestation: _Digest
    roles: tuple[str, ...]


class PolicyDocument(_Wire, frozen=True, kw_only=True):
    """The policy under which attestations were verified."""

    name: str
    sha256: str
    accepted: bool
    exit_code: Literal[0, 4, 5]
    warnings: tuple[str, ...]


class GraphDocument(_Wire, frozen=True, kw_only=True):
    """Where a model comes from; ``policy`` is null where nothing is verified."""

    api_version: Literal["lamslsa.dev/graph/v1"]
    kind: Literal["LineageGraph"]
    model: ArtifactDocument
    policy: PolicyDocument | None
    simulated: bool
    nodes: tuple[NodeDocument, ...]
    attestations: tuple[AttestationDocument, ...]
    edges: tuple[EdgeDocument, ...]
    beside: dict[str, int]


def document(graph: Graph) -> GraphDocument:
    """The whole graph."""
    verdict = graph.verdict
    return GraphDocument(
        api_version=API_VERSION,
        kind="LineageGraph",
        model=_artifact(graph.model),
        policy=None
        if verdict is None
        else PolicyDocument(
            name=verdict.policy,
            sha256=verdict.policy_sha256,
            accepted=verdict.accepted,
            exit_code=verdict.exit_code,
            warnings=verdict.warnings,
        ),
        simulated=graph.simulated,
        nodes=tuple(map(_node, graph.nodes)),
        attestations=tuple(_attestation(step) for node in graph.nodes for step in node.steps),
        edges=tuple(edge for node in graph.nodes for step in node.steps for edge in _edges(step)),
        beside=dict(graph.beside),
    )


def render(graph: Graph, view: View) -> str:
    """The document as JSON, in ASCII."""
    del view  # a program reads all of it
    return json.dumps(msgspec.to_builtins(document(graph)), indent=2, allow_nan=False) + "\n"


def _digest(sha256: str) -> str:
    return f"sha256:{sha256}"


def _artifact(artifact: Artifact) -> ArtifactDocument:
    return ArtifactDocument(kind=artifact.kind, digest=_digest(artifact.sha256))


def _node(node: Node) -> NodeDocument:
    return NodeDocument(
        kind=node.artifact.kind, digest=_digest(node.artifact.sha256), names=node.names, distance=node.distance
    )


def _attestation(step: Step) -> AttestationDocument:
    return AttestationDocument(
        digest=_digest(step.sha256),
        kind=step.kind,
        subject=_artifact(step.subject),
        code=step.code,
        standing=step.standing,
        signatures=tuple(map(_signature, step.signed)),
        tees=tuple(QuoteDocument(tee=quote.tee, simulated=quote.simulated) for quote in step.quotes),
        fault=None if step.fault is None else FaultDocument(reason=step.fault.reason, message=step.fault.message),
        reason=step.reason,
    )


def _signature(signed: Signed) -> SignatureDocument:
    times = (TimeDocument(at=time.at.isoformat().replace("+00:00", "Z"), source=time.source) for time in signed.times)
    return SignatureDocument(signer=signed.who, trusted_times=tuple(times))


def _edges(step: Step) -> Iterator[EdgeDocument]:
    for link in step.links:
        yield EdgeDocument(
            relation=link.relation,
            source=_artifact(link.source),
            target=_artifact(link.target),
            attestation=_digest(step.sha256),
            roles=link.roles,
        )
