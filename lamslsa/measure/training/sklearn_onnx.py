"""An estimator of scikit-learn as an ONNX graph with the same bytes in every process, and how far the two agree.

skl2onnx converts; what it writes is brought into one form: the operator sets sorted, nothing but the probabilities or
the number as output, no names of producers. How far the graph's answers are from the estimator's, over every training
row, is measured and refused above a tolerance: a conversion that changes the model would be another model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.models.onnx_graph import INPUT
from lamslsa.measure.models.onnx_model import Description, open_onnx

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["IR_VERSION", "OPSET", "largest_difference", "to_onnx"]

OPSET: Final = 21
IR_VERSION: Final = 10


def to_onnx(estimator: Any, description: Description) -> bytes:
    """The bytes of ``model.onnx``.

    Raises:
        FormatError: a number of the estimator does not fit into float32.
    """
    import onnx
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    classifies = description.classes is not None
    converted = skl2onnx.convert_sklearn(
        estimator,
        "model",
        [(INPUT, FloatTensorType([None, *description.shape]))],
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        options={id(estimator): {"zipmap": False}} if classifies else None,
    )
    (last,) = [item for item in converted.graph.output if item.name != "label"]
    graph = onnx.helper.make_graph(
        _renamed(_needed(converted.graph.node, last.name), last.name, description.output),
        "model",
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [None, *description.shape])],
        [onnx.helper.make_tensor_value_info(description.output, onnx.TensorProto.FLOAT, [None, description.outputs])],
        initializer=sorted(converted.graph.initializer, key=lambda tensor: str(tensor.name)),
    )
    versions = {item.domain: item.version for item in converted.opset_import}
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid(*item) for item in sorted(versions.items())]
    )
    model.ir_version = IR_VERSION
    for name in ("producer_name", "producer_version", "domain", "doc_string"):
        model.ClearField(name)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _needed(nodes: Any, wanted: str) -> list[Any]:
    """The nodes that the wanted output depends on, in their order."""
    names = {wanted}
    kept = []
    for node in reversed(list(nodes)):
        if names & set(node.output):
            names |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _renamed(nodes: list[Any], old: str, new: str) -> list[Any]:
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    return nodes


def largest_difference(
    estimator: Any, description: Description, data: bytes, inputs: Array, *, tolerance: float
) -> tuple[float, int]:
    """The largest difference between the answers of the estimator and of the graph, and how many rows were compared.

    Of numbers it is relative to the larger of 1 and the size of the number.

    Raises:
        FormatError: it is above the tolerance, or the graph is refused.
    """
    import numpy as np

    answers = open_onnx(description, data)(inputs).astype(np.float64)
    exact = inputs.astype(np.float64)
    if description.classes is None:
        expected = estimator.predict(exact)
        gaps = np.abs(answers - expected) / np.maximum(1.0, np.abs(expected))
    else:
        expected = estimator.predict_proba(exact)
        gaps = np.abs(answers - (expected[:, 1] if description.classes == 2 else expected))
    largest = float(gaps.max())
    if not largest <= tolerance:  # NaN is refused too
        raise FormatError(
            f"expected the ONNX graph to answer as the estimator within {tolerance}, got a difference of {largest}",
            reason="onnx-difference",
        )
    return largest, len(inputs)
