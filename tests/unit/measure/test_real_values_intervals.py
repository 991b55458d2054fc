"""Groups of a classification, samples of rows, and intervals that are resampled, all of UCI Adult, computed anew."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from tests.unit.measure.real_world import BINS, TEST, Array, Census, draws, near, percentiles
from tests.unit.measure.test_real_values import calibration
from tests.unit.measure.test_real_values_attacks import damaged


def hull(value: float, resampled: list[float]) -> Any:
    """The percentile interval, its mirror image at the value, and the value, within 0 and 1."""
    lower, upper = np.quantile(resampled, [0.025, 0.975])
    ends = min(lower, 2 * value - upper, value), max(upper, 2 * value - lower, value)
    return near((max(0, ends[0]), min(1, ends[1])))


def tables(random: np.random.Generator, *columns: Array) -> list[list[Array]]:
    """Twenty tables of as many rows, drawn by how often each row of these columns occurs, in their order."""
    cells, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
    drawn = random.multinomial(counts.sum(), counts / counts.sum(), size=20)
    return [list(np.repeat(cells, times, axis=1)) for times in drawn]


def spread(codes: Array, right: Array) -> float:
    """The largest difference of a mean between two groups."""
    means = pd.Series(right).groupby(codes).mean()
    return float(means.max() - means.min())


def test_accuracy_by_group(census: Census) -> None:
    evaluation, found = census.world.evaluate("by-group")
    said = (census.answers >= 0.5).astype(int)
    right = (said == census.labels).astype(int)
    for column in ("sex", "race"):
        names, codes = np.unique(census.test[column], return_inverse=True)
        value = spread(codes, right)
        assert found("accuracy_difference", column) == near(value)
        # Every cell of group and right occurs, so that the counts are those that are drawn from.
        assert len(np.unique(2 * codes + right)) == 2 * len(names)
        again = [spread(*table) for table in tables(draws(evaluation, "accuracy_difference", column), codes, right)]
        assert found.interval("accuracy_difference", column) == hull(value, again)
    compared = 0
    for sex, race in itertools.product(*(sorted(census.test[column].unique()) for column in ("sex", "race"))):
        here = ((census.test["sex"] == sex) & (census.test["race"] == race)).to_numpy()
        cell = {"sex": sex, "race": race}
        assert found.within("accuracy", **cell) == near(right[here].mean())
        truth, guess = census.labels[here], said[here]
        if len(set(truth)) < 2:
            assert found.within("balanced_accuracy", **cell) is None
            continue
        assert found.within("balanced_accuracy", **cell) == near(metrics.balanced_accuracy_score(truth, guess))
        random = draws(evaluation, "slice", "race", race, "sex", sex)
        drawn = [table for table in tables(random, truth, guess) if len(set(table[0])) == 2]
        if len(drawn) == 20:
            again = [metrics.balanced_accuracy_score(*table) for table in drawn]
            assert found.interval_within("balanced_accuracy", **cell) == percentiles(again)
            compared += 1
    assert compared > 4


def disparities(codes: Array, truth: Array, guess: Array) -> dict[str, float]:
    """Largest differences and smallest ratios between groups."""
    rows = pd.DataFrame({"group": codes, "truth": truth, "guess": guess})
    by = {
        "selected": rows.groupby("group")["guess"].mean(),
        "found": rows[rows["truth"] == 1].groupby("group")["guess"].mean(),
        "blamed": rows[rows["truth"] == 0].groupby("group")["guess"].mean(),
        "precise": rows[rows["guess"] == 1].groupby("group")["truth"].mean(),
    }
    gap = {name: float(rates.max() - rates.min()) for name, rates in by.items()}
    ratio = {name: float(rates.min() / rates.max()) for name, rates in by.items()}
    return {
        "demographic_parity_difference": gap["selected"],
        "demographic_parity_ratio": ratio["selected"],
        "equalized_odds_difference": max(gap["found"], gap["blamed"]),
        "equalized_odds_ratio": min(ratio["found"], ratio["blamed"]),
        "equal_opportunity_difference": gap["found"],
        "predictive_parity_difference": gap["precise"],
    }


def test_intervals_of_disparities(census: Census) -> None:
    evaluation, found = census.world.evaluate("groups")
    for columns in (["sex"], ["sex", "race"]):
        of = census.test.groupby(columns).ngroup().to_numpy()
        large = np.bincount(of)[of] >= 30
        rows = of[large], census.labels[large], (census.answers >= 0.3).astype(int)[large]
        value = disparities(*rows)
        again = [disparities(*table) for table in tables(draws(evaluation, "group counts", *columns), *rows)]
        for name, now in value.items():
            assert found.interval(name, *columns) == hull(now, [each[name] for each in again]), (columns, name)


def test_intervals_of_calibration(census: Census) -> None:
    evaluation, found = census.world.evaluate("classes")
    shares = np.stack([1 - census.answers, census.answers], axis=1)
    right, chosen = (census.answers >= 0.5) == census.labels, shares.max(axis=1)
    smaller = (chosen[None, :] < chosen[:, None]).sum(axis=1)
    masses = pd.DataFrame({"bin": BINS * smaller // TEST, "gap": right - chosen})
    random = draws(evaluation, "rows")
    drawn = [random.integers(0, TEST, size=TEST) for _ in range(20)]

    def top(at: Array) -> float:
        return calibration(right[at], chosen[at])

    def adaptive(at: Array) -> float:
        return float(masses.iloc[at].groupby("bin")["gap"].sum().abs().sum() / TEST)

    def by_class(at: Array) -> float:
        return float(np.mean([calibration(census.labels[at] == k, shares[at, k]) for k in (0, 1)]))

    everything = np.arange(TEST)
    for name, error in {"expected": top, "adaptive": adaptive, "classwise": by_class}.items():
        now, again = error(everything), [error(at) for at in drawn]
        lower, upper = np.quantile(again, [0.025, 0.975])
        ends = max(0, min(lower, 2 * now - upper, now)), max(upper, 2 * now - lower, now)
        assert found.interval(f"{name}_calibration_error") == near(ends)


def test_intervals_of_a_classification(census: Census) -> None:
    evaluation, found = census.world.evaluate("classes")
    labels, said = census.labels, (census.answers >= 0.5).astype(int)
    drawn = tables(draws(evaluation, "confusion"), labels, said)
    by_class: dict[str, Any] = {
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "macro_f1": lambda *each: metrics.f1_score(*each, average="macro"),
        "weighted_f1": lambda *each: metrics.f1_score(*each, average="weighted"),
        "cohen_kappa": metrics.cohen_kappa_score,
        "matthews_correlation": metrics.matthews_corrcoef,
    }
    for name, formula in by_class.items():
        assert found.interval(name) == percentiles([formula(*table) for table in drawn])
    for number in (0, 1):
        again = [metrics.f1_score(*table, pos_label=number) for table in drawn]
        assert found.interval("f1", **{"class": number}) == percentiles(again)
    random = draws(evaluation, "rows")
    rows = [random.integers(0, TEST, size=TEST) for _ in range(20)]
    by_share: dict[str, Any] = {
        "macro_auroc": metrics.roc_auc_score,
        "log_loss": metrics.log_loss,
        "brier_score": lambda truth, share: 2 * np.mean((truth - share) ** 2),
    }
    for name, formula in by_share.items():
        again = [formula(labels[at], census.answers[at]) for at in rows]
        lower, upper = np.quantile(again, [0.025, 0.975])
        assert found.interval(name) == near((lower, upper), 1e-6)


def test_intervals_of_corruptions(census: Census) -> None:
    evaluation, found = census.world.evaluate("damaged")
    clean = (census.asked(census.test) >= 0.5) == census.labels
    names, parts = ("missing-values", "numeric-noise", "category-swaps"), []
    for name, severity in itertools.product(names, (1, 4)):
        rows = damaged(census, name, severity, draws(evaluation, "corruption", name, str(severity)))
        parts.append((census.asked(rows) >= 0.5) == census.labels)
    kept, over = np.mean(parts, axis=0), {"corruptions": ",".join(names)}
    for name in ("mean_corruption_accuracy", "relative_corruption_drop"):
        random = draws(evaluation, name)
        drawn = [random.integers(0, TEST, size=TEST) for _ in range(20)]
        means = [kept[at].mean() for at in drawn]
        drops = [1 - kept[at].mean() / clean[at].mean() for at in drawn]
        assert found.interval(name, **over) == percentiles(means if name.startswith("mean") else drops)


def test_a_sample_of_rows_is_drawn_by_the_seed(census: Census) -> None:
    evaluation, found = census.world.evaluate("some")
    rows = np.sort(draws(evaluation, "rows").choice(TEST, size=500, replace=False))
    some, labels = census.test.iloc[rows].copy(), census.labels[rows]
    right = (census.asked(some) >= 0.5) == labels
    assert found("accuracy") == near(right.mean())
    assert right.mean() != ((census.asked(census.test) >= 0.5) == census.labels).mean()
    gone = draws(evaluation, "corruption", "missing-values", "4").random(500) < 0.3
    some["age"] = some["age"].astype(float).where(~gone, census.train["age"].mean())
    after = (census.asked(some) >= 0.5) == labels
    assert (after != right).any()
    assert found("corruption_accuracy", corruption="missing-values", severity=4) == near(after.mean())
