"""Trainer ``own/1``: a user's training code, run in the enclave build that was made for it and for nothing else.

Such code shares the process with everything that vouches, so it can forge whatever that process says. That is why its
bytes are part of the build's measurement, and why a reference value lets that measurement vouch for this trainer alone
(threat model, attester 3).

The code is a folder with ``train.py``, which defines

    def train(files, configuration):       # path in the dataset to its bytes; what the job file says
        return {"model.safetensors": b"…"}  # path in the model to its bytes

    apiVersion: lamslsa.dev/own-training/v1
    kind: OwnTraining
    model: <name>
    dataset: <name>
    configuration: {…}                      whatever the code reads; stands in the statement
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.artifact.package import package_manifest
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.environment import code_identity, environment, purl
from lamslsa.measure.interface import Outcome, Output, Payload
from lamslsa.predicates._common import Digest, Measurer
from lamslsa.predicates.provenance import (
    BUILDER_PREFIX,
    OWN_TRAINING_BUILD_TYPE,
    PREDICATE_TYPE,
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

__all__ = ["OwnTraining", "load_own_training", "measure_own_training"]

_API_VERSION: Final = "lamslsa.dev/own-training/v1"
_TRAINER: Final = Measurer(name="own", version="1")
_PACKAGES: Final = (
    *("duckdb", "fairlearn", "lamslsa", "numpy", "safetensors", "scikit-learn", "scipy", "torch", "torchmetrics"),
)
_MODULE: Final = "train"
_MAX_NAME: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTraining:
    """A job file for a user's own training code."""

    model: str
    dataset: str
    configuration: Mapping[str, Any]


def load_own_training(data: bytes, source: str) -> OwnTraining:
    """Parse a job file.

    Raises:
        FormatError: not strict YAML, or a key missing or unknown.
    """
    root = _yaml.loads(data, source=source).mapping()
    root.take("apiVersion").choice([_API_VERSION])
    root.take("kind").choice(["OwnTraining"])
    job = OwnTraining(
        model=_name(root.take("model")),
        dataset=_name(root.take("dataset")),
        configuration=root.take("configuration").mapping().plain(),
    )
    root.finish()
    return job


def _name(node: _yaml.Node) -> str:
    name = node.string()
    if len(name) > _MAX_NAME or not name.isprintable():
        node.refuse(f"expected at most {_MAX_NAME} printable characters, got {name[:40]!a}", reason="job-name")
    return name


def measure_own_training(artifact: VerifiedArtifact, *, code: Path, job: OwnTraining) -> Outcome:
    """Run the code, and say in the statement on what, with what, and what came of it.

    Args:
        artifact: the verified bytes of the dataset.
        code: folder of the code; where it is measured, its files are.
        job: the job file.

    Raises:
        FormatError: the code fails, or what it gives is no model.
    """
    files = _trained(artifact, code, job)
    output = Output.of("model", files)
    subject = statement.Subject(name=job.model, sha256=output.manifest.sha256)
    predicate = _provenance(artifact, code, job, output.manifest)
    payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
    return Outcome(statements=[Payload(label="provenance", data=payload)], outputs={job.model: output})


def _trained(artifact: VerifiedArtifact, code: Path, job: OwnTraining) -> dict[str, bytes]:
    given = {entry.path: artifact.file(entry.path).bytes() for entry in artifact.manifest.files}
    sys.path.append(str(code))
    try:
        spec = importlib.util.spec_from_file_location(_MODULE, code / f"{_MODULE}.py")
        if spec is None or spec.loader is None:
            raise ImportError(f"no loader for {_MODULE}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        result = module.train(given, dict(job.configuration))
    except Exception as err:
        raise FormatError(
            f"expected the training code to run, got {type(err).__name__}: {err}", reason="own-training-failed"
        ) from err
    finally:
        sys.path.remove(str(code))
    if not isinstance(result, dict) or not result or not all(map(_is_file, result.items())):
        raise FormatError(
            "expected the training code to give paths and bytes of a model, got something else",
            reason="own-training-result",
            hint='return {"model.safetensors": data}',
        )
    return result


def _is_file(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], bytes)


def _provenance(artifact: VerifiedArtifact, code: Path, job: OwnTraining, manifest: Manifest) -> Provenance:
    ours = code_identity()
    surroundings = environment(_PACKAGES)
    dataset = Dependency(
        name=job.dataset,
        digest=Digest(sha256=artifact.manifest.sha256),
        annotations=DependencyAnnotations(kind="dataset", role="train"),
    )
    theirs = Dependency(
        name="training-code",
        digest=Digest(sha256=package_manifest(code).sha256),
        annotations=DependencyAnnotations(kind="code"),
    )
    lamslsa = Dependency(
        name="lamslsa",
        uri=purl("lamslsa", ours.version),
        digest=Digest(sha256=ours.sha256),
        annotations=DependencyAnnotations(kind="code", installation=ours.installation),
    )
    packages = [
        Dependency(name=item.name, uri=item.uri, digest=item.digest, annotations=DependencyAnnotations(kind="package"))
        for item in surroundings.packages
        if item.name is not None and item.digest is not None and item.name != "lamslsa"
    ]
    byproducts = tuple(
        Byproduct(name=entry.path, digest=Digest(sha256=entry.sha256), annotations={"kind": "file"})
        for entry in manifest.files
    )
    return Provenance(
        build_definition=BuildDefinition(
            build_type=OWN_TRAINING_BUILD_TYPE,
            external_parameters=ExternalParameters(
                trainer=_TRAINER, configuration=dict(job.configuration), datasets={"train": job.dataset}
            ),
            internal_parameters=InternalParameters(environment=surroundings),
            resolved_dependencies=(dataset, theirs, lamslsa, *packages),
        ),
        run_details=RunDetails(builder=Builder(id=f"{BUILDER_PREFIX}{ours.version}"), byproducts=byproducts),
    )
