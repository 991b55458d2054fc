"""A model from verified bytes, without running anything that came with it.

Steps, each of which refuses:
1. The folder holds ``model.json``, weights in a safe format and documentation, and nothing else: every other file could
   be code to some loader (pickle, TorchScript, ``.pt2``), and then nobody could say which weights were meant.
2. ``model.json`` is parsed strictly and bounded, by the architecture that it names.
3. The weights are the one file that this architecture keeps them in.
4. They hold exactly the tensors that the description asks for, by name, shape and type, and every weight is finite
   (`lamslsa.measure.models.weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.artifact.manifest import Manifest, layer_type
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.interface import Device
from lamslsa.measure.models import cnn, int8, lstm, mlp, onnx_model, vgg, weights
from lamslsa.measure.models.interface import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Classes,
    Description,
    TorchDescription,
    load_description,
    parse_as,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["ARCHITECTURES", "Architecture", "LoadedModel", "load_model", "parse_description"]

_TORCH: Final = ("numpy", "safetensors", "torch")
_DOCUMENTATION: Final = "application/vnd.cncf.model.doc.v1.raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that answers, and what it was built from.

    Attributes:
        description: what ``model.json`` says.
        network: gives the logits (n, outputs) or the numbers (n, 1) of a batch in evaluation mode, on the device that
            it was loaded for; None where there is no gradient to be had.
        answer: a batch of inputs to what `lamslsa.measure.models.predict.predict` gives.
    """

    description: Description
    network: torch.nn.Module | None
    answer: Callable[[Array], Array]

    @property
    def architecture(self) -> str:
        """By name and version."""
        return self.description.architecture

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that its answers come from."""
        return ARCHITECTURES[self.architecture].packages

    @property
    def label(self) -> str:
        """The column that it predicts."""
        return self.description.label

    @property
    def task(self) -> Task:
        """What it says about an example."""
        return self.description.task


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How models of one architecture are stored.

    Attributes:
        description: what ``model.json`` is parsed as.
        weights: the file of the weights.
        packages: the distributions that the answers of such a model come from.
        load: description, file of the weights and device to the model.
    """

    description: type[Any]
    weights: str
    packages: tuple[str, ...]
    load: Callable[[Any, VerifiedFile, Device], LoadedModel]


def load_model(artifact: VerifiedArtifact, *, device: Device = "cpu") -> LoadedModel:
    """Build the model that the verified files describe.

    Args:
        artifact: the files.
        device: where the network is to live; `LoadedModel.answer` takes and gives NumPy's arrays in any case.

    Raises:
        FormatError: one of the steps of this module refused.
    """
    # (1) nothing but data and documentation
    paths = _refuse_files(artifact.manifest)
    # (2) what is to be built
    description = parse_description(artifact.file(DESCRIPTION_FILE).bytes())
    architecture = ARCHITECTURES[description.architecture]
    # (3) the one file of weights
    if paths != {DESCRIPTION_FILE, architecture.weights}:
        raise FormatError(
            f"expected {architecture.weights} in the model folder, got {', '.join(sorted(paths))}",
            reason="model-files",
        )
    # (4) the weights
    return architecture.load(description, artifact.file(architecture.weights), device)


def parse_description(data: bytes) -> Description:
    """Parse the untrusted bytes of ``model.json``, by the architecture that it names.

    Raises:
        FormatError: not strict JSON, an unknown architecture, or a mistake in its fields.
    """
    value = load_description(data)
    name = value.get("architecture") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise FormatError(
            f"expected a model description with a known architecture, got {name!a:.80}",
            reason="model-description",
            hint=f"known: {', '.join(ARCHITECTURES)}",
        )
    description: Description = parse_as(value, ARCHITECTURES[name].description)
    return description


def _refuse_files(manifest: Manifest) -> set[str]:
    """The paths that are no documentation."""
    if manifest.kind != "model":
        raise FormatError(f"expected a model, got a {manifest.kind}", reason="model-kind")
    paths = {entry.path for entry in manifest.files}
    if DESCRIPTION_FILE not in paths:
        raise FormatError(f"expected {DESCRIPTION_FILE} in the model folder, got none", reason="model-files")
    data = {path for path in paths if layer_type("model", path) != _DOCUMENTATION}
    safe = {DESCRIPTION_FILE, *(item.weights for item in ARCHITECTURES.values())}
    for path in sorted(data - safe):
        raise FormatError(
            f"expected {', '.join(sorted(safe))} and documentation, got {path!a}",
            reason="model-unsafe-file",
            hint="remove the file; weights come as safetensors, or as ONNX where the architecture says so",
        )
    return data


def _load_torch(description: TorchDescription, file: VerifiedFile, device: Device) -> LoadedModel:
    network = weights.build(description, weights.load(file, description)).to(device).eval()
    return LoadedModel(description=description, network=network, answer=_answering(description, network, device))


def _load_int8(description: int8.Description, file: VerifiedFile, device: Device) -> LoadedModel:
    network = weights.build(description.inner, int8.load(file, description)).to(device).eval()
    return LoadedModel(description=description, network=network, answer=_answering(description.inner, network, device))


def _load_onnx(description: onnx_model.Description, file: VerifiedFile, device: Device) -> LoadedModel:
    """The runtime that we build in has no GPU: wherever the other tensors live, this model answers on the CPU."""
    del device
    return LoadedModel(description=description, network=None, answer=onnx_model.open_onnx(description, file.bytes()))


def _answering(description: TorchDescription, network: torch.nn.Module, device: Device) -> Callable[[Array], Array]:
    says = description.answer

    def answer(inputs: Array) -> Array:
        import torch

        network.eval()
        with torch.inference_mode():
            outputs = network(torch.from_numpy(inputs).to(device))
            if isinstance(says, Classes):
                outputs = torch.sigmoid(outputs) if says.classes == 2 else torch.softmax(outputs, dim=1)
            scores: Array = (outputs if outputs.shape[1] > 1 else outputs.squeeze(1)).cpu().numpy()
        return scores

    return answer


def _torch(description: type[Any]) -> Architecture:
    return Architecture(description=description, weights=WEIGHTS_FILE, packages=_TORCH, load=_load_torch)


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    mlp.ARCHITECTURE: _torch(mlp.Description),
    cnn.ARCHITECTURE: _torch(cnn.Description),
    vgg.ARCHITECTURE: _torch(vgg.Description),
    lstm.ARCHITECTURE: _torch(lstm.Description),
    int8.ARCHITECTURE: Architecture(
        description=int8.Description, weights=WEIGHTS_FILE, packages=_TORCH, load=_load_int8
    ),
    onnx_model.ARCHITECTURE: Architecture(
        description=onnx_model.Description,
        weights=onnx_model.ONNX_FILE,
        packages=("numpy", "onnx", "onnxruntime"),
        load=_load_onnx,
    ),
}
