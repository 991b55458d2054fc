"""Metrics as they are found: each with its samples, its interval, or the reason why it has no value.

A value from a library is reported only if our own formula, which is the one that is resampled, gives the same. A value
that is not finite is undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import LamslsaError
from lamslsa.measure.evaluation import intervals
from lamslsa.predicates.evaluation import Interval, Metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["About", "Report", "agreed"]

_TOLERANCE: Final = 1e-9
_NOT_FINITE: Final = "the value is beyond what a float64 can hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What tells metrics of one name apart; see `lamslsa.predicates.evaluation.Metric`."""

    groups: tuple[str, ...] = ()
    slice: dict[str, str] | None = None
    parameters: dict[str, str | int | float | bool] | None = None

    def fields(self) -> dict[str, Any]:
        """As the fields of a metric."""
        return {"groups": self.groups, "slice": self.slice, "parameters": self.parameters}


_EVERYTHING: Final = About()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The metrics found so far, in order.

    Attributes:
        level: of every interval.
        resamples: of every bootstrap.
    """

    level: float
    resamples: int
    metrics: list[Metric] = field(default_factory=list)

    def undefined(self, name: str, samples: int, reason: str, about: About = _EVERYTHING) -> None:
        """A metric without a value."""
        self.metrics.append(Metric(name=name, samples=samples, undefined=reason, **about.fields()))

    def proportion(
        self,
        name: str,
        successes: int,
        samples: int,
        *,
        nothing: str = "there are no rows",
        library: float | None = None,
        about: About = _EVERYTHING,
    ) -> None:
        """A share of rows with its Wilson interval; ``nothing`` says why there is none over no rows."""
        if samples == 0:
            self.undefined(name, 0, nothing, about)
            return
        value = successes / samples
        lower, upper = intervals.wilson(successes, samples, level=self.level)
        self.metrics.append(
            Metric(
                name=name,
                samples=samples,
                value=value if library is None else agreed(name, library, value),
                interval=Interval(level=self.level, lower=lower, upper=upper, method="wilson"),
                **about.fields(),
            )
        )

    def bootstrapped(
        self,
        name: str,
        value: float,
        samples: int,
        resampled: Array | None,
        *,
        library: float | None = None,
        within: tuple[float, float] | None = None,
        about: About = _EVERYTHING,
    ) -> None:
        """A value with the interval of its resamples; None where resampling means nothing.

        ``within`` is the range of a statistic that resampling pushes to one side: then the interval is the hull.
        """
        if not math.isfinite(value):
            self.undefined(name, samples, _NOT_FINITE, about)
            return
        bounds = None if resampled is None else intervals.percentiles(resampled, self.level)
        if within is not None:
            bounds = intervals.hull(value, bounds, least=within[0], most=within[1])
        self.metrics.append(
            Metric(
                name=name,
                samples=samples,
                value=value if library is None else agreed(name, library, value),
                interval=None if bounds is None else self.interval(*bounds, hull=within is not None),
                **about.fields(),
            )
        )

    def interval(self, lower: float, upper: float, *, hull: bool = False) -> Interval:
        """The interval of a percentile bootstrap."""
        return Interval(
            level=self.level,
            lower=lower,
            upper=upper,
            method="hull-bootstrap" if hull else "percentile-bootstrap",
            resamples=self.resamples,
        )


def agreed(name: str, library: float, ours: float) -> float:
    """The library's value, provided that our formula gives the same.

    Raises:
        LamslsaError: it does not, to nine digits.
    """
    if not abs(library - ours) <= _TOLERANCE * max(1.0, abs(ours)):
        raise LamslsaError(
            f"expected two computations of {name} to agree, got {library} and {ours}",
            reason="metric-disagreement",
            hint="report this with the versions of scikit-learn, torchmetrics and fairlearn",
        )
    return library
