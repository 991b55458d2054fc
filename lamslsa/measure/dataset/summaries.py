"""Property ``summaries``: a column of numbers, summed up so that two runs on any machine give the same numbers.

    summaries: [{column: age, quantiles: [0.25, 0.5, 0.75]}]

Over the values that are not missing, ``n`` of them: the mean is the sum, rounded once, by n; the deviation the square
root of the mean squared distance from it, by n as well, so that it is there for one value. Each squared distance is
rounded once, and so is their sum. A quantile is the smallest value that at least ``p * n`` values do not exceed: the
inverse of the empirical distribution function, definition 1 of Hyndman and Fan (1996), and so a value that occurs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.dataset.reading import Reading, is_numeric
from lamslsa.measure.dataset.tally import Tally, exact_sum, tally
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.predicates import dataset as wire

__all__ = ["Summary", "declare"]

_MAX_QUANTILES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The summary of one column."""

    column: str
    quantiles: tuple[float, ...]
    references: tuple[str, ...] = ()

    def step(self) -> str:
        """What is computed."""
        return f"extremes, mean, deviation and {len(self.quantiles)} quantiles of {self.column}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {"column": self.column, "quantiles": list(self.quantiles)}

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.Summary:
        """Compute."""
        del others, seed
        found = tally(subject.table, self.column)
        samples, missing = found.samples, subject.table.rows - found.samples
        if not samples:
            return wire.Summary(column=self.column, samples=0, missing=missing, undefined="every value is missing")
        mean, deviation = _moments(found)
        return wire.Summary(
            column=self.column,
            samples=samples,
            missing=missing,
            minimum=float(found.values[0]),
            maximum=float(found.values[-1]),
            mean=mean,
            deviation=deviation,
            quantiles=tuple(
                wire.Quantile(probability=p, value=found.ranked(math.ceil(Fraction(repr(p)) * samples)))
                for p in self.quantiles
            ),
            undefined="the sums are larger than a number can be" if mean is None or deviation is None else None,
        )


def _moments(found: Tally) -> tuple[float | None, float | None]:
    """Mean and deviation; None where a sum overflows."""
    import numpy as np

    counts = np.diff(found.up_to, prepend=0)
    try:
        mean = float(exact_sum(found.values, counts)) / found.samples
        with np.errstate(over="raise"):
            squares = np.square(found.values - mean)
        deviation = math.sqrt(float(exact_sum(squares, counts)) / found.samples)
    except (OverflowError, FloatingPointError):
        return None, None
    return mean, deviation


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> Summary:
    """Read one entry of ``summaries``."""
    del scope
    schema = dataset.table
    column = fields.take("column").choice([item.name for item in schema.columns if is_numeric(schema, item.name)])
    node = fields.take("quantiles")
    quantiles = tuple(fraction(item) for item in node.sequence(empty=True))
    if len(quantiles) > _MAX_QUANTILES or list(quantiles) != sorted(set(quantiles)):
        node.refuse(f"expected at most {_MAX_QUANTILES} rising quantiles, got others", reason="job-quantiles")
    return Summary(column=column, quantiles=quantiles)
