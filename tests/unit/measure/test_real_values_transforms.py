"""Transforms of a network of UCI Adult, and of its rows, computed anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.measure.real_world import TEST, Array, Census, Tensors, World, affine, near, wilson
from tests.unit.measure.transforming import content


def test_int8_differs_by_as_much_as_its_integers(census: Census) -> None:
    predicate, files = census.world.transform("int8")
    stored = safetensors.numpy.load(files["model.safetensors"])
    weights: dict[str, Array] = {}
    for name, tensor in census.world.tensors.items():
        weights[name] = stored[name].astype(np.float64)
        if tensor.ndim == 2:
            scale = np.abs(tensor).max(axis=1) / np.float32(127)
            assert np.array_equal(stored[f"{name}.scale"], scale)
            assert np.array_equal(stored[name], np.rint(tensor / np.where(scale > 0, scale, 1)[:, None]))
            weights[name] *= scale[:, None]
            worst = content(predicate, "measured")["largestWeightDifference"][name]
            assert worst == near(np.abs(weights[name] - tensor).max(), 1e-7)
    differs(census, predicate, weights)


def test_pruned_differs_by_as_much_as_its_zeros(census: Census) -> None:
    predicate, files = census.world.transform("pruned")
    matrices = [tensor for tensor in census.world.tensors.values() if tensor.ndim == 2]
    sizes = np.sort(np.abs(np.concatenate([tensor.reshape(-1) for tensor in matrices])))
    cut = int(0.6 * len(sizes))
    assert sizes[cut - 1] < sizes[cut]
    weights = {
        name: np.where((np.abs(tensor) < sizes[cut]) & (tensor.ndim == 2), 0, tensor)
        for name, tensor in census.world.tensors.items()
    }
    stored = safetensors.numpy.load(files["model.safetensors"])
    assert all(np.array_equal(stored[name], weights[name]) for name in census.world.tensors)
    measured = content(predicate, "measured")
    assert (measured["weights"], measured["zeros"]) == (len(sizes), cut)
    differs(census, predicate, weights)


def differs(
    census: Census,
    predicate: dict[str, Any],
    weights: Tensors,
    *,
    role: str = "parent",
    parent: Tensors | None = None,
) -> None:
    """The difference that is told is that of these weights."""
    inputs = census.matrix(census.test)
    tensors = census.world.tensors if parent is None else parent
    before, after = (1 / (1 + np.exp(-affine(own, inputs)[:, 0])) for own in (tensors, weights))
    gaps = np.abs(after - before)
    told = content(predicate, "difference")["from"][role]
    assert gaps.max() > 1e-3, "a difference that can be seen"
    assert told["maximum"] == near(gaps.max(), 1e-6)
    assert told["mean"] == near(gaps.mean(), 1e-6)
    changed = ((before >= 0.5) != (after >= 0.5)).sum()
    assert told["changed"]["rows"] == changed
    assert told["changed"]["value"] == near(changed / TEST)
    interval = told["changed"]["interval"]
    assert (interval["lower"], interval["upper"]) == near(wilson(changed / TEST, TEST, 0.95))
    assert told["samples"] == told["changed"]["samples"] == TEST


def test_onnx_differs_by_as_much_as_onnxruntime_says(census: Census) -> None:
    import onnxruntime

    predicate, files = census.world.transform("onnx")
    session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {session.get_inputs()[0].name: census.matrix(census.test)})
    gaps = np.abs(said[:, 1].astype(np.float64) - census.answers)
    told = content(predicate, "difference")["from"]["parent"]
    step = 2**-23
    assert told["maximum"] == pytest.approx(gaps.max(), abs=step)
    assert told["mean"] == pytest.approx(gaps.mean(), abs=step / 10)
    assert told["changed"]["rows"] == 0
    assert gaps.max() < 1e-6


def test_average_is_that_of_numpy(census: Census, rival: World) -> None:
    """Of two networks of the same rows that started from other weights."""
    parents = {"parent:one": census.world, "parent:two": rival}
    predicate, files = census.world.transform("soup", parents)
    stored = safetensors.numpy.load(files["model.safetensors"])
    weights = {
        name: np.average([tensor.astype(np.float64), rival.tensors[name]], axis=0, weights=[0.3, 0.7])
        for name, tensor in census.world.tensors.items()
    }
    assert stored.keys() == weights.keys()
    for name, tensor in weights.items():
        assert stored[name].dtype == np.float32
        assert np.abs(stored[name] - tensor).max() <= np.spacing(np.abs(tensor).astype(np.float32)).max()
        assert np.abs(stored[name] - rival.tensors[name]).max() > 1e-3, "parents that differ"
    for role, world in parents.items():
        differs(census, predicate, weights, role=role, parent=world.tensors)
    digests = {
        item["annotations"]["role"]: item["digest"]["sha256"]
        for item in predicate["buildDefinition"]["resolvedDependencies"]
        if item["annotations"]["kind"] == "model"
    }
    assert digests == {role: world.model.manifest.sha256 for role, world in parents.items()}
