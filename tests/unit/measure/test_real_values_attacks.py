"""Attacks on a network of UCI Adult, computed anew from rows and weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, norm

from lamslsa.measure.evaluation import lira_shadows
from tests.unit.measure.real_world import (
    ADULT,
    FEW,
    NUMBERS,
    RATES,
    SEEN,
    TEST,
    TRAIN,
    Array,
    Census,
    Found,
    Make,
    affine,
    draws,
    near,
    parsed,
    rich,
)


def test_membership_inference(census: Census) -> None:
    _, found = census.world.evaluate("members", train="train")
    known = set(census.keys(census.train))
    new = np.array([key not in known for key in census.keys(census.test)])
    assert 0 < (~new).sum() < TEST
    assert found("members") == TRAIN
    assert found("non_members") == new.sum()
    assert found("overlapping_rows") == (~new).sum()
    members, others = (
        np.where(np.array(rich(frame)) == 1, 1, -1) * affine(census.world.tensors, census.matrix(frame))[:, 0]
        for frame in (census.train, census.test[new])
    )
    attacked(found, members, others)
    losses = [-np.log(1 / (1 + np.exp(-scores))) for scores in (members, others)]
    below = [(loss <= losses[0].mean()).mean() for loss in losses]
    assert found("membership_advantage") == near(below[0] - below[1], 1.5 / TEST)
    assert found.all_asked()


def attacked(found: Found, members: Array, others: Array) -> None:
    """AUC and rates of an attack with these scores; arithmetic in float32 may swap two rows, so a row may be off."""
    from sklearn.metrics import roc_curve

    area = mannwhitneyu(members, others).statistic / (len(members) * len(others))
    assert found("membership_auc") == near(area, 1e-5)
    assert found("membership_auc_either") == near(max(area, 1 - area), 1e-5)
    truth = np.repeat([1, 0], [len(members), len(others)])
    false, true, _ = roc_curve(truth, np.concatenate([members, others]), drop_intermediate=False)
    for rate in RATES:
        expected = true[false <= rate].max()
        assert found("membership_tpr", falsePositiveRate=rate) == near(expected, 1.5 / len(members))


@pytest.mark.parametrize("which", ["lira", "lira-online", "lira-rows"])
def test_likelihood_ratio_attack(census: Census, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """The shadow models are taken as they were trained; how sure each is, and all that follows, is computed anew."""
    train: Callable[..., Any] = lira_shadows.fit_rows
    shadows: list[tuple[Any, Array]] = []

    def fit(description: Any, pool: Any, rows: Array, *rest: Any) -> Any:
        network = train(description, pool, rows, *rest)
        shadows.append((network, rows))
        return network

    monkeypatch.setattr(lira_shadows, "fit_rows", fit)
    _, found = census.world.evaluate(which, train="few", dataset="others")
    few, others = (parsed((census.world.folder / name).read_bytes()) for name in ("few", "others"))
    known = set(census.keys(few))
    others = others[[key not in known for key in census.keys(others)]]
    pool = pd.concat([few, others])
    inputs, sign = census.matrix(pool), np.where(np.array(rich(pool)) == 1, 1, -1)
    assert len(shadows) == 4
    sure, outside = [], []
    for network, rows in shadows:
        own = {name: value.double().numpy() for name, value in network.state_dict().items()}
        sure.append(sign * affine(own, inputs)[:, 0])
        outside.append(~np.isin(np.arange(len(pool)), rows))
    unseen, seen = (np.ma.masked_array(np.stack(sure), chosen) for chosen in (~np.stack(outside), np.stack(outside)))
    assert (unseen.count(axis=0) == 2).all()
    assert (seen.count(axis=0) == 2).all()
    target = sign * affine(census.world.tensors, inputs)[:, 0]
    normals = []
    for values in (unseen, seen):
        each = values.std(axis=0).filled()
        normals.append(
            norm(values.mean(axis=0).filled(), np.sqrt(np.mean(each**2)) if which == "lira-online" else each)
        )
    if which == "lira":
        # As algorithm 1 has it, 1 - Pr[Z > confidence], in logarithms that are joined at the mean: 1 - 1e-20 is 1.
        below = normals[0].logcdf(target)
        scores = np.where(target < normals[0].mean(), below, -normals[0].logsf(target) + np.log(0.25))
    else:
        scores = normals[1].logpdf(target) - normals[0].logpdf(target)
    attacked(found, scores[:FEW], scores[FEW:])
    assert (found("members"), found("non_members")) == (FEW, len(others))
    assert found("overlapping_rows") == FEW - len(others)
    assert found.all_asked()


def test_descent_against_the_worst_of_a_straight_line(census: Census, make_world: Make) -> None:
    """Of a linear model the worst is known: every whole number as far as it may go, in the direction of its weight."""
    world = make_world(ADULT.replace("hidden: [16, 8]", "hidden: []"), census.bytes_of())
    _, found = world.evaluate("pgd", dataset="others")
    rows = parsed((world.folder / "others").read_bytes())
    sign = np.where(np.array(rich(rows)) == 1, 1, -1)
    inputs = census.matrix(rows)
    margin = sign * affine(world.tensors, inputs)[:, 0]
    right = margin > 0
    assert found("accuracy") == near(right.mean())
    assert found("zero_gradient_rate") == 0
    weights = iter(world.tensors["0.weight"][0].astype(np.float64))
    moves = []
    for name in SEEN:
        own = [next(weights) for _ in range(1 if name in NUMBERS else census.train[name].nunique())]
        if name in NUMBERS:
            moves.append((rows[name].to_numpy(), own[0], census.train[name].std(ddof=0)))
    assert not list(weights)
    kept = []
    for epsilon in (1e-5, 0.1, 0.5):
        at = {"epsilon": epsilon, "norm": "Linf"}
        steps = [np.floor(epsilon * deviation) for _, _, deviation in moves]
        still = max(steps) == 0
        assert found("immovable_rows", **at) == still
        worst = margin.copy()
        for (values, weight, deviation), step in zip(moves, steps, strict=True):
            up = sign * weight < 0
            room = np.where(up, values.max() - values, values - values.min())
            worst -= np.minimum(step, room) * np.abs(weight) / deviation
        robust = worst > 0
        assert found("robust_accuracy", **at) == (None if still else near(robust.mean()))
        success = (~robust[right]).mean()
        assert found("attack_success_rate", **at) == (None if still else near(success))
        kept.append(robust.mean())
    assert right.mean() > kept[1] > kept[2], "an attack that finds something"
    assert found.all_asked()


SHARES = {1: 0.05, 4: 0.3}
NOISES = {1: 0.1, 4: 1}


def damaged(census: Census, name: str, severity: int, random: np.random.Generator) -> pd.DataFrame:
    """The test rows after a corruption: missing numbers are read as the mean of the training data."""
    rows = census.test.copy()
    for column in SEEN:
        numeric = column in NUMBERS
        known = sorted(census.train[column].dropna().unique())
        if name == "missing-values":
            gone = random.random(TEST) < SHARES[severity]
            mean = census.train[column].mean() if numeric else None
            rows[column] = rows[column].astype(float if numeric else object).where(~gone, mean)
        elif name == "numeric-noise" and numeric:
            rows[column] += NOISES[severity] * census.train[column].std(ddof=0) * random.normal(size=TEST)
        elif name == "category-swaps" and not numeric:
            hit = random.random(TEST) < SHARES[severity]
            further = random.integers(1, len(known), size=TEST)
            place = {value: number for number, value in enumerate(known)}
            rows[column] = [
                known[(place[value] + more) % len(known)] if swap and value in place else value
                for value, swap, more in zip(rows[column], hit, further, strict=True)
            ]
    return rows


def test_corruptions_of_rows(census: Census) -> None:
    evaluation, found = census.world.evaluate("damaged")

    def right(rows: pd.DataFrame) -> Array:
        found: Array = (census.asked(rows) >= 0.5) == census.labels
        return found

    clean = right(census.test)
    assert found("accuracy") == near(clean.mean())
    names, parts = ("missing-values", "numeric-noise", "category-swaps"), []
    for name, severity in itertools.product(names, (1, 4)):
        parts.append(right(damaged(census, name, severity, draws(evaluation, "corruption", name, str(severity)))))
        assert found("corruption_accuracy", corruption=name, severity=severity) == near(parts[-1].mean())
    assert len({part.mean() for part in parts}) == len(parts), "damage that can be told apart"
    over = {"corruptions": ",".join(names)}
    assert found("mean_corruption_accuracy", **over) == near(np.mean(parts))
    assert found("relative_corruption_drop", **over) == near(1 - np.mean(parts) / clean.mean())
    assert found.all_asked()
