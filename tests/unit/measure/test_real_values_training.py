"""What the training of a network of UCI Adult says of itself, computed anew by torch and by closed forms."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp
from scipy.stats import norm

from lamslsa.measure import load_job
from lamslsa.measure.models.determinism import one_thread
from tests.unit.measure.real_world import ADAM, ADULT, FEW, TRAIN, Census, near, parsed, rich


def trained(census: Census, text: str, dataset: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The predicate of a training, and the model."""
    plan = load_job(text.encode(), "job.yaml").require_training()
    payload, (made,) = census.world.run(plan, {"train": census.world.data[dataset]})
    return json.loads(payload)["predicate"], dict(made.files)


def byproduct(predicate: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in predicate["runDetails"]["byproducts"] if item["name"] == name]
    return dict(found)


def test_losses_and_order_of_rows(census: Census) -> None:
    """The loop written out over torch's own optimiser: the same weights, losses and steps."""
    predicate, files = trained(census, ADULT, "train")
    assert files == census.world.files, "twice the same"
    inputs = torch.from_numpy(census.matrix(census.train))
    labels = torch.tensor(rich(census.train), dtype=torch.float32)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(7)
        width = inputs.shape[1]
        layers = [torch.nn.Linear(a, b) for a, b in ((width, 16), (16, 8), (8, 1))]
        network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        source = torch.Generator().manual_seed(7)
        losses, order, steps = [], hashlib.sha256(), 0
        for _ in range(4):
            rows, total = torch.randperm(TRAIN, generator=source), 0.0
            order.update(rows.numpy().astype("<i8").tobytes())
            for batch in torch.split(rows, 64):
                optimizer.zero_grad()
                loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(
                    network(inputs[batch])[:, 0], labels[batch]
                )
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
                steps += 1
            losses.append(total / TRAIN)
    for name, tensor in network.state_dict().items():
        assert np.abs(tensor.numpy() - census.world.tensors[name]).max() < 1e-4
    chain = json.loads(base64.b64decode(byproduct(predicate, "checkpoint-chain")["content"]))
    assert [link["loss"] for link in chain] == near(losses, 1e-5)
    assert [(link["epoch"], link["step"]) for link in chain] == [(k, k * steps // 4) for k in (1, 2, 3, 4)]
    assert chain[-1]["weights"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert byproduct(predicate, "order-of-rows")["digest"]["sha256"] == order.hexdigest()
    assert losses[0] > losses[-1]


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_what_privacy_costs(census: Census, accountant: str) -> None:
    sgd = "batchSize: 50, optimizer: sgd, learningRate: 0.1, weightDecay: 0, momentum: 0, nesterov: false"
    privacy = f"{{noiseMultiplier: 1.1, maxGradNorm: 1, delta: 1e-5, accountant: {accountant}, sampling: poisson}}"
    text = ADULT.replace(ADAM, f"{sgd}, schedule: constant, augmentation: none, privacy: {privacy}", 1)
    predicate, files = trained(census, text.replace("dataset: train, hidden", "dataset: few, hidden"), "few")
    told = predicate["buildDefinition"]["externalParameters"]["configuration"]["privacy"]
    assert (told["steps"], told["sampleRate"]) == (4 * FEW // 50, near(50 / FEW))
    assert (told["noiseMultiplier"], told["delta"]) == (1.1, 1e-5)
    if accountant == "rdp":
        assert told["epsilon"] == pytest.approx(by_divergences(1.1, 50 / FEW, told["steps"], 1e-5), rel=0.02)
    else:
        exact = by_convolution(1.1, 50 / FEW, told["steps"], 1e-5)
        assert exact <= told["epsilon"] < exact + 0.05
    few = parsed(census.bytes_of()["few"])
    ages = [item for item in json.loads(files["model.json"])["features"] if item["name"] == "age"]
    assert [(item["mean"], item["deviation"]) for item in ages] == [
        (near(few["age"].mean()), near(few["age"].std(ddof=0)))
    ]


def by_divergences(noise: float, rate: float, steps: int, delta: float) -> float:
    """Renyi divergences of the sampled Gaussian mechanism at whole orders (Mironov et al. 2019, section 3.3)."""
    found = []
    for order in range(2, 200):
        k = np.arange(order + 1)
        logs = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        logs += k * math.log(rate) + (order - k) * math.log1p(-rate) + k * (k - 1) / (2 * noise**2)
        divergence = steps * logsumexp(logs) / (order - 1)
        found.append(divergence + math.log1p(-1 / order) - math.log(delta * order) / (order - 1))
    return float(min(found))


def by_convolution(noise: float, rate: float, steps: int, delta: float) -> float:
    """The distribution of the privacy loss in small cells, all steps by one Fourier transform."""
    width, cells = 1e-3, 2**16
    edges = (np.arange(cells + 1) - cells // 2 - 0.5) * width

    def place(loss: Any) -> Any:
        """Where the loss of a row that is in is as large; it never is below log(1 - rate)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = noise**2 * np.log((np.exp(loss) - 1 + rate) / rate) + 0.5
        return np.where(loss > math.log1p(-rate), found, -np.inf)

    with_row = (1 - rate) * norm.cdf(place(edges) / noise) + rate * norm.cdf((place(edges) - 1) / noise)
    without = norm.sf(place(-edges) / noise)
    losses = (np.arange(cells) - cells // 2) * width
    worst = 0.0
    for below in (with_row, without):
        one = np.fft.rfft(np.fft.ifftshift(np.diff(below)))
        chances = np.fft.fftshift(np.fft.irfft(one**steps, cells)).clip(0)

        def excess(epsilon: float, chances: Any = chances) -> float:
            return float((chances * -np.expm1(np.minimum(epsilon - losses, 0))).sum()) - delta

        worst = max(worst, brentq(excess, 0, 25))
    return worst
