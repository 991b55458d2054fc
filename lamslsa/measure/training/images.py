"""Trainers ``image-cnn/1`` and ``image-vgg/1``: convolutional networks over folders of images.

    {trainer: image-cnn/1, model, dataset, widths: [8, 16], hidden, batchNorm, dropout, normalization, …}
    {trainer: image-vgg/1, model, dataset, depth: 11, firstWidth: 64, hidden, batchNorm, dropout, normalization, …}

and the fields of `lamslsa.measure.training.settings`. ``normalization`` is ``learned`` (mean and deviation of each
channel over all pixels of the training data, from exact integer sums) or ``{mean: […], deviation: […]}`` of pixels in 0
to 1; either way it stands in ``model.json``, and the network does it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named
from lamslsa.measure.models import cnn, vgg
from lamslsa.measure.models.examples import read_pixels
from lamslsa.measure.models.interface import Classes
from lamslsa.measure.training.loop import Material
from lamslsa.measure.training.networks import train_network, training_inputs
from lamslsa.measure.training.provenance import TRAIN
from lamslsa.measure.training.settings import Settings, declare_settings

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["CNN", "VGG", "ImageTraining", "Normalization", "declare_cnn", "declare_vgg", "learn_normalization"]

CNN: Final = cnn.ARCHITECTURE
VGG: Final = vgg.ARCHITECTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Mean and deviation of each channel, of pixels in 0 to 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTraining:
    """The plan of a training.

    Attributes:
        trainer: by name and version; the architecture has the same name.
        widths: of the convolutions of a CNN; empty for VGG.
        depth: of VGG, as is ``first_width``; 0 for a CNN.
        normalization: None where it is learned.
    """

    trainer: str
    model: str
    dataset: DatasetJob
    schema: ImageSchema
    widths: tuple[int, ...]
    depth: int
    first_width: int
    hidden: tuple[int, ...]
    batch_norm: bool
    dropout: float
    normalization: Normalization | None
    settings: Settings

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(self.trainer)

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
        return (f"{self.settings.epochs} epochs of {self.trainer} on {self.dataset.name}",)

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        network = rates.convolutions(self.schema, self._blocks(), self.hidden)
        return rates.training(network, self.settings, self.schema, sizes[TRAIN])

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train in memory, and say in the statement how; see `lamslsa.measure.interface.Plan`."""
        return train_network(
            trainer=self.measurer,
            model=self.model,
            dataset=self.dataset,
            settings=self.settings,
            shape=self.shape(),
            learned=("normalization",) if self.normalization is None else (),
            read=self._read,
            packages=("pillow",),
            inputs=inputs,
            context=context,
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration that is asked for; a statement has it too, and tells privacy in full."""
        return {**self.shape(), **self.settings.asked()}

    def shape(self) -> dict[str, Any]:
        """What is configured besides the settings."""
        given = self.normalization
        own = (
            {"widths": list(self.widths)}
            if self.trainer == CNN
            else {"depth": self.depth, "firstWidth": self.first_width}
        )
        return {
            **own,
            "hidden": list(self.hidden),
            "batchNorm": self.batch_norm,
            "dropout": self.dropout,
            "normalization": "learned"
            if given is None
            else {"mean": list(given.mean), "deviation": list(given.deviation)},
        }

    def _blocks(self) -> tuple[tuple[int, ...], ...]:
        if self.trainer == CNN:
            return tuple((width,) for width in self.widths)
        return vgg.widths(self.depth, self.first_width)  # type: ignore[arg-type]  # declared as one of them

    def _read(self, artifact: VerifiedArtifact) -> Material:
        pixels, labels = read_pixels(artifact, self.dataset)
        scale = self.normalization or learn_normalization(pixels)
        return Material(description=self._description(scale), inputs=pixels, labels=labels)

    def _description(self, scale: Normalization) -> cnn.Description | vgg.Description:
        common: dict[str, Any] = {
            "architecture": self.trainer,
            "channels": self.schema.channels,
            "height": self.schema.height,
            "width": self.schema.width,
            "mean": scale.mean,
            "deviation": scale.deviation,
            "batch_norm": self.batch_norm,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "answer": Classes(classes=self.schema.target.task.classes or 0),
            "label": self.schema.target.column,
        }
        if self.trainer == CNN:
            return cnn.Description(**common, widths=self.widths)
        return vgg.Description(**common, depth=self.depth, first_width=self.first_width)  # type: ignore[arg-type]


def learn_normalization(pixels: Array) -> Normalization:
    """Mean and deviation of each channel of uint8 (n, channels, height, width), as pixels in 0 to 1.

    Sums are of integers and exact; a constant channel has deviation 1.

    Raises:
        FormatError: no images.
    """
    import numpy as np

    if not len(pixels):
        raise FormatError("expected images to learn from, got none", reason="training-empty")
    means, deviations = [], []
    levels = range(256)
    for channel in range(pixels.shape[1]):
        counts = np.bincount(pixels[:, channel].ravel(), minlength=256).tolist()
        count = sum(counts)
        total = sum(level * times for level, times in zip(levels, counts, strict=True))
        squares = sum(level * level * times for level, times in zip(levels, counts, strict=True))
        means.append(total / count / 255)
        deviations.append(math.sqrt((count * squares - total * total) / count**2) / 255 or 1.0)
    return Normalization(mean=tuple(means), deviation=tuple(deviations))


def declare_cnn(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan of a CNN that a job file declares."""
    return _declare(node, scope, trainer=CNN)


def declare_vgg(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan of a VGG that a job file declares."""
    return _declare(node, scope, trainer=VGG)


def _declare(node: _yaml.Mapping_, scope: Scope, *, trainer: str) -> Plan:
    at = node.take("dataset")
    dataset = scope.dataset(at)
    if not isinstance(dataset.schema, ImageSchema):
        at.refuse(f"expected a dataset of images, got {dataset.name!a:.80}", reason="job-images")
    is_cnn = trainer == CNN
    depth = 0
    if not is_cnn:
        depth_node = node.take("depth")
        depth = depth_node.integer()
        if depth not in vgg.BLOCKS:
            depth_node.refuse(
                f"expected a depth of {', '.join(map(str, vgg.BLOCKS))}, got {depth}", reason="yaml-range"
            )
    return ImageTraining(
        trainer=trainer,
        model=name(node.take("model")),
        dataset=dataset,
        schema=dataset.schema,
        widths=_widths(node.take("widths"), most=16, empty=False) if is_cnn else (),
        depth=depth,
        first_width=0 if is_cnn else node.take("firstWidth").integer(minimum=1, maximum=512),
        hidden=_widths(node.take("hidden"), most=8 if is_cnn else 2, empty=True),
        batch_norm=node.take("batchNorm").boolean(),
        dropout=_dropout(node.take("dropout")),
        normalization=_normalization(node.take("normalization"), dataset.schema.channels),
        settings=declare_settings(node),
    )


def _widths(node: _yaml.Node, *, most: int, empty: bool) -> tuple[int, ...]:
    items = node.sequence(empty=empty)
    if len(items) > most:
        node.refuse(f"expected at most {most} widths, got {len(items)}", reason="job-hidden")
    return tuple(item.integer(minimum=1, maximum=8192) for item in items)


def _dropout(node: _yaml.Node) -> float:
    value = node.number(minimum=0, maximum=1)
    if value == 1:
        node.refuse("expected a dropout below 1, got 1", reason="yaml-range")
    return value


def _normalization(node: _yaml.Node, channels: int) -> Normalization | None:
    if isinstance(node, _yaml.Scalar):
        node.choice(["learned"])
        return None
    fields = node.mapping()
    mean, deviation = (
        tuple(item.number(minimum=0, maximum=1) for item in fields.take(key).sequence())
        for key in ("mean", "deviation")
    )
    fields.finish()
    if len(mean) != channels or len(deviation) != channels or not all(deviation):
        node.refuse(f"expected {channels} means and as many deviations above 0, got others", reason="job-normalization")
    return Normalization(mean=mean, deviation=deviation)
