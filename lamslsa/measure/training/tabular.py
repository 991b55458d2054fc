"""Trainer ``tabular-mlp/1``: a network over tabular features, trained on verified bytes to the same bits every time.

One torch thread, deterministic algorithms, one seed for weights and shuffling. The model's digest is computed from the
bytes in memory; the folder is written from those bytes afterwards and never read back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, predicates, statement
from lamslsa._files import new_folder, write_file
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.environment import CodeIdentity, code_identity, environment, purl
from lamslsa.measure.interface import Progress, silent
from lamslsa.measure.job import Job, TrainingJob
from lamslsa.measure.table import Source, open_tables
from lamslsa.measure.training.encode import encode, learn
from lamslsa.measure.training.model import (
    ARCHITECTURE,
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Description,
    dump_description,
    network,
    one_thread,
    refuse_large,
)
from lamslsa.predicates._common import Digest, Environment, Measurer
from lamslsa.predicates.provenance import (
    BUILDER_PREFIX,
    PREDICATE_TYPE,
    TRAINING_BUILD_TYPE,
    BuildDefinition,
    Builder,
    Byproduct,
    Dependency,
    DependencyAnnotations,
    InternalParameters,
    Provenance,
    RunDetails,
    TrainingParameters,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Trained", "measure_training"]

_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "safetensors", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model in memory and the statement about it.

    Attributes:
        files: path to bytes; what the manifest was made of.
        manifest: the identity of the model.
        payload: the payload bytes of the provenance statement.
    """

    files: Mapping[str, bytes]
    manifest: Manifest
    payload: bytes

    def write(self, folder: Path) -> None:
        """Write the model folder, which must not exist; it is complete or absent whatever happens.

        Raises:
            FormatError: something of that name exists.
        """
        with new_folder(folder) as staging:
            for path, data in self.files.items():
                write_file(staging / path, data)


def measure_training(artifact: VerifiedArtifact, *, job: Job, progress: Progress = silent) -> Trained:
    """Train in memory, and say in the statement how.

    Args:
        artifact: the verified bytes of the dataset in role ``train``.
        job: the job file.
        progress: is told how far the training has come.

    Raises:
        FormatError: the dataset or the job is not usable, or the training diverged.
    """
    parameters = job.require_training()
    schema = parameters.dataset.schema
    columns = tuple(column.name for column in schema.features if column.name not in parameters.drop)
    source = Source(file=the_table(artifact, parameters.dataset.name), schema=schema)
    progress("reading rows", 0, 1)
    with open_tables({"train": source}) as tables:
        features = learn(tables["train"], columns)
        inputs = encode(tables["train"], features)
        labels = tables["train"].values(schema.label.column)
    progress("reading rows", 1, 1)
    description = Description(
        architecture=ARCHITECTURE, features=features, hidden=parameters.hidden, label=schema.label.column
    )
    refuse_large(description)
    with one_thread():
        weights, losses = _fit(description, inputs, labels, parameters, progress)
        surroundings = environment(_PACKAGES)
    files = {DESCRIPTION_FILE: dump_description(description), WEIGHTS_FILE: weights}
    manifest = Manifest.of(
        "model",
        [FileEntry(path=path, sha256=_codec.sha256_hex(data), size=len(data)) for path, data in files.items()],
    )
    predicate = _provenance(artifact, parameters, manifest, losses, surroundings)
    subject = statement.Subject(name=parameters.model, sha256=manifest.sha256)
    payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
    return Trained(files=files, manifest=manifest, payload=payload)


def _fit(
    description: Description,
    inputs: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    parameters: TrainingJob,
    progress: Progress,
) -> tuple[bytes, list[float]]:
    """Weights as safetensors, and the mean loss of each epoch that was run."""
    import safetensors.torch
    import torch

    features = torch.from_numpy(inputs)
    targets = torch.tensor(labels, dtype=torch.float32)
    rows = len(targets)
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parameters.seed)
        model = network(description).train()
    shuffle = torch.Generator().manual_seed(parameters.seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay, foreach=False
    )
    compute_loss = torch.nn.BCEWithLogitsLoss()
    for _ in range(parameters.epochs):
        progress("training epochs", len(losses), parameters.epochs)
        total = 0.0
        for batch in torch.split(torch.randperm(rows, generator=shuffle), parameters.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = compute_loss(model(features[batch]).squeeze(1), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / rows)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if not all(map(math.isfinite, losses)) or not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise FormatError(
            "expected finite weights, got others", reason="training-diverged", hint="lower the learning rate"
        )
    progress("training epochs", len(losses), parameters.epochs)
    return safetensors.torch.save(state), losses


def _provenance(
    artifact: VerifiedArtifact,
    parameters: TrainingJob,
    manifest: Manifest,
    losses: list[float],
    surroundings: Environment,
) -> Provenance:
    code = code_identity()
    name, _, version = ARCHITECTURE.partition("/")
    dataset = Dependency(
        name=parameters.dataset.name,
        digest=Digest(sha256=artifact.manifest.sha256),
        annotations=DependencyAnnotations(
            kind="dataset", schema_digest=Digest(sha256=parameters.dataset.schema.sha256), role="train"
        ),
    )
    files = [
        Byproduct(name=entry.path, digest=Digest(sha256=entry.sha256), annotations={"kind": "file"})
        for entry in manifest.files
    ]
    loss = Byproduct(
        name="loss-per-epoch", content=_codec.encode_base64(_codec.dumps(losses)), media_type="application/json"
    )
    return Provenance(
        build_definition=BuildDefinition(
            build_type=TRAINING_BUILD_TYPE,
            external_parameters=TrainingParameters(
                trainer=Measurer(name=name, version=version),
                configuration=_configuration(parameters, epochs=len(losses)),
                datasets={"train": parameters.dataset.name},
            ),
            internal_parameters=InternalParameters(environment=surroundings),
            resolved_dependencies=(dataset, _code(code), *_packages(surroundings)),
        ),
        run_details=RunDetails(builder=Builder(id=f"{BUILDER_PREFIX}{code.version}"), byproducts=(*files, loss)),
    )


def _configuration(parameters: TrainingJob, *, epochs: int) -> dict[str, Any]:
    """What was really run: ``epochs`` is counted, not copied."""
    return {
        "hidden": list(parameters.hidden),
        "epochs": epochs,
        "batchSize": parameters.batch_size,
        "learningRate": parameters.learning_rate,
        "weightDecay": parameters.weight_decay,
        "optimizer": parameters.optimizer,
        "seed": parameters.seed,
        "drop": list(parameters.drop),
    }


def _code(code: CodeIdentity) -> Dependency:
    return Dependency(
        name="lamslsa",
        uri=purl("lamslsa", code.version),
        digest=Digest(sha256=code.sha256),
        annotations=DependencyAnnotations(kind="code", installation=code.installation),
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
