"""The architecture ``onnx/1``: a graph of plain arithmetic in ``model.onnx``, described by ``model.json``.

    {"architecture": "onnx/1", "inputs": {"type": "table", "features": […]}, "label": "income", "classes": 2}

``inputs`` says how examples become numbers: features as in `lamslsa.measure.models.mlp`, or images of a shape, values
from 0 to 1. ``classes`` is the number of classes, or null where the model says a number. The graph has the input
``input``, float32 (1 or any, width) or (1 or any, channels, height, width), and one output, float32: ``probabilities``
(1 or any, classes), or ``value`` (1 or any, 1).

Rules:
- `lamslsa.measure.models.onnx_graph` reads the graph before the runtime does, and refuses what is more than arithmetic.
- onnxruntime gets the bytes, never a path, on the CPU, on one thread, with every graph optimisation switched off: what
  the graph says is what is computed.
- Each example is answered by itself, so that none can see another: an answer is the same in whatever batch.
- Probabilities lie in 0 to 1 and add up to 1 (within `TOLERANCE`); anything else is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.measure.models.mlp import CategoryFeature, Feature, input_width
from lamslsa.measure.models.onnx_graph import INPUT, parse_onnx

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    Array = np.ndarray[Any, Any]

__all__ = [
    "ARCHITECTURE",
    "ONNX_FILE",
    "TOLERANCE",
    "Images",
    "OnnxDescription",
    "TableInputs",
    "dump_onnx_description",
    "open_onnx",
    "output_name",
    "parse_onnx_description",
]

ARCHITECTURE: Final = "onnx/1"
ONNX_FILE: Final = "model.onnx"
TOLERANCE: Final = 1e-4
_MAX_DESCRIPTION_BYTES: Final = 16 * 1024 * 1024
_MAX_INPUTS: Final = 2**20

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class TableInputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="table"):
    """Rows of a table, one input for each number and each category."""

    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1, max_length=2048)]


class Images(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="images"):
    """Images of one shape, values from 0 to 1."""

    channels: Literal[1, 3]
    height: _Side
    width: _Side


class OnnxDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``model.json`` says."""

    architecture: Literal["onnx/1"]
    inputs: TableInputs | Images
    label: _Name
    classes: Annotated[int, msgspec.Meta(ge=2, le=10_000)] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        if isinstance(self.inputs, TableInputs):
            return (input_width(self.inputs.features),)
        return (self.inputs.channels, self.inputs.height, self.inputs.width)


def dump_onnx_description(description: OnnxDescription) -> bytes:
    """The bytes of ``model.json``: RFC 8785, so that equal models are equal files."""
    return _codec.canonical_with_fractions(msgspec.to_builtins(description))


def parse_onnx_description(data: bytes) -> OnnxDescription:
    """Parse the untrusted bytes of ``model.json``.

    Raises:
        FormatError: not strict JSON, a field missing, unknown or out of bounds, or features that contradict each other.
    """
    value = _codec.loads(data, max_bytes=_MAX_DESCRIPTION_BYTES)
    try:
        description = msgspec.convert(value, OnnxDescription, strict=True)
    except msgspec.ValidationError as err:
        message = str(err)
        raise FormatError(
            f"expected a model description, got {message[:1].lower()}{message[1:200]}", reason="model-description"
        ) from err
    if isinstance(description.inputs, TableInputs):
        _refuse_features(description.inputs.features, description.label)
    if not 1 <= (width := _product(description.shape)) <= _MAX_INPUTS:
        raise FormatError(f"expected 1 to {_MAX_INPUTS} inputs, got {width}", reason="model-size")
    return description


def _refuse_features(features: tuple[Feature, ...], label: str) -> None:
    names = [feature.name for feature in features]
    if len(set(names)) != len(names) or label in names:
        raise FormatError("expected each feature once and no label among them, got others", reason="model-description")
    for feature in features:
        if isinstance(feature, CategoryFeature) and list(feature.categories) != sorted(set(feature.categories)):
            raise FormatError(
                f"expected sorted and unique categories of {feature.name!r}, got others", reason="model-description"
            )


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


def output_name(description: OnnxDescription) -> str:
    """What the only output of the graph is called."""
    return "value" if description.classes is None else "probabilities"


def open_onnx(description: OnnxDescription, data: bytes) -> Callable[[Array], Array]:
    """A function from a batch of inputs to what `lamslsa.measure.models.predict.predict` gives.

    Raises:
        FormatError: the graph is refused, or it does not fit the description.
    """
    model = parse_onnx(data, output=output_name(description))
    outputs = (1 if description.classes is None else description.classes,)
    _refuse_shape(model.graph.input[0], description.shape)
    _refuse_shape(model.graph.output[0], outputs)
    return _answers(_session(data), description)


def _refuse_shape(value: Any, wanted: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    found = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
    if not found or found[0] not in (None, 1) or found[1:] != wanted:
        raise FormatError(
            f"expected {value.name} of shape (any, {', '.join(map(str, wanted))}), got {found[:8]!a}",
            reason="model-shape",
        )


def _session(data: bytes) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as err:
        raise UnavailableError(
            "expected the package onnxruntime, got none", reason="environment-package", hint="pip install onnxruntime"
        ) from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")
    with _translated():
        return onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _translated() -> Any:
    """The runtime raises classes of its own below RuntimeError and Exception alike."""
    try:
        yield
    except Exception as err:
        message = " ".join(str(err).split())[:200]
        raise FormatError(f"expected an ONNX graph that runs, got an error: {message}", reason="onnx-run") from err


def _answers(session: onnxruntime.InferenceSession, description: OnnxDescription) -> Callable[[Array], Array]:
    wanted = (1, 1 if description.classes is None else description.classes)

    def answer(inputs: Array) -> Array:
        import numpy as np

        rows = np.empty((len(inputs), wanted[1]), dtype=np.float32)
        with _translated():
            for index in range(len(inputs)):
                (found,) = session.run(None, {INPUT: np.ascontiguousarray(inputs[index : index + 1])})
                if found.shape != wanted:
                    raise ValueError(f"an output of shape {found.shape[:8]}")
                rows[index] = found[0]
        if description.classes is None:
            return rows[:, 0]
        sums = rows.sum(axis=1, dtype=np.float64)
        # written so that NaN is refused too
        if not bool(((rows >= 0) & (rows <= 1)).all() and (np.abs(sums - 1) <= TOLERANCE).all()):
            raise FormatError(
                "expected probabilities that add up to 1, got others",
                reason="onnx-probabilities",
                hint="the graph must end in a sigmoid or softmax",
            )
        return rows[:, 1] if description.classes == 2 else rows

    return answer
