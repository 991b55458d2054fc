"""The rows that `measure.py` measures, and what it asks of them: 17 columns in the mix of a census, out of a hash.

Every value follows from the number of its row, so nothing has to be fetched. One row in fifty repeats the row before
it, and a tenth of the rows of the second file occur in the first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import duckdb

__all__ = ["GROUPS", "JOB", "QUANTILES", "QUASI_IDENTIFIERS", "SUMMARIES", "generate"]

_COLUMNS: Final = {
    "age": ("integer", "17 + least({0} % 74, {1} % 74)"),
    "workclass": ("string", "case when {0} % 40 = 0 then null else 'class-' || least({1} % 8, {2} % 8) end"),
    "weight": ("integer", "12285 + {0} % 1472420"),
    "education": ("string", "'school-' || least({0} % 16, {1} % 16)"),
    "years": ("integer", "1 + {0} % 16"),
    "marital": ("string", "'status-' || least({0} % 7, {1} % 7)"),
    "occupation": ("string", "case when {0} % 40 = 0 then null else 'work-' || {1} % 14 end"),
    "relationship": ("string", "'kin-' || {0} % 6"),
    "race": ("string", "'race-' || least({0} % 5, {1} % 5, {2} % 5)"),
    "sex": ("string", "case when {0} % 3 = 0 then 'Female' else 'Male' end"),
    "gain": ("number", "case when {0} % 12 = 0 then {1} % 9999999 / 100 else 0 end"),
    "loss": ("number", "case when {0} % 20 = 0 then {1} % 435600 / 100 else 0 end"),
    "hours": ("integer", "1 + ({0} % 50) + ({1} % 50)"),
    "country": ("string", "case when {0} % 60 = 0 then null else 'land-' || least({1} % 40, {2} % 40, {3} % 40) end"),
    "member": ("boolean", "{0} % 4 = 0"),
    "score": ("number", "case when {0} % 100 = 0 then null else ln(1 + {1} % 1000003) * ({2} % 999983) / 999983 end"),
    "income": ("string", "case when {0} % 100 < {1} % 50 then '>50K' else '<=50K' end"),
}
_SQL: Final = {"integer": "BIGINT", "number": "DOUBLE", "string": "VARCHAR", "boolean": "BOOLEAN"}

GROUPS: Final = (("sex",), ("race", "sex"), ("education", "income"), ("country",))
QUASI_IDENTIFIERS: Final = ("age", "sex", "race", "education", "country")
SUMMARIES: Final = ("age", "hours", "gain", "score")
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

JOB: Final = f"""
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  rows:
    format: parquet
    nullToken: null
    columns: [{", ".join(f"{{name: {name}, type: {kind}}}" for name, (kind, _) in _COLUMNS.items())}]
    label: {{column: income, classes: {{"<=50K": 0, ">50K": 1}}}}
datasets:
  reference: {{schema: rows, groups: [], overlap: []}}
  rows:
    schema: rows
    groups: [{", ".join(f"[{', '.join(group)}]" for group in GROUPS)}]
    overlap: [reference]
    properties:
      conditional: [{{columns: [income], given: [race, sex]}}, {{columns: [occupation], given: [education]}}]
      summaries: [{", ".join(f"{{column: {name}, quantiles: {list(QUANTILES)}}}" for name in SUMMARIES)}]
      anonymity:
        - quasiIdentifiers: [{", ".join(QUASI_IDENTIFIERS)}]
          sensitive: [{{column: income, distance: equal}}, {{column: occupation, distance: equal}},
                      {{column: years, distance: ordered}}]
      drift:
        - {{reference: reference, column: age, bins: 10, emptyBins: {{add: 0.5}}}}
        - {{reference: reference, column: score, bins: 20, emptyBins: {{add: 0.5}}}}
        - {{reference: reference, column: country, emptyBins: {{add: 0.5}}}}
      shares:
        - {{where: {{sex: Female}}, atLeast: 0.33, by: count}}
        - {{where: {{sex: Female, race: race-1}}, atLeast: 0.05, by: wilson, confidenceLevel: 0.95}}
"""


def generate(folder: Path, rows: int) -> tuple[Path, Path]:
    """A Parquet file of so many rows and one of a tenth as many; both are kept."""
    recipe = hashlib.sha256(repr((_COLUMNS, 97)).encode()).hexdigest()[:8]
    found = []
    for name, first, count in (("rows", 0, rows), ("reference", rows - rows // 100, rows // 10)):
        path = folder / f"measure-{name}-{rows}-{recipe}.parquet"
        if not path.exists():
            _write(path, first, count)
        found.append(path)
    return found[0], found[1]


def _write(path: Path, first: int, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draws = 0
    columns = []
    for name, (kind, expression) in _COLUMNS.items():
        # 40 bits are enough, and stay a signed number
        hashes = [f"((hash(n * 97 + {draws + index}) >> 24)::BIGINT)" for index in range(4)]
        draws += len(hashes)
        columns.append(f"({expression.format(*hashes)})::{_SQL[kind]} as {name}")
    numbers = f"select i - (i % 50 = 7)::BIGINT as n from range({first}, {first + count}) t(i)"
    unfinished = path.with_suffix(".part")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            f"copy (select {', '.join(columns)} from ({numbers})) to '{unfinished}' (format parquet, compression zstd)"
        )
    unfinished.rename(path)
