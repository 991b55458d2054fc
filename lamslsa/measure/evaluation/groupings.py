"""Groups of rows: which there are, which rows are in them, and the cells of an intersection that hold none.

A group is named by the text of its values. Groups are numbered in the order of their names, so nothing depends on the
order of rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["MAX_GROUPS", "Grouping", "all_cells", "number_groups"]

MAX_GROUPS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """The groups that occur.

    Attributes:
        columns: what rows are grouped by.
        names: the values of each group, in the order of ``columns``.
        codes: int64, the number of the group of each row.
    """

    columns: tuple[str, ...]
    names: list[tuple[str, ...]]
    codes: Array

    def cell(self, number: int) -> dict[str, str]:
        """A group as it stands in a metric: column to value."""
        return dict(zip(self.columns, self.names[number], strict=True))


def number_groups(
    columns: tuple[str, ...], values: Mapping[str, Sequence[str]], *, limit: int = MAX_GROUPS
) -> Grouping:
    """Number the groups that occur.

    Args:
        columns: what rows are grouped by.
        values: column to the text of its value in each row.
        limit: of the number of groups.

    Raises:
        FormatError: more groups than that.
    """
    import numpy as np

    keys = list(zip(*(values[column] for column in columns), strict=True))
    names = sorted(set(keys))
    if len(names) > limit:
        raise FormatError(
            f"expected at most {limit} groups over {', '.join(columns)}, got {len(names)}",
            reason="evaluation-groups",
            hint="group by columns with few values",
        )
    numbers = {name: number for number, name in enumerate(names)}
    return Grouping(columns=columns, names=names, codes=np.array([numbers[key] for key in keys], dtype=np.int64))


def all_cells(grouping: Grouping, *, limit: int = MAX_GROUPS) -> list[tuple[dict[str, str], int | None]]:
    """Every combination of the values that occur, and the number of its group; None where it has no rows.

    Raises:
        FormatError: more than ``limit`` of them.
    """
    axes = [sorted({name[place] for name in grouping.names}) for place in range(len(grouping.columns))]
    if math.prod(map(len, axes)) > limit:
        raise FormatError(
            f"expected at most {limit} slices over {', '.join(grouping.columns)}, got more", reason="evaluation-groups"
        )
    numbers = {name: number for number, name in enumerate(grouping.names)}
    return [(dict(zip(grouping.columns, values, strict=True)), numbers.get(values)) for values in product(*axes)]
