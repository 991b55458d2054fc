"""A model from verified bytes, without running anything that came with it.

Steps, each of which refuses:
1. The folder holds ``model.json``, ``model.safetensors`` and documentation, and nothing else: every other file could be
   code to some loader (pickle, TorchScript, ``.pt2``), and then nobody could say which weights were meant.
2. ``model.json`` is parsed strictly and bounded (`lamslsa.measure.models.mlp`).
3. The weights hold exactly the tensors that the description asks for, by name, shape and type.
4. Every weight is finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.manifest import Manifest, layer_type
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.mlp import (
    DESCRIPTION_FILE,
    MAX_PARAMETERS,
    WEIGHTS_FILE,
    Description,
    network,
    parse_description,
    shapes,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["LoadedModel", "load_model"]

_DOCUMENTATION: Final = "application/vnd.cncf.model.doc.v1.raw"
_MAX_WEIGHT_BYTES: Final = 4 * MAX_PARAMETERS + 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that answers, and what it was built from.

    Attributes:
        architecture: by name and version.
        label: the column that it predicts.
        task: what it says about an example.
        network: gives the logits of a batch in evaluation mode; None where there is no gradient to be had.
        answer: a batch of inputs to what `lamslsa.measure.models.predict.predict` gives.
    """

    architecture: str
    label: str
    task: Task
    description: Description
    network: torch.nn.Module | None
    answer: Callable[[Array], Array]


def load_model(artifact: VerifiedArtifact) -> LoadedModel:
    """Build the model that the verified files describe.

    Raises:
        FormatError: one of the steps of this module refused.
    """
    # (1) nothing but data and documentation
    _refuse_files(artifact.manifest)
    # (2) what is to be built
    description = parse_description(artifact.file(DESCRIPTION_FILE).bytes())
    # (3), (4) the weights
    state = _weights(artifact, description)
    import torch

    with torch.device("meta"):
        model = network(description)
    model.load_state_dict(state, strict=True, assign=True)
    return LoadedModel(
        architecture=description.architecture,
        label=description.label,
        task=Task(classes=2),
        description=description,
        network=model.eval(),
        answer=_probabilities(model),
    )


def _probabilities(model: torch.nn.Module) -> Callable[[Array], Array]:
    def answer(inputs: Array) -> Array:
        import torch

        with torch.inference_mode():
            scores: Array = torch.sigmoid(model(torch.from_numpy(inputs)).squeeze(1)).numpy()
        return scores

    return answer


def _refuse_files(manifest: Manifest) -> None:
    if manifest.kind != "model":
        raise FormatError(f"expected a model, got a {manifest.kind}", reason="model-kind")
    paths = {entry.path for entry in manifest.files}
    for path in (DESCRIPTION_FILE, WEIGHTS_FILE):
        if path not in paths:
            raise FormatError(f"expected {path} in the model folder, got none", reason="model-files")
    for path in sorted(paths - {DESCRIPTION_FILE, WEIGHTS_FILE}):
        if layer_type("model", path) != _DOCUMENTATION:
            raise FormatError(
                f"expected {DESCRIPTION_FILE}, {WEIGHTS_FILE} and documentation, got {path!a}",
                reason="model-unsafe-file",
                hint="remove the file; weights come as safetensors only",
            )


def _weights(artifact: VerifiedArtifact, description: Description) -> dict[str, torch.Tensor]:
    import safetensors
    import safetensors.torch
    import torch

    file = artifact.file(WEIGHTS_FILE)
    if file.entry.size > _MAX_WEIGHT_BYTES:
        raise FormatError(
            f"expected at most {_MAX_WEIGHT_BYTES} bytes of weights, got {file.entry.size}", reason="model-size"
        )
    try:
        state: dict[str, torch.Tensor] = safetensors.torch.load(file.bytes())
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as err:
        raise FormatError("expected safetensors, got other bytes", reason="model-weights") from err
    expected = shapes(description)
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
