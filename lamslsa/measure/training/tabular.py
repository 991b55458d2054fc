"""Trainer ``tabular-mlp/1``: a network over tabular features, trained on verified bytes to the same bits every time.

One torch thread, deterministic algorithms, one seed for weights and shuffling. The model's digest is computed from the
bytes in memory; the folder is written from those bytes afterwards and never read back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml, predicates, statement
from lamslsa.artifact.manifest import Manifest
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.environment import CodeIdentity, code_identity, environment, purl
from lamslsa.measure.interface import (
    Context,
    Given,
    Input,
    MeasurerName,
    Outcome,
    Output,
    Payload,
    Plan,
    Progress,
    named,
)
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.encode import encode, learn
from lamslsa.measure.models.interface import DESCRIPTION_FILE, WEIGHTS_FILE, dump_description
from lamslsa.measure.models.mlp import ARCHITECTURE, Description
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

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NAME", "TabularTraining", "declare"]

NAME: Final = ARCHITECTURE
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "safetensors", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularTraining:
    """The plan of a training, with every hyperparameter; ``drop`` are features that the model does not see."""

    model: str
    dataset: DatasetJob
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    optimizer: str
    seed: int
    drop: tuple[str, ...]

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The training data."""
        return (Input(role="train", kind="dataset", name=self.dataset.name),)

    def steps(self) -> tuple[str, ...]:
        """What would be trained."""
        return (f"{self.epochs} epochs of {NAME} on {self.dataset.name}",)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train in memory, and say in the statement how; see `lamslsa.measure.interface.Plan`."""
        artifact, progress = inputs["train"].artifact, context.progress
        schema = self.dataset.table
        columns = tuple(column.name for column in schema.features if column.name not in self.drop)
        source = Source(file=the_table(artifact, self.dataset.name), schema=schema)
        progress("reading rows", 0, 1)
        with open_tables({"train": source}) as tables:
            features = learn(tables["train"], columns)
            inputs_ = encode(tables["train"], features)
            labels = tables["train"].values(schema.target.column)
        progress("reading rows", 1, 1)
        description = Description(
            architecture=ARCHITECTURE, features=features, hidden=self.hidden, label=schema.target.column
        )
        description.refuse()
        with one_thread():
            weights, losses = _fit(description, inputs_, labels, self, progress)
            surroundings = environment(_PACKAGES)
        output = Output.of("model", {DESCRIPTION_FILE: dump_description(description), WEIGHTS_FILE: weights})
        predicate = _provenance(artifact, self, output.manifest, losses, surroundings)
        subject = statement.Subject(name=self.model, sha256=output.manifest.sha256)
        payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
        return Outcome(statements=[Payload(label="provenance", data=payload)], outputs={self.model: output})


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every hyperparameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    features = [column.name for column in dataset.table.features]
    hidden = node.take("hidden").sequence(empty=True)
    drop_node = node.take("drop")
    drop = tuple(item.choice(features) for item in drop_node.sequence(empty=True))
    if len(set(drop)) != len(drop) or len(drop) == len(features):
        drop_node.refuse("expected some features to remain and each to be dropped once, got others", reason="job-drop")
    if len(hidden) > 32:
        node.refuse(f"expected at most 32 hidden layers, got {len(hidden)}", reason="job-hidden")
    return TabularTraining(
        model=name(node.take("model")),
        dataset=dataset,
        hidden=tuple(width.integer(minimum=1, maximum=8192) for width in hidden),
        epochs=node.take("epochs").integer(minimum=1, maximum=100_000),
        batch_size=node.take("batchSize").integer(minimum=1, maximum=2**24),
        learning_rate=node.take("learningRate").number(minimum=0, maximum=1000),
        weight_decay=node.take("weightDecay").number(minimum=0, maximum=1000),
        optimizer=node.take("optimizer").choice(["adam"]),
        seed=node.take("seed").integer(minimum=0, maximum=2**53),
        drop=drop,
    )


def _fit(
    description: Description,
    inputs: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    parameters: TabularTraining,
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
        model = description.network().train()
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
    parameters: TabularTraining,
    manifest: Manifest,
    losses: list[float],
    surroundings: Environment,
) -> Provenance:
    code = code_identity()
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
            external_parameters=ExternalParameters(
                trainer=parameters.measurer,
                configuration=_configuration(parameters, epochs=len(losses)),
                datasets={"train": parameters.dataset.name},
            ),
            internal_parameters=InternalParameters(environment=surroundings),
            resolved_dependencies=(dataset, _code(code), *_packages(surroundings)),
        ),
        run_details=RunDetails(builder=Builder(id=f"{BUILDER_PREFIX}{code.version}"), byproducts=(*files, loss)),
    )


def _configuration(parameters: TabularTraining, *, epochs: int) -> dict[str, Any]:
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
