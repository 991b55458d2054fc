"""Where a model comes from: a graph over verified attestations, by (kind, manifest digest).

Rules:
- Nodes are artifacts; names are labels and files are never compared, so a shared tokenizer or licence connects nothing.
- A dataset or base model is an ingredient when the provenance lists it among its resolved dependencies, whatever role
  it was given: what training could read counts as seen.
- Provenance that contradicts itself (a role without a dataset, one dataset twice, no dataset at all) or that has a
  cycle behind it is kept with its `Fault` and gives no edges. It raises nothing: an attestation put beside a model must
  not be able to stop the appraisal of the others.
- No recursion: a chain may be as deep as the attestations that are there.

>>> Lineage.of([]).edges
()
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from lamslsa.errors import VerificationError
from lamslsa.predicates import Dataset, Evaluation, Provenance
from lamslsa.predicates.provenance import Dependency
from lamslsa.verify import VerifiedAttestation

__all__ = [
    "Artifact",
    "Datasheet",
    "Edge",
    "Fault",
    "Ingredient",
    "Lineage",
    "Measurement",
    "Relation",
    "Training",
]

Relation = Literal["trained-on", "derived-from", "evaluated-on", "overlaps-with"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Artifact:
    """A node: the kind and the manifest digest, hexadecimal."""

    kind: Literal["dataset", "model"]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """What a training read.

    Attributes:
        name: the label that the provenance gives it.
        schema: SHA-256 of the schema under which a dataset was read; None where the provenance does not say.
        roles: the roles in which the training used a dataset; informative.
    """

    name: str
    artifact: Artifact
    schema: str | None
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a provenance gives no lineage."""

    reason: str
    message: str
    hint: str | None = None

    def error(self) -> VerificationError:
        """The same as an exception."""
        return VerificationError(self.message, reason=self.reason, hint=self.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A provenance and what it says about the model's ingredients."""

    attestation: VerifiedAttestation
    provenance: Provenance
    model: Artifact
    datasets: tuple[Ingredient, ...]
    bases: tuple[Ingredient, ...]
    fault: Fault | None

    @property
    def trained_on(self) -> Mapping[str, Ingredient]:
        """The datasets by manifest digest."""
        return {item.artifact.sha256: item for item in self.datasets}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """An evaluation of a model on a dataset."""

    attestation: VerifiedAttestation
    evaluation: Evaluation
    model: Artifact
    dataset: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """A datasheet of a dataset."""

    attestation: VerifiedAttestation
    sheet: Dataset
    dataset: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What an attestation says about two artifacts: ``source`` is its subject."""

    relation: Relation
    source: Artifact
    target: Artifact
    attestation: VerifiedAttestation


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The graph. Build it with `of`; every tuple is sorted by statement digest, so the order of the input is no input.

    Attributes:
        labels: every name by which an artifact is called, most frequent first.
    """

    trainings: tuple[Training, ...]
    measurements: tuple[Measurement, ...]
    datasheets: tuple[Datasheet, ...]
    edges: tuple[Edge, ...]
    labels: Mapping[Artifact, tuple[str, ...]]

    @classmethod
    def of(cls, attestations: Iterable[VerifiedAttestation]) -> Lineage:
        """The graph of these attestations; hand in only those whose word should count."""
        trainings: list[Training] = []
        measurements: list[Measurement] = []
        datasheets: list[Datasheet] = []
        for item in sorted(attestations, key=lambda item: item.statement.sha256):
            match item.predicate:
                case Provenance():
                    trainings.append(_training(item, item.predicate))
                case Evaluation():
                    measurements.append(
                        Measurement(
                            attestation=item,
                            evaluation=item.predicate,
                            model=_subject(item, "model"),
                            dataset=Artifact(kind="dataset", sha256=item.predicate.dataset.digest.sha256),
                        )
                    )
                case Dataset():
                    datasheets.append(
                        Datasheet(attestation=item, sheet=item.predicate, dataset=_subject(item, "dataset"))
                    )
                case _:
                    assert_never(item.predicate)
        grounded = _grounded(trainings)
        resolved = tuple(_with_cycle_fault(training, grounded) for training in trainings)
        return cls(
            trainings=resolved,
            measurements=tuple(measurements),
            datasheets=tuple(datasheets),
            edges=tuple(_edges(resolved, measurements, datasheets)),
            labels=_labels(resolved, measurements, datasheets),
        )

    def trainings_of(self, model: Artifact) -> tuple[Training, ...]:
        """Every provenance of a model, faulty ones included."""
        return tuple(item for item in self.trainings if item.model == model)

    def measurements_of(self, model: Artifact) -> tuple[Measurement, ...]:
        """Every evaluation of a model."""
        return tuple(item for item in self.measurements if item.model == model)

    def datasheets_of(self, dataset: Artifact) -> tuple[Datasheet, ...]:
        """Every datasheet of a dataset."""
        return tuple(item for item in self.datasheets if item.dataset == dataset)

    def label(self, artifact: Artifact) -> str | None:
        """The name by which most attestations call an artifact; a label, never an identity."""
        names = self.labels.get(artifact)
        return names[0] if names else None


def _subject(item: VerifiedAttestation, kind: Literal["dataset", "model"]) -> Artifact:
    (subject,) = item.statement.subjects
    return Artifact(kind=kind, sha256=subject.sha256)


def _training(item: VerifiedAttestation, provenance: Provenance) -> Training:
    definition = provenance.build_definition
    roles = definition.external_parameters.datasets
    datasets: list[Ingredient] = []
    bases: list[Ingredient] = []
    for dependency in definition.resolved_dependencies:
        if dependency.annotations.kind == "dataset":
            datasets.append(_ingredient(dependency, "dataset", roles))
        elif dependency.annotations.kind == "model":
            bases.append(_ingredient(dependency, "model", {}))
    return Training(
        attestation=item,
        provenance=provenance,
        model=_subject(item, "model"),
        datasets=tuple(datasets),
        bases=tuple(bases),
        fault=_contradiction(datasets, roles),
    )


def _ingredient(dependency: Dependency, kind: Literal["dataset", "model"], roles: Mapping[str, str]) -> Ingredient:
    schema = dependency.annotations.schema_digest
    return Ingredient(
        name=dependency.name,
        artifact=Artifact(kind=kind, sha256=dependency.digest.sha256),
        schema=None if schema is None else schema.sha256,
        roles=tuple(sorted(role for role, name in roles.items() if name == dependency.name)),
    )


def _contradiction(datasets: list[Ingredient], roles: Mapping[str, str]) -> Fault | None:
    """What is wrong with a provenance by itself."""
    if not datasets:
        return Fault(
            reason="lineage-no-dataset", message="expected a dataset among the resolved dependencies, got none"
        )
    names = Counter(item.name for item in datasets)
    digests = Counter(item.artifact for item in datasets)
    if max(names.values()) > 1 or max(digests.values()) > 1:
        return Fault(
            reason="lineage-dataset-twice",
            message="expected each dataset once among the resolved dependencies, got one twice",
            hint="give several roles to one dependency",
        )
    for role, name in sorted(roles.items()):
        if name not in names:
            return Fault(
                reason="lineage-role",
                message=f"expected dataset {name[:80]!r} of role {role[:80]!r} among the dependencies, got none",
            )
    idle = sorted(set(names) - set(roles.values()))
    if idle or "train" not in roles:
        got = f"dataset {idle[0][:80]!r} without a role" if idle else "no dataset of role 'train'"
        return Fault(
            reason="lineage-role", message=f"expected a role for each dataset, and one of role 'train', got {got}"
        )
    return None


def _grounded(trainings: list[Training]) -> frozenset[Artifact]:
    """The models that some finite chain of provenance leads up to, or that have no provenance here.

    A least fixpoint by counting: a training is done once all of its base models are; a model once one training is.
    """
    trained = {training.model for training in trainings}
    waiting = [len({base.artifact for base in training.bases}) for training in trainings]
    needed_by: dict[Artifact, list[int]] = {}
    for index, training in enumerate(trainings):
        for artifact in {base.artifact for base in training.bases}:
            needed_by.setdefault(artifact, []).append(index)
    queue = deque(artifact for artifact in needed_by if artifact not in trained)
    queue.extend(training.model for index, training in enumerate(trainings) if waiting[index] == 0)
    done: set[Artifact] = set()
    while queue:
        artifact = queue.popleft()
        if artifact in done:
            continue
        done.add(artifact)
        for index in needed_by.get(artifact, ()):
            waiting[index] -= 1
            if waiting[index] == 0:
                queue.append(trainings[index].model)
    return frozenset(done)


def _with_cycle_fault(training: Training, grounded: frozenset[Artifact]) -> Training:
    if training.fault is not None or all(base.artifact in grounded for base in training.bases):
        return training
    return replace(
        training,
        fault=Fault(reason="lineage-cycle", message="expected base models that came before the model, got a cycle"),
    )


def _edges(
    trainings: Iterable[Training], measurements: Iterable[Measurement], datasheets: Iterable[Datasheet]
) -> Iterable[Edge]:
    for training in trainings:
        if training.fault is None:
            for item in (*training.datasets, *training.bases):
                yield Edge(
                    relation="trained-on" if item.artifact.kind == "dataset" else "derived-from",
                    source=training.model,
                    target=item.artifact,
                    attestation=training.attestation,
                )
    for measurement in measurements:
        yield Edge(
            relation="evaluated-on",
            source=measurement.model,
            target=measurement.dataset,
            attestation=measurement.attestation,
        )
    for datasheet in datasheets:
        for overlap in datasheet.sheet.overlaps:
            yield Edge(
                relation="overlaps-with",
                source=datasheet.dataset,
                target=Artifact(kind="dataset", sha256=overlap.dataset.digest.sha256),
                attestation=datasheet.attestation,
            )


def _labels(
    trainings: Iterable[Training], measurements: Iterable[Measurement], datasheets: Iterable[Datasheet]
) -> Mapping[Artifact, tuple[str, ...]]:
    names: dict[Artifact, Counter[str]] = {}

    def call(artifact: Artifact, name: str) -> None:
        names.setdefault(artifact, Counter())[name] += 1

    for training in trainings:
        call(training.model, training.attestation.statement.subjects[0].name)
        for item in (*training.datasets, *training.bases):
            call(item.artifact, item.name)
    for measurement in measurements:
        call(measurement.model, measurement.attestation.statement.subjects[0].name)
        call(measurement.dataset, measurement.evaluation.dataset.name)
    for datasheet in datasheets:
        call(datasheet.dataset, datasheet.attestation.statement.subjects[0].name)
    return {
        artifact: tuple(sorted(counter, key=lambda name: (-counter[name], name))) for artifact, counter in names.items()
    }
