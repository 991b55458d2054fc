"""Measurer ``text-dataset/1``: the datasheet of a dataset of texts.

Documents are counted, their characters (Unicode code points) and their words (between white space); a duplicate is a
document that equals an earlier one, code point for code point. An overlap with other texts counts equal documents.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import TextSchema
from lamslsa.measure.data.texts import read_texts
from lamslsa.measure.dataset import properties as asked
from lamslsa.measure.dataset import sheet
from lamslsa.measure.dataset.properties import Properties
from lamslsa.measure.dataset.reading import Reading, a_dataset
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.predicates._common import Digest
from lamslsa.predicates.dataset import Dataset, Documents, Duplicates, Overlap

__all__ = ["NAME", "TextDatasheet", "declare"]

NAME: Final = "text-dataset/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDatasheet:
    """The plan of the datasheet of texts; attributes as those of a table's."""

    dataset: DatasetJob
    schema: TextSchema
    others: tuple[DatasetJob, ...]
    properties: Properties

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The dataset, and those that it is compared with."""
        return sheet.inputs(self.dataset, self.others)

    @property
    def makes_private(self) -> bool:
        """Openings, where values are withheld."""
        return self.properties.disclosure.opens

    @property
    def configuration(self) -> dict[str, Any]:
        """All that was asked for."""
        return {
            "groups": [],
            "overlap": [item.resolved() for item in self.dataset.overlap],
            **self.properties.resolved(),
        }

    def steps(self) -> tuple[str, ...]:
        """What would be counted."""
        return (
            "documents, characters and words, exact duplicates",
            *(f"overlap with {item}" for item in self.dataset.overlap),
            *(item.step() for _, item in self.properties),
        )

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return sheet.estimate(self.dataset, self.others, self.properties, sizes)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Count; see `lamslsa.measure.interface.Plan`."""
        artifact, declared, progress = inputs["dataset"].artifact, self.dataset, context.progress
        steps = 2 + len(declared.overlap) + len(list(self.properties))
        seed = sheet.property_seed(artifact, declared.schema.sha256, self.configuration)
        progress("reading documents", 0, steps)
        documents = list(read_texts(a_dataset(artifact, declared.name), self.schema))
        subject = sheet.reading(declared, artifact, texts=lambda: documents)
        done = 1
        with sheet.opened(self.others, inputs) as others:
            progress("counting", done, steps)
            overlaps = []
            for item in declared.overlap:
                overlaps.append(_overlap(documents, others[item.dataset]))
                progress("comparing datasets", done := done + 1, steps)
            counted = itertools.count(done + 1)
            more = sheet.measured(
                self.properties, subject, others, seed, lambda: progress("measuring properties", next(counted), steps)
            )
        predicate = Dataset(
            kind="dataset",
            measurer=self.measurer,
            schema=declared.schema.resolved(),
            schema_digest=Digest(sha256=declared.schema.sha256),
            configuration=self.configuration,
            files=sheet.files(artifact),
            rows=len(documents),
            columns=(),
            distributions=(),
            duplicates=Duplicates(rows=len(documents) - len(set(documents)), method="exact"),
            documents=Documents(
                documents=len(documents),
                empty=sum(not document.strip() for document in documents),
                characters=sum(map(len, documents)),
                words=sum(len(document.split()) for document in documents),
            ),
            environment=environment(sheet.packages(("lamslsa",), self.properties)),
            overlaps=tuple(overlaps),
            declared=declared.declared,
            **more,
        )
        progress("counting", steps, steps)
        return sheet.finish(predicate, self.properties, name=declared.name, artifact=artifact)


def _overlap(documents: Sequence[str], other: Reading) -> Overlap:
    theirs = set(other.documents(None))
    return Overlap(
        dataset=other.reference,
        schema_digest=other.schema_digest,
        columns=("text",),
        samples=len(documents),
        rows=sum(document in theirs for document in documents),
        distinct=len(theirs & set(documents)),
    )


def declare(dataset: DatasetJob, schema: TextSchema, fields: _yaml.Mapping_ | None, scope: Scope) -> Plan:
    """The plan of the datasheet of texts."""
    always = ("documents", "duplicates")
    properties = asked.declare(fields, dataset, scope, families=asked.TEXT_FAMILIES, always=always)
    others = sheet.compared_with(dataset, properties, scope)
    return TextDatasheet(dataset=dataset, schema=schema, others=others, properties=properties)
