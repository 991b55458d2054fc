"""Gradient descent, the one loop of every trainer of networks: the same bits on every run.

Rules:
- One thread, deterministic algorithms, one seed for the first weights, for the order of rows and for dropout; torch's
  global generator is put back afterwards.
- Epochs and steps are counted while they are run; what a statement says of them is this count.
- The order of rows is a permutation for each epoch; its digest is SHA-256 over all of them as little-endian int64.
- Every so many epochs (`lamslsa.measure.training.chain`) weights and optimiser state are hashed into the chain and,
  where there is somewhere to keep them, kept. A run that starts from what was kept ends in the same bytes.
- With privacy, randomness is secret (`lamslsa.measure.training.privacy`): neither losses nor the order are published.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.interface import Context
from lamslsa.measure.models import weights
from lamslsa.measure.models.interface import Number, TorchDescription
from lamslsa.measure.training import privacy as secret
from lamslsa.measure.training.chain import Checkpoint, every, next_link
from lamslsa.measure.training.settings import Adam, Settings
from lamslsa.measure.training.state import (
    State,
    TensorDigest,
    dump_tensors,
    generators,
    load_state,
    load_tensors,
    optimizer_tensors,
    restore,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["Fitted", "Material", "fit"]

_WRAPPED: Final = "_module."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What came of a training.

    Attributes:
        weights: the bytes of ``model.safetensors``.
        losses: the mean loss of each epoch that was run; empty with privacy.
        epochs: how many were run.
        steps: how many updates of the weights there were.
        order: SHA-256 of the order of rows, lower-case hexadecimal; None with privacy.
        chain: the checkpoints.
    """

    weights: bytes
    losses: tuple[float, ...]
    epochs: int
    steps: int
    order: str | None
    chain: tuple[Checkpoint, ...]


@dataclass(slots=True, kw_only=True)
class _Run:
    """How far a training has come."""

    losses: list[float] = field(default_factory=list)
    epochs: int = 0
    steps: int = 0
    chain: list[Checkpoint] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a network is fitted to, and which one.

    Attributes:
        inputs: what the description takes; images as bytes, which count as value / 255.
        labels: int64 classes or float64 numbers.
    """

    description: TorchDescription
    inputs: Array
    labels: Array


def fit(material: Material, settings: Settings, context: Context, *, start: bytes, work: bytes) -> Fitted:
    """Fit a network; `lamslsa.measure.models.determinism.one_thread` must be around it.

    Args:
        material: what is fitted, and to what.
        settings: how.
        context: where tensors live and checkpoints are kept.
        start: link 0 of the chain.
        work: a digest of all that the result depends on; what was kept of other work is never used.

    Raises:
        FormatError: nothing to train on, batches too small, or weights that are not finite.
        UnavailableError: a package is missing.
    """
    import torch

    _refuse_rows(material.description, len(material.labels), settings)
    devices = [torch.cuda.current_device()] if context.device == "cuda" else []
    with torch.random.fork_rng(devices=devices), secret.quiet():
        return _Training(material, settings, context, start=start, work=work).run()


def _refuse_rows(description: TorchDescription, rows: int, settings: Settings) -> None:
    if rows == 0:
        raise FormatError("expected rows to train on, got none", reason="training-empty")
    if getattr(description, "batch_norm", False) and 1 in (rows, settings.batch_size, rows % settings.batch_size):
        raise FormatError(
            f"expected batches of two rows or more for batch normalisation, got {rows} rows in batches of "
            f"{settings.batch_size}",
            reason="training-batch",
            hint="another batchSize, so that no single row is left over",
        )


class _Training:
    """One run: the network, its optimiser, and where it is."""

    def __init__(self, material: Material, settings: Settings, context: Context, *, start: bytes, work: bytes) -> None:
        import numpy as np
        import torch

        self.description = material.description
        self.settings = settings
        self.context = context
        self.start = start
        self.work = work
        self.inputs = torch.from_numpy(np.require(material.inputs, requirements="W"))  # copied where read-only
        self.targets = _targets(material.description, material.labels)
        self.rows = len(material.labels)
        torch.manual_seed(settings.seed)
        network = material.description.network().to(context.device)
        self.stream = None if settings.privacy is None else secret.SecretStream()
        self.model = (network if self.stream is None else secret.private_model(network)).train()
        self.optimizer = _optimizer(self.model, settings)
        self.digests = TensorDigest(), TensorDigest()
        self.at = _Run()
        self._resume()

    def run(self) -> Fitted:
        settings, progress = self.settings, self.context.progress
        order = hashlib.sha256()
        stepping = self._stepping()
        for epoch, permutation in enumerate(self._permutations()):
            order.update(permutation.numpy().astype("<i8").tobytes())
            if epoch < self.at.epochs:
                continue
            progress("training epochs", epoch, settings.epochs)
            rate = settings.schedule.rate(settings.optimizer.learning_rate, epoch=epoch, epochs=settings.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self._epoch(stepping, permutation)
            if self.at.epochs % every(settings.epochs) == 0 or self.at.epochs == settings.epochs:
                self._checkpoint()
        progress("training epochs", self.at.epochs, settings.epochs)
        return Fitted(
            weights=weights.dump(self._state()),
            losses=tuple(self.at.losses),
            epochs=self.at.epochs,
            steps=self.at.steps,
            order=None if self.stream is not None else order.hexdigest(),
            chain=tuple(self.at.chain),
        )

    def _permutations(self) -> Iterator[torch.Tensor]:
        """The order of rows in each epoch; it does not depend on what is done with it."""
        import torch

        shuffle = torch.Generator().manual_seed(self.settings.seed)
        for _ in range(self.settings.epochs):
            yield torch.randperm(self.rows, generator=shuffle) if self.stream is None else torch.zeros(0)

    def _stepping(self) -> torch.optim.Optimizer:
        if self.stream is None or self.settings.privacy is None:
            return self.optimizer
        stepping: torch.optim.Optimizer = secret.private_optimizer(
            self.optimizer,
            self.settings.privacy,
            batch_size=min(self.settings.batch_size, self.rows),
            stream=self.stream,
        )
        return stepping

    def _epoch(self, stepping: torch.optim.Optimizer, permutation: torch.Tensor) -> None:
        total = 0.0
        for batch in self._batches(permutation):
            stepping.zero_grad(set_to_none=True)
            if len(batch):
                loss = self._loss(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item() * len(batch)
            else:
                secret.set_empty_gradients(self.model)
            stepping.step()
            self.at.steps += 1
        self.at.epochs += 1
        if not math.isfinite(total):
            raise _diverged()
        if self.stream is None:
            self.at.losses.append(total / self.rows)

    def _batches(self, permutation: torch.Tensor) -> Iterator[torch.Tensor]:
        import torch

        if self.stream is None:
            yield from torch.split(permutation, self.settings.batch_size)
            return
        rate = secret.sample_rate(self.rows, self.settings.batch_size)
        for _ in range(secret.steps(self.rows, self.settings.batch_size)):
            torch.manual_seed(self.stream.seed())  # dropout
            yield torch.from_numpy(self.stream.uniform(self.rows) < rate).nonzero().squeeze(1)

    def _loss(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        device, says = self.context.device, self.description.answer
        inputs, targets = self.inputs[batch].to(device), self.targets[batch].to(device)
        if inputs.dtype == torch.uint8:
            inputs = inputs.float() / 255
        outputs: torch.Tensor = self.model(inputs)
        functional = torch.nn.functional
        if isinstance(says, Number):
            return functional.mse_loss((outputs.squeeze(1) - says.mean) / says.deviation, targets)
        if says.classes == 2:
            return functional.binary_cross_entropy_with_logits(outputs.squeeze(1), targets)
        return functional.cross_entropy(outputs, targets)

    def _state(self) -> dict[str, torch.Tensor]:
        """The weights, or a FormatError if they are not finite."""
        prefix = "" if self.stream is None else _WRAPPED
        found = {name.removeprefix(prefix): tensor for name, tensor in weights.state_of(self.model).items()}
        state = {name: found[name] for name in self.description.shapes()}  # opacus' LSTM has its own names beside these
        if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
            raise _diverged()
        return state

    def _checkpoint(self) -> None:
        """The next link of the chain; where checkpoints are kept, all that is needed to go on from here."""
        at = self.at
        tensors, steps = self._state(), optimizer_tensors(self.optimizer)
        digests = [digest(each) for digest, each in zip(self.digests, (tensors, steps), strict=True)]
        before = bytes.fromhex(at.chain[-1].link) if at.chain else self.start
        loss = at.losses[-1] if at.losses else None
        link = next_link(before, step=at.steps, weights=digests[0], optimizer=digests[1], loss=loss)
        at.chain.append(
            Checkpoint(
                epoch=at.epochs, step=at.steps, weights=digests[0], optimizer=digests[1], link=link.hex(), loss=loss
            )
        )
        if self.context.checkpoints is not None:
            state = State(
                losses=tuple(at.losses),
                chain=tuple(at.chain),
                weights=dump_tensors(tensors),
                optimizer=dump_tensors(steps),
                generators=dump_tensors(generators(self.context.device)),
                stream=self.stream,
            )
            self.context.checkpoints.keep(self.work, state.dump())

    def _resume(self) -> None:
        """Go on from what was kept of this very work, if anything was."""
        kept = None if self.context.checkpoints is None else self.context.checkpoints.latest(self.work)
        state = None if kept is None else load_state(kept, start=self.start)
        if state is None:
            return
        prefix = "" if self.stream is None else _WRAPPED
        tensors = {f"{prefix}{name}": tensor for name, tensor in load_tensors(state.weights).items()}
        self.model.load_state_dict(tensors, strict=False)  # the counts of batches are not kept
        restore(state, self.optimizer, device=self.context.device)
        if self.stream is not None:
            self.stream = state.stream
        last = state.chain[-1]
        self.at = _Run(losses=list(state.losses), epochs=last.epoch, steps=last.step, chain=list(state.chain))


def _targets(description: TorchDescription, labels: Array) -> torch.Tensor:
    import torch

    says = description.answer
    if isinstance(says, Number):
        return torch.from_numpy(((labels - says.mean) / says.deviation).astype("float32"))
    return torch.tensor(labels, dtype=torch.float32 if says.classes == 2 else torch.int64)


def _optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    import torch

    wanted = settings.optimizer
    if isinstance(wanted, Adam):
        return torch.optim.Adam(
            model.parameters(),
            lr=wanted.learning_rate,
            betas=(wanted.beta1, wanted.beta2),
            eps=wanted.epsilon,
            weight_decay=wanted.weight_decay,
            foreach=False,
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=wanted.learning_rate,
        momentum=wanted.momentum,
        nesterov=wanted.nesterov,
        weight_decay=wanted.weight_decay,
        foreach=False,
    )


def _diverged() -> FormatError:
    return FormatError(
        "expected finite weights, got others", reason="training-diverged", hint="lower the learning rate"
    )
