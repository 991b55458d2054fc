"""The statement of a training: what was read, what was asked for, and the one model that came out.

Every trainer of ours says it through this module, whatever it trains with. Normative text:
predicates/training/v1/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamslsa import predicates, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.environment import code_identity, purl
from lamslsa.measure.interface import MeasurerName, Outcome, Output, Payload
from lamslsa.predicates._common import Digest, Environment
from lamslsa.predicates.provenance import (
    BUILDER_PREFIX,
    PREDICATE_TYPE,
    TRAINING_BUILD_TYPE,
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

__all__ = ["TRAIN", "dataset_digests", "training_outcome"]

TRAIN: Final = "train"


def dataset_digests(dataset: DatasetJob, artifact: VerifiedArtifact) -> dict[str, dict[str, str]]:
    """The training data by role, its bytes and how they were read."""
    return {TRAIN: {"digest": artifact.manifest.sha256, "schemaDigest": dataset.schema.sha256}}


def training_outcome(
    *,
    trainer: MeasurerName,
    model: str,
    files: Mapping[str, bytes],
    dataset: DatasetJob,
    artifact: VerifiedArtifact,
    configuration: Mapping[str, Any],
    surroundings: Environment,
    byproducts: Sequence[Byproduct] = (),
) -> Outcome:
    """The model in memory, and the statement about it.

    Args:
        trainer: whose code trained.
        model: what the model is called; the subject.
        files: the model, path to bytes; its identity is computed from these.
        dataset: what the job says of the training data.
        artifact: the training data.
        configuration: every hyperparameter, as it was run.
        surroundings: taken while it was trained.
        byproducts: what was measured on the way; the files of the model are put before it.
    """
    output = Output.of("model", files)
    predicate = _provenance(
        output.manifest,
        trainer=trainer,
        dataset=dataset,
        artifact=artifact,
        configuration=configuration,
        surroundings=surroundings,
        byproducts=byproducts,
    )
    subject = statement.Subject(name=model, sha256=output.manifest.sha256)
    payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
    return Outcome(statements=[Payload(label="provenance", data=payload)], outputs={model: output})


def _provenance(
    manifest: Manifest,
    *,
    trainer: MeasurerName,
    dataset: DatasetJob,
    artifact: VerifiedArtifact,
    configuration: Mapping[str, Any],
    surroundings: Environment,
    byproducts: Sequence[Byproduct],
) -> Provenance:
    code = code_identity()
    data = Dependency(
        name=dataset.name,
        digest=Digest(sha256=artifact.manifest.sha256),
        annotations=DependencyAnnotations(
            kind="dataset", schema_digest=Digest(sha256=dataset.schema.sha256), role=TRAIN
        ),
    )
    ours = Dependency(
        name="lamslsa",
        uri=purl("lamslsa", code.version),
        digest=Digest(sha256=code.sha256),
        annotations=DependencyAnnotations(kind="code", installation=code.installation),
    )
    files = [
        Byproduct(name=entry.path, digest=Digest(sha256=entry.sha256), annotations={"kind": "file"})
        for entry in manifest.files
    ]
    return Provenance(
        build_definition=BuildDefinition(
            build_type=TRAINING_BUILD_TYPE,
            external_parameters=ExternalParameters(
                trainer=trainer, configuration=dict(configuration), datasets={TRAIN: dataset.name}
            ),
            internal_parameters=InternalParameters(environment=surroundings),
            resolved_dependencies=(data, ours, *_packages(surroundings)),
        ),
        run_details=RunDetails(builder=Builder(id=f"{BUILDER_PREFIX}{code.version}"), byproducts=(*files, *byproducts)),
    )


def _packages(surroundings: Environment) -> list[Dependency]:
    """The packages of the environment but lamslsa itself, which stands among the code."""
    return [
        Dependency(
            name=package.name,
            uri=package.uri,
            digest=package.digest,
            annotations=DependencyAnnotations(kind="package"),
        )
        for package in surroundings.packages
        if package.name is not None and package.digest is not None and package.name != "lamslsa"
    ]
