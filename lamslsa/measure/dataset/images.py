"""Measurer ``image-dataset/1``: the datasheet of a dataset of images, one folder for each class.

Counted are images by class, and exact duplicates: images of the same pixels, whatever file they are in and whatever
class they have. Sums over the values of each channel are integers; mean and deviation follow from them. An overlap with
other images counts images whose pixels occur there. Pixels are compared by SHA-256.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure.data.images import PACKAGES, read_images
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.dataset import properties as asked
from lamslsa.measure.dataset import sheet
from lamslsa.measure.dataset.properties import Properties
from lamslsa.measure.dataset.reading import COMPARED, a_dataset
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.predicates._common import ArtifactReference, Digest
from lamslsa.predicates.dataset import Cell, Channel, Dataset, Distribution, Duplicates, Images, Overlap

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NAME", "ImageDatasheet", "declare"]

NAME: Final = "image-dataset/1"
_PACKAGES: Final = ("lamslsa", *PACKAGES)


@dataclass(slots=True, kw_only=True)
class _Counted:
    """What was seen of a dataset's images so far."""

    schema: ImageSchema
    classes: Counter[int] = field(default_factory=Counter)
    digests: Counter[bytes] = field(default_factory=Counter)
    sums: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)

    def take(self, label: int, image: np.ndarray[Any, Any]) -> None:
        """Count one image of shape (channels, height, width), 8 bits a value."""
        import numpy as np

        self.classes[label] += 1
        self.digests[hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()] += 1
        wide = image.reshape(self.schema.channels, -1).astype(np.int64)
        for total, more in ((self.sums, wide.sum(1)), (self.squares, (wide * wide).sum(1))):
            total[:] = [a + b for a, b in zip(total or [0] * self.schema.channels, more.tolist(), strict=True)]

    def channels(self, pixels: int) -> tuple[Channel, ...]:
        """The channels, each value rounded once from its exact quotient."""
        found = []
        for total, squares in zip(self.sums, self.squares, strict=True):
            mean = Fraction(total, pixels)
            deviation = math.sqrt(Fraction(squares, pixels) - mean * mean)
            found.append(Channel(sum=total, sum_of_squares=squares, mean=float(mean), deviation=deviation))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDatasheet:
    """The plan of the datasheet of images; attributes as those of a table's."""

    dataset: DatasetJob
    schema: ImageSchema
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
            "images by class, exact duplicates, sums of each channel",
            *(f"overlap with {item}" for item in self.dataset.overlap),
        )

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return sheet.estimate(self.dataset, self.others, self.properties, sizes)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Count; see `lamslsa.measure.interface.Plan`."""
        artifact, declared, progress = inputs["dataset"].artifact, self.dataset, context.progress
        steps = 2 + len(self.others)
        progress("reading images", 0, steps)
        counted = _count(a_dataset(artifact, declared.name), self.schema)
        overlaps = []
        for done, other in enumerate(self.others, 1):
            progress("comparing datasets", done, steps)
            overlaps.append(_overlap(counted, other, inputs[f"{COMPARED}{other.name}"].artifact))
        images = counted.classes.total()
        pixels = images * self.schema.height * self.schema.width
        progress("counting", steps - 1, steps)
        predicate = Dataset(
            kind="dataset",
            measurer=self.measurer,
            schema=self.schema.resolved(),
            schema_digest=Digest(sha256=self.schema.sha256),
            configuration=self.configuration,
            files=sheet.files(artifact),
            rows=images,
            columns=(),
            distributions=(),
            duplicates=Duplicates(rows=images - len(counted.digests), method="exact"),
            environment=environment(_PACKAGES),
            label_balance=_balance(self.schema.label.column, counted.classes),
            overlaps=tuple(overlaps),
            images=Images(
                height=self.schema.height, width=self.schema.width, pixels=pixels, channels=counted.channels(pixels)
            ),
            declared=declared.declared,
        )
        progress("counting", steps, steps)
        return sheet.finish(predicate, self.properties, name=declared.name, artifact=artifact)


def _count(artifact: VerifiedArtifact, schema: ImageSchema) -> _Counted:
    counted = _Counted(schema=schema)
    images = read_images(artifact, schema)
    for label, image in zip(images.labels.tolist(), images.pixels, strict=True):
        counted.take(label, image)
    return counted


def _balance(column: str, classes: Counter[int]) -> Distribution:
    cells: Sequence[Cell] = [Cell(values=(label,), count=count) for label, count in sorted(classes.items())]
    return Distribution(columns=(column,), samples=classes.total(), cells=tuple(cells))


def _overlap(counted: _Counted, other: DatasetJob, artifact: VerifiedArtifact) -> Overlap:
    schema = other.schema
    if not isinstance(schema, ImageSchema):
        raise TypeError("expected images: a job compares like with like")
    theirs = _count(a_dataset(artifact, other.name), schema).digests
    return Overlap(
        dataset=ArtifactReference(name=other.name, digest=Digest(sha256=artifact.manifest.sha256)),
        schema_digest=Digest(sha256=schema.sha256),
        columns=("pixels",),
        samples=counted.classes.total(),
        rows=sum(count for digest, count in counted.digests.items() if digest in theirs),
        distinct=len(counted.digests.keys() & theirs.keys()),
    )


def declare(dataset: DatasetJob, schema: ImageSchema, fields: _yaml.Mapping_ | None, scope: Scope) -> Plan:
    """The plan of the datasheet of images."""
    always = ("duplicates", "labelBalance", "images")
    properties = asked.declare(fields, dataset, scope, families={}, always=always)
    others = sheet.compared_with(dataset, properties, scope)
    return ImageDatasheet(dataset=dataset, schema=schema, others=others, properties=properties)
