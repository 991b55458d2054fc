"""Sums against exact fractions, ranks against sorting, distances against SciPy; counted by the database or sorted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure.data.schema import Column, Schema
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.dataset import tally as module
from lamslsa.measure.dataset.tally import Tally, distance, exact_sum, tally

Read = Callable[..., VerifiedArtifact]
SCHEMA = Schema(
    delimiter=",",
    header=False,
    skip_lines=0,
    trim=False,
    null_token="?",
    columns=(Column(name="n", type="integer"), Column(name="x", type="number")),
    label=None,
)
EXTREMES = [5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, 1.0, -1.0, 1e16, -1e16, 3.0, 0.1, 1e300, -1e300, 0.0]


def of(values: Sequence[float]) -> Tally:
    found, counts = np.unique(np.array(values, dtype=np.float64), return_counts=True)
    return Tally(values=found, up_to=np.cumsum(counts))


@pytest.mark.parametrize("block", [module._BLOCK, 3])
@pytest.mark.parametrize("seed", range(8))
def test_sum_is_exact(monkeypatch: pytest.MonkeyPatch, seed: int, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    draw = random.Random(seed)
    values = [draw.choice(EXTREMES) * draw.random() for _ in range(40)] + EXTREMES
    counts = [draw.choice([1, 2, 1_000_003, 2**29]) for _ in values]
    expected = sum((Fraction(value) * count for value, count in zip(values, counts, strict=True)), Fraction(0))
    assert exact_sum(np.array(values), np.array(counts)) == expected
    assert float(exact_sum(np.array(values), np.ones(len(values), dtype=np.int64))) == math.fsum(values)


@pytest.mark.parametrize(("rows", "few"), [(400, 8), (400, 10**9)], ids=["by the database", "sorted"])
def test_ranks_and_rows(monkeypatch: pytest.MonkeyPatch, read: Read, rows: int, few: int) -> None:
    """The same whichever way they are counted; missing ones and minus zero included."""
    monkeypatch.setattr(module, "_FEW", few)
    draw = random.Random(rows)
    texts = [draw.choice(["?", "-0", "0", "2.5", "-7e-3", "1e300"]) for _ in range(rows)]
    file = read({"a.csv": "".join(f"{index},{text}\n" for index, text in enumerate(texts)).encode()}).only()
    with open_tables({"t": Source(file=file, schema=SCHEMA)}) as tables:
        numbers, positions = tally(tables["t"], "x"), tally(tables["t"], "n")
    expected = sorted(float(text) for text in texts if text != "?")
    assert numbers.samples == len(expected) < rows
    assert [numbers.ranked(rank) for rank in range(1, len(expected) + 1)] == expected
    edges = [-1.0, -7e-3, 0.0, 1.0, 2.5, 1e301]
    assert numbers.rows_up_to(edges).tolist() == [sum(value <= edge for value in expected) for edge in edges]
    assert positions.values.tolist() == list(range(rows))
    assert positions.up_to.tolist() == list(range(1, rows + 1))


@pytest.mark.parametrize("wide", [2**62, 0])
@pytest.mark.parametrize("seed", range(20))
def test_distance_is_kolmogorov_and_smirnovs(monkeypatch: pytest.MonkeyPatch, seed: int, wide: int) -> None:
    monkeypatch.setattr(module, "_SAFE", wide)
    draw = random.Random(seed)
    one, other = ([draw.randint(0, 4 + seed) + shift for _ in range(draw.randint(1, 60))] for shift in (0, seed % 5))
    expected = stats.ks_2samp(one, other, method="asymp").statistic
    for sides in ((one, other), (other, one)):
        found = distance(of(sides[0]), of(sides[1]))
        assert float(found) == pytest.approx(expected, abs=1e-12)
        assert (found * len(one) * len(other)).denominator == 1
