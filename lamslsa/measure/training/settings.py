"""What every trainer by gradient descent is told: optimiser, schedule, epochs, batches, seed, privacy; nothing implied.

    epochs, batchSize, seed
    optimizer: adam    learningRate, weightDecay, beta1, beta2, epsilon     Kingma and Ba 2015
    optimizer: sgd     learningRate, weightDecay, momentum, nesterov        as torch.optim.SGD, dampening 0
    schedule: constant
    schedule: step     scheduleEvery, scheduleFactor     rate x factor after every so many epochs
    schedule: cosine   rate / 2 x (1 + cos(pi e / epochs)) in epoch e = 0, 1, …     Loshchilov and Hutter 2017, eq. 5
    augmentation: none
    privacy: {noiseMultiplier, maxGradNorm, delta, accountant: prv | rdp, sampling: poisson}     may be left out

``tabular-mlp/1`` fixed beta1, beta2, epsilon (0.9, 0.999, 1e-8), schedule and augmentation before they were fields; it
still takes them as such where they are left out, and its statements have them in any case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml

__all__ = ["MAX_EPOCHS", "Adam", "Optimizer", "Privacy", "Schedule", "Settings", "Sgd", "declare_settings"]

MAX_EPOCHS: Final = 100_000
_FIXED: Final = ("beta1", "beta2", "epsilon", "schedule", "augmentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Adam; ``weight_decay`` is added to the gradient, as torch.optim.Adam does."""

    learning_rate: float
    weight_decay: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def resolved(self) -> dict[str, Any]:
        """As it stands in a statement."""
        return {
            "optimizer": "adam",
            "learningRate": self.learning_rate,
            "weightDecay": self.weight_decay,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon": self.epsilon,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent."""

    learning_rate: float
    weight_decay: float
    momentum: float
    nesterov: bool

    def resolved(self) -> dict[str, Any]:
        """As it stands in a statement."""
        return {
            "optimizer": "sgd",
            "learningRate": self.learning_rate,
            "weightDecay": self.weight_decay,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }


Optimizer = Adam | Sgd


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What becomes of the learning rate."""

    name: str
    every: int = 0
    factor: float = 1.0

    def rate(self, first: float, *, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if self.name == "step":
            return first * self.factor ** (epoch // self.every)
        if self.name == "cosine":
            return first / 2 * (1 + math.cos(math.pi * epoch / epochs))
        return first

    def resolved(self) -> dict[str, Any]:
        """As it stands in a statement."""
        if self.name == "step":
            return {"schedule": self.name, "scheduleEvery": self.every, "scheduleFactor": self.factor}
        return {"schedule": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """DP-SGD (Abadi et al. 2016): what each row may contribute, and the noise."""

    noise_multiplier: float
    max_grad_norm: float
    delta: float
    accountant: str

    def resolved(self) -> dict[str, Any]:
        """What was asked for, as it stands in a statement."""
        return {
            "noiseMultiplier": self.noise_multiplier,
            "maxGradNorm": self.max_grad_norm,
            "delta": self.delta,
            "accountant": self.accountant,
            "sampling": "poisson",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a network is fitted."""

    epochs: int
    batch_size: int
    seed: int
    optimizer: Optimizer
    schedule: Schedule
    privacy: Privacy | None

    def asked(self) -> dict[str, Any]:
        """As it was asked for."""
        return self.resolved(epochs=self.epochs, privacy=None if self.privacy is None else self.privacy.resolved())

    def resolved(self, *, epochs: int, privacy: dict[str, Any] | None) -> dict[str, Any]:
        """As it stands in a statement.

        Args:
            epochs: how many were run; counted, not copied.
            privacy: what came of `privacy`.
        """
        return {
            "epochs": epochs,
            "batchSize": self.batch_size,
            **self.optimizer.resolved(),
            **self.schedule.resolved(),
            "augmentation": "none",
            "seed": self.seed,
            "privacy": privacy,
        }


def declare_settings(node: _yaml.Mapping_, *, fixed: bool = False, seed: int | None = None) -> Settings:
    """Read the fields.

    Args:
        node: the trainer's part of a job file.
        fixed: whether all that `tabular-mlp/1` fixed may be left out, together.
        seed: where it is given, it is no field.

    Raises:
        FormatError: a field is missing or of another value than it may have.
    """
    short = _is_adam(node) and fixed and not any(key in node for key in _FIXED)
    if not short:
        node.take("augmentation").choice(["none"])
    return Settings(
        epochs=node.take("epochs").integer(minimum=1, maximum=MAX_EPOCHS),
        batch_size=node.take("batchSize").integer(minimum=1, maximum=2**24),
        optimizer=_optimizer(node, short=short),
        schedule=Schedule(name="constant") if short else _schedule(node),
        seed=node.take("seed").integer(minimum=0, maximum=2**53) if seed is None else seed,
        privacy=_privacy(node.get("privacy")),
    )


def _is_adam(node: _yaml.Mapping_) -> bool:
    return node.take("optimizer").choice(["adam", "sgd"]) == "adam"


def _optimizer(node: _yaml.Mapping_, *, short: bool) -> Optimizer:
    name = node.take("optimizer").choice(["adam", "sgd"])
    rate = node.take("learningRate").number(minimum=0, maximum=1000)
    decay = node.take("weightDecay").number(minimum=0, maximum=1000)
    if name == "sgd":
        momentum = _below_one(node.take("momentum"))
        nesterov = node.take("nesterov")
        if nesterov.boolean() and momentum == 0:
            nesterov.refuse("expected a momentum for Nesterov's method, got none", reason="job-optimizer")
        return Sgd(learning_rate=rate, weight_decay=decay, momentum=momentum, nesterov=nesterov.boolean())
    if short:
        return Adam(learning_rate=rate, weight_decay=decay)
    return Adam(
        learning_rate=rate,
        weight_decay=decay,
        beta1=_below_one(node.take("beta1")),
        beta2=_below_one(node.take("beta2")),
        epsilon=_positive(node.take("epsilon")),
    )


def _schedule(node: _yaml.Mapping_) -> Schedule:
    name = node.take("schedule").choice(["constant", "step", "cosine"])
    if name != "step":
        return Schedule(name=name)
    return Schedule(
        name=name,
        every=node.take("scheduleEvery").integer(minimum=1, maximum=MAX_EPOCHS),
        factor=_positive(node.take("scheduleFactor")),
    )


def _privacy(node: _yaml.Node | None) -> Privacy | None:
    if node is None:
        return None
    fields = node.mapping()
    delta = fields.take("delta")
    privacy = Privacy(
        noise_multiplier=_positive(fields.take("noiseMultiplier")),
        max_grad_norm=_positive(fields.take("maxGradNorm")),
        delta=_below_one(delta),
        accountant=fields.take("accountant").choice(["prv", "rdp"]),
    )
    if privacy.delta == 0:
        delta.refuse("expected a delta above 0, got 0", reason="yaml-range")
    fields.take("sampling").choice(["poisson"])
    fields.finish()
    return privacy


def _below_one(node: _yaml.Node) -> float:
    value = node.number(minimum=0, maximum=1)
    if value == 1:
        node.refuse("expected a number below 1, got 1", reason="yaml-range")
    return value


def _positive(node: _yaml.Node) -> float:
    value = node.number(minimum=0, maximum=1000)
    if value == 0:
        node.refuse("expected a number above 0, got 0", reason="yaml-range")
    return value
