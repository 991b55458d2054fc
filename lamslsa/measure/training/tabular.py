"""Trainer ``tabular-mlp/1``: a network over tabular features, for two classes, more classes or a number.

    {trainer: tabular-mlp/1, model, dataset, hidden: [width…], drop: [column…], …}

and the fields of `lamslsa.measure.training.settings`. The model's digest is computed from the bytes in memory; the
folder is written from those bytes afterwards and never read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lamslsa import _yaml
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure import rates
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.encode import encode, learn
from lamslsa.measure.models.interface import Classes
from lamslsa.measure.models.mlp import ARCHITECTURE, Description
from lamslsa.measure.training.loop import Material
from lamslsa.measure.training.networks import answer_for, learned_from, train_network, training_inputs
from lamslsa.measure.training.provenance import TRAIN
from lamslsa.measure.training.settings import Settings, declare_settings

__all__ = ["NAME", "TabularTraining", "declare"]

NAME: Final = ARCHITECTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularTraining:
    """The plan of a training, with every hyperparameter; ``drop`` are features that the model does not see."""

    model: str
    dataset: DatasetJob
    hidden: tuple[int, ...]
    drop: tuple[str, ...]
    settings: Settings

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The training data."""
        return training_inputs(self.dataset)

    @property
    def makes(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    def steps(self) -> tuple[str, ...]:
        """What would be trained."""
        return (f"{self.settings.epochs} epochs of {NAME} on {self.dataset.name}",)

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        target = self.dataset.table.target.task
        features = rates.inputs(len(self.dataset.table.features) - len(self.drop))
        network = rates.dense([features, *self.hidden, target.classes or 1])
        return rates.training(network, self.settings, self.dataset.schema, sizes[TRAIN])

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train in memory, and say in the statement how; see `lamslsa.measure.interface.Plan`."""
        return train_network(
            trainer=self.measurer,
            model=self.model,
            dataset=self.dataset,
            settings=self.settings,
            shape=self.shape(),
            learned=learned_from("features", self.dataset),
            read=self._read,
            packages=("duckdb",),
            inputs=inputs,
            context=context,
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration that is asked for; a statement has it too, and tells privacy in full."""
        return {**self.shape(), **self.settings.asked()}

    def shape(self) -> dict[str, Any]:
        """What is configured besides the settings."""
        return {"hidden": list(self.hidden), "drop": list(self.drop)}

    def _read(self, artifact: VerifiedArtifact) -> Material:
        schema = self.dataset.table
        columns = tuple(column.name for column in schema.features if column.name not in self.drop)
        source = Source(file=the_table(artifact, self.dataset.name), schema=schema)
        with open_tables({"train": source}) as tables:
            features = learn(tables["train"], columns)
            inputs = encode(tables["train"], features)
            labels = tables["train"].values(schema.target.column)
        answer = answer_for(schema.target.task, labels)
        description = Description(
            architecture=ARCHITECTURE,
            features=features,
            hidden=self.hidden,
            label=schema.target.column,
            says=msgspec.UNSET if answer == Classes(classes=2) else answer,
        )
        return Material(description=description, inputs=inputs, labels=labels)


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
        drop=drop,
        settings=declare_settings(node, fixed=True),
    )
