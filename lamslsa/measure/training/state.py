"""The state of an interrupted training as bytes: JSON and safetensors, and nothing that runs.

    u64be(length of JSON) ‖ JSON ‖ weights ‖ optimiser state ‖ generators, the last three as safetensors

Whoever keeps it has to seal it (`lamslsa.measure.checkpoints`): of a private training it holds the key of the noise.
What does not parse, or is not what its own chain says, is as good as nothing kept: training starts over.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.measure.interface import Device
from lamslsa.measure.training.chain import Checkpoint, next_link
from lamslsa.measure.training.privacy import SecretStream

if TYPE_CHECKING:
    import torch

__all__ = [
    "State",
    "TensorDigest",
    "dump_tensors",
    "generators",
    "load_state",
    "load_tensors",
    "optimizer_tensors",
    "restore",
]

_MAX_HEADER: Final = 16 * 1024 * 1024


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    losses: tuple[float, ...]
    chain: tuple[Checkpoint, ...]
    sizes: tuple[int, int, int]
    key: str | None
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A training after some epoch.

    Attributes:
        losses: of each epoch so far; empty with privacy.
        chain: the checkpoints so far, at least one; the last is of this very moment.
        weights: safetensors, as are ``optimizer`` and ``generators``.
        stream: the secret randomness of a private training.
    """

    losses: tuple[float, ...]
    chain: tuple[Checkpoint, ...]
    weights: bytes
    optimizer: bytes
    generators: bytes
    stream: SecretStream | None

    def dump(self) -> bytes:
        """The bytes to keep."""
        parts = (self.weights, self.optimizer, self.generators)
        header = _Header(
            losses=self.losses,
            chain=self.chain,
            sizes=(len(parts[0]), len(parts[1]), len(parts[2])),
            key=None if self.stream is None else self.stream.key.hex(),
            used=0 if self.stream is None else self.stream.used,
        )
        data = _codec.dumps(msgspec.to_builtins(header))
        return b"".join((struct.pack(">Q", len(data)), data, *parts))


def load_state(data: bytes, *, start: bytes) -> State | None:
    """What was kept, or None if it is not the state of a training whose chain starts with ``start``."""
    try:
        state = _parsed(data)
    except (msgspec.ValidationError, FormatError, ValueError, struct.error):
        return None
    link = start
    for item in state.chain:
        link = next_link(link, step=item.step, weights=item.weights, optimizer=item.optimizer, loss=item.loss)
    digests = [hashlib.sha256(part).hexdigest() for part in (state.weights, state.optimizer)]
    if not state.chain or link.hex() != state.chain[-1].link:
        return None
    return state if digests == [state.chain[-1].weights, state.chain[-1].optimizer] else None


def _parsed(data: bytes) -> State:
    (length,) = struct.unpack(">Q", data[:8])
    header = msgspec.convert(_codec.loads(data[8 : 8 + length], max_bytes=_MAX_HEADER), _Header, strict=True)
    ends = [8 + length]
    for size in header.sizes:
        ends.append(ends[-1] + size)
    if min(header.sizes) < 0 or ends[-1] != len(data):
        raise ValueError("expected three parts, got others")
    parts = [data[begin:end] for begin, end in pairwise(ends)]
    return State(
        losses=header.losses,
        chain=header.chain,
        weights=parts[0],
        optimizer=parts[1],
        generators=parts[2],
        stream=None if header.key is None else SecretStream(bytes.fromhex(header.key), header.used),
    )


def dump_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Tensors as safetensors; equal tensors are equal bytes."""
    import safetensors.torch

    data: bytes = safetensors.torch.save(dict(tensors))
    return data


def load_tensors(data: bytes) -> dict[str, torch.Tensor]:
    """What `dump_tensors` wrote."""
    import safetensors.torch

    tensors: dict[str, torch.Tensor] = safetensors.torch.load(data)
    return tensors


class TensorDigest:
    """SHA-256 of what `dump_tensors` writes, over and over for tensors of the same names, types and shapes.

    The file is written out once, for its header and the order of its tensors; after that their memory is hashed where
    it is.
    """

    def __init__(self) -> None:
        self._layout: dict[str, tuple[torch.dtype, torch.Size]] = {}
        self._header = b""
        self._order: list[str] = []

    def __call__(self, tensors: Mapping[str, torch.Tensor]) -> str:
        """The digest in hex; the tensors are contiguous and on the CPU."""
        import torch

        layout = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
        if not self._header or layout != self._layout:
            data = dump_tensors(tensors)
            end = 8 + int.from_bytes(data[:8], "little")
            begins = {name: entry["data_offsets"] for name, entry in json.loads(data[8:end]).items()}
            self._layout, self._header, self._order = layout, data[:end], sorted(begins, key=begins.__getitem__)
        digest = hashlib.sha256(self._header)
        for name in self._order:
            digest.update(tensors[name].view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The moments and counts of an optimiser as ``<parameter>.<name>``: on the CPU, contiguous, changed by a step."""
    import torch

    return {
        f"{index}.{name}": value.detach().cpu().contiguous()
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if isinstance(value, torch.Tensor)
    }


def generators(device: Device) -> dict[str, torch.Tensor]:
    """The states of torch's global generators."""
    import torch

    found = {"cpu": torch.get_rng_state()}
    if device == "cuda":
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def restore(state: State, optimizer: torch.optim.Optimizer, *, device: Device) -> None:
    """Put back the optimiser's tensors and torch's global generators."""
    import torch

    entries: dict[int, dict[str, Any]] = {}
    for name, tensor in load_tensors(state.optimizer).items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    found = load_tensors(state.generators)
    torch.set_rng_state(found["cpu"])
    if device == "cuda":
        torch.cuda.set_rng_state(found["cuda"])
