"""What a model says about the rows of a table with one attribute changed.

Rules:
- The change is made in the typed table, before it is encoded: a row of the value v gets the value u, and what was
  declared to change with it changes too (``coChanges``: with sex from Male to Female, relationship from Husband to
  Wife). Nothing else of the row changes.
- A value that the model has no input for would be read as missing, so it is refused.
- Rows in which the attribute is missing or has another value are not flipped; they are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.interface import Context
from lamslsa.measure.models.encode import encode
from lamslsa.measure.models.features import CategoryFeature, Feature
from lamslsa.measure.models.interface import TableInputs
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.measure.models.predict import predict

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Attribute", "CoChange", "Flipped", "flip"]

_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A column, and the values among which its rows are flipped."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoChange:
    """Where ``attribute`` goes from ``source`` to ``target``, values of ``column`` change as ``values`` says."""

    attribute: str
    source: str
    target: str
    column: str
    values: Mapping[str, str]

    def resolved(self) -> dict[str, Any]:
        """As it stands in a configuration."""
        return {
            "attribute": self.attribute,
            "from": self.source,
            "to": self.target,
            "column": self.column,
            "values": dict(self.values),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """What came of one attribute.

    Attributes:
        codes: int64, the number of each row's value among the declared ones; -1 missing, -2 another value.
        scores: float32 (values, rows): the probability of class 1 with each value; that of the row as it is where the
            value is its own, NaN where the row has none of the values.
        read: whether the model reads the attribute, or a column that changes with it.
    """

    codes: Array
    scores: Array
    read: bool


class _Changed(Table):
    """A table with some columns replaced."""

    def __init__(self, table: Table, columns: Mapping[str, Array]) -> None:
        super().__init__(None, "", table.schema, table.rows)
        self._table = table
        self._columns_changed = columns

    def values(self, column: str) -> Array:
        """The column in row order."""
        found = self._columns_changed.get(column)
        return self._table.values(column) if found is None else found


def flip(
    loaded: LoadedModel,
    data: VerifiedArtifact,
    dataset: DatasetJob,
    *,
    attributes: Sequence[Attribute],
    changes: Sequence[CoChange],
    context: Context,
) -> list[Flipped]:
    """Have every attribute flipped in every row, and the model say what it thinks of it.

    Raises:
        FormatError: the model reads no table, or has no input for a declared value.
    """
    inputs = loaded.description.inputs
    if not isinstance(inputs, TableInputs):
        raise FormatError(
            "expected a model that reads the columns of a table, got another", reason="counterfactual-inputs"
        )
    target = dataset.schema.target
    if loaded.label != target.column or loaded.task != target.task:
        raise FormatError(
            f"expected a dataset with the label {loaded.label!r} ({loaded.task}), "
            f"got {target.column!r} ({target.task})",
            reason="evaluation-label",
        )
    _refuse_unknown(inputs.features, attributes, changes)
    with open_tables({"rows": Source(file=the_table(data, dataset.name), schema=dataset.table)}) as tables:
        table = tables["rows"]

        def ask(columns: Mapping[str, Array]) -> Array:
            return predict(loaded, encode(_Changed(table, columns), inputs.features), context)

        plain = ask({})
        read = {feature.name for feature in inputs.features}
        return [_flip_one(table, plain, attribute, changes=changes, read=read, ask=ask) for attribute in attributes]


def _refuse_unknown(features: Sequence[Feature], attributes: Sequence[Attribute], changes: Sequence[CoChange]) -> None:
    known = {item.name: item.categories for item in features if isinstance(item, CategoryFeature)}
    wanted = [(item.column, value) for item in attributes for value in item.values]
    wanted += [(item.column, value) for item in changes for value in item.values.values()]
    for column, value in wanted:
        if column in known and value not in known[column]:
            raise FormatError(
                f"expected values of {column!r} that the model was trained on, got {value[:80]!a}",
                reason="counterfactual-value",
                hint="it would be read as missing",
            )


def _flip_one(
    table: Table,
    plain: Array,
    attribute: Attribute,
    *,
    changes: Sequence[CoChange],
    read: set[str],
    ask: Callable[[Mapping[str, Array]], Array],
) -> Flipped:
    import numpy as np

    values = attribute.values
    numbers = {_typed(table, attribute.column, value): number for number, value in enumerate(values)}
    own = table.values(attribute.column).tolist()
    codes = np.array([-1 if value is None else numbers.get(value, -2) for value in own], dtype=np.int64)
    mine = [item for item in changes if item.attribute == attribute.column]
    touched = {attribute.column, *(item.column for item in mine)}
    if not touched & read:
        return Flipped(codes=codes, scores=np.full((len(values), table.rows), np.nan, np.float32), read=False)
    scores = np.full((len(values), table.rows), np.nan, dtype=np.float32)
    for target, value in enumerate(values):
        columns = {
            attribute.column: _replaced(
                table.values(attribute.column), codes >= 0, _typed(table, attribute.column, value)
            )
        }
        for item in mine:
            if item.target == value:
                rows = codes == values.index(item.source)
                columns[item.column] = _mapped(table, columns, item, rows)
        rows = (codes >= 0) & (codes != target)
        said = ask(columns)
        scores[target, rows] = said[rows]
        scores[target, codes == target] = plain[codes == target]
    return Flipped(codes=codes, scores=scores, read=True)


def _typed(table: Table, column: str, text: str) -> str | bool:
    kind = table.schema.columns[table.schema.position(column)].type
    return _TRUTH[text] if kind == "boolean" else text


def _replaced(values: Array, rows: Array, value: str | bool) -> Array:  # noqa: FBT001 - a value of a column
    changed = values.copy()
    changed[rows] = value
    return changed


def _mapped(table: Table, columns: Mapping[str, Array], item: CoChange, rows: Array) -> Array:
    import numpy as np

    now = columns.get(item.column)
    before = table.values(item.column)
    changed = (before if now is None else now).copy()
    for source, target in item.values.items():
        same = np.array([value == _typed(table, item.column, source) for value in before.tolist()], dtype=bool)
        changed[rows & same] = _typed(table, item.column, target)
    return changed
