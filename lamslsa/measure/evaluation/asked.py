"""What every evaluation is asked and answers: its common parameters, and what a model says about a dataset.

Rules:
- The model and the data are read from verified bytes; the model answers in evaluation mode, over every row.
- What a model of classes says must be probabilities. Arithmetic in float32 may miss the sum of 1 by 1e-4.
- Labels must be classes of the model, or finite numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Schema, Task
from lamslsa.measure.declarations import DatasetJob, Groups, Scope, fraction, groups
from lamslsa.measure.interface import Context, Given
from lamslsa.measure.models.examples import read_examples
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.measure.models.predict import predict

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = [
    "PACKAGES",
    "Replies",
    "Sampling",
    "answer",
    "declare_dataset",
    "declare_groups",
    "probabilities",
    "refuse_other_task",
]

PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "safetensors", "scikit-learn", "scipy", "torch")
_SUM_TOLERANCE: Final = 1e-4
_MAX_RESAMPLES: Final = 100_000
_OTHERS: Final = "classification/1 measures models of more classes, regression/1 those of numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The parameters of every evaluation.

    Attributes:
        rows: ``all``.
        confidence_level: of every interval.
        resamples: of every bootstrap.
    """

    rows: str
    confidence_level: float
    resamples: int

    @classmethod
    def declared(cls, node: _yaml.Mapping_) -> Sampling:
        """As a job file declares them.

        Raises:
            FormatError: one is missing or out of range.
        """
        return cls(
            rows=node.take("rows").choice(["all"]),
            confidence_level=fraction(node.take("confidenceLevel")),
            resamples=node.take("resamples").integer(minimum=1, maximum=_MAX_RESAMPLES),
        )

    def configuration(self) -> dict[str, Any]:
        """As they stand in the statement."""
        return {"rows": self.rows, "confidenceLevel": self.confidence_level, "resamples": self.resamples}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What a model said about each row, and what is known about the row.

    Attributes:
        model: who said it.
        labels: int64 classes, or float64 numbers.
        scores: float32: of two classes the probability of class 1, of more that of each, or the number.
        groups: group column to the text of its value in each row.
    """

    model: LoadedModel
    labels: Array
    scores: Array
    groups: Mapping[str, list[str]]


def declare_dataset(node: _yaml.Mapping_, scope: Scope, *tasks: str) -> DatasetJob:
    """The dataset that a job file names, whose label must be one of these tasks.

    Raises:
        FormatError: an unknown dataset, or one with another label.
    """
    item = node.take("dataset")
    dataset = scope.dataset(item)
    task = str(dataset.schema.target.task)
    if task not in tasks:
        item.refuse(
            f"expected a dataset with a label for {' or '.join(tasks)}, got {task}",
            reason="evaluation-task",
            hint=_OTHERS,
        )
    return dataset


def declare_groups(node: _yaml.Node, dataset: DatasetJob) -> Groups:
    """Groupings by the columns of a table that are no fractions; none of images and texts.

    Raises:
        FormatError: an unknown column, or the same columns twice, in whatever order: their cells would be the same.
    """
    schema = dataset.schema
    columns = [item.name for item in schema.features if item.type != "number"] if isinstance(schema, Schema) else []
    found = groups(node, columns)
    if len({frozenset(item) for item in found}) != len(found):
        node.refuse("expected each set of columns once, got one twice", reason="evaluation-groups")
    return found


def refuse_other_task(task: Task, *tasks: str) -> None:
    """Return if a model does one of these.

    Raises:
        FormatError: it does another.
    """
    if str(task) not in tasks:
        raise FormatError(
            f"expected a model for {' or '.join(tasks)}, got one for {task}", reason="evaluation-task", hint=_OTHERS
        )


def answer(model: Given, data: Given, dataset: DatasetJob, groupings: Groups, context: Context) -> Replies:
    """Load a model, read a dataset for it, and have every row answered.

    Raises:
        FormatError: the model or the data is not what was declared, or what it says are no probabilities.
    """
    context.progress("reading model and rows", 0, 1)
    loaded = load_model(model.artifact, device=context.device)
    columns = tuple(dict.fromkeys(column for grouping in groupings for column in grouping))
    examples = read_examples(loaded, data.artifact, dataset, columns=columns)
    context.progress("reading model and rows", 1, 1)
    refuse_labels(examples.labels, loaded.task)
    scores = predict(loaded, examples.inputs, context)
    refuse_answers(scores, len(examples.labels), loaded.task)
    return Replies(model=loaded, labels=examples.labels, scores=scores, groups=examples.columns)


def refuse_labels(labels: Array, task: Task) -> None:
    """Return if there are labels, and each is one of the task.

    Raises:
        FormatError: no rows, or a label that is none.
    """
    import numpy as np

    if len(labels) == 0:
        raise FormatError("expected at least one row to evaluate on, got none", reason="evaluation-no-rows")
    if task.classes is None:
        good = np.isfinite(labels)
    else:
        good = (labels >= 0) & (labels < task.classes) & np.issubdtype(labels.dtype, np.integer)
    if not good.all():
        first = int(np.argmin(good))
        raise FormatError(
            f"expected labels for {task}, got {labels[first]} in row {first + 1}", reason="evaluation-label-value"
        )


def refuse_answers(scores: Array, rows: int, task: Task) -> None:
    """Return if a model answered each row in the shape of its task, and with probabilities where it is of classes.

    Raises:
        FormatError: it did not.
    """
    import numpy as np

    shape = (rows,) if task.classes in (None, 2) else (rows, task.classes)
    if scores.shape != shape:
        raise FormatError(
            f"expected answers of shape {shape}, got {scores.shape}",
            reason="evaluation-answers",
            hint="the model does not do what its description says",
        )
    if task.classes is None:
        return
    sums = np.ones(1) if scores.ndim == 1 else scores.sum(axis=1, dtype=np.float64)
    if scores.min() < 0 or scores.max() > 1 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise FormatError(
            "expected probabilities, got answers outside of 0 to 1 or that do not add up to 1",
            reason="evaluation-answers",
        )


def probabilities(replies: Replies) -> Array:
    """The probability of each class: float64 (rows, classes), exactly as the model gave them."""
    import numpy as np

    scores = replies.scores.astype(np.float64)
    return scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)
