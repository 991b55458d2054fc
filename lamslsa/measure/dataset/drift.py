"""Property ``drift``: how far a column is from the same column of a reference dataset.

    drift: [{reference: census-train, column: age, bins: 10, emptyBins: undefined},
            {reference: census-train, column: sex, emptyBins: {add: 0.5}}]

The population stability index (Siddiqi 2006) is the sum over bins of (p - q) ln(p / q), with p the share of the
subject's rows in the bin and q that of the reference's. Bins are declared, never chosen by the subject:

- numbers: the edges are the k/bins quantiles of the reference (smallest value that at least that share of its values
  do not exceed), equal ones once and without its maximum; a bin is open below and closed above.
- texts, truth values and classes: one bin for each value that occurs on either side.
- rows where the column is missing: a bin of their own, if there are any on either side.

A bin that is empty on one side makes the index infinite: with ``emptyBins: undefined`` it is undefined, and with
``{add: a}`` a is added to the rows of every bin on both sides. The rows of the bins are attested, so that a reader can
compute either.

Numbers also get the two-sample Kolmogorov-Smirnov statistic, two-sided, in exact arithmetic, with its asymptotic
p-value: that of one sample of nm / (n + m) rows, rounded to a whole number (``kstwo`` of SciPy, whose ``ks_2samp`` with
``method="asymp"`` is the same).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.data.table import Table
from lamslsa.measure.dataset import reading
from lamslsa.measure.dataset.reading import Reading, is_numeric
from lamslsa.measure.dataset.tally import Tally, distance, tally
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.predicates import dataset as wire

__all__ = ["Drift", "declare"]

_MAX_BINS: Final = 1000
_MAX_ADDED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One column, compared.

    Attributes:
        bins: how many quantiles of the reference; None for a column that is no number.
        added: what is added to the rows of each bin; None where empty bins make the index undefined.
    """

    reference: str
    column: str
    bins: int | None
    added: float | None

    @property
    def references(self) -> tuple[str, ...]:
        """The dataset that it is compared with."""
        return (self.reference,)

    def step(self) -> str:
        """What is compared."""
        return f"drift of {self.column} from {self.reference}"

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return {
            "reference": self.reference,
            "column": self.column,
            **({} if self.bins is None else {"bins": self.bins}),
            "emptyBins": "undefined" if self.added is None else {"add": self.added},
        }

    def measure(self, subject: Reading, others: Mapping[str, Reading], seed: bytes) -> wire.Drift:
        """Compare.

        Raises:
            FormatError: the column has too many values.
        """
        del seed
        mine, theirs = subject.table, others[self.reference].table
        tested: wire.KolmogorovSmirnov | None = None
        untested: str | None = None
        if self.bins is None:
            bins = _values(mine, theirs, self.column)
        else:
            here, there = tally(mine, self.column), tally(theirs, self.column)
            bins = (*_missing(mine.rows - here.samples, theirs.rows - there.samples), *_ranges(here, there, self.bins))
            tested, untested = _tested(here, there)
        psi, reason = _psi(bins, self.added)
        return wire.Drift(
            reference=others[self.reference].reference,
            schema_digest=others[self.reference].schema_digest,
            column=self.column,
            samples=mine.rows,
            reference_samples=theirs.rows,
            bins=bins,
            psi=psi,
            kolmogorov_smirnov=tested,
            undefined="; ".join(text for text in (reason, untested) if text) or None,
        )


def _ranges(here: Tally, there: Tally, bins: int) -> Iterator[wire.Bin]:
    """The bins between the quantiles of the reference, which stands on the right."""
    import numpy as np

    picked = {there.ranked((k * there.samples + bins - 1) // bins) for k in range(1, bins)} if there.samples else set()
    edges = sorted(edge for edge in picked if edge < there.values[-1])
    rows, reference_rows = (np.diff([0, *side.rows_up_to(edges), side.samples]).tolist() for side in (here, there))
    for mine, theirs, upper in zip(rows, reference_rows, [*edges, None], strict=True):
        yield wire.Bin(kind="range", rows=mine, reference_rows=theirs, upper=upper)


def _missing(here: int, there: int) -> tuple[wire.Bin, ...]:
    return (wire.Bin(kind="missing", rows=here, reference_rows=there),) if here or there else ()


def _values(mine: Table, theirs: Table, column: str) -> tuple[wire.Bin, ...]:
    here, there = (dict(table.cells((column,), limit=reading.MAX_CELLS)) for table in (mine, theirs))
    values = sorted((here.keys() | there.keys()) - {(None,)})
    return (
        *_missing(here.get((None,), 0), there.get((None,), 0)),
        *(
            wire.Bin(kind="value", values=value, rows=here.get(value, 0), reference_rows=there.get(value, 0))
            for value in values
        ),
    )


def _psi(bins: tuple[wire.Bin, ...], added: float | None) -> tuple[float | None, str | None]:
    """The index, or why there is none."""
    more = 0.0 if added is None else added
    here = [item.rows + more for item in bins]
    there = [item.reference_rows + more for item in bins]
    both = [(p, q) for p, q in zip(here, there, strict=True) if p or q]
    if not all(p and q for p, q in both):
        return None, "a bin is empty on one side"
    total, other = math.fsum(here), math.fsum(there)
    return math.fsum((p / total - q / other) * math.log((p / total) / (q / other)) for p, q in both), None


def _tested(here: Tally, there: Tally) -> tuple[wire.KolmogorovSmirnov | None, str | None]:
    import numpy as np
    from scipy.stats import kstwo

    n, m = here.samples, there.samples
    if not n or not m:
        return None, "every value is missing on one side"
    statistic = float(distance(here, there))
    return wire.KolmogorovSmirnov(
        statistic=statistic,
        p_value=float(np.clip(kstwo.sf(statistic, round(n * m / (n + m))), 0, 1)),
        samples=n,
        reference_samples=m,
        method="asymptotic",
    ), None


def declare(fields: _yaml.Mapping_, dataset: DatasetJob, scope: Scope) -> Drift:
    """Read one entry of ``drift``."""
    schema = dataset.table
    reference_node = fields.take("reference")
    reference_node.choice([name for name in scope.datasets if name != dataset.name])
    other = scope.dataset(reference_node)
    column_node = fields.take("column")
    column = column_node.choice([item.name for item in schema.columns])
    if _kind(schema, column) != _kind(other.table, column):
        column_node.refuse(f"expected a column of the same type in {other.name!r}, got another", reason="job-drift")
    numeric = is_numeric(schema, column)
    empty = fields.take("emptyBins")
    added: float | None = None
    if isinstance(empty, _yaml.Mapping_):
        amount = empty.take("add")
        added = amount.number(maximum=_MAX_ADDED)
        if added <= 0:
            amount.refuse("expected a number above 0, got another", reason="yaml-range")
        empty.finish()
    else:
        empty.choice(["undefined"])
    return Drift(
        reference=other.name,
        column=column,
        bins=fields.take("bins").integer(minimum=2, maximum=_MAX_BINS) if numeric else None,
        added=added,
    )


def _kind(schema: Schema, column: str) -> tuple[str, bool] | None:
    """Type, and whether the values are classes; None if there is no such column."""
    label = schema.label
    classes = label is not None and label.column == column and label.classes is not None
    return next(((item.type, classes) for item in schema.columns if item.name == column), None)
