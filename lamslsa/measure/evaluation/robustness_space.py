"""What an attacker may change of a row or an image.

Of a table only numeric features move, in units of their deviation in the training data, which is how the network sees
them: ε = 0.5 is half a deviation. Categories, truth values and missing values stay as they are, so a row remains one
that the schema allows. Of an image every pixel moves, within 0 to 1.

    features: all                                                    every integer and number that the model reads
    features: [{name: age, minimum: 17, maximum: 90, step: 1}, …]    these only, in the units of the column; 0: any step

``all`` takes the range of a feature from the rows that are measured, and moves integers by whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.evaluation.attacks import Space
from lamslsa.measure.models.examples import MISSING, Examples
from lamslsa.measure.models.features import CategoryFeature, NumberFeature
from lamslsa.measure.models.interface import ImageInputs, TableInputs, TextInputs
from lamslsa.measure.models.loading import LoadedModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Movable", "declared_features", "moving_columns", "space_of"]

_NUMERIC = ("integer", "number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Movable:
    """A feature that may move; all in the units of its column."""

    name: str
    minimum: float
    maximum: float
    step: float

    def resolved(self) -> dict[str, Any]:
        """As it stands in the statement."""
        return {"name": self.name, "minimum": self.minimum, "maximum": self.maximum, "step": self.step}


def declared_features(node: _yaml.Node, dataset: DatasetJob) -> tuple[Movable, ...] | None:
    """The features that a job lets move; None for ``all``.

    Raises:
        FormatError: a feature that is no number, twice, or with an empty range.
    """
    if isinstance(node, _yaml.Scalar):
        node.choice(["all"])
        return None
    numeric = [column.name for column in dataset.table.features if column.type in _NUMERIC]
    features = []
    for item in node.sequence():
        fields = item.mapping()
        feature = Movable(
            name=fields.take("name").choice(numeric),
            minimum=fields.take("minimum").number(),
            maximum=fields.take("maximum").number(),
            step=fields.take("step").number(minimum=0),
        )
        fields.finish()
        if feature.minimum >= feature.maximum:
            item.refuse("expected a minimum below the maximum, got another", reason="job-attack-range")
        features.append(feature)
    if len({feature.name for feature in features}) != len(features):
        node.refuse("expected each feature once, got one twice", reason="job-attack-range")
    return tuple(features)


def moving_columns(loaded: LoadedModel, dataset: DatasetJob, features: tuple[Movable, ...] | None) -> tuple[str, ...]:
    """The columns of a table that may move, in the order of the network's inputs; none of images.

    Raises:
        FormatError: nothing may move, or something that the model does not read, or the model reads texts.
    """
    match loaded.description.inputs:
        case ImageInputs():
            if features is not None:
                raise FormatError(
                    "expected features: all for images, got columns", reason="attack-features", hint="every pixel moves"
                )
            return ()
        case TextInputs():
            raise FormatError(
                "expected a model of tables or images, got one of texts",
                reason="attack-inputs",
                hint="words have no gradient; corruptions/1 measures texts",
            )
        case TableInputs(features=inputs):
            types = {column.name: column.type for column in dataset.table.features}
            numbers = [
                feature.name
                for feature in inputs
                if isinstance(feature, NumberFeature) and types.get(feature.name) in _NUMERIC
            ]
            wanted = numbers if features is None else [feature.name for feature in features]
            if not wanted or not set(wanted) <= set(numbers):
                raise FormatError(
                    f"expected numeric features that the model reads, got {', '.join(wanted)[:80] or 'none'}",
                    reason="attack-features",
                    hint=f"it reads {', '.join(numbers)[:200] or 'categories only'}",
                )
            return tuple(name for name in numbers if name in wanted)


def space_of(
    loaded: LoadedModel, dataset: DatasetJob, examples: Examples, features: tuple[Movable, ...] | None
) -> Space:
    """What may move; ``examples`` were read with `moving_columns` as columns.

    Raises:
        FormatError: the features that may move have no value in any row.
    """
    import numpy as np

    shape = examples.inputs.shape[1:]
    inputs = loaded.description.inputs
    if not isinstance(inputs, TableInputs):
        return Space(
            movable=np.ones(shape, dtype=bool),
            lower=np.zeros(shape, dtype=np.float32),
            upper=np.ones(shape, dtype=np.float32),
            step=np.zeros(shape, dtype=np.float32),
        )
    declared = {feature.name: feature for feature in features or ()}
    types = {column.name: column.type for column in dataset.table.features}
    space = Space(
        movable=np.zeros(shape, dtype=bool),
        lower=np.zeros(shape, dtype=np.float64),
        upper=np.zeros(shape, dtype=np.float64),
        step=np.zeros(shape, dtype=np.float64),
        missing=np.zeros(examples.inputs.shape, dtype=bool),
    )
    for position, feature in _numbers(inputs):
        if feature.name not in examples.columns:
            continue
        absent = _absent(examples.columns[feature.name])
        present = examples.inputs[~absent, position]
        if not present.size:
            continue
        limits = declared.get(feature.name)
        if limits is None:
            lower, upper = float(present.min()), float(present.max())
            step = 1 / feature.deviation if types[feature.name] == "integer" else 0.0
        else:
            lower, upper = ((end - feature.mean) / feature.deviation for end in (limits.minimum, limits.maximum))
            step = limits.step / feature.deviation
        space.movable[position] = True
        space.lower[position], space.upper[position], space.step[position] = lower, upper, step
        if space.missing is not None:
            space.missing[:, position] = absent
    if not space.movable.any():
        raise FormatError(
            "expected a value in a feature that may move, got missing ones only",
            reason="attack-features",
            hint="let a feature move that the rows have",
        )
    return space


def _numbers(inputs: TableInputs) -> list[tuple[int, NumberFeature]]:
    """Every numeric feature with the position of its input."""
    found, offset = [], 0
    for feature in inputs.features:
        if isinstance(feature, CategoryFeature):
            offset += len(feature.categories)
        else:
            found.append((offset, feature))
            offset += 1
    return found


def _absent(texts: Sequence[str]) -> Array:
    import numpy as np

    return np.array([text == MISSING for text in texts], dtype=bool)
