"""Pruning against a sort by Python, and torch's own pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch.nn.utils import prune as reference

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.transform.prune import prune
from tests.unit.measure.transforming import DIFFERENCE, content, transformed

Read = Callable[..., VerifiedArtifact]


def text(scope: str, share: str = "0.5") -> str:
    return f"{{transform: prune/1, model: small, share: {share}, scope: {scope}, {DIFFERENCE}}}"


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_smallest_weights_are_zero(
    read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact, scope: str
) -> None:
    inputs = {"parent": read(model_files, "model"), "difference": test_set}
    predicate, files = transformed(text(scope, "0.37"), inputs)
    before = safetensors.numpy.load(model_files["model.safetensors"])
    after = safetensors.numpy.load(files["model.safetensors"])
    matrices = sorted(name for name, value in before.items() if value.ndim > 1)
    places = [(abs(v), n, i) for n in matrices for i, v in enumerate(before[n].reshape(-1).tolist())]
    sets = [places] if scope == "global" else [[place for place in places if place[1] == name] for name in matrices]
    gone = {place[1:] for items in sets for place in sorted(items)[: int(0.37 * len(items))]}
    for name, value in before.items():
        expected = value.reshape(-1).copy()
        expected[[index for of, index in gone if of == name]] = 0
        assert np.array_equal(after[name].reshape(-1), expected), name
    measured = content(predicate, "measured")
    assert measured["weights"] == len(places)
    assert measured["zeros"] == sum(int((after[name] == 0).sum()) for name in matrices) == len(gone)
    assert measured["sparsity"] == len(gone) / len(places)
    assert measured["zerosBefore"] == 0
    assert content(predicate, "difference")["from"]["parent"]["maximum"] > 0
    assert load_model(read(files, "model")).architecture == "tabular-mlp/1"
    assert files["model.json"] == model_files["model.json"]


@pytest.mark.parametrize("together", [False, True])
def test_torch_prunes_the_same(together: bool) -> None:
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 4))
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    ours = prune(state, 0.4, together=together)
    layers: list[Any] = [(network[0], "weight"), (network[1], "weight")]
    if together:
        reference.global_unstructured(layers, pruning_method=reference.L1Unstructured, amount=22)
    else:
        for (layer, name), amount in zip(layers, (14, 8), strict=True):
            reference.l1_unstructured(layer, name, amount=amount)  # type: ignore[no-untyped-call]
    for index in (0, 1):
        assert torch.equal(ours[f"{index}.weight"], layers[index][0].weight)
        assert torch.equal(ours[f"{index}.bias"], state[f"{index}.bias"])


def test_equal_magnitudes_go_by_position() -> None:
    state = {"b.weight": torch.tensor([[1.0, -1.0]]), "a.weight": torch.tensor([[-1.0, 1.0, 2.0, 0.0]])}
    pruned = prune(state, 0.5, together=True)
    assert pruned["a.weight"].tolist() == [[0, 0, 2, 0]]
    assert pruned["b.weight"].tolist() == [[1, -1]]
    assert state["a.weight"].tolist() == [[-1, 1, 2, 0]]


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1"])
def test_shares_without_a_meaning(
    read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact, share: str
) -> None:
    inputs = {"parent": read(model_files, "model"), "difference": test_set}
    with pytest.raises(FormatError) as caught:
        transformed(text("layer", share), inputs)
    assert caught.value.reason == "yaml-range"


def test_every_key_is_needed(read: Read, model_files: dict[str, bytes], test_set: VerifiedArtifact) -> None:
    inputs = {"parent": read(model_files, "model"), "difference": test_set}
    for part in ("model: small, ", "share: 0.5, ", "scope: layer, ", f", {DIFFERENCE}", ", confidenceLevel: 0.95"):
        with pytest.raises(FormatError) as caught:
            transformed(text("layer").replace(part, ""), inputs)
        assert caught.value.reason == "yaml-missing-key"
