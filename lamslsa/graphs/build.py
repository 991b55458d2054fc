"""From bundles, and the appraisal of them where there is a policy, to the graph.

Rules:
- A provenance that contradicts itself, or goes round in a circle, is shown with its fault. What is not authentic cannot
  make a circle out of what is.
- The time is linear in what is there, and nothing recurses.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, assert_never

from lamslsa.graphs._bundles import About, Claims, Said, read
from lamslsa.graphs.interface import (
    KINDS,
    STANDINGS,
    Graph,
    Node,
    Quote,
    Signed,
    Standing,
    Step,
    StepKind,
    Verdict,
)
from lamslsa.lineage import Artifact, Fault, Recipe, links, recipe, run_kind, with_cycles_found
from lamslsa.policy.appraisal import Appraisal
from lamslsa.predicates import Dataset, Evaluation, Inference, Model, Provenance, VerificationSummary
from lamslsa.statement import Statement
from lamslsa.store import StoredBundle
from lamslsa.verification import VerifiedAttestation

__all__ = ["described", "of_appraisal", "of_bundles"]

_NEVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


def of_bundles(bundles: Iterable[StoredBundle], *, model: str, name: str) -> Graph:
    """The graph as bundles tell it, where nobody has said who may sign: nothing in it is verified.

    Args:
        bundles: in any order.
        model: the manifest digest of the model, hexadecimal.
        name: what to call the model; a label.
    """
    claims = read(bundles)
    steps = [_said_step(item, claims, "claimed") for item in claims.said.values()]
    return _graph(_faulty(steps, _recipes(claims)), Artifact(kind="model", sha256=model), name, None, claims.others)


def of_appraisal(appraisal: Appraisal, bundles: Iterable[StoredBundle]) -> Graph:
    """The graph of an appraisal: what it relied on, what is authentic, and what is not.

    Base models and extended policies come with identities of their own, which are named with their policies.

    Args:
        appraisal: of the model, accepted or refused.
        bundles: those that were appraised.
    """
    claims = read(bundles)
    reasons = {item.source: item.reason for item in appraisal.set_aside}
    verified = _verified(appraisal)
    forged = [
        _said_step(item, claims, "not authentic", reasons=reasons)
        for sha256, item in claims.said.items()
        if sha256 not in verified
    ]
    good = {
        sha256: recipe(item.statement, item.predicate)
        for sha256, (item, _) in verified.items()
        if isinstance(item.predicate, Provenance)
    }
    verdict = Verdict(
        policy=appraisal.policy_name,
        policy_sha256=appraisal.policy_sha256,
        accepted=appraisal.accepted,
        exit_code=appraisal.exit_code,
        warnings=appraisal.warnings,
    )
    steps = [*_faulty([step for _, step in verified.values()], good), *_faulty(forged, {**_recipes(claims), **good})]
    return _graph(steps, Artifact(kind="model", sha256=appraisal.model), appraisal.model_name, verdict, claims.others)


def _verified(appraisal: Appraisal) -> dict[str, tuple[VerifiedAttestation, Step]]:
    """Every authentic attestation once, as the appraisal has it that relied on it."""
    found: dict[str, tuple[VerifiedAttestation, Step]] = {}
    waiting = deque([appraisal])
    while waiting:
        each = waiting.popleft()
        waiting.extend((*each.extended, *each.bases))
        relied = {item.statement.sha256 for item in each.qualifying}
        of = "" if each is appraisal else f" of {each.policy_name}"
        for item in each.attestations:
            sha256 = item.statement.sha256
            qualifies = sha256 in relied
            if sha256 not in found or (qualifies and found[sha256][1].standing != "qualifying"):
                alone = sha256 in each.by_signature_alone
                found[sha256] = item, _verified_step(item, "qualifying" if qualifies else "authentic", of, alone=alone)
    return found


def _verified_step(item: VerifiedAttestation, standing: Standing, of: str, *, alone: bool) -> Step:
    """``alone``: it counts by its signature, as the policy says, and no quote of it was looked at."""
    signed = tuple(Signed(who=f"{each.identity}{of}", times=each.signature.witnessed.times) for each in item.signatures)
    quotes = {Quote(tee=each.claims.tee, simulated=each.claims.simulated) for each in item.evidence}
    if alone:
        quotes = {Quote(tee="none", simulated=False)}
    return _step(item.statement, item.predicate, standing, tuple(dict.fromkeys(signed)), quotes)


def _said_step(item: Said, claims: Claims, standing: Standing, *, reasons: Mapping[str, str] | None = None) -> Step:
    step = _step(
        item.statement,
        item.predicate,
        standing,
        tuple(Signed(who=who) for who in sorted(set(item.signers))),
        claims.quotes.get(item.statement.sha256, ()),
    )
    if reasons is None:
        return step
    known = sorted({reasons[source] for source in item.sources if source in reasons})
    return replace(step, reason=", ".join(known) or None)


def _step(
    statement: Statement, predicate: About, standing: Standing, signed: tuple[Signed, ...], quotes: Iterable[Quote]
) -> Step:
    (subject,) = statement.subjects
    kind, code, about = described(predicate)
    stated = {(link.relation, link.target): link for link in reversed(links(statement, predicate))}
    return Step(
        sha256=statement.sha256,
        kind=kind,
        code=code,
        subject=Artifact(kind=about, sha256=subject.sha256),
        name=subject.name,
        links=tuple(reversed(stated.values())),
        standing=standing,
        signed=signed,
        quotes=tuple(sorted(quotes, key=lambda quote: quote.words)),
    )


def described(predicate: About) -> tuple[StepKind, str, Literal["dataset", "model"]]:
    """What kind of attestation it is, whose code it is the word of, and what kind of artifact it is about."""
    match predicate:
        case Provenance():
            external = predicate.build_definition.external_parameters
            return run_kind(predicate.build_definition), str(external.code), external.produces
        case Dataset():
            return "datasheet", str(predicate.measurer), "dataset"
        case Model():
            return "properties", str(predicate.measurer), "model"
        case Evaluation():
            return "evaluation", str(predicate.measurer), "model"
        case Inference():
            return "inference", str(predicate.measurer), "model"
        case VerificationSummary():
            return "verification summary", f"{predicate.verification_result} says {predicate.verifier.id}", "model"
        case _:
            assert_never(predicate)


def _recipes(claims: Claims) -> dict[str, Recipe]:
    return {
        sha256: recipe(item.statement, item.predicate)
        for sha256, item in claims.said.items()
        if isinstance(item.predicate, Provenance)
    }


def _faulty(steps: Iterable[Step], recipes: Mapping[str, Recipe]) -> Iterator[Step]:
    """The same steps, with the faults of what they say together."""
    checked = with_cycles_found(tuple(recipes.values()))
    faults: dict[str, Fault | None] = {sha256: found.fault for sha256, found in zip(recipes, checked, strict=True)}
    for step in steps:
        fault = faults.get(step.sha256)
        yield step if fault is None else replace(step, fault=fault)


def _order(step: Step) -> tuple[int, int, dt.datetime, str]:
    return STANDINGS.index(step.standing), KINDS.index(step.kind), step.at or _NEVER, step.sha256


def _graph(
    steps: Iterable[Step], model: Artifact, name: str, verdict: Verdict | None, others: Mapping[str, int]
) -> Graph:
    about: dict[Artifact, list[Step]] = {}
    for step in sorted(steps, key=_order):
        about.setdefault(step.subject, []).append(step)
    distances = {model: 0}
    waiting = deque([model])
    names: dict[Artifact, Counter[tuple[int, str]]] = {}
    while waiting:
        artifact = waiting.popleft()
        for step in about.get(artifact, ()):
            rank = STANDINGS.index(step.standing)
            names.setdefault(artifact, Counter())[rank, step.name] += 1
            for link in step.links:
                names.setdefault(link.target, Counter())[rank, link.name] += 1
                if link.target not in distances:
                    distances[link.target] = distances[artifact] + 1
                    waiting.append(link.target)
    nodes = tuple(
        Node(
            artifact=artifact,
            names=_names(names.get(artifact, Counter()), name if artifact == model else None),
            distance=distance,
            steps=tuple(about.get(artifact, ())),
        )
        for artifact, distance in distances.items()
    )
    elsewhere = sum(len(found) for artifact, found in about.items() if artifact not in distances)
    beside = {"attestations about other artifacts": elsewhere, **others}
    return Graph(
        model=model,
        name=name,
        verdict=verdict,
        nodes=nodes,
        beside={words: count for words, count in sorted(beside.items()) if count},
    )


def _names(said: Counter[tuple[int, str]], own: str | None) -> tuple[str, ...]:
    ranked = sorted(said, key=lambda item: (item[0], -said[item], item[1]))
    return tuple(dict.fromkeys([*([] if own is None else [own]), *(name for _, name in ranked)]))
