"""A dataset as a model sees it: inputs, labels, and the columns that rows are grouped by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.models.encode import encode
from lamslsa.measure.models.interface import ImageInputs, TableInputs, TextInputs
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.measure.models.words import encode_texts, texts_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["MISSING", "Examples", "encoded", "group_names", "read_examples", "read_pixels", "refuse_other_images"]

MISSING: Final = "(missing)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Rows, images or texts in the order of the dataset.

    Attributes:
        inputs: what the model takes: float32 (n, width) of tables, float32 (n, channels, height, width) in 0 to 1 of
            images, int64 (n, length) of texts.
        labels: int64 classes, or float64 numbers; shape (n,).
        columns: group column to the text of its value in each row.
    """

    inputs: Array
    labels: Array
    columns: dict[str, list[str]]


def read_examples(
    loaded: LoadedModel, artifact: VerifiedArtifact, dataset: DatasetJob, *, columns: Sequence[str] = ()
) -> Examples:
    """Read a dataset for a model.

    Args:
        loaded: whose inputs are wanted.
        artifact: the verified bytes.
        dataset: how they become rows, images or texts.
        columns: what rows are to be grouped by; of tables only.

    Raises:
        FormatError: the dataset is not what the schema declares, or not what the model takes.
    """
    target = dataset.schema.target
    if loaded.label != target.column or loaded.task != target.task:
        raise FormatError(
            f"expected a dataset with the label {loaded.label!r} ({loaded.task}), got {target.column!r} "
            f"({target.task})",
            reason="evaluation-label",
        )
    what = loaded.description.inputs
    if isinstance(what, ImageInputs):
        refuse_other_images(what, dataset)
        pixels, labels = read_pixels(artifact, dataset)
        return Examples(inputs=pixels.astype("float32") / 255, labels=labels, columns={})
    with open_tables({"rows": Source(file=the_table(artifact, dataset.name), schema=dataset.table)}) as tables:
        table = tables["rows"]
        return Examples(
            inputs=encoded(table, what),
            labels=table.values(target.column),
            columns={column: group_names(table, column) for column in columns},
        )


def read_pixels(artifact: VerifiedArtifact, dataset: DatasetJob) -> tuple[Array, Array]:
    """The images of a dataset in the order of its paths: uint8 (n, channels, height, width), and int64 classes.

    Raises:
        FormatError: the dataset holds no images, or others than its schema declares.
    """
    schema = dataset.schema
    if not isinstance(schema, ImageSchema):
        raise FormatError(f"expected images as {dataset.name!a:.80}, got a table or texts", reason="schema-not-images")
    from lamslsa.measure.data.images import read_images

    images = read_images(artifact, schema)
    return images.pixels, images.labels


def encoded(table: Table, what: TableInputs | TextInputs) -> Array:
    """What a model takes of a table.

    Raises:
        FormatError: a column is missing or has another type, or a value has no place among the inputs.
    """
    if isinstance(what, TableInputs):
        return encode(table, what.features)
    return encode_texts(texts_of(table, what.column), what)


def refuse_other_images(what: ImageInputs, dataset: DatasetJob) -> None:
    """Return if the images of a dataset have the size that a model takes.

    Raises:
        FormatError: they have another.
    """
    schema = dataset.schema
    if not isinstance(schema, ImageSchema):
        return
    wanted, found = (what.channels, what.height, what.width), (schema.channels, schema.height, schema.width)
    if found != wanted:
        raise FormatError(
            f"expected images of {wanted} channels, rows and columns, got {found}", reason="feature-column"
        )


def group_names(table: Table, column: str) -> list[str]:
    """The text of each value; integers without the point that their float64 form has.

    Raises:
        FormatError: a value is called as missing ones are.
    """
    kind = table.schema.columns[table.schema.position(column)].type
    names = []
    for value in table.values(column).tolist():
        if value is None or value != value:  # noqa: PLR0124 - NaN is how a number is missing
            names.append(MISSING)
        elif kind == "integer":
            names.append(str(int(value)))
        else:
            names.append(str(value).lower() if kind == "boolean" else str(value))
    if kind == "string" and names.count(MISSING) != sum(value is None for value in table.values(column).tolist()):
        raise FormatError(f"expected no group called {MISSING} in {column!r}, got one", reason="evaluation-group-name")
    return names
