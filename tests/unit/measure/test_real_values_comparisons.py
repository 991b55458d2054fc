"""Groups, flips, baselines and regressions of real rows, and the intervals of what is resampled, computed anew."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn import metrics

from tests.unit.measure.real_world import (
    ADAM,
    HEAD,
    SAMPLING,
    TEST,
    Array,
    Census,
    Make,
    World,
    affine,
    draws,
    near,
    percentiles,
)

RATES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "selection_rate": lambda rows: rows["said"].mean(),
    "true_positive_rate": lambda rows: rows["said"][rows["label"] == 1].mean(),
    "false_positive_rate": lambda rows: rows["said"][rows["label"] == 0].mean(),
    "positive_predictive_value": lambda rows: rows["label"][rows["said"] == 1].mean(),
}


def test_groups(census: Census) -> None:
    _, found = census.world.evaluate("groups")
    rows = census.test.assign(label=census.labels, said=(census.answers >= 0.3).astype(int))
    for columns in (["sex"], ["sex", "race"]):
        cells = {name: rows[(rows[columns] == list(name)).all(axis=1)] for name, _ in rows.groupby(columns)}
        large = {name: cell for name, cell in cells.items() if len(cell) >= 30}
        assert found("groups_left_out", *columns) == len(cells) - len(large)
        assert found("rows_left_out", *columns) == near(1 - sum(map(len, large.values())) / TEST)
        of = pd.DataFrame({rate: [formula(cell) for cell in large.values()] for rate, formula in RATES.items()})
        gaps, ratios = of.max() - of.min(), of.min() / of.max()
        assert found("demographic_parity_difference", *columns) == near(gaps["selection_rate"])
        assert found("demographic_parity_ratio", *columns) == near(ratios["selection_rate"])
        odds = ["true_positive_rate", "false_positive_rate"]
        assert found("equalized_odds_difference", *columns) == near(gaps[odds].max())
        assert found("equalized_odds_ratio", *columns) == near(ratios[odds].min())
        assert found("equal_opportunity_difference", *columns) == near(gaps["true_positive_rate"])
        assert found("predictive_parity_difference", *columns) == near(gaps["positive_predictive_value"])
        for name in itertools.product(*(sorted(rows[column].unique()) for column in columns)):
            for rate, formula in RATES.items():
                expected = near(formula(large[name])) if name in large else None
                assert found.within(rate, **dict(zip(columns, name, strict=True))) == expected
        assert (len(cells) > len(large)) == (len(columns) == 2), "groups of few rows"
    assert found.all_asked()


def test_flips(census: Census) -> None:
    evaluation, found = census.world.evaluate("flips")
    before = census.answers.astype(np.float64)
    flips = {"race": ("White", "Black"), "workclass": ("Private", "State-gov"), "sex": ("Male", "Female")}
    for column, values in flips.items():
        own = census.test[column]
        among = {"values": '["' + '","'.join(sorted(values)) + '"]'}
        has = own.isin(values).to_numpy()
        assert found("attribute_missing", column) == near(own.isna().mean())
        assert found("attribute_undeclared", column, **among) == near((own.notna() & ~has).mean())
        flipped = census.test.copy()
        flipped[column] = own.map(dict(zip(values, values[::-1], strict=True))).where(has, own)
        if column == "sex":
            husbands = (own == "Male") & (flipped["relationship"] == "Husband")
            flipped.loc[husbands, "relationship"] = "Wife"
            assert husbands.sum() > 100
        after = census.asked(flipped)
        moved, turned = after - before, (after >= 0.4) != (before >= 0.4)
        cases: list[tuple[Array, dict[str, str]]] = [(has, among)]
        cases += [((own == one).to_numpy(), {"from": one, "to": other}) for one, other in (values, values[::-1])]
        for rows, about in cases:
            assert found("decision_change", column, **about) == near(turned[rows].mean())
            assert found("mean_absolute_probability_change", column, **about) == near(np.abs(moved[rows]).mean(), 1e-6)
            assert found("max_absolute_probability_change", column, **about) == near(np.abs(moved[rows]).max(), 1e-6)
        for rows, about in cases[1:]:
            assert found("decision_gain", column, **about) == near((turned & (after >= 0.4))[rows].mean())
            assert found("decision_loss", column, **about) == near((turned & (after < 0.4))[rows].mean())
            assert found("mean_probability_change", column, **about) == near(moved[rows].mean(), 1e-6)
            random, size = draws(evaluation, "flip", column, *about.values()), int(rows.sum())
            again = [moved[rows][random.integers(0, size, size=size)].mean() for _ in range(20)]
            assert found.interval("mean_probability_change", column, **about) == near(quantiles(again), 1e-6)
        assert turned.any(), "an attribute that matters"
    assert found.all_asked()


def quantiles(values: list[float]) -> tuple[float, float]:
    lower, upper = np.quantile(values, [0.025, 0.975])
    return float(lower), float(upper)


def test_baseline(census: Census, rival: World) -> None:
    evaluation, found = census.world.evaluate("baseline", baseline=rival)
    labels, shares = census.labels, (census.answers, census.asked(census.test, rival.tensors))
    said = [share >= 0.4 for share in shares]
    right = [one == labels for one in said]
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert (found("only_model_right"), found("only_baseline_right")) == tuple(only)
    tail = sum(math.comb(sum(only), k) for k in range(min(only) + 1)) / 2 ** sum(only)
    assert min(only) > 5
    assert found("mcnemar_p_value") == near(min(1, 2 * tail))
    for which, one in zip(("model", "baseline"), right, strict=True):
        assert found("accuracy", of=which) == near(one.mean())
    by_class = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "macro_f1": lambda *each: metrics.f1_score(*each, average="macro"),
        "f1": metrics.f1_score,
    }
    by_share = {
        "macro_auroc": metrics.roc_auc_score,
        "log_loss": metrics.log_loss,
        "brier_score": lambda truth, share: 2 * np.mean((truth - share) ** 2),
    }
    cells, counts = np.unique(np.stack([labels, *said]).astype(int), axis=1, return_counts=True)
    pairs = draws(evaluation, "pairs").multinomial(TEST, counts / TEST, size=20)
    random = draws(evaluation, "paired rows")
    drawn = [random.integers(0, TEST, size=TEST) for _ in range(20)]
    for name, formula in {**by_class, **by_share}.items():
        if name in by_class:
            value = formula(labels, said[0]) - formula(labels, said[1])
            again = [
                formula(*np.repeat(cells[[0, 1]], times, axis=1)) - formula(*np.repeat(cells[[0, 2]], times, axis=1))
                for times in pairs
            ]
        else:
            value = formula(labels, shares[0]) - formula(labels, shares[1])
            again = [formula(labels[at], shares[0][at]) - formula(labels[at], shares[1][at]) for at in drawn]
        lower, upper = quantiles(again)
        assert found(f"{name}_difference") == near(value, 1e-6)
        assert found.interval(f"{name}_difference") == near((lower, upper), 1e-6)
        worst = -upper if name in ("log_loss", "brier_score") else lower
        assert found(f"{name}_noninferiority") == near(worst, 1e-6)
    assert found.all_asked()


def test_intervals_of_a_tabular_evaluation(census: Census) -> None:
    """Each stream of random numbers starts anew from the seed in the statement; every value is scikit-learn's."""
    evaluation, found = census.world.evaluate("tabular")
    labels, shares = census.labels, census.answers
    said = (shares >= 0.4).astype(int)
    for name, formula in {"balanced_accuracy": metrics.balanced_accuracy_score, "f1": metrics.f1_score}.items():
        cells = np.array(list(itertools.product((0, 1), repeat=2))).T
        counts = metrics.confusion_matrix(labels, said).reshape(-1)
        tables = draws(evaluation, name).multinomial(TEST, counts / TEST, size=20)
        assert found.interval(name) == percentiles([formula(*np.repeat(cells, table, axis=1)) for table in tables])
    random = draws(evaluation, "auroc")
    drawn = [random.integers(0, TEST, size=TEST) for _ in range(20)]
    assert found.interval("auroc") == percentiles([metrics.roc_auc_score(labels[at], shares[at]) for at in drawn])
    sexes, codes = np.unique(census.test["sex"], return_inverse=True)
    counts = np.bincount(4 * codes + 2 * labels + said, minlength=8)
    cells = np.array(list(itertools.product(range(len(sexes)), (0, 1), (0, 1)))).T
    again = []
    for table in draws(evaluation, "demographic_parity_difference", "sex").multinomial(TEST, counts / TEST, size=20):
        sex, truth, guess = np.repeat(cells, table, axis=1)
        frame = MetricFrame(
            metrics=lambda _, guessed: guessed.mean(), y_true=truth, y_pred=guess, sensitive_features=sex
        )
        again.append(frame.difference())
    value = found("demographic_parity_difference", "sex")
    lower, upper = quantiles(again)
    hull = min(lower, 2 * value - upper, value), max(upper, 2 * value - lower, value)
    assert found.interval("demographic_parity_difference", "sex") == near((max(0, hull[0]), min(1, hull[1])))


DIABETES = f"""{HEAD}
schemas:
  patients: {{format: csv, delimiter: ",", header: true, trim: false, nullToken: null,
    columns: [%s, {{name: sex, type: string}}, {{name: progression, type: number}}],
    label: {{column: progression, type: number}}}}
datasets:
  train: {{schema: patients, skipLines: 0, groups: [], overlap: []}}
  test: {{schema: patients, skipLines: 0, groups: [], overlap: []}}
training: {{trainer: tabular-mlp/1, model: m, dataset: train, hidden: [8], epochs: 30, {ADAM}, seed: 1, drop: []}}
evaluations:
  numbers: {{measurer: regression/1, dataset: test, {SAMPLING}, groups: [[sex]], slices: [[sex]]}}
  baseline: {{measurer: baseline-comparison/1, dataset: test, {SAMPLING}, threshold: 0.5}}
inference: {{measurer: inference/1, dataset: test, disclose: {{inputs: true, outputs: true}}, seed: null}}
"""
ERRORS = {
    "mean_absolute_error": metrics.mean_absolute_error,
    "root_mean_squared_error": lambda truth, said: math.sqrt(np.square(said - truth).mean()),
    "r2": lambda truth, said: 1 - np.square(said - truth).mean() / truth.var(),
    "median_absolute_error": lambda truth, said: float(pd.Series(abs(said - truth)).quantile(0.5)),
    "mean_absolute_percentage_error": lambda truth, said: (abs(said - truth) / truth).mean(),
    "mean_error": lambda truth, said: said.mean() - truth.mean(),
}


def test_regression_of_diabetes(make_world: Make) -> None:
    from sklearn.datasets import load_diabetes

    data = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    data["sex"] = data["sex"].map({1.0: "one", 2.0: "two"})
    numbers = [name for name in data.columns if name not in ("sex", "progression")]
    data = data[[*numbers, "sex", "progression"]]
    train, test = data[:300], data[300:]
    files = {name: rows.to_csv(index=False).encode() for name, rows in (("train", train), ("test", test))}
    text = DIABETES % ", ".join(f"{{name: {name}, type: number}}" for name in numbers)
    world, other = make_world(text, files), make_world(text.replace("hidden: [8]", "hidden: []"), files)
    inputs = np.concatenate(
        [
            ((test[numbers] - train[numbers].mean()) / train[numbers].std(ddof=0)).to_numpy(),
            pd.get_dummies(test["sex"]).to_numpy(dtype=float),
        ],
        axis=1,
    )
    truth = test["progression"].to_numpy()

    def answers(each: World) -> Array:
        scale = train["progression"].std(ddof=0)
        said: Array = train["progression"].mean() + scale * affine(each.tensors, inputs)[:, 0]
        return said

    evaluation, found = world.evaluate("numbers")
    said = np.array([record["output"]["value"]["number"] for record in world.infer()])
    assert said == near(answers(world), 1e-3)
    random = draws(evaluation, "rows")
    drawn = [random.integers(0, len(truth), size=len(truth)) for _ in range(20)]
    for name, formula in ERRORS.items():
        assert found(name) == near(formula(truth, said), 1e-6)
        assert found.interval(name) == near(quantiles([formula(truth[at], said[at]) for at in drawn]), 1e-6)
    assert 0.2 < found("r2") < 0.7
    for name in ("mean_absolute_error", "root_mean_squared_error", "mean_error"):
        each = []
        for sex in ("one", "two"):
            here = (test["sex"] == sex).to_numpy()
            each.append(ERRORS[name](truth[here], said[here]))
            assert found.within(name, sex=sex) == near(each[-1], 1e-6)
        assert found(f"{name}_difference", "sex") == near(abs(each[0] - each[1]), 1e-6)
    assert found.all_asked()

    _, found = world.evaluate("baseline", baseline=other)
    rival = answers(other)
    for name, formula in ERRORS.items():
        if name != "mean_error":
            assert found(f"{name}_difference") == near(formula(truth, said) - formula(truth, rival), 1e-3)
            lower, upper = found.interval(f"{name}_difference")
            assert found(f"{name}_noninferiority") == near(-upper if name.endswith("error") else lower)
    assert found.all_asked()
