"""Trainer ``text-lstm/1``: an LSTM over a column of texts, for two classes, more classes or a number.

    {trainer: text-lstm/1, model, dataset, textColumn, tokens: casefold-words, vocabularySize, minimumCount, length,
     embedding, hidden, layers, bidirectional, dropout, …}

and the fields of `lamslsa.measure.training.settings`. The vocabulary is learned from the training data: its most
frequent words, those that occur often enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure import rates
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models.interface import TextInputs
from lamslsa.measure.models.lstm import ARCHITECTURE, MAX_LENGTH, MAX_WORDS, Description
from lamslsa.measure.models.words import TOKENS, encode_texts, learn_words, texts_of
from lamslsa.measure.training.loop import Material
from lamslsa.measure.training.networks import answer_for, learned_from, train_network, training_inputs
from lamslsa.measure.training.provenance import TRAIN
from lamslsa.measure.training.settings import Settings, declare_settings

__all__ = ["NAME", "TextTraining", "declare"]

NAME: Final = ARCHITECTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTraining:
    """The plan of a training.

    Attributes:
        vocabulary_size: the most words that have a number of their own.
        minimum_count: how often such a word occurs at least.
        length: how many words of a text are read.
    """

    model: str
    dataset: DatasetJob
    text_column: str
    vocabulary_size: int
    minimum_count: int
    length: int
    embedding: int
    hidden: int
    layers: int
    bidirectional: bool
    dropout: float
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
        network = rates.recurrent(
            embedding=self.embedding,
            hidden=self.hidden,
            layers=self.layers,
            directions=1 + self.bidirectional,
            length=self.length,
        )
        return rates.training(network, self.settings, self.dataset.schema, sizes[TRAIN])

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train in memory, and say in the statement how; see `lamslsa.measure.interface.Plan`."""
        return train_network(
            trainer=self.measurer,
            model=self.model,
            dataset=self.dataset,
            settings=self.settings,
            shape=self.shape(),
            learned=learned_from("vocabulary", self.dataset),
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
        return {
            "textColumn": self.text_column,
            "tokens": TOKENS,
            "vocabularySize": self.vocabulary_size,
            "minimumCount": self.minimum_count,
            "length": self.length,
            "embedding": self.embedding,
            "hidden": self.hidden,
            "layers": self.layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
        }

    def _read(self, artifact: VerifiedArtifact) -> Material:
        schema = self.dataset.table
        with open_tables({"train": Source(file=the_table(artifact, self.dataset.name), schema=schema)}) as tables:
            texts = texts_of(tables["train"], self.text_column)
            labels = tables["train"].values(schema.target.column)
        vocabulary = learn_words(texts, size=self.vocabulary_size, minimum=self.minimum_count)
        description = Description(
            architecture=ARCHITECTURE,
            text_column=self.text_column,
            tokens=TOKENS,
            vocabulary=vocabulary,
            length=self.length,
            embedding=self.embedding,
            hidden=self.hidden,
            layers=self.layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            answer=answer_for(schema.target.task, labels),
            label=schema.target.column,
        )
        inputs = TextInputs(column=self.text_column, vocabulary=vocabulary, length=self.length)
        return Material(description=description, inputs=encode_texts(texts, inputs), labels=labels)


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    dataset = scope.dataset(node.take("dataset"))
    columns = [column.name for column in dataset.table.features if column.type == "string"]
    node.take("tokens").choice([TOKENS])
    dropout = node.take("dropout")
    if dropout.number(minimum=0, maximum=1) == 1:
        dropout.refuse("expected a dropout below 1, got 1", reason="yaml-range")
    return TextTraining(
        model=name(node.take("model")),
        dataset=dataset,
        text_column=node.take("textColumn").choice(columns),
        vocabulary_size=node.take("vocabularySize").integer(minimum=0, maximum=MAX_WORDS),
        minimum_count=node.take("minimumCount").integer(minimum=1, maximum=2**53),
        length=node.take("length").integer(minimum=1, maximum=MAX_LENGTH),
        embedding=node.take("embedding").integer(minimum=1, maximum=8192),
        hidden=node.take("hidden").integer(minimum=1, maximum=8192),
        layers=node.take("layers").integer(minimum=1, maximum=8),
        bidirectional=node.take("bidirectional").boolean(),
        dropout=dropout.number(),
        settings=declare_settings(node),
    )
