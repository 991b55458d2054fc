"""The architecture ``onnx/1``: a graph of plain arithmetic in ``model.onnx``, described by ``model.json``.

    {"architecture": "onnx/1", "reads": {"type": "table", "features": […]}, "label": "income", "classes": 2}

``reads`` says how examples become numbers: by the features of `lamslsa.measure.models.features`, or as images of a
shape, values from 0 to 1. ``classes`` is the number of classes, or null where the model says a number. The graph has
the input ``input``, float32 (1 or any, width) or (1 or any, channels, height, width), and one output, float32:
``probabilities`` (1 or any, classes), or ``value`` (1 or any, 1).

Rules:
- `lamslsa.measure.models.onnx_graph` reads the graph before the runtime does, and refuses what is more than arithmetic.
- onnxruntime gets the bytes, never a path, on the CPU, on one thread, with every graph optimisation switched off: what
  the graph says is what is computed.
- Each example is answered by itself, so that none can see another: an answer is the same in whatever batch.
- Probabilities lie in 0 to 1 and add up to 1 (within `TOLERANCE`); anything else is refused.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.features import MAX_INPUTS, Feature, input_width, refuse_features
from lamslsa.measure.models.interface import ImageInputs, Inputs, Name, TableInputs
from lamslsa.measure.models.onnx_graph import INPUT, parse_onnx

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    Array = np.ndarray[Any, Any]

__all__ = ["ARCHITECTURE", "ONNX_FILE", "TOLERANCE", "Description", "Images", "Rows", "open_onnx"]

ARCHITECTURE: Final = "onnx/1"
ONNX_FILE: Final = "model.onnx"
TOLERANCE: Final = 1e-4

_Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class Rows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="table"):
    """Rows of a table, one input for each number and each category."""

    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1, max_length=2048)]


class Images(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="images"):
    """Images of one shape, values from 0 to 1."""

    channels: Literal[1, 3]
    height: _Side
    width: _Side


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``model.json`` says."""

    architecture: Literal["onnx/1"]
    reads: Rows | Images
    label: Name
    classes: Annotated[int, msgspec.Meta(ge=2, le=10_000)] | None

    @property
    def task(self) -> Task:
        """What the model says about an example."""
        return Task(classes=self.classes)

    @property
    def inputs(self) -> Inputs:
        """What the model reads."""
        if isinstance(self.reads, Rows):
            return TableInputs(features=self.reads.features)
        return ImageInputs(channels=self.reads.channels, height=self.reads.height, width=self.reads.width)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        if isinstance(self.reads, Rows):
            return (input_width(self.reads.features),)
        return (self.reads.channels, self.reads.height, self.reads.width)

    @property
    def output(self) -> str:
        """What the only output of the graph is called."""
        return "value" if self.classes is None else "probabilities"

    @property
    def outputs(self) -> int:
        """How many numbers it holds for one example."""
        return 1 if self.classes is None else self.classes

    def refuse(self) -> None:
        """Return if the fields agree and the inputs are few enough; see `lamslsa.measure.models.interface`."""
        if isinstance(self.reads, Rows):
            refuse_features(self.reads.features, label=self.label)
        if not 1 <= (width := math.prod(self.shape)) <= MAX_INPUTS:
            raise FormatError(f"expected 1 to {MAX_INPUTS} inputs, got {width}", reason="model-size")


def open_onnx(description: Description, data: bytes) -> Callable[[Array], Array]:
    """A function from a batch of inputs to what `lamslsa.measure.models.predict.predict` gives.

    Raises:
        FormatError: the graph is refused, or it does not fit the description.
        UnavailableError: there is no onnxruntime.
    """
    model = parse_onnx(data, output=description.output)
    _refuse_shape(model.graph.input[0], description.shape)
    _refuse_shape(model.graph.output[0], (description.outputs,))
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
def _translated() -> Iterator[None]:
    """The runtime raises classes of its own below RuntimeError and Exception alike."""
    try:
        yield
    except Exception as err:
        message = " ".join(str(err).split())[:200]
        raise FormatError(f"expected an ONNX graph that runs, got an error: {message}", reason="onnx-run") from err


def _answers(session: onnxruntime.InferenceSession, description: Description) -> Callable[[Array], Array]:
    wanted = (1, description.outputs)

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
