"""Private training: the arithmetic of DP-SGD by hand, the accountant by closed forms, and what must not be told."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamslsa import statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.training import privacy
from lamslsa.measure.training.chain import verify_chain
from lamslsa.measure.training.privacy import SecretStream
from lamslsa.measure.training.settings import Privacy
from lamslsa.testing.trainers import (
    TABLE,
    InterruptedTrainingError,
    Kept,
    interrupted,
    run_training,
    trainer_plan,
)

Read = Callable[..., VerifiedArtifact]

KEY = bytes(range(32))
SGD = "optimizer: sgd, learningRate: 0.5, weightDecay: 0, momentum: 0, nesterov: false"
REST = "schedule: constant, augmentation: none, seed: 5"
BLOCK = "privacy: {noiseMultiplier: 1.5, maxGradNorm: 0.4, delta: 1e-5, accountant: rdp, sampling: poisson}"
MLP = "trainer: tabular-mlp/1, model: m, dataset: d, drop: [], hidden: []"
PLAN = f"{{{MLP}, epochs: 2, batchSize: 6, {SGD}, {REST}, {BLOCK}}}"
TEXTS = (
    '{format: csv, delimiter: ",", header: false, trim: true, nullToken: null, columns: [{name: text, type: string}, '
    "{name: y, type: string}], label: {column: y, classes: {a: 0, b: 1}}}"
)
LSTM = (
    "trainer: text-lstm/1, model: m, dataset: d, textColumn: text, tokens: casefold-words, vocabularySize: 9, "
    "minimumCount: 1, length: 3, embedding: 3, hidden: 2, layers: 2, bidirectional: true, dropout: 0"
)


@pytest.fixture
def rows(read: Read) -> VerifiedArtifact:
    return read({"rows": "".join(f"{value},{'ab'[value > 9]}\n" for value in range(20)).encode()})


@pytest.fixture
def known_key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(secrets, "token_bytes", lambda count: KEY[:count])
    return KEY


def said(payload: Any) -> dict[str, Any]:
    found: dict[str, Any] = payload.build_definition.external_parameters.configuration["privacy"]
    return found


def test_steps_by_hand(read: Read, rows: VerifiedArtifact, known_key: bytes) -> None:
    """Abadi et al. 2016, algorithm 1: sample, clip each gradient, sum, add noise, divide by the expected size."""
    import safetensors.numpy
    import torch

    _, files, _ = run_training(trainer_plan(PLAN, TABLE), rows)
    x = np.arange(20, dtype=np.float64)
    x = (x - x.mean()) / x.std()
    y = (np.arange(20) > 9).astype(np.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = torch.nn.Linear(1, 1)
    w, b = float(first.weight.detach()), float(first.bias.detach())
    stream = SecretStream(known_key)
    for _ in range(2 * 4):
        stream.seed()
        chosen = np.flatnonzero(stream.uniform(20) < 6 / 20)
        total = np.zeros(2)
        for row in chosen:
            error = 1 / (1 + math.exp(-(w * x[row] + b))) - y[row]
            gradient = np.array([error * x[row], error])
            total += gradient * min(1, 0.4 / (float(np.linalg.norm(gradient)) + 1e-6))
        noise = [float(stream.normal((1, 1), 1.5 * 0.4)), float(stream.normal((1,), 1.5 * 0.4))]
        w, b = (value - 0.5 * (part + extra) / 6 for value, part, extra in zip((w, b), total, noise, strict=True))
    found = safetensors.numpy.load(files["model.safetensors"])
    assert [float(found["0.weight"][0, 0]), float(found["0.bias"][0])] == pytest.approx([w, b], abs=1e-5)


def test_statement_says_what_was_spent_and_nothing_about_the_rows(rows: VerifiedArtifact) -> None:
    provenance, _, outcome = run_training(trainer_plan(PLAN, TABLE), rows)
    found = said(provenance)
    assert {key: found[key] for key in found if key != "epsilon"} == {
        "noiseMultiplier": 1.5,
        "maxGradNorm": 0.4,
        "delta": 1e-5,
        "accountant": "rdp",
        "sampling": "poisson",
        "sampleRate": 0.3,
        "steps": 8,
        "notCovered": ["features"],
        "reproducible": False,
    }
    assert found["epsilon"] > 0
    names = [item.name for item in provenance.run_details.byproducts]
    assert names == ["model.json", "model.safetensors", "checkpoint-chain"]
    chain = verify_chain(provenance)
    assert [(item.step, item.loss) for item in chain] == [(4, None), (8, None)]
    assert b"loss" not in outcome.statements[0].data


def test_noise_is_drawn_anew_and_its_key_told_to_nobody(rows: VerifiedArtifact) -> None:
    plan = trainer_plan(PLAN, TABLE)
    kept = Kept()
    _, first, one = run_training(plan, rows, checkpoints=kept)
    _, second, _ = run_training(plan, rows)
    assert first["model.json"] == second["model.json"]
    assert first["model.safetensors"] != second["model.safetensors"]
    size = int.from_bytes(kept.states[-1][:8], "big")
    key = json.loads(kept.states[-1][8 : 8 + size])["key"]
    assert len(bytes.fromhex(key)) == 32
    assert key.encode() not in one.statements[0].data
    assert statement.parse(one.statements[0].data).subjects[0].sha256 == one.outputs["m"].manifest.sha256


def test_interrupted_private_training_goes_on_with_its_own_noise(rows: VerifiedArtifact, known_key: bytes) -> None:
    plan = trainer_plan(PLAN.replace("epochs: 2", "epochs: 3"), TABLE)
    _, whole, _ = run_training(plan, rows)
    kept = Kept()
    with pytest.raises(InterruptedTrainingError):
        run_training(plan, rows, checkpoints=kept, progress=interrupted(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_bytes", lambda count: b"\xff" * count)
        _, resumed, _ = run_training(plan, rows, checkpoints=kept)
        _, anew, _ = run_training(plan, rows)
    assert resumed == whole
    assert anew != whole


def test_private_lstm_is_the_lstm_that_is_loaded(read: Read, known_key: bytes) -> None:
    """Opacus trains a cell of its own; its answers are those of torch's cell with the same weights."""
    import torch

    artifact = read({"texts": b"".join(b"a b c,a\n" if i % 2 else b"c d,b\n" for i in range(12))})
    adam = "optimizer: adam, learningRate: 1e-2, weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8"
    plan = trainer_plan(f"{{{LSTM}, epochs: 2, batchSize: 3, {adam}, {REST}, {BLOCK}}}", TEXTS)
    kept = Kept()
    provenance, files, _ = run_training(plan, artifact, checkpoints=kept)
    assert said(provenance)["notCovered"] == ["vocabulary"]
    loaded = load_model(read(files, "model"))
    description: Any = loaded.description
    network = description.network()
    network.load_state_dict(loaded.network.state_dict())  # type: ignore[union-attr]  # it has one
    private = privacy.private_model(network).eval()
    inputs = torch.tensor([[2, 3, 4], [5, 0, 0], [0, 0, 0]])
    with torch.no_grad():
        assert torch.allclose(private(inputs), loaded.network(inputs), atol=1e-6)  # type: ignore[misc]
    _, resumed, _ = run_training(plan, artifact, checkpoints=Kept(kept.states[:1]))
    assert resumed == files


def test_empty_batch_is_noise_alone(read: Read) -> None:
    rows = read({"rows": b"".join(b"%d,%s\n" % (i, b"ab"[i % 2 : i % 2 + 1]) for i in range(300))})
    plan = trainer_plan(PLAN.replace("batchSize: 6", "batchSize: 1").replace("epochs: 2", "epochs: 1"), TABLE)
    provenance, _, _ = run_training(plan, rows)
    assert said(provenance)["steps"] == 300  # a third of which, about, drew no row


def test_batch_normalisation_mixes_rows_and_is_refused() -> None:
    import torch

    with pytest.raises(FormatError) as caught:
        privacy.private_model(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)))
    assert caught.value.reason == "privacy-layer"


def test_without_opacus_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import torch

    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(UnavailableError) as caught:
        privacy.private_model(torch.nn.Linear(1, 1))
    assert caught.value.reason == "privacy-unavailable"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("delta: 1e-5", "delta: 0", "yaml-range"),
        ("delta: 1e-5", "delta: 1", "yaml-range"),
        ("noiseMultiplier: 1.5", "noiseMultiplier: 0", "yaml-range"),
        ("maxGradNorm: 0.4", "maxGradNorm: 0", "yaml-range"),
        ("accountant: rdp", "accountant: gdp", "yaml-choice"),
        ("sampling: poisson", "sampling: shuffle", "yaml-choice"),
        (", sampling: poisson", "", "yaml-missing-key"),
        ("sampling: poisson", "sampling: poisson, seed: 4", "yaml-unknown-key"),
    ],
)
def test_every_field_of_privacy_is_asked_for(old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        trainer_plan(PLAN.replace(old, new), TABLE)
    assert caught.value.reason == reason


def wanted(noise: float, accountant: str) -> Privacy:
    return Privacy(noise_multiplier=noise, max_grad_norm=1.0, delta=1e-5, accountant=accountant)


def rdp_at(order: int, noise: float, rate: float) -> float:
    """Mironov, Talwar and Zhang 2019, section 3.3, for integer orders: log A / (order - 1)."""
    terms = [
        math.log(math.comb(order, k))
        + (k * math.log(rate) + (order - k) * math.log(1 - rate) if rate < 1 else (0.0 if k == order else -math.inf))
        + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]
    top = max(terms)
    return (top + math.log(math.fsum(math.exp(term - top) for term in terms))) / (order - 1)


@pytest.mark.parametrize(("noise", "rate", "count"), [(1.0, 0.01, 1000), (2.0, 0.1, 300), (4.0, 1.0, 20)])
def test_epsilon_by_closed_form(noise: float, rate: float, count: int) -> None:
    """Balle et al. 2020, theorem 21, from RDP to (epsilon, delta), over integer orders."""
    delta = 1e-5
    closed = min(
        count * rdp_at(order, noise, rate) + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
        for order in range(2, 64)
    )
    found = privacy.epsilon(wanted(noise, "rdp"), rate=rate, count=count)
    assert found == pytest.approx(closed, rel=0.02)
    assert found <= closed + 1e-9, "it has more orders to choose from"
    assert privacy.epsilon(wanted(noise, "prv"), rate=rate, count=count) <= found


def test_epsilon_of_the_gaussian_mechanism() -> None:
    """Every row in every step: one Gaussian of noise / sqrt(steps); Balle and Wang 2018, theorem 8, exactly."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    sigma = 4.0 / math.sqrt(20)

    def excess(epsilon: float) -> float:
        first = norm.cdf(1 / (2 * sigma) - epsilon * sigma)
        return float(first - math.exp(epsilon) * norm.cdf(-1 / (2 * sigma) - epsilon * sigma) - 1e-5)

    exact = brentq(excess, 0, 50)
    assert exact <= privacy.epsilon(wanted(4.0, "prv"), rate=1.0, count=20) <= exact + 0.05
    assert exact <= privacy.epsilon(wanted(4.0, "rdp"), rate=1.0, count=20)


def test_epsilon_that_nobody_can_compute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import opacus.accountants

    class Lost:
        history: list[Any]

        def get_epsilon(self, delta: float) -> float:
            return math.inf

    monkeypatch.setattr(opacus.accountants, "create_accountant", lambda name: Lost())
    with pytest.raises(FormatError) as caught:
        privacy.epsilon(wanted(1.0, "rdp"), rate=0.1, count=1)
    assert caught.value.reason == "privacy-epsilon"


def test_noise_is_normal() -> None:
    from scipy.stats import kstest

    values = SecretStream(KEY).normal((300, 200), 3.0).numpy().ravel() / 3
    assert kstest(values, "norm").pvalue > 0.01
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


def test_noise_is_the_keystream_and_never_twice_the_same() -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = SecretStream(KEY)
    first, second = stream.uniform(3), stream.uniform(3)
    keystream = Cipher(algorithms.AES(KEY), modes.CTR(bytes(16))).encryptor().update(bytes(64))
    words = [int.from_bytes(keystream[i : i + 8], "little") for i in range(0, 64, 8)]
    assert first.tolist() == [((word >> 12) + 0.5) / 2**52 for word in words[:3]]
    assert second.tolist() == [((word >> 12) + 0.5) / 2**52 for word in words[4:7]]
    assert SecretStream(KEY, 2).uniform(3).tolist() == second.tolist()
    assert SecretStream().key != SecretStream().key
