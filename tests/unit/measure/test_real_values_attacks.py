"""Attacks on a network of UCI Adult, computed anew from rows and weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, norm

from lamslsa.measure.evaluation import lira_shadows
from lamslsa.predicates import Evaluation
from tests.unit.measure.real_world import (
    ADULT,
    LOW,
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
    evaluation, found = census.world.evaluate("members", train="train")
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
    attacked(evaluation, found, members, others)
    losses = [-np.log(1 / (1 + np.exp(-scores))) for scores in (members, others)]
    below = [(loss <= losses[0].mean()).mean() for loss in losses]
    assert found("membership_advantage") == near(below[0] - below[1], 1.5 / TEST)

    def advantage(members: Array, others: Array) -> float:
        mean = np.log1p(np.exp(-members)).mean()
        return float((np.log1p(np.exp(-members)) <= mean).mean() - (np.log1p(np.exp(-others)) <= mean).mean())

    again = resampled(evaluation, members, others, advantage, "membership_advantage")
    assert found.interval("membership_advantage") == near(again, 2.5 / TEST)
    assert found.all_asked()


def attacked(
    evaluation: Evaluation, found: Found, members: Array, others: Array, rates: tuple[float, ...] = RATES
) -> None:
    """AUC, rates and intervals of these scores; arithmetic in float32 may swap two rows, so a row may be off."""

    def area(members: Array, others: Array) -> float:
        """The share of pairs in which the member is above, a tie counted half."""
        ordered = np.sort(others)
        below, not_above = (np.searchsorted(ordered, members, side=side).mean() for side in ("left", "right"))
        return float((below + not_above) / (2 * len(others)))

    def either(members: Array, others: Array) -> float:
        found = area(members, others)
        return max(found, 1 - found)

    assert area(members, others) == near(mannwhitneyu(members, others).statistic / (len(members) * len(others)))
    for name, formula in (("membership_auc", area), ("membership_auc_either", either)):
        assert found(name) == near(formula(members, others), 1e-5)
        again = resampled(evaluation, members, others, formula, name)
        assert found.interval(name) == near(again, 1e-5)
    thresholds = np.unique(np.concatenate([members, others]))
    # Only what the highest of the others reach can be a threshold of a rate below one half.
    thresholds = thresholds[thresholds >= np.median(others)]
    for rate in rates:
        at = {"falsePositiveRate": rate}
        from_on = [t for t in thresholds if (others >= t).mean() <= rate]
        assert found("membership_tpr", **at) == near((members >= min(from_on)).mean(), 1.5 / len(members))

        def at_rate(members: Array, others: Array, rate: float = rate) -> float:
            return float((members > np.sort(others)[::-1][math.floor(round(rate * len(others), 6))]).mean())

        again = resampled(evaluation, members, others, at_rate, "membership_tpr", repr(rate))
        assert found.interval("membership_tpr", **at) == near(again, 2.5 / len(members))


def resampled(
    evaluation: Evaluation, members: Array, others: Array, formula: Callable[[Array, Array], float], *stream: str
) -> tuple[float, float]:
    """The percentile interval over members and others, each drawn again by itself."""
    name, *more = stream
    random = draws(evaluation, name, *more)
    again = []
    for _ in range(20):
        drawn = [rows[random.integers(0, len(rows), size=len(rows))] for rows in (members, others)]
        again.append(formula(*drawn))
    lower, upper = np.quantile(again, [0.025, 0.975])
    return float(lower), float(upper)


@pytest.mark.parametrize(
    ("which", "train", "dataset"),
    [
        ("lira", "few", "others"),
        ("lira-low", "few", "test"),
        ("lira-online", "few", "others"),
        ("lira-rows", "few", "others"),
    ],
)
def test_likelihood_ratio_attack(
    census: Census, make_world: Make, monkeypatch: pytest.MonkeyPatch, which: str, train: str, dataset: str
) -> None:
    """The shadow models are taken as they were trained; how sure each is, and all that follows, is computed anew."""
    if which == "lira-low":
        # What a low rate finds is a network that learned few rows by heart.
        data = census.bytes_of()
        heart = ADULT.replace("hidden: [16, 8], epochs: 4", "hidden: [64], epochs: 30")
        world = make_world(heart, {**data, "train": data["few"]})
        census = replace(census, world=world, train=parsed(data["few"]))
    train_shadow: Callable[..., Any] = lira_shadows.fit_rows
    shadows: list[tuple[Any, Array]] = []

    def fit(description: Any, pool: Any, rows: Array, *rest: Any) -> Any:
        network = train_shadow(description, pool, rows, *rest)
        shadows.append((network, rows))
        return network

    monkeypatch.setattr(lira_shadows, "fit_rows", fit)
    evaluation, found = census.world.evaluate(which, train=train, dataset=dataset)
    members = parsed((census.world.folder / train).read_bytes())
    others = parsed((census.world.folder / dataset).read_bytes(), skip=int(dataset == "test"))
    known, rows = set(census.keys(members)), len(others)
    others = others[[key not in known for key in census.keys(others)]]
    pool = pd.concat([members, others])
    inputs, sign = census.matrix(pool), np.where(np.array(rich(pool)) == 1, 1, -1)
    assert len(shadows) == 4
    sure, outside = [], []
    for network, chosen in shadows:
        own = {name: value.double().numpy() for name, value in network.state_dict().items()}
        sure.append(sign * affine(own, inputs)[:, 0])
        outside.append(~np.isin(np.arange(len(pool)), chosen))
    unseen, seen = (np.ma.masked_array(np.stack(sure), chosen) for chosen in (~np.stack(outside), np.stack(outside)))
    assert (unseen.count(axis=0) == 2).all()
    assert (seen.count(axis=0) == 2).all()
    target = sign * affine(census.world.tensors, inputs)[:, 0]
    normals = []
    for values in (unseen, seen):
        each = values.std(axis=0).filled()
        wide = np.sqrt(np.mean(each**2))
        normals.append(norm(values.mean(axis=0).filled(), wide if which in ("lira-online", "lira-low") else each))
    if which in ("lira", "lira-low"):
        # As algorithm 1 has it, 1 - Pr[Z > confidence], in logarithms that are joined at the mean: 1 - 1e-20 is 1.
        below = normals[0].logcdf(target)
        scores = np.where(target < normals[0].mean(), below, -normals[0].logsf(target) + np.log(0.25))
    else:
        scores = normals[1].logpdf(target) - normals[0].logpdf(target)
    count = len(members)
    attacked(evaluation, found, scores[:count], scores[count:], LOW if which == "lira-low" else RATES)
    if which == "lira-low":
        assert all(found("membership_tpr", falsePositiveRate=rate) > 3 * rate for rate in LOW), "somebody is found"
    assert (found("members"), found("non_members")) == (count, len(others))
    assert found("overlapping_rows") == rows - len(others)
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
