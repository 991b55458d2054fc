"""Where a model comes from: a graph over verified attestations, by (kind, manifest digest).

Rules:
- Nodes are artifacts; names are labels and files are never compared, so a shared tokenizer or licence connects nothing.
- A dataset or base model is an ingredient when the provenance lists it among its resolved dependencies, whatever role
  it was given: what a training or a transform could read counts as seen.
- Provenance that contradicts itself (a role without a dataset, one dataset twice, no dataset at all) or that has a
  cycle behind it is kept with its `Fault` and gives no edges. It raises nothing: an attestation put beside a model must
  not be able to stop the appraisal of the others.
- No recursion: a chain may be as deep as the attestations that are there.

>>> Lineage.of([]).edges
()
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, assert_never

from lamslsa.errors import VerificationError
from lamslsa.predicates import Dataset, Evaluation, Inference, Model, Predicate, Provenance, VerificationSummary
from lamslsa.predicates.provenance import (
    OWN_TRAINING_BUILD_TYPE,
    TRAINING_BUILD_TYPE,
    TRANSFORM_BUILD_TYPE,
    BuildDefinition,
    Dependency,
    ExternalParameters,
)
from lamslsa.statement import Statement
from lamslsa.verification import VerifiedAttestation

__all__ = [
    "Answering",
    "Artifact",
    "Build",
    "Datasheet",
    "Edge",
    "Fault",
    "Ingredient",
    "Lineage",
    "Link",
    "Measurement",
    "Recipe",
    "Relation",
    "RunKind",
    "links",
    "recipe",
    "run_kind",
    "with_cycles_found",
]

_T = TypeVar("_T")
_R = TypeVar("_R", bound="Recipe")

Relation = Literal["trained-on", "derived-from", "evaluated-on", "compared-with", "inferred-on", "overlaps-with"]
RunKind = Literal["training", "own training", "preprocessing", "transform"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Artifact:
    """A node: the kind and the manifest digest, hexadecimal."""

    kind: Literal["dataset", "model"]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """What a build read.

    Attributes:
        name: the label that the provenance gives it.
        schema: SHA-256 of the schema under which a dataset was read; None where the provenance does not say.
        roles: the roles in which the build used it; informative.
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
class Link:
    """What a statement says about its subject and another artifact, whoever signed it.

    Attributes:
        source: the subject.
        name: what the statement calls the other artifact.
        roles: in which the other one was used; informative.
    """

    relation: Relation
    source: Artifact
    target: Artifact
    name: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a provenance says about the ingredients of its product, whoever signed it.

    Attributes:
        product: what was made: a model, or a dataset out of datasets.
        bases: models that went in: what was trained further, or the parents of a transform.
        fault: why it gives no lineage; None where it does.
    """

    product: Artifact
    datasets: tuple[Ingredient, ...]
    bases: tuple[Ingredient, ...]
    fault: Fault | None

    @property
    def needs(self) -> frozenset[Artifact]:
        """What must have been there before the product: base models, and of a dataset the datasets it was made of."""
        made_of = (*self.bases, *(self.datasets if self.product.kind == "dataset" else ()))
        return frozenset(item.artifact for item in made_of)

    @property
    def links(self) -> tuple[Link, ...]:
        """The product and each ingredient; they count as lineage where there is no fault."""
        return tuple(
            Link(
                relation="trained-on"
                if item.artifact.kind == "dataset" and self.product.kind == "model"
                else "derived-from",
                source=self.product,
                target=item.artifact,
                name=item.name,
                roles=item.roles,
            )
            for item in (*self.datasets, *self.bases)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(Recipe):
    """A verified provenance, of a training or a transform."""

    attestation: VerifiedAttestation
    provenance: Provenance

    @property
    def is_transform(self) -> bool:
        """Whether it is one of our transforms, and no training."""
        return self.provenance.build_definition.build_type == TRANSFORM_BUILD_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """An evaluation of a model on a dataset."""

    attestation: VerifiedAttestation
    evaluation: Evaluation
    model: Artifact
    dataset: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What a model answered to the records of a dataset."""

    attestation: VerifiedAttestation
    inference: Inference
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

    builds: tuple[Build, ...]
    measurements: tuple[Measurement, ...]
    datasheets: tuple[Datasheet, ...]
    answerings: tuple[Answering, ...]
    edges: tuple[Edge, ...]
    labels: Mapping[Artifact, tuple[str, ...]]
    _builds: Mapping[Artifact, tuple[Build, ...]] = field(default_factory=dict, repr=False, compare=False)
    _measurements: Mapping[Artifact, tuple[Measurement, ...]] = field(default_factory=dict, repr=False, compare=False)
    _datasheets: Mapping[Artifact, tuple[Datasheet, ...]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        attestations: Iterable[VerifiedAttestation],
        *,
        counts: Callable[[VerifiedAttestation], bool] = lambda _: True,
    ) -> Lineage:
        """The graph of these attestations.

        Args:
            attestations: in any order.
            counts: whether a provenance may say what led up to its product; one that may not closes no cycle of others,
                and opens none.
        """
        builds: list[Build] = []
        measurements: list[Measurement] = []
        datasheets: list[Datasheet] = []
        answerings: list[Answering] = []
        for item in sorted(attestations, key=lambda item: item.statement.sha256):
            match item.predicate:
                case Provenance():
                    builds.append(_build(item, item.predicate))
                case Evaluation():
                    measurements.append(
                        Measurement(
                            attestation=item,
                            evaluation=item.predicate,
                            model=_subject(item.statement, "model"),
                            dataset=Artifact(kind="dataset", sha256=item.predicate.dataset.digest.sha256),
                        )
                    )
                case Inference():
                    answerings.append(
                        Answering(
                            attestation=item,
                            inference=item.predicate,
                            model=_subject(item.statement, "model"),
                            dataset=Artifact(kind="dataset", sha256=item.predicate.dataset.digest.sha256),
                        )
                    )
                case Dataset():
                    datasheets.append(
                        Datasheet(attestation=item, sheet=item.predicate, dataset=_subject(item.statement, "dataset"))
                    )
                case Model() | VerificationSummary():
                    pass  # what a model is by itself or was accepted for leads to no other artifact
                case _:
                    assert_never(item.predicate)
        resolved = with_cycles_found(builds, [counts(build.attestation) for build in builds])
        return cls(
            builds=resolved,
            measurements=tuple(measurements),
            datasheets=tuple(datasheets),
            answerings=tuple(answerings),
            edges=tuple(_edges(resolved, (*measurements, *datasheets, *answerings))),
            labels=_labels(resolved, measurements, datasheets),
            _builds=_by(resolved, lambda item: item.product),
            _measurements=_by(measurements, lambda item: item.model),
            _datasheets=_by(datasheets, lambda item: item.dataset),
        )

    def builds_of(self, product: Artifact) -> tuple[Build, ...]:
        """Every provenance of an artifact, faulty ones included."""
        return self._builds.get(product, ())

    def measurements_of(self, model: Artifact) -> tuple[Measurement, ...]:
        """Every evaluation of a model."""
        return self._measurements.get(model, ())

    def datasheets_of(self, dataset: Artifact) -> tuple[Datasheet, ...]:
        """Every datasheet of a dataset."""
        return self._datasheets.get(dataset, ())

    def label(self, artifact: Artifact) -> str | None:
        """The name by which most attestations call an artifact; a label, never an identity."""
        names = self.labels.get(artifact)
        return names[0] if names else None


def _by(items: Iterable[_T], artifact: Callable[[_T], Artifact]) -> Mapping[Artifact, tuple[_T, ...]]:
    found: dict[Artifact, list[_T]] = {}
    for item in items:
        found.setdefault(artifact(item), []).append(item)
    return {key: tuple(values) for key, values in found.items()}


def _subject(statement: Statement, kind: Literal["dataset", "model"]) -> Artifact:
    (subject,) = statement.subjects
    return Artifact(kind=kind, sha256=subject.sha256)


def run_kind(definition: BuildDefinition) -> RunKind:
    """What kind of run it was, in words."""
    if definition.build_type == TRAINING_BUILD_TYPE:
        return "training"
    if definition.build_type == OWN_TRAINING_BUILD_TYPE:
        return "own training"
    return "preprocessing" if definition.external_parameters.produces == "dataset" else "transform"


def links(statement: Statement, predicate: Predicate) -> tuple[Link, ...]:
    """What a statement says about its subject and other artifacts; of a provenance with a fault too."""
    match predicate:
        case Provenance():
            return recipe(statement, predicate).links
        case Evaluation():
            model = _subject(statement, "model")
            return (
                _link(
                    model, "dataset", predicate.dataset.digest.sha256, predicate.dataset.name, relation="evaluated-on"
                ),
                *(
                    replace(
                        _link(model, item.kind, item.digest.sha256, item.name, relation="compared-with"),
                        roles=(item.role,),
                    )
                    for item in predicate.references
                ),
            )
        case Inference():
            asked, model = predicate.dataset, _subject(statement, "model")
            return (_link(model, "dataset", asked.digest.sha256, asked.name, relation="inferred-on"),)
        case Dataset():
            own = _subject(statement, "dataset")
            return tuple(
                _link(own, "dataset", item.dataset.digest.sha256, item.dataset.name, relation="overlaps-with")
                for item in predicate.overlaps
            )
        case _:
            return ()


def _link(source: Artifact, kind: Literal["dataset", "model"], sha256: str, name: str, *, relation: Relation) -> Link:
    return Link(relation=relation, source=source, target=Artifact(kind=kind, sha256=sha256), name=name)


def _build(item: VerifiedAttestation, provenance: Provenance) -> Build:
    found = recipe(item.statement, provenance)
    return Build(
        attestation=item,
        provenance=provenance,
        product=found.product,
        datasets=found.datasets,
        bases=found.bases,
        fault=found.fault,
    )


def recipe(statement: Statement, provenance: Provenance) -> Recipe:
    """What a provenance says by itself; a cycle takes several."""
    external = provenance.build_definition.external_parameters
    datasets: list[Ingredient] = []
    bases: list[Ingredient] = []
    for dependency in provenance.build_definition.resolved_dependencies:
        if dependency.annotations.kind == "dataset":
            datasets.append(_ingredient(dependency, "dataset", external.datasets))
        elif dependency.annotations.kind == "model":
            bases.append(_ingredient(dependency, "model", external.models))
    is_transform = provenance.build_definition.build_type == TRANSFORM_BUILD_TYPE
    return Recipe(
        product=_subject(statement, external.produces),
        datasets=tuple(datasets),
        bases=tuple(bases),
        fault=_transform_contradiction(datasets, bases, external)
        if is_transform
        else _training_contradiction(datasets, bases, external),
    )


def _ingredient(dependency: Dependency, kind: Literal["dataset", "model"], roles: Mapping[str, str]) -> Ingredient:
    schema = dependency.annotations.schema_digest
    return Ingredient(
        name=dependency.name,
        artifact=Artifact(kind=kind, sha256=dependency.digest.sha256),
        schema=None if schema is None else schema.sha256,
        roles=tuple(sorted(role for role, name in roles.items() if name == dependency.name)),
    )


def _training_contradiction(
    datasets: list[Ingredient], bases: list[Ingredient], external: ExternalParameters
) -> Fault | None:
    """What is wrong with the provenance of a training by itself."""
    roles = external.datasets
    if not datasets:
        return Fault(
            reason="lineage-no-dataset", message="expected a dataset among the resolved dependencies, got none"
        )
    fault = _role_contradiction("dataset", datasets, roles)
    if fault is None and "train" not in roles:
        return Fault(
            reason="lineage-role",
            message="expected a role for each dataset, and one of role 'train', got no dataset of role 'train'",
        )
    return fault or _idle_role("model", {item.name for item in bases}, external.models)


def _transform_contradiction(
    datasets: list[Ingredient], bases: list[Ingredient], external: ExternalParameters
) -> Fault | None:
    """What is wrong with the provenance of a transform by itself."""
    parents = bases if external.produces == "model" else datasets
    if not parents:
        return Fault(
            reason="lineage-no-parent",
            message=f"expected a {external.produces} among the resolved dependencies of a transform, got none",
        )
    if external.produces == "dataset" and bases:
        return Fault(reason="lineage-role", message="expected a dataset made of datasets, got one made of a model")
    return _role_contradiction("model", bases, external.models) or _role_contradiction(
        "dataset", datasets, external.datasets
    )


def _role_contradiction(kind: str, items: list[Ingredient], roles: Mapping[str, str]) -> Fault | None:
    """An ingredient that stands twice or has no role, or a role that nothing has."""
    names = Counter(item.name for item in items)
    digests = Counter(item.artifact for item in items)
    if items and max(*names.values(), *digests.values()) > 1:
        return Fault(
            reason=f"lineage-{kind}-twice",
            message=f"expected each {kind} once among the resolved dependencies, got one twice",
            hint="give several roles to one dependency",
        )
    if (fault := _idle_role(kind, names, roles)) is not None:
        return fault
    idle = sorted(set(names) - set(roles.values()))
    if idle:
        return Fault(
            reason="lineage-role",
            message=f"expected a role for each {kind}, got {kind} {idle[0][:80]!r} without a role",
        )
    return None


def _idle_role(kind: str, names: Collection[str], roles: Mapping[str, str]) -> Fault | None:
    """A role that nothing has: what had it may stand among the dependencies as something else."""
    for role, name in sorted(roles.items()):
        if name not in names:
            return Fault(
                reason="lineage-role",
                message=f"expected {kind} {name[:80]!r} of role {role[:80]!r} among the dependencies, got none",
            )
    return None


def with_cycles_found(builds: Sequence[_R], counted: Sequence[bool] = ()) -> tuple[_R, ...]:
    """The same, with a fault where all that leads up to an ingredient goes round in a circle.

    ``counted`` says which of them lead up to their products; all of them without it.
    """
    grounded = _grounded(builds, counted or [True] * len(builds))
    return tuple(_with_cycle_fault(build, grounded) for build in builds)


def _grounded(builds: Sequence[Recipe], counted: Sequence[bool]) -> frozenset[Artifact]:
    """The artifacts that some finite chain of provenance leads up to, or that have no provenance here that counts.

    A least fixpoint by counting: a build is done once all that it needs is; an artifact once one build of it is.
    """
    made = {build.product for build, counts in zip(builds, counted, strict=True) if counts}
    waiting = [len(build.needs) for build in builds]
    needed_by: dict[Artifact, list[int]] = {}
    for index, build in enumerate(builds):
        for artifact in build.needs:
            needed_by.setdefault(artifact, []).append(index)
    queue = deque(artifact for artifact in needed_by if artifact not in made)
    queue.extend(build.product for index, build in enumerate(builds) if waiting[index] == 0 and counted[index])
    done: set[Artifact] = set()
    while queue:
        artifact = queue.popleft()
        if artifact in done:
            continue
        done.add(artifact)
        for index in needed_by.get(artifact, ()):
            waiting[index] -= 1
            if waiting[index] == 0 and counted[index]:
                queue.append(builds[index].product)
    return frozenset(done)


def _with_cycle_fault(build: _R, grounded: frozenset[Artifact]) -> _R:
    if build.fault is not None or build.needs <= grounded:
        return build
    return replace(
        build,
        fault=Fault(reason="lineage-cycle", message="expected base models that came before the model, got a cycle"),
    )


def _edges(builds: Iterable[Build], others: Iterable[Measurement | Datasheet | Answering]) -> Iterator[Edge]:
    for build in builds:
        if build.fault is None:
            yield from (_edge(link, build.attestation) for link in build.links)
    for item in others:
        stated = links(item.attestation.statement, item.attestation.predicate)
        yield from (_edge(link, item.attestation) for link in stated)


def _edge(link: Link, attestation: VerifiedAttestation) -> Edge:
    return Edge(relation=link.relation, source=link.source, target=link.target, attestation=attestation)


def _labels(
    builds: Iterable[Build], measurements: Iterable[Measurement], datasheets: Iterable[Datasheet]
) -> Mapping[Artifact, tuple[str, ...]]:
    names: dict[Artifact, Counter[str]] = {}

    def call(artifact: Artifact, name: str) -> None:
        names.setdefault(artifact, Counter())[name] += 1

    for build in builds:
        call(build.product, build.attestation.statement.subjects[0].name)
        for item in (*build.datasets, *build.bases):
            call(item.artifact, item.name)
    for measurement in measurements:
        call(measurement.model, measurement.attestation.statement.subjects[0].name)
        call(measurement.dataset, measurement.evaluation.dataset.name)
    for datasheet in datasheets:
        call(datasheet.dataset, datasheet.attestation.statement.subjects[0].name)
    return {
        artifact: tuple(sorted(counter, key=lambda name: (-counter[name], name))) for artifact, counter in names.items()
    }
