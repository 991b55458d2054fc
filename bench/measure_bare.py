"""The peer of `measure.py`: the same values of the same rows by DuckDB, SciPy and hashlib, as one would write them.

Every query reads the Parquet file itself. What DuckDB has no function for is plain SQL: t-closeness sums distances over
the values of each class. Sums of fractions are DuckDB's, so they may differ in the last digits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from measure_rows import GROUPS, QUANTILES, QUASI_IDENTIFIERS, SUMMARIES

__all__ = ["QUERIES", "Bare"]

CLASSES = "case income when '>50K' then 1 else 0 end"


class Bare:
    """Both files, open; `config` is DuckDB's."""

    def __init__(self, rows: Path, reference: Path, config: dict[str, Any]) -> None:
        self.paths = rows, reference
        self.connection = duckdb.connect(config=config)
        self.rows, self.reference = (f"read_parquet('{path}')" for path in self.paths)

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return found

    def one(self, sql: str) -> tuple[Any, ...]:
        return self.all(sql)[0]

    def hash(self) -> Any:
        found = []
        for path in self.paths:
            with path.open("rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        return found

    def columns(self) -> Any:
        names = [row[0] for row in self.all(f"describe select * from {self.rows}")]
        counts = ", ".join(f"count({name}), count(distinct {name})" for name in names)
        every, *found = self.one(f"select count(*), {counts} from {self.rows}")
        return [[every - present, different] for present, different in zip(found[::2], found[1::2], strict=True)]

    def duplicates(self) -> Any:
        return self.one(
            f"select (select count(*) from {self.rows}) - (select count(*) from (select distinct * from {self.rows}))"
        )[0]

    def groups(self) -> Any:
        return [
            self.cells(*(CLASSES if name == "income" else name for name in group)) for group in (*GROUPS, ("income",))
        ]

    def conditional(self) -> Any:
        return [self.cells("race", "sex", CLASSES), self.cells("education", "occupation")]

    def cells(self, *names: str) -> Any:
        keys = ", ".join(names)
        order = ", ".join(f"{name} asc nulls first" for name in names)
        return [
            list(row) for row in self.all(f"select {keys}, count(*) from {self.rows} group by {keys} order by {order}")
        ]

    def overlap(self) -> Any:
        names = [row[0] for row in self.all(f"describe select * exclude (income) from {self.rows}")]
        keys = ", ".join(names)
        same = " and ".join(f"a.{name} is not distinct from b.{name}" for name in names)
        row = self.one(
            f"with found as materialized (select {keys} from {self.rows} a"
            f" where exists (from {self.reference} b where {same}))"
            " select (select count(*) from found), (select count(*) from (select distinct * from found))"
        )
        return list(row)

    def summaries(self) -> Any:
        found = []
        for name in SUMMARIES:
            *values, quantiles = self.one(
                f"select count({name}), min({name}), max({name}), avg({name}), stddev_pop({name}),"
                f" quantile_disc({name}, {list(QUANTILES)}) from {self.rows}"
            )
            found.append([*values, *quantiles])
        return found

    def anonymity(self) -> Any:
        keys = ", ".join(QUASI_IDENTIFIERS)
        below = ", ".join(f"coalesce(sum(n) filter (n < {size}), 0)::BIGINT" for size in (2, 3, 5, 10))
        return list(
            self.one(f"select count(*), min(n), {below} from (select count(*) as n from {self.rows} group by {keys})")
        )

    def diversity(self) -> Any:
        keys = ", ".join(QUASI_IDENTIFIERS)
        found = []
        for name in ("income", "occupation", "years"):
            self.connection.execute(
                f"create or replace temp table cells as"
                f" select {keys}, {name} as s, count(*) as c from {self.rows} group by all"
            )
            least, entropy = self.one(
                f"with shares as (select {keys}, c / sum(c) over (partition by {keys}) as p from cells),"
                f" classes as (select count(*) as m, -sum(p * ln(p)) as h from shares group by {keys})"
                " select min(m), min(h) from classes"
            )
            distance = self.steps(keys) if name == "years" else self.variation(keys)
            found.append([least, math.exp(entropy), distance])
        return found

    def variation(self, keys: str) -> Any:
        """Values that a class has not add their whole share."""
        return self.one(
            "with total as (select s, sum(c) / sum(sum(c)) over () as q from cells group by s),"
            f" shares as (select {keys}, q, c / sum(c) over (partition by {keys}) as p"
            " from cells join total on cells.s is not distinct from total.s)"
            f" select max(d) / 2 from (select sum(abs(p - q)) + 1 - sum(q) as d from shares group by {keys})"
        )[0]

    def steps(self, keys: str) -> Any:
        """Rows up to each value but the last, in each class and in all."""
        inner = [row[0] for row in self.all("select distinct s from cells order by 1")][:-1]
        below = ", ".join(f"coalesce(sum(c) filter (s <= {value}), 0) as n{value}" for value in inner)
        every, *counts = self.one(f"select sum(c), {below} from cells")
        moved = " + ".join(f"abs(n{value} / n - {count / every!r})" for value, count in zip(inner, counts, strict=True))
        (distance,) = self.one(f"select max({moved}) from (select sum(c) as n, {below} from cells group by {keys})")
        return distance / len(inner)

    def drift(self) -> Any:
        found = [self.ranges("age", 10), self.ranges("score", 20)]
        here, there = (
            {row[0]: row[1] for row in self.all(f"select country, count(*) from {side} group by country")}
            for side in (self.rows, self.reference)
        )
        return [*found, [stability([(here.get(name, 0), there.get(name, 0)) for name in {*here, *there}])]]

    def ranges(self, name: str, bins: int) -> Any:
        from scipy.stats import ks_2samp

        wanted = [number / bins for number in range(1, bins)]
        edges, last = self.one(f"select quantile_disc({name}, {wanted}), max({name}) from {self.reference}")
        edges = sorted({edge for edge in edges if edge < last})
        cases = " ".join(f"when {name} <= {edge!r} then {number}" for number, edge in enumerate(edges))
        bin_of = f"case when {name} is null then -1 {cases} else {len(edges)} end"
        here, there = (
            dict(self.all(f"select {bin_of}, count(*) from {side} group by 1")) for side in (self.rows, self.reference)
        )
        samples = [
            self.connection.execute(f"select {name} from {side} where {name} is not null").fetchnumpy()[name]
            for side in (self.rows, self.reference)
        ]
        tested = ks_2samp(*samples, method="asymp")
        bin_rows = [(here.get(number, 0), there.get(number, 0)) for number in {*here, *there}]
        return [stability(bin_rows), float(tested.statistic), float(tested.pvalue)]

    def shares(self) -> Any:
        from scipy.stats import binomtest

        female, both, every = self.one(
            "select count(*) filter (sex = 'Female'), count(*) filter (sex = 'Female' and race = 'race-1'), count(*)"
            f" from {self.rows}"
        )
        interval = binomtest(both, every).proportion_ci(0.95, method="wilson")
        return [female / every >= 0.33, bool(interval.low >= 0.05)]


def stability(bins: list[tuple[int, int]]) -> float:
    """The population stability index, half a row added to each bin."""
    here, there = (math.fsum(pair[side] + 0.5 for pair in bins) for side in (0, 1))
    shares = [((p + 0.5) / here, (q + 0.5) / there) for p, q in bins]
    return math.fsum((p - q) * math.log(p / q) for p, q in shares)


QUERIES: tuple[tuple[str, Callable[[Bare], Any]], ...] = (
    ("SHA-256 of both files", Bare.hash),
    ("missing, distinct, duplicates", Bare.columns),
    ("missing, distinct, duplicates", Bare.duplicates),
    ("group distributions", Bare.groups),
    ("overlap with the second file", Bare.overlap),
    ("conditional counts", Bare.conditional),
    ("summaries of 4 columns", Bare.summaries),
    ("anonymity by 5 columns, 3 sensitive", Bare.anonymity),
    ("anonymity by 5 columns, 3 sensitive", Bare.diversity),
    ("drift of 3 columns", Bare.drift),
    ("shares", Bare.shares),
)
