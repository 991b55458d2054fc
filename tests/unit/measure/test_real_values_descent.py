"""Projected gradient descent on a network of UCI Adult, written out in NumPy with its own chain rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lamslsa.measure.evaluation import robustness
from lamslsa.measure.models.loading import LoadedModel
from tests.unit.measure.real_world import FEW, NUMBERS, SEEN, Array, Census, Tensors, draws, near, parsed, rich

EPSILONS, STEPS, STEP_SIZE = (0.2, 0.6), 8, 0.3
DECLARED = {"hours-per-week": (1, 60, 0), "age": (17, 90, 1)}


def steepest(tensors: Tensors, points: Array) -> tuple[Array, Array]:
    """What the network of two hidden layers says, and how that grows with each input."""
    values, alive = points, []
    for layer in ("0", "2"):
        values = values @ tensors[f"{layer}.weight"].T.astype(float) + tensors[f"{layer}.bias"]
        alive.append(values > 0)
        values = values * alive[-1]
    logits = values @ tensors["4.weight"][0].astype(float) + tensors["4.bias"][0]
    back: Array = alive[1] * tensors["4.weight"][0].astype(float) @ tensors["2.weight"]
    gradient: Array = (back * alive[0]) @ tensors["0.weight"]
    return logits, gradient


@dataclass
class Room:
    """How far each input of each row may go, in units of the network's inputs; a step of 0 is any."""

    movable: Array
    lower: Array
    upper: Array
    step: Array

    def project(self, rows: Array, points: Array, epsilon: float, norm: str) -> Array:
        """Into the ball around each row, then into the range; a row that lies outside of it may stay where it is."""
        moved = np.where(self.movable, points - rows, 0)
        if norm == "Linf":
            moved = np.clip(moved, -epsilon, epsilon)
        else:
            moved *= np.minimum(1, epsilon / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12))
        placed: Array = np.clip(rows + moved, np.minimum(rows, self.lower), np.maximum(rows, self.upper))
        return placed

    def whole(self, rows: Array, points: Array) -> Array:
        """Every movement cut down to whole steps; a step that is done but for rounding counts."""
        moved = points - rows
        size = np.where(self.step > 0, self.step, 1)
        return rows + np.where(self.step > 0, np.trunc(moved / size + 1e-4 * np.sign(moved)) * size, moved)


def room(census: Census, rows: Any, inputs: Array, declared: bool) -> Room:
    """Every number over the range that the rows have, by whole numbers; or as declared."""
    width = inputs.shape[1]
    found = Room(np.zeros(width, dtype=bool), np.zeros(width), np.zeros(width), np.zeros(width))
    position = 0
    for name in SEEN:
        if name not in NUMBERS:
            position += census.train[name].nunique()
            continue
        mean, deviation = census.train[name].mean(), census.train[name].std(ddof=0)
        lower, upper, step = DECLARED.get(name, (0, 0, 0)) if declared else (rows[name].min(), rows[name].max(), 1)
        found.movable[position] = name in DECLARED or not declared
        found.lower[position], found.upper[position] = (lower - mean) / deviation, (upper - mean) / deviation
        found.step[position] = step / deviation
        position += 1
    assert position == width
    return found


def starts(random: np.random.Generator, shape: tuple[int, int], movable: Array, norm: str) -> Array:
    """A place in the ball of radius 1 for each row: a normal vector's direction, at the d-th root of the uniform."""
    if norm == "Linf":
        return np.where(movable, random.uniform(-1, 1, size=shape), 0)
    drawn = np.concatenate([random.standard_normal(shape), random.random((shape[0], 1))], axis=1)
    vectors = np.where(movable, drawn[:, :-1], 0)
    lengths = drawn[:, -1] ** (1 / movable.sum())
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * lengths[:, None])


@pytest.mark.parametrize("norm", ["L2", "Linf"])
def test_descent_on_real_rows(census: Census, monkeypatch: pytest.MonkeyPatch, norm: str) -> None:
    """No row is asked about beyond its bound, and as many keep their class as by the loop written out here."""
    asked: list[tuple[bool, Array]] = []

    def watched(loaded: LoadedModel) -> Any:
        import torch

        network = loaded.network
        assert network is not None

        def note(_module: Any, args: Any) -> None:
            asked.append((torch.is_grad_enabled(), args[0].detach().numpy().astype(float)))

        network.register_forward_pre_hook(note)
        return network

    monkeypatch.setattr(robustness, "network_of", watched)
    evaluation, found = census.world.evaluate(f"pgd-{norm}", dataset="others")
    rows = parsed((census.world.folder / "others").read_bytes())
    inputs, sign = census.matrix(rows).astype(float), np.where(np.array(rich(rows)) == 1, 1, -1)
    tensors, own = census.world.tensors, room(census, rows, inputs, declared=norm == "Linf")

    def kept(points: Array) -> Array:
        same: Array = (steepest(tensors, points)[0] >= 0) == (sign > 0)
        return same

    right = kept(inputs)
    assert found("accuracy") == near(right.mean())
    slopes: Array = steepest(tensors, inputs)[1][right][:, own.movable]
    assert found("zero_gradient_rate") == near((slopes == 0).all(axis=1).mean())
    alive: Array = right.copy()
    shares = []
    for place, epsilon in enumerate(EPSILONS):
        for restart in range(2):
            points = inputs
            if restart:
                random = draws(evaluation, "pgd", str(place), str(restart), "0")
                start = inputs + epsilon * starts(random, inputs.shape, own.movable, norm)
                points = own.project(inputs, start, epsilon, norm)
            for _ in range(STEPS):
                alive = alive & kept(own.whole(inputs, points))
                uphill = -sign[:, None] * steepest(tensors, points)[1] * own.movable
                length = np.linalg.norm(uphill, axis=1, keepdims=True)
                way = np.sign(uphill) if norm == "Linf" else uphill / np.where(length > 0, length, 1)
                points = own.project(inputs, points + STEP_SIZE * epsilon * way, epsilon, norm)
            alive = alive & kept(own.whole(inputs, points))
        shares.append(alive.mean())
        at = {"epsilon": epsilon, "norm": norm}
        assert found("immovable_rows", **at) == 0
        assert found("robust_accuracy", **at) == near(alive.mean())
        assert found("attack_success_rate", **at) == near((~alive[right]).mean())
    assert right.mean() > shares[0] > shares[1] > 0, "an attack that finds something"
    assert found.all_asked()
    bounded(inputs, asked, own, norm)


def bounded(inputs: Array, asked: list[tuple[bool, Array]], own: Room, norm: str) -> None:
    """Each point that the network was asked about lies in the ball of a row that is the same in all that stays."""
    like: dict[bytes, list[Array]] = {}
    for row in inputs:
        like.setdefault(row[~own.movable].tobytes(), []).append(row)
    lengths, steps = [], []
    for differentiated, points in asked:
        for point in points:
            moved = point - np.stack(like[point[~own.movable].tobytes()])
            length = np.linalg.norm(moved, axis=1) if norm == "L2" else np.abs(moved).max(axis=1)
            lengths.append(length.min())
            if not differentiated:
                steps.append(moved[length.argmin()] / np.where(own.step > 0, own.step, np.inf))
    assert len(lengths) > 2 * FEW
    assert 0.8 * EPSILONS[1] < max(lengths) <= EPSILONS[1] * (1 + 1e-4)
    assert np.abs(np.array(steps) - np.rint(steps)).max() < 1e-2, "whole steps"
