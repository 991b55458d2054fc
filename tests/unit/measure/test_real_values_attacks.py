"""Attacks on a network of UCI Adult, computed anew from rows and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from lamslsa.measure.evaluation import lira_shadows
from tests.unit.measure.real_world import FEW, RATES, TEST, TRAIN, Array, Census, Found, affine, near, parsed, rich


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


def test_likelihood_ratio_attack(census: Census, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow models are taken as they were trained; how sure each is, and all that follows, is computed anew."""
    train: Callable[..., Any] = lira_shadows.fit_rows
    shadows: list[tuple[Any, Array]] = []

    def fit(description: Any, pool: Any, rows: Array, *rest: Any) -> Any:
        network = train(description, pool, rows, *rest)
        shadows.append((network, rows))
        return network

    monkeypatch.setattr(lira_shadows, "fit_rows", fit)
    _, found = census.world.evaluate("lira", train="few", dataset="others")
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
    unseen = np.ma.masked_array(np.stack(sure), ~np.stack(outside))
    assert (unseen.count(axis=0) == 2).all()
    target = sign * affine(census.world.tensors, inputs)[:, 0]
    scores = ((target - unseen.mean(axis=0)) / unseen.std(axis=0)).filled()
    attacked(found, scores[:FEW], scores[FEW:])
    assert (found("members"), found("non_members")) == (FEW, len(others))
    assert found("overlapping_rows") == FEW - len(others)
    assert found.all_asked()
