"""What verified attestations say of a model, as far as somebody with a name signed them on the platform asked for."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lamslsa.evidence.appraise import Refusal
from lamslsa.lineage import Artifact, Build, Datasheet, Ingredient, Lineage, Measurement
from lamslsa.policy._witness import refusals_of_platform
from lamslsa.policy.init.trust import Trust
from lamslsa.predicates import Dataset, Evaluation, Provenance
from lamslsa.verification import Verification, VerifiedAttestation

__all__ = ["Found", "Step"]

_MAX_STEPS: Final = 256
_KINDS: Final = {Dataset: "datasheet", Evaluation: "evaluation", Provenance: "provenance"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A training, transform or preprocessing that led to the model.

    Attributes:
        others: how many further provenances of the same product there are; none of them is gone by.
    """

    build: Build
    signer: str
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is to write a policy from; everything is sorted.

    Attributes:
        steps: from the model downwards; empty where nothing says how it came to be.
        parents: models of which nothing says how they came to be: base models.
        signers: statement digest to the name whose word counts for it.
        refused: why what is authentic does not count, in words.
    """

    model: Artifact
    lineage: Lineage
    steps: tuple[Step, ...]
    parents: tuple[Ingredient, ...]
    signers: Mapping[str, str]
    refused: tuple[str, ...]

    @classmethod
    def of(
        cls, verification: Verification, trust: Trust, *, model: str, now: dt.datetime, without: frozenset[str]
    ) -> Found:
        """Look through what is authentic.

        Args:
            verification: of the bundles.
            trust: whose word counts.
            model: manifest digest.
            now: as of when platforms are judged.
            without: identities that sign no attestations, since they sign reference values.
        """
        looked = {
            item.statement.sha256: {
                name: _misses(item, name, trust, now=now) for name in sorted(item.signers - without)
            }
            for item in verification.attestations
        }
        able = {digest: [name for name, misses in names.items() if not misses] for digest, names in looked.items()}
        known = [item for item in verification.attestations if able[item.statement.sha256]]
        usual = Counter((type(item.predicate), name) for item in known for name in able[item.statement.sha256])
        signers = {
            item.statement.sha256: min(
                able[item.statement.sha256], key=lambda name: (-usual[type(item.predicate), name], name)
            )
            for item in known
        }
        lineage, artifact = Lineage.of(known), Artifact(kind="model", sha256=model)
        steps, parents = _descend(lineage, artifact, signers)
        refused = [refusal for names in looked.values() for misses in names.values() for refusal in misses]
        return cls(
            model=artifact,
            lineage=lineage,
            steps=steps,
            parents=parents,
            signers=signers,
            refused=tuple(dict.fromkeys(refusal.message for refusal in refused)),
        )

    @property
    def readings(self) -> tuple[Ingredient, ...]:
        """Every dataset that some step read, once for each schema."""
        found = {(item.artifact, item.schema or ""): item for step in self.steps for item in step.build.datasets}
        return tuple(item for _, item in sorted(found.items(), key=lambda entry: entry[0]))

    @property
    def bases(self) -> tuple[Ingredient, ...]:
        """Every base model, each once."""
        trained = (item for step in self.steps if not step.build.is_transform for item in step.build.bases)
        found = {item.artifact: item for item in (*trained, *self.parents)}
        return tuple(item for _, item in sorted(found.items()))

    def sheet(self, dataset: str, schema: str | None) -> Datasheet | None:
        """A datasheet of a dataset under the schema under which it was read."""
        artifact = Artifact(kind="dataset", sha256=dataset)
        return next(
            (item for item in self.lineage.datasheets_of(artifact) if item.sheet.schema_digest.sha256 == schema), None
        )

    def measurements(self) -> tuple[Measurement, ...]:
        """Every evaluation of the model."""
        return self.lineage.measurements_of(self.model)

    def signer(self, item: VerifiedAttestation) -> str:
        """Whose word counts for a statement."""
        return self.signers[item.statement.sha256]

    def roles(self, names: Iterable[str]) -> Mapping[str, str]:
        """What each identity signed that counts, in words."""
        signed: dict[str, Counter[str]] = {name: Counter() for name in names}
        for item in self.attestations():
            signed[self.signer(item)][_kind(item)] += 1
        return {name: _in_words(counts) for name, counts in signed.items()}

    def attestations(self) -> tuple[VerifiedAttestation, ...]:
        """Every attestation that somebody's word stands behind."""
        return (
            *(item.attestation for item in self.lineage.builds),
            *(item.attestation for item in self.lineage.measurements),
            *(item.attestation for item in self.lineage.datasheets),
        )


def _in_words(counts: Counter[str]) -> str:
    if not counts:
        return "signed nothing here that counts"
    both = "evaluation" in counts and any(kind.startswith("provenance") for kind in counts)
    signed = ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items()))
    return f"signed here: {signed}{'; judges what it made: ask for another evaluator' if both else ''}"


def _kind(item: VerifiedAttestation) -> str:
    if isinstance(item.predicate, Provenance):
        is_transform = item.predicate.build_definition.external_parameters.transform is not None
        return "provenance of a transform" if is_transform else "provenance of a training"
    return _KINDS.get(type(item.predicate), "statement")


def _misses(item: VerifiedAttestation, name: str, trust: Trust, *, now: dt.datetime) -> tuple[Refusal, ...]:
    """Why the word of an identity does not count for a statement: a signature of it, and a quote of the platform."""
    signed = [
        trust.identities[name].refusals(signature.signature, name=name)
        for signature in item.signatures
        if signature.identity == name
    ]
    quoted = [
        refusals_of_platform(item, evidence, trust.platform, now=now)
        for evidence in item.evidence
        if item.statement.sha256 in evidence.covers and evidence.dated_by in (None, name)
    ]
    if not quoted:
        return (
            Refusal(reason="evidence-missing", message="expected a quote that covers a statement, got none", mend=""),
        )
    return (*min(signed, key=len), *min(quoted, key=len))


def _descend(
    lineage: Lineage, model: Artifact, signers: Mapping[str, str]
) -> tuple[tuple[Step, ...], tuple[Ingredient, ...]]:
    """One provenance for each artifact on the way down, and the parents that have none."""
    steps: dict[Artifact, Step] = {}
    parents: dict[Artifact, Ingredient] = {}
    waiting = [model]
    while waiting and len(steps) < _MAX_STEPS:
        artifact = waiting.pop(0)
        if artifact in steps:
            continue
        builds = [build for build in lineage.builds_of(artifact) if build.fault is None]
        if not builds:
            continue
        build = builds[0]
        signer = signers[build.attestation.statement.sha256]
        steps[artifact] = Step(build=build, signer=signer, others=len(builds) - 1)
        for item in _below(lineage, build):
            if lineage.builds_of(item.artifact):
                waiting.append(item.artifact)
            elif item.artifact.kind == "model":
                parents[item.artifact] = item
    return tuple(steps.values()), tuple(item for _, item in sorted(parents.items()))


def _below(lineage: Lineage, build: Build) -> Iterator[Ingredient]:
    """What a step was made of whose own making counts: parents of a transform, and datasets that were prepared."""
    if build.is_transform:
        yield from build.bases
    for item in build.datasets:
        sources = [source for made in lineage.builds_of(item.artifact) for source in made.datasets]
        if sources and all(_has_sheet(lineage, source) for source in sources):
            yield item


def _has_sheet(lineage: Lineage, item: Ingredient) -> bool:
    return any(sheet.sheet.schema_digest.sha256 == item.schema for sheet in lineage.datasheets_of(item.artifact))
