"""Weights as safetensors: exactly the tensors of a description, float32 and finite, and nothing that runs.

Counts of batches that a batch normalisation keeps beside its statistics are no weights: with a fixed momentum nothing
reads them, and they are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.models.interface import MAX_PARAMETERS, TorchDescription
from lamslsa.measure.models.safetensors_file import MalformedError, parse_safetensors

if TYPE_CHECKING:
    import torch

__all__ = ["build", "dump", "load", "read_tensors", "state_of"]

_MAX_WEIGHT_BYTES: Final = 4 * MAX_PARAMETERS + 16 * 1024 * 1024
_COUNT: Final = "num_batches_tracked"


def load(file: VerifiedFile, description: TorchDescription) -> dict[str, torch.Tensor]:
    """The tensors of a verified file.

    Raises:
        FormatError: not safetensors, too large, or not the tensors that the description asks for.
    """
    import torch

    state = read_tensors(file)
    expected = description.shapes()
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise FormatError(
            f"expected the tensors of {description.architecture} as described, got another {wrong[0][:80]!a}",
            reason="model-shape",
        )
    for name, tensor in state.items():
        if tensor.dtype != torch.float32:
            raise FormatError(f"expected float32 in {name}, got {tensor.dtype}", reason="model-type")
        if not bool(tensor.isfinite().all()):
            raise FormatError(f"expected finite weights in {name}, got others", reason="model-not-finite")
    return state


def read_tensors(file: VerifiedFile) -> dict[str, torch.Tensor]:
    """Whatever tensors a verified file holds, each named once.

    Raises:
        FormatError: not safetensors, or too large.
    """
    import safetensors
    import safetensors.torch

    if file.entry.size > _MAX_WEIGHT_BYTES:
        raise FormatError(
            f"expected at most {_MAX_WEIGHT_BYTES} bytes of weights, got {file.entry.size}", reason="model-size"
        )
    data = file.bytes()
    try:
        parse_safetensors(memoryview(data))
        state: dict[str, torch.Tensor] = safetensors.torch.load(data)
    except MalformedError as err:
        raise FormatError(f"expected safetensors, got {err}", reason="model-weights") from err
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as err:
        raise FormatError("expected safetensors, got other bytes", reason="model-weights") from err
    return state


def build(description: TorchDescription, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The network with these weights, which it takes over without a copy."""
    import torch

    with torch.device("meta"):
        model = description.network()
    counts = {name: torch.zeros((), dtype=torch.int64) for name, _ in model.named_buffers() if name.endswith(_COUNT)}
    model.load_state_dict({**state, **counts}, strict=True, assign=True)
    return model


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network as they are stored: on the CPU, contiguous."""
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith(_COUNT)
    }


def dump(state: dict[str, torch.Tensor]) -> bytes:
    """The bytes of ``model.safetensors``: equal weights are equal files, in whatever order they come."""
    import safetensors.torch

    data: bytes = safetensors.torch.save(state)
    return data
