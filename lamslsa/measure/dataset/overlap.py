"""Rows of a table that occur in another one, whatever format either has: typed tuples of features, without label.

    overlap: [<dataset>, {dataset, columns: [column…]}]

All features are compared, or the ``columns``. A column that tells rows apart which are otherwise the same, such as a
row number, makes an overlap small: one that says something of a model compares nothing that the model does not see.

    normalization: {text: [nfc, casefold, trim], digits: 3}

With a normalisation, texts take its steps (`lamslsa.measure.dataset.words`), and values of type ``number`` are rounded
to that many decimal digits (to the nearest, ties to the even one, on the exact binary value; null: not at all) on both
sides before they are compared. It only makes more rows equal, so an overlap is never smaller with one than without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import Column
from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset import words
from lamslsa.measure.dataset.reading import Reading
from lamslsa.predicates.dataset import Overlap

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Normalization", "declare_normalization", "overlap"]

_MAX_DIGITS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """What is done to both sides; ``digits`` is None where numbers stay as they are."""

    text: tuple[str, ...]
    digits: int | None

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {"text": list(self.text), "digits": self.digits}


def overlap(
    subject: Reading, other: Reading, normalization: Normalization | None, columns: Collection[str] | None = None
) -> Overlap:
    """Count the rows of the subject that occur in the other table, and the different tuples in both.

    Args:
        subject: whose rows are counted.
        other: what they are compared with.
        normalization: what is done to both sides first.
        columns: the features that are compared; None for all.
    """
    table = subject.table
    features = [column for column in table.schema.features if columns is None or column.name in columns]
    if normalization is None:
        found = table.overlap(other.table, [column.name for column in features])
    else:
        found = _normalised(table, other.table, features, normalization)
    return Overlap(
        dataset=other.reference,
        schema_digest=other.schema_digest,
        columns=tuple(column.name for column in features),
        samples=table.rows,
        rows=found[0],
        distinct=found[1],
    )


def _normalised(
    mine: Table, theirs: Table, features: Sequence[Column], normalization: Normalization
) -> tuple[int, int]:
    import numpy as np

    keys = np.zeros(mine.rows + theirs.rows, dtype=np.int64)
    for column in features:
        codes = _codes([table.values(column.name) for table in (mine, theirs)], column, normalization)
        # Both factors are at most the number of rows, so the product stays far below 2^63.
        keys = np.unique(keys * (int(codes.max()) + 1) + codes, return_inverse=True)[1].reshape(-1)
    here, there = keys[: mine.rows], keys[mine.rows :]
    shared = np.zeros(int(keys.max()) + 1, dtype=bool)
    shared[there] = True
    return int(shared[here].sum()), len(np.intersect1d(here, there))


def _codes(sides: Sequence[Array], column: Column, normalization: Normalization) -> Array:
    """The same number for values that are equal once they are normalised, from 0; missing is a value of its own."""
    import numpy as np

    change = _change(column, normalization)
    numbers: dict[Any, int] = {}
    known: dict[Any, int] = {}
    if column.type in ("integer", "number"):
        values, places = np.unique(np.concatenate(sides), return_inverse=True)
        codes = [_code(numbers, None if value != value else change(value)) for value in values.tolist()]  # noqa: PLR0124
        return np.array(codes, dtype=np.int64)[places.reshape(-1)]
    found = []
    for side in sides:
        for value in side.tolist():
            if value not in known:
                known[value] = _code(numbers, None if value is None else change(value))
            found.append(known[value])
    return np.array(found, dtype=np.int64)


def _code(numbers: dict[Any, int], value: Any) -> int:
    return numbers.setdefault(value, len(numbers))


def _change(column: Column, normalization: Normalization) -> Callable[[Any], Any]:
    if column.type == "string":
        return lambda text: words.normal(text, normalization.text)
    if column.type == "number" and normalization.digits is not None:
        return lambda value: round(value, normalization.digits)
    return lambda value: value


def declare_normalization(fields: _yaml.Mapping_) -> Normalization:
    """Read ``normalization``."""
    text = words.declare_steps(fields.take("text"))
    node = fields.take("digits")
    null = isinstance(node, _yaml.Scalar) and node.value is None
    found = Normalization(text=text, digits=None if null else node.integer(minimum=0, maximum=_MAX_DIGITS))
    fields.finish()
    return found
