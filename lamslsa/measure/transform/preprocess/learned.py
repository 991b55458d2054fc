"""Steps that may learn from rows. What is learned, and from which part, stands in the statement.

impute: columns, with: mean | median | mode, learnedFrom · columns, with: constant, value
encode: column, as: oneHot | ordinal, categories: […] | learned, learnedFrom (where learned), unseen

- The mean is the correctly rounded sum (`math.fsum`) over the count. The median of an even number of values is the
  mean of the two in the middle. Both make the column one of numbers. The mode is the most frequent value; of several
  the smallest (texts by their UTF-8 bytes, false before true).
- Learned categories are the different values of the part, in the same order.
- ``oneHot`` puts a column ``<column>=<category>`` of 0 and 1 in place of the column for each category and refuses
  missing values; ``unseen`` is ``refuse`` or ``zeros``. ``ordinal`` puts the position of the category, from 0;
  ``unseen`` is ``refuse`` or ``missing``.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Column, ColumnType
from lamslsa.measure.declarations import MAX_NAME
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Value, Workspace, literal
from lamslsa.measure.transform.preprocess.interface import (
    MAX_TEXT,
    Applied,
    Frames,
    Known,
    columns_of,
    constant,
    printable,
    refuse_text,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Encode", "Impute", "encode", "impute"]

MAX_CATEGORIES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Impute:
    """Put a value where one is missing.

    Attributes:
        columns: name to the type that the column then has.
        value: of ``constant``; None otherwise.
        part: where the value is learned; None for a constant.
    """

    columns: Mapping[str, ColumnType]
    statistic: str
    value: str | int | float | bool | None
    part: str | None

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        more = {"value": self.value} if self.part is None else {"learnedFrom": self.part}
        return {"step": "impute", "columns": list(self.columns), "with": self.statistic, **more}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Learn from one part, and fill every part.

        Raises:
            FormatError: there is nothing to learn from.
        """
        values = {name: self._value(frames, name, space) for name in self.columns}
        filled = {
            part: {name: self._missing(frame, name, space) for name in self.columns} for part, frame in frames.items()
        }
        made = {part: self._of(frame, values, space) for part, frame in frames.items()}
        if self.part is None:
            return Applied(frames=made, facts={"filled": filled})
        source = frames[self.part]
        learned = {
            name: {"value": value, "samples": source.rows - filled[self.part][name]} for name, value in values.items()
        }
        return Applied(frames=made, facts={"filled": filled, "learned": learned})

    def _of(self, frame: Frame, values: Mapping[str, Any], space: Workspace) -> Frame:
        changed = {
            name: [
                Field.of(Column(name=name, type=kind), f"coalesce({frame.field(name).sql}, {literal(values[name])})")
            ]
            for name, kind in self.columns.items()
        }
        return space.change(frame, changed)

    def _missing(self, frame: Frame, name: str, space: Workspace) -> int:
        return int(space.one(f"select count(*) - count({frame.field(name).sql}) from {frame.table}"))

    def _value(self, frames: Frames, name: str, space: Workspace) -> Any:
        if self.part is None:
            return self.value
        frame = frames[self.part]
        if frame.rows == self._missing(frame, name, space):
            raise FormatError(
                f"expected a value of column {name!a:.80} in part {self.part} to learn from, got none",
                reason="preprocess-nothing-to-learn",
            )
        if self.statistic == "mode":
            return _mode(frame, name, space)
        values = space.numbers(frame, name)
        return _mean(values) if self.statistic == "mean" else _median(values)


def impute(node: _yaml.Mapping_, known: Known) -> Impute:
    """``{step: impute, columns, with, learnedFrom}`` or ``{step: impute, columns, with: constant, value}``."""
    columns_node = node.take("columns")
    types = {name: known.column(item).type for name, item in _each(columns_node, known)}
    how = node.take("with")
    statistic = how.choice(["constant", "mean", "median", "mode"])
    if statistic == "constant":
        if len(set(types.values())) != 1:
            columns_node.refuse("expected columns of one type for one value, got several", reason="preprocess-type")
        value = constant(node.take("value"), next(iter(types.values())))
        return Impute(columns=types, statistic=statistic, value=value, part=None)
    part = known.part(node.take("learnedFrom"))
    if statistic != "mode":
        for name, kind in types.items():
            if kind not in ("integer", "number"):
                how.refuse(f"expected numbers for a {statistic}, got {name!a:.80}, {kind}", reason="preprocess-type")
            known.retype(columns_node, name, "number")
        types = dict.fromkeys(types, "number")
    return Impute(columns=types, statistic=statistic, value=None, part=part)


def _each(node: _yaml.Node, known: Known) -> list[tuple[str, _yaml.Node]]:
    if isinstance(node, _yaml.Scalar):
        node.refuse("expected a list of columns, got a word", reason="preprocess-columns")
    return list(zip(columns_of(node, known), node.sequence(), strict=True))


def _mean(values: np.ndarray[Any, Any]) -> float:
    numbers = values.tolist()
    try:
        mean = math.fsum(numbers) / len(numbers)
    except OverflowError:  # the sum of finite numbers may not be finite; their mean is
        mean = float(sum(map(Fraction, numbers)) / len(numbers))
    return mean + 0.0


def _median(values: np.ndarray[Any, Any]) -> float:
    import numpy as np

    ordered = np.sort(values)
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float((Fraction(float(lower)) + Fraction(float(upper))) / 2) + 0.0


def _mode(frame: Frame, name: str, space: Workspace) -> Any:
    sql = frame.field(name).sql
    query = (
        f"select {sql} from {frame.table} where {sql} is not null group by {sql} order by count(*) desc, {sql} limit 1"
    )
    value = space.one(query)
    if isinstance(value, str) and not (value.isprintable() and len(value) <= MAX_TEXT):
        refuse_text(value, name)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """Categories to numbers.

    Attributes:
        categories: in order; None where they are learned.
        part: where they are learned; None where they are declared.
    """

    column: Column
    one_hot: bool
    categories: tuple[Any, ...] | None
    part: str | None
    unseen: str

    def resolved(self) -> dict[str, Any]:
        """The step as it stands in the statement."""
        how = {"step": "encode", "column": self.column.name, "as": "oneHot" if self.one_hot else "ordinal"}
        if self.categories is None:
            return {**how, "categories": "learned", "learnedFrom": self.part, "unseen": self.unseen}
        return {**how, "categories": list(self.categories), "unseen": self.unseen}

    def apply(self, frames: Frames, space: Workspace) -> Applied:
        """Learn the categories if they are not declared, and encode every part.

        Raises:
            FormatError: too many categories or none, a value that is none of them, or a missing one.
        """
        facts = {}
        categories = self.categories
        if categories is None:
            categories = self._learn(frames[self.part or ""], space)
            facts["learned"] = {self.column.name: {"categories": list(categories)}}
        unseen = {part: self._refuse_unseen(frame, categories, space) for part, frame in frames.items()}
        made = {part: self._of(frame, categories, space) for part, frame in frames.items()}
        return Applied(frames=made, facts={**facts, "unseen": unseen})

    def _learn(self, frame: Frame, space: Workspace) -> tuple[Any, ...]:
        sql = frame.field(self.column.name).sql
        present = f"from {frame.table} where {sql} is not null"
        query = f"select distinct {sql} as v {present} order by v limit {MAX_CATEGORIES + 1}"
        found = tuple(row[0] for row in space.all(query))
        if not 1 <= len(found) <= MAX_CATEGORIES:
            raise FormatError(
                f"expected 1 to {MAX_CATEGORIES} categories in column {self.column.name!a:.80} of part {self.part},"
                f" got {'more' if found else 'none'}",
                reason="preprocess-categories",
            )
        for value in found:
            if isinstance(value, str) and not (value.isprintable() and len(value) <= MAX_TEXT):
                refuse_text(value, self.column.name)
        return found

    def _refuse_unseen(self, frame: Frame, categories: tuple[Any, ...], space: Workspace) -> int:
        sql = frame.field(self.column.name).sql
        members = ", ".join(map(literal, categories))
        counts = f"count(*) - count({sql}), count(*) filter (where {sql} not in ({members}))"
        ((missing, unseen),) = space.all(f"select {counts} from {frame.table}")
        if missing and self.one_hot:
            raise FormatError(
                f"expected no missing value in column {self.column.name!a:.80} to encode, got {missing}",
                reason="preprocess-missing",
                hint="impute or drop them first",
            )
        if unseen and self.unseen == "refuse":
            raise FormatError(
                f"expected only known categories in column {self.column.name!a:.80}, got {unseen} rows of others",
                reason="preprocess-unseen",
            )
        return int(unseen)

    def _of(self, frame: Frame, categories: tuple[Any, ...], space: Workspace) -> Frame:
        name, sql = self.column.name, frame.field(self.column.name).sql
        if not self.one_hot:
            cases = " ".join(f"when {literal(value)} then {number}" for number, value in enumerate(categories))
            made = [Field.of(Column(name=name, type="integer"), f"case {sql} {cases} end")]
            return space.change(frame, {name: made})
        made = [
            Field(
                column=Column(name=one_hot_name(name, value), type="integer"),
                sql=f"case when {sql} = {literal(value)} then 1 else 0 end",
                origin=name if self.categories is None else one_hot_name(name, value),
            )
            for value in categories
        ]
        return space.change(frame, {name: made})


def encode(node: _yaml.Mapping_, known: Known) -> Encode:
    """``{step: encode, column, as, categories, learnedFrom (where they are learned), unseen}``."""
    column_node = node.take("column")
    column = known.column(column_node, "string", "integer", "boolean")
    one_hot = node.take("as").choice(["oneHot", "ordinal"]) == "oneHot"
    categories_node = node.take("categories")
    categories: tuple[Any, ...] | None = None
    part: str | None = None
    if isinstance(categories_node, _yaml.Scalar):
        categories_node.choice(["learned"])
        part = known.part(node.take("learnedFrom"))
    else:
        categories = _categories(categories_node, column)
    unseen = node.take("unseen").choice(["refuse", "zeros" if one_hot else "missing"])
    if not one_hot:
        known.retype(column_node, column.name, "integer")
    elif categories is None:
        known.apart.add(column.name)
    else:
        made = [Column(name=one_hot_name(column.name, value), type="integer") for value in categories]
        known.replace(column_node, [new for old in known.columns for new in (made if old == column else [old])])
    return Encode(column=column, one_hot=one_hot, categories=categories, part=part, unseen=unseen)


def _categories(node: _yaml.Node, column: Column) -> tuple[Any, ...]:
    items = node.sequence()
    found = tuple(printable(item) if column.type == "string" else constant(item, column.type) for item in items)
    if len(set(found)) != len(found) or len(found) > MAX_CATEGORIES:
        node.refuse(
            f"expected at most {MAX_CATEGORIES} different categories, got others", reason="preprocess-categories"
        )
    return found


def one_hot_name(column: str, category: Value) -> str:
    """The name of the column of a category.

    >>> one_hot_name("race", "White"), one_hot_name("member", True), one_hot_name("grade", 7)
    ('race=White', 'member=true', 'grade=7')

    Raises:
        FormatError: it is longer than a column's name may be.
    """
    text = literal(category) if isinstance(category, bool) else str(category)
    made = f"{column}={text}"
    if len(made) > MAX_NAME:
        raise FormatError(
            f"expected a column's name of at most {MAX_NAME} characters, got {made[:40]!a}…",
            reason="preprocess-columns",
            hint="map the category to a shorter one first",
        )
    return made
