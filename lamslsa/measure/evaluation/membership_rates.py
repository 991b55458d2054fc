"""How well a score tells members of the training data from others: AUC, and true positive rates at low false ones.

A row is called a member from some score on. Carlini et al. (2022, https://arxiv.org/abs/2112.03570) report the true
positive rate where the false one is at most 0.1 % and 1 %: an attack that is sure about a few people does harm that an
average hides. The threshold is the lowest score at which the rate on the non-members at hand does not exceed the one
asked for; a rate below 1 / non-members cannot be seen in them, and is undefined.

Intervals are percentile bootstraps over members and non-members, each resampled by itself, with the threshold found
anew in each resample: at low rates most of the doubt is in the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import LamslsaError
from lamslsa.measure.seeds import generator, sub_seed
from lamslsa.predicates.evaluation import Interval, Metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Bootstrap", "Separation", "membership_metrics"]

_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are found."""

    level: float
    resamples: int
    seed: bytes


class Separation:
    """Scores of members and of others, by rank; every value is a function of how often each rank occurs."""

    def __init__(self, members: Array, others: Array) -> None:
        import numpy as np

        self._unique, ranks = np.unique(np.concatenate([members, others]), return_inverse=True)
        self._members, self._others = np.split(ranks.reshape(-1), [len(members)])

    def counts(self, members: Array | None = None, others: Array | None = None) -> tuple[Array, Array]:
        """How often each rank occurs among these rows of the members, and of the others; None for all rows."""
        import numpy as np

        width = len(self._unique)
        chosen = self._members if members is None else self._members[members]
        rest = self._others if others is None else self._others[others]
        return np.bincount(chosen, minlength=width), np.bincount(rest, minlength=width)

    def auc(self, members: Array, others: Array) -> float:
        """The chance that a member scores higher than another row, ties counted half (Mann and Whitney 1947)."""
        import numpy as np

        below = np.cumsum(others) - others
        pairs = int(members.sum()) * int(others.sum())
        return int((members * (2 * below + others)).sum()) / (2 * pairs)

    def auc_either(self, members: Array, others: Array) -> float:
        """The larger of AUC and 1 - AUC: whoever finds that members score lower calls the lower ones members."""
        value = self.auc(members, others)
        return max(value, 1 - value)

    def true_positive_rate(self, rate: float) -> Callable[[Array, Array], float]:
        """The share of members above the lowest threshold at which at most ``rate`` of the others are."""
        import numpy as np

        def formula(members: Array, others: Array) -> float:
            above = np.cumsum(others[::-1])
            allowed = np.searchsorted(above, rate * int(others.sum()) * (1 + _TOLERANCE), side="right")
            return int(members[::-1][:allowed].sum()) / int(members.sum())

        return formula

    def advantage(self, members: Array, others: Array) -> float:
        """True minus false positive rate where members are the rows of less than the mean loss of members.

        Adversary 1 of Yeom et al. (2018, https://arxiv.org/abs/1709.01604, section 3.2), who knows the training loss;
        the score is the logit of the probability of the row's class, and so the loss log(1 + exp(-score)).
        """
        import numpy as np

        loss = np.logaddexp(0, -self._unique)
        mean = float((members * loss).sum()) / int(members.sum())
        called = loss <= mean * (1 + _TOLERANCE)
        return int(members[called].sum()) / int(members.sum()) - int(others[called].sum()) / int(others.sum())

    def interval(self, formula: Callable[[Array, Array], float], how: Bootstrap, seed: bytes) -> Interval:
        """The percentile interval of a formula."""
        import numpy as np

        random = generator(seed)
        sizes = len(self._members), len(self._others)
        values = [
            formula(*self.counts(*(random.integers(0, size, size=size) for size in sizes)))
            for _ in range(how.resamples)
        ]
        lower, upper = np.quantile(np.array(values), [(1 - how.level) / 2, (1 + how.level) / 2])
        return Interval(
            level=how.level,
            lower=float(lower),
            upper=float(upper),
            method="percentile-bootstrap",
            resamples=how.resamples,
        )


def membership_metrics(
    members: Array,
    others: Array,
    *,
    rates: Sequence[float],
    how: Bootstrap,
    advantage: bool,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Metric]:
    """AUC, AUC either way, the advantage where the score is a logit, and a true positive rate for each false one.

    Args:
        members: a score for each row of the training data; higher means member.
        others: a score for each other row.
        rates: false positive rates, strictly between 0 and 1.
        how: level, resamples and seed of the intervals.
        advantage: whether the advantage is wanted.
        tell: hears how many metrics are done.

    Raises:
        LamslsaError: scikit-learn and our formula give different values.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    samples = len(members) + len(others)
    names = ["membership_auc", "membership_auc_either", *(["membership_advantage"] if advantage else [])]
    empty = None if len(members) and len(others) else "there are no members" if len(others) else "there are no others"
    if empty is not None:
        found = [Metric(name=name, samples=samples, undefined=empty) for name in names]
        return found + [_rate(rate, samples, undefined=empty) for rate in rates]
    by_rank = Separation(members, others)
    counts = by_rank.counts()
    library = float(roc_auc_score(np.repeat([1, 0], [len(members), len(others)]), np.concatenate([members, others])))
    value = by_rank.auc(*counts)
    if not abs(library - value) <= _TOLERANCE:
        raise LamslsaError(
            f"expected two computations of membership_auc to agree, got {library} and {value}",
            reason="metric-disagreement",
            hint="report this with the version of scikit-learn",
        )
    metrics: list[Metric] = []
    formulas: list[tuple[str, Callable[[Array, Array], float]]] = [
        ("membership_auc", by_rank.auc),
        ("membership_auc_either", by_rank.auc_either),
        ("membership_advantage", by_rank.advantage),
    ]
    for name, formula in formulas[: len(names)]:
        tell(len(metrics), len(names) + len(rates))
        seed = sub_seed(how.seed, name, ())
        metrics.append(
            Metric(
                name=name,
                samples=samples,
                value=formula(*counts),
                interval=by_rank.interval(formula, how, seed),
            )
        )
    for rate in rates:
        tell(len(metrics), len(names) + len(rates))
        if rate * len(others) * (1 + _TOLERANCE) < 1:
            needed = math.ceil(1 / rate - _TOLERANCE)
            reason = f"a false positive rate of {rate:g} needs {needed} others or more, there are {len(others)}"
            metrics.append(_rate(rate, samples, undefined=reason))
            continue
        at_rate = by_rank.true_positive_rate(rate)
        interval = by_rank.interval(at_rate, how, sub_seed(how.seed, "membership_tpr", [repr(rate)]))
        metrics.append(_rate(rate, samples, value=at_rate(*counts), interval=interval))
    tell(len(metrics), len(metrics))
    return metrics


def _rate(rate: float, samples: int, **rest: Any) -> Metric:
    return Metric(name="membership_tpr", samples=samples, parameters={"falsePositiveRate": rate}, **rest)
