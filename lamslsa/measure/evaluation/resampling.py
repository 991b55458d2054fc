"""Resamples that many metrics share: one draw of rows, or of a table of counts, and every value of it.

All metrics of one stream see the same resamples. The seed of a stream follows from the evaluation's seed and the name
of the stream, so no value depends on which others were asked for.

- `count_resamples` draws tables of counts. A multinomial over the cells that hold rows has the same distribution as
  resampling the rows (Efron 1979), at a cost that does not grow with them.
- `row_values` and `row_blocks` draw rows, as indices that may repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.seeds import generator

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["count_resamples", "row_blocks", "row_values"]

_BLOCK: Final = 2**21


def count_resamples(counts: Array, *, seed: bytes, resamples: int) -> Iterator[Array]:
    """Blocks of int64 (resamples in the block, cells), drawn from ``counts`` of shape (cells,)."""
    random = generator(seed)
    samples = int(counts.sum())
    size = max(1, _BLOCK // max(1, len(counts)))
    for start in range(0, resamples, size):
        yield random.multinomial(samples, counts / samples, size=min(size, resamples - start))


def row_blocks(samples: int, *, seed: bytes, resamples: int) -> Iterator[Array]:
    """Blocks of int64 (resamples in the block, samples): the rows of each resample."""
    random = generator(seed)
    size = max(1, _BLOCK // samples)
    for start in range(0, resamples, size):
        yield random.integers(0, samples, size=(min(size, resamples - start), samples))


def row_values(
    formulas: Mapping[str, Callable[[Array], float]],
    samples: int,
    *,
    seed: bytes,
    resamples: int,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Array]:
    """Every formula over the same resamples of rows; ``tell`` hears how many are done."""
    import numpy as np

    found: dict[str, list[float]] = {name: [] for name in formulas}
    done = 0
    for block in row_blocks(samples, seed=seed, resamples=resamples):
        for rows in block:
            for name, formula in formulas.items():
                found[name].append(formula(rows))
        done += len(block)
        tell(done)
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}
