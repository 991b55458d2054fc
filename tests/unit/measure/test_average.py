"""Weighted averages against NumPy, and parents that have none."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.models.loading import load_model
from tests.unit.measure.transforming import DIFFERENCE, content, transformed

Read = Callable[..., VerifiedArtifact]
ROLES = ("parent:one", "parent:two")


def text(parents: str = "[{name: one, weight: 0.25}, {name: two, weight: 0.75}]") -> str:
    return f"{{transform: average/1, model: small, parents: {parents}, {DIFFERENCE}}}"


def other(model_files: dict[str, bytes]) -> dict[str, bytes]:
    tensors = safetensors.numpy.load(model_files["model.safetensors"])
    random = np.random.default_rng(1)
    changed = {name: value + random.normal(size=value.shape).astype(np.float32) for name, value in tensors.items()}
    return {**model_files, "model.safetensors": safetensors.numpy.save(changed)}


def test_the_average(read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact) -> None:
    files = (model_files, other(model_files))
    parents = dict(zip(ROLES, (read(item, "model") for item in files), strict=True))
    predicate, child = transformed(text(), {**parents, "difference": test_set})
    one, two = (safetensors.numpy.load(item["model.safetensors"]) for item in files)
    merged = safetensors.numpy.load(child["model.safetensors"])
    assert merged.keys() == one.keys()
    for name, value in merged.items():
        expected = (0.25 * one[name].astype(np.float64) + 0.75 * two[name].astype(np.float64)).astype(np.float32)
        assert np.array_equal(value, expected)
    assert child["model.json"] == model_files["model.json"]
    assert load_model(read(child, "model")).network is not None
    external = predicate["buildDefinition"]["externalParameters"]
    assert external["models"] == {"parent:one": "one", "parent:two": "two"}
    assert external["configuration"]["parents"] == [
        {"role": "parent:one", "weight": 0.25},
        {"role": "parent:two", "weight": 0.75},
    ]
    roles = {
        item["annotations"]["role"]: item["digest"]["sha256"]
        for item in predicate["buildDefinition"]["resolvedDependencies"]
        if item["annotations"]["kind"] == "model"
    }
    assert roles == {role: parent.manifest.sha256 for role, parent in parents.items()}
    assert set(content(predicate, "difference")["from"]) == set(ROLES)


@pytest.mark.parametrize(
    "parents",
    [
        "[{name: one, weight: 1}]",
        "[{name: one, weight: 0.5}, {name: two, weight: 0.6}]",
        "[{name: one, weight: 0.5}, {name: one, weight: 0.5}]",
        "[{name: one, weight: 0}, {name: two, weight: 1}]",
        "[" + ", ".join(f"{{name: m{index}, weight: {1 / 128}}}" for index in range(128)) + "]",
    ],
)
def test_parents_without_an_average(
    read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact, parents: str
) -> None:
    inputs = {role: read(model_files, "model") for role in ROLES}
    with pytest.raises(FormatError) as caught:
        transformed(text(parents), {**inputs, "difference": test_set})
    assert caught.value.reason == "average-parents"


def test_parents_that_read_other_inputs(read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact) -> None:
    document = json.loads(model_files["model.json"])
    document["features"][0]["mean"] += 1
    shifted = {**model_files, "model.json": json.dumps(document).encode()}
    inputs = dict(zip(ROLES, (read(item, "model") for item in (model_files, shifted)), strict=True))
    with pytest.raises(FormatError) as caught:
        transformed(text(), {**inputs, "difference": test_set})
    assert caught.value.reason == "average-description"
