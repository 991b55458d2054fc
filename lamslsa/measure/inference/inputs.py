"""What a model is told about each example: the array that it takes, and the same as plain values for the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.models.examples import encoded, read_pixels, refuse_other_images
from lamslsa.measure.models.interface import ImageInputs, TableInputs
from lamslsa.measure.models.loading import LoadedModel

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Told", "read_told"]

_SAYS: Final = {"binary": "probability", "multiclass": "probabilities", "regression": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The examples of a dataset, in its order.

    Attributes:
        inputs: what the model takes; see `lamslsa.measure.models.examples.Examples`.
        values: the same as a plain JSON object for each example.
        says: what an answer is called: ``probability`` of class 1, ``probabilities`` of each class, or ``number``.
    """

    inputs: np.ndarray[Any, Any]
    values: Sequence[dict[str, Any]]
    says: str


def read_told(loaded: LoadedModel, artifact: VerifiedArtifact, dataset: DatasetJob) -> Told:
    """Read a dataset for a model, with or without a label.

    Raises:
        FormatError: the dataset is not what the schema declares, or not what the model takes.
    """
    what = loaded.description.inputs
    if isinstance(what, ImageInputs):
        refuse_other_images(what, dataset)
        pixels, _ = read_pixels(artifact, dataset)
        return Told(
            inputs=pixels.astype("float32") / 255,
            values=[{"file": entry.path, "sha256": entry.sha256} for entry in artifact.manifest.files],
            says=_SAYS[str(loaded.task)],
        )
    columns = [feature.name for feature in what.features] if isinstance(what, TableInputs) else [what.column]
    with open_tables({"rows": Source(file=the_table(artifact, dataset.name), schema=dataset.table)}) as tables:
        table = tables["rows"]
        inputs = encoded(table, what)
        values = [_plain(table, column) for column in columns]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    return Told(inputs=inputs, values=rows, says=_SAYS[str(loaded.task)])


def _plain(table: Table, column: str) -> list[Any]:
    """The values of a column as JSON has them: null where missing, integers without a fraction."""
    kind = table.schema.columns[table.schema.position(column)].type
    found: list[Any] = []
    for value in table.values(column).tolist():
        if value is None or value != value:  # noqa: PLR0124 - NaN is how a number is missing
            found.append(None)
        else:
            found.append(int(value) if kind == "integer" else value)
    return found
