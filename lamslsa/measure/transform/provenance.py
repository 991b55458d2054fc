"""The statement of a transform: what went in, what was asked for, and the one artifact that came out.

It is SLSA provenance of build type ``transform/v1`` (normative text: predicates/transform/v1/README.md). What is not
among the dependencies was not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamslsa import predicates, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.environment import code_identity, environment, purl
from lamslsa.measure.interface import Given, MeasurerName, Payload
from lamslsa.predicates._common import Digest, Environment
from lamslsa.predicates.provenance import (
    BUILDER_PREFIX,
    PREDICATE_TYPE,
    TRANSFORM_BUILD_TYPE,
    BuildDefinition,
    Builder,
    Byproduct,
    Dependency,
    DependencyAnnotations,
    ExternalParameters,
    InternalParameters,
    Provenance,
    RunDetails,
)

__all__ = ["MAX_BYPRODUCT_FILES", "Read", "transform_statement"]

MAX_BYPRODUCT_FILES: Final = 1024

Read = tuple[DatasetJob, Given]


def transform_statement(
    *,
    transform: MeasurerName,
    name: str,
    output: Manifest,
    configuration: Mapping[str, Any],
    datasets: Mapping[str, Read],
    models: Mapping[str, Given],
    packages: Sequence[str],
    byproducts: Sequence[Byproduct] = (),
    label: str = "provenance",
    surroundings: Environment | None = None,
) -> Payload:
    """One statement about one output.

    Args:
        transform: whose code made it.
        name: what the output is called; the subject.
        output: the output's manifest; its kind is what the transform produces.
        configuration: every parameter that can change the output, none implied.
        datasets: what was read as a dataset, by role, with what the job says of it.
        models: the parents, by role.
        packages: the distributions that the transform imports.
        byproducts: what was measured on the way; the files of the output (at most 1,024 of them) are put before it.
        label: of the statement's file.
        surroundings: the environment, where it was taken already; otherwise it is taken now, for ``packages``.

    Raises:
        FormatError: two different artifacts have one name.
        UnavailableError: one of ``packages`` is not installed.
    """
    code = code_identity()
    around = environment(packages) if surroundings is None else surroundings
    files = [
        Byproduct(name=entry.path, digest=Digest(sha256=entry.sha256), annotations={"kind": "file"})
        for entry in output.files[:MAX_BYPRODUCT_FILES]
    ]
    predicate = Provenance(
        build_definition=BuildDefinition(
            build_type=TRANSFORM_BUILD_TYPE,
            external_parameters=ExternalParameters(
                transform=transform,
                configuration=dict(configuration),
                datasets={role: dataset.name for role, (dataset, _) in datasets.items()},
                models={role: given.name for role, given in models.items()},
                produces=output.kind,
            ),
            internal_parameters=InternalParameters(environment=around),
            resolved_dependencies=(
                *_datasets(datasets),
                *_models(models),
                Dependency(
                    name="lamslsa",
                    uri=purl("lamslsa", code.version),
                    digest=Digest(sha256=code.sha256),
                    annotations=DependencyAnnotations(kind="code", installation=code.installation),
                ),
                *_packages(around),
            ),
        ),
        run_details=RunDetails(builder=Builder(id=f"{BUILDER_PREFIX}{code.version}"), byproducts=(*files, *byproducts)),
    )
    subject = statement.Subject(name=name, sha256=output.sha256)
    return Payload(label=label, data=statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate)))


def _datasets(datasets: Mapping[str, Read]) -> list[Dependency]:
    """One dependency for each dataset, however many roles it has; a job names each of its datasets once."""
    found: dict[str, Dependency] = {}
    for role, (dataset, given) in datasets.items():
        dependency = Dependency(
            name=dataset.name,
            digest=Digest(sha256=given.artifact.manifest.sha256),
            annotations=DependencyAnnotations(
                kind="dataset", schema_digest=Digest(sha256=dataset.schema.sha256), role=role
            ),
        )
        _keep(found, dependency)
    return list(found.values())


def _models(models: Mapping[str, Given]) -> list[Dependency]:
    found: dict[str, Dependency] = {}
    for role, given in models.items():
        dependency = Dependency(
            name=given.name,
            digest=Digest(sha256=given.artifact.manifest.sha256),
            annotations=DependencyAnnotations(kind="model", role=role),
        )
        _keep(found, dependency)
    return list(found.values())


def _keep(found: dict[str, Dependency], dependency: Dependency) -> None:
    known = found.setdefault(dependency.name, dependency)
    if known.digest != dependency.digest:
        raise FormatError(
            f"expected one {dependency.annotations.kind} of the name {dependency.name!a:.80}, got two different ones",
            reason="transform-names",
            hint="rename one of the folders",
        )


def _packages(around: Environment) -> list[Dependency]:
    """The packages of the environment but lamslsa itself, which stands among the code."""
    return [
        Dependency(
            name=package.name,
            uri=package.uri,
            digest=package.digest,
            annotations=DependencyAnnotations(kind="package"),
        )
        for package in around.packages
        if package.name is not None and package.digest is not None and package.name != "lamslsa"
    ]
