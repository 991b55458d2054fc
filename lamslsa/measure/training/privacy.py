"""DP-SGD by opacus: per-example gradients, clipped, summed and noised (Abadi et al. 2016, algorithm 1).

Neighbours differ by one row, added or removed; the number of rows counts as known. Each step takes every row with
probability batchSize / rows, independently, and there are ceil(rows / batchSize) steps an epoch. The sum of the clipped
gradients and the noise is divided by batchSize, never by how many rows there happened to be.

**Who knows the randomness has the rows.** Noise that anyone can compute again is no noise, and rows that anyone can
draw again are not a sample. So sampling, noise and dropout come from a key that is drawn inside, from the system's
randomness; in an enclave that is the processor's. The key is in no statement; it lies in sealed checkpoints only. The
seed decides the first weights and nothing else. Hence a private model cannot be made again, and its statement says so
(``reproducible: false``).

The noise is the keystream of AES-256-CTR turned into normal deviates by the inverse distribution function, each of them
a sum of four, halved: the lowest bits of one float then tell nothing about the sum (Holohan and Braghin 2021, section
5.1, as opacus' secure mode).

Not covered by epsilon: what is learned from the rows before training (means, categories, vocabulary), which stands in
``model.json``; the statement names it in ``notCovered``.
"""

from __future__ import annotations

import math
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.measure.training.settings import Privacy

if TYPE_CHECKING:
    import numpy as np
    import torch
    from opacus.optimizers import DPOptimizer

__all__ = [
    "KEY_BYTES",
    "SecretStream",
    "epsilon",
    "private_model",
    "private_optimizer",
    "quiet",
    "sample_rate",
    "set_empty_gradients",
    "steps",
]

KEY_BYTES: Final = 32
_BLOCK: Final = 2**20


class SecretStream:
    """Random numbers that nobody outside can know: AES-256 in counter mode under a key of its own.

    Attributes:
        key: secret; kept in sealed checkpoints, so that an interrupted training goes on with the same noise.
        used: how many 16-byte blocks of the keystream are spent.
    """

    def __init__(self, key: bytes | None = None, used: int = 0) -> None:
        self.key = secrets.token_bytes(KEY_BYTES) if key is None else key
        self.used = used

    def uniform(self, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Numbers strictly between 0 and 1, each one of 2^52 with the same probability."""
        import numpy as np

        blocks = -(-8 * count // 16)
        words = np.frombuffer(self._keystream(blocks), dtype="<u8")[:count]
        values: np.ndarray[Any, np.dtype[np.float64]] = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return values

    def normal(self, shape: tuple[int, ...], deviation: float) -> torch.Tensor:
        """Normal deviates, float32, on the CPU."""
        import numpy as np
        import torch
        from scipy.special import ndtri

        count = math.prod(shape)
        values = np.empty(count, dtype=np.float64)
        for start in range(0, count, _BLOCK):
            part = min(_BLOCK, count - start)
            values[start : start + part] = ndtri(self.uniform(4 * part)).reshape(4, part).sum(axis=0) / 2
        return torch.from_numpy((values * deviation).astype(np.float32).reshape(shape))

    def seed(self) -> int:
        """A seed for torch's own generator."""
        return int.from_bytes(self._keystream(1)[:7], "big")

    def _keystream(self, blocks: int) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        start = self.used.to_bytes(16, "big")
        self.used += blocks
        return Cipher(algorithms.AES(self.key), modes.CTR(start)).encryptor().update(bytes(16 * blocks))


def sample_rate(rows: int, batch_size: int) -> float:
    """With what probability a row is in a batch."""
    return min(1.0, batch_size / rows)


def steps(rows: int, batch_size: int) -> int:
    """How many steps an epoch has."""
    return math.ceil(rows / batch_size)


def private_model(network: torch.nn.Module) -> torch.nn.Module:
    """The network with per-example gradients; its weights are named as before.

    Raises:
        FormatError: a layer mixes examples, as batch normalisation does.
        UnavailableError: opacus is not installed.
    """
    try:
        from opacus import GradSampleModule
    except ImportError as err:
        raise UnavailableError(
            "expected the package opacus, got none", reason="privacy-unavailable", hint="pip install 'lamslsa[privacy]'"
        ) from err
    import torch

    if any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()):
        raise FormatError(
            "expected layers that keep rows apart, got batch normalisation",
            reason="privacy-layer",
            hint="batchNorm: false",
        )
    for name, child in list(network.named_children()):
        if isinstance(child, torch.nn.LSTM):
            setattr(network, name, _per_example(child))
    wrapped: torch.nn.Module = GradSampleModule(network, batch_first=True, loss_reduction="mean")
    return wrapped


def _per_example(lstm: torch.nn.LSTM) -> torch.nn.Module:
    """The same LSTM out of opacus' layers, of which each example's gradient is known; its weights keep their names."""
    from opacus.layers import DPLSTM

    own: torch.nn.Module = DPLSTM(
        lstm.input_size,
        lstm.hidden_size,
        num_layers=lstm.num_layers,
        bidirectional=lstm.bidirectional,
        batch_first=lstm.batch_first,
    )
    own.load_state_dict(lstm.state_dict())
    return own.to(next(lstm.parameters()).device)


def private_optimizer(
    optimizer: torch.optim.Optimizer, privacy: Privacy, *, batch_size: int, stream: SecretStream
) -> DPOptimizer:
    """The optimiser with clipping, and with noise from the stream."""
    from opacus.optimizers import DPOptimizer

    class SecretOptimizer(DPOptimizer):  # type: ignore[misc]  # opacus has no types
        def add_noise(self) -> None:
            for parameter in self.params:
                deviation = privacy.noise_multiplier * privacy.max_grad_norm
                noise = stream.normal(tuple(parameter.summed_grad.shape), deviation).to(parameter.device)
                parameter.grad = (parameter.summed_grad + noise).view_as(parameter)

    return SecretOptimizer(
        optimizer,
        noise_multiplier=privacy.noise_multiplier,
        max_grad_norm=privacy.max_grad_norm,
        expected_batch_size=batch_size,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings of opacus and torch about hooks, and about bounds that are not the tightest."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield


def set_empty_gradients(model: torch.nn.Module) -> None:
    """What a step without a row has: no gradient of anything, to which the noise is added as to every other."""
    for parameter in model.parameters():
        parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))  # type: ignore[attr-defined]


def epsilon(privacy: Privacy, *, rate: float, count: int) -> float:
    """What the accountant says after ``count`` steps at this sample rate, as an upper bound.

    ``prv``: Gopi, Lee and Wutschitz 2021; ``rdp``: Mironov, Talwar and Zhang 2019.

    Raises:
        FormatError: the accountant has no finite answer.
    """
    import numpy as np
    from opacus.accountants import create_accountant

    accountant = create_accountant(privacy.accountant)
    accountant.history = [(privacy.noise_multiplier, rate, count)]
    try:
        with quiet(), np.errstate(divide="ignore"):  # a sample rate of 1 has the logarithm of 0 on its way
            value = float(accountant.get_epsilon(delta=privacy.delta))
    except (ValueError, RuntimeError, OverflowError, MemoryError) as err:
        raise _no_answer(privacy) from err
    if not math.isfinite(value):
        raise _no_answer(privacy)
    return value


def _no_answer(privacy: Privacy) -> FormatError:
    return FormatError(
        f"expected an epsilon that {privacy.accountant} can compute, got none",
        reason="privacy-epsilon",
        hint="raise noiseMultiplier",
    )
