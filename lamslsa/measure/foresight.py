"""What a plan may say of itself before it is run, beside what every plan says: each is an attribute it can do without.

    makes: tuple[str, ...]                                names of the artifacts that it will make
    makes_private: bool                                   whether it will make files for nobody else's eyes
    estimate(sizes: Mapping[str, int]) -> float | None    seconds that it may take, from the bytes of each role

A plan that says nothing is asked nothing: what it made is then known afterwards.

Times are of one core of a server, and right within a factor of three at best: nothing is read, so rows are guessed from
bytes. They are told for tables in CSV alone; how many rows a compressed file has is anybody's guess, and then none is
made. The rates were measured on UCI Adult (32,561 and 325,610 rows of 15 columns).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from lamslsa.measure.interface import Plan

__all__ = ["counting_seconds", "estimate", "fitting_seconds", "makes", "makes_private"]

_COUNTED_BYTES_PER_S: Final = 15e6  # typed, and counted as a datasheet does
_BYTES_PER_FIELD: Final = 8
_NUMBERS_PER_FEATURE: Final = 7  # most features are classes, and each class is a number
_STEP_S: Final = 0.6e-3  # of a small network, which is that of calling torch
_OPERATIONS_PER_S: Final = 5e10
_OPERATIONS_PER_WEIGHT: Final = 6  # a product and a sum forward, twice that backward


def makes(plan: Plan) -> tuple[str, ...] | None:
    """Names of the artifacts that the plan will make; None where it does not say."""
    found: tuple[str, ...] | None = getattr(plan, "makes", None)
    return found


def makes_private(plan: Plan) -> bool:
    """Whether the plan says that it will make private files."""
    return bool(getattr(plan, "makes_private", False))


def estimate(plan: Plan, sizes: Mapping[str, int]) -> float | None:
    """Roughly how many seconds the plan will take, reading its inputs left out; None where it does not say."""
    known = getattr(plan, "estimate", None)
    seconds: float | None = None if known is None else known(sizes)
    return seconds


def counting_seconds(size: int) -> float:
    """To type the rows of a CSV file of so many bytes, and to count them.

    >>> counting_seconds(15_000_000)
    1.0
    """
    return size / _COUNTED_BYTES_PER_S


def fitting_seconds(size: int, *, columns: int, hidden: Sequence[int], epochs: int, batch: int) -> float:
    """To fit a network of layers of these widths to a CSV file of so many bytes and columns, its label among them.

    >>> round(fitting_seconds(3_974_305, columns=15, hidden=[1024, 1024], epochs=3, batch=256))
    14
    """
    rows = size / (_BYTES_PER_FIELD * columns)
    widths = [_NUMBERS_PER_FEATURE * (columns - 1), *hidden, 1]
    weights = sum(before * after for before, after in itertools.pairwise(widths))
    step = _STEP_S + _OPERATIONS_PER_WEIGHT * weights * batch / _OPERATIONS_PER_S
    return counting_seconds(size) + epochs * rows / batch * step
