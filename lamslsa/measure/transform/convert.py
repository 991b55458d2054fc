"""Transform ``convert-onnx/1``: a network of ours as an ONNX graph of the architecture ``onnx/1``.

The graph is built layer by layer from the network that was loaded; no tracer runs, and its bytes depend on nothing
else. A classifier's graph ends in the probabilities of all classes: of two, 1 - sigmoid(z) and sigmoid(z). A model of
int8 weights is converted with the float32 weights that they stand for.

    {transform: convert-onnx/1, model, opset: 21, tolerance, difference: {dataset, confidenceLevel}}

Layers: linear, ReLU, convolution, max pooling, batch normalisation, flatten, dropout (which does nothing here), and the
scalings of `lamslsa.measure.models.layers`. Others are refused. ``tolerance`` bounds the largest difference that is let
through: a conversion that changes the model would be another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import Scope
from lamslsa.measure.interface import Plan
from lamslsa.measure.models import onnx_model
from lamslsa.measure.models.interface import DESCRIPTION_FILE, ImageInputs, TableInputs, dump_description
from lamslsa.measure.models.onnx_graph import INPUT
from lamslsa.measure.transform.difference import PARENT, Made, ModelTransform, Parent, declare_difference

if TYPE_CHECKING:
    import torch

    from lamslsa.measure.models.interface import TorchDescription

__all__ = ["NAME", "declare", "to_graph"]

NAME: Final = "convert-onnx/1"
_OPSET: Final = 21
_IR_VERSION: Final = 10


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    model, dataset, level = declare_difference(node, scope)
    opset = node.take("opset").integer(minimum=_OPSET, maximum=_OPSET)
    bound = node.take("tolerance")
    tolerance = bound.number(minimum=0, maximum=1)

    def make(parents: Mapping[str, Parent]) -> Made:
        return _make(parents[PARENT])

    return ModelTransform(
        transform=NAME,
        model=model,
        roles=(PARENT,),
        dataset=dataset,
        confidence_level=level,
        parameters={"opset": opset, "tolerance": tolerance},
        make=make,
        packages=("onnx", "onnxruntime"),
        tolerance=tolerance,
    )


def _make(parent: Parent) -> Made:
    outer: Any = parent.loaded.description
    network = parent.loaded.network
    if network is None:
        raise FormatError(
            f"expected a model of torch, got one of {outer.architecture}", reason="transform-architecture"
        )
    description: TorchDescription = getattr(outer, "inner", outer)
    match description.inputs:
        case TableInputs(features=features):
            reads: onnx_model.Rows | onnx_model.Images = onnx_model.Rows(features=features)
        case ImageInputs(channels=channels, height=height, width=width):
            reads = onnx_model.Images(channels=1 if channels == 1 else 3, height=height, width=width)
        case _:
            raise FormatError("expected a model of tables or images, got one of texts", reason="transform-architecture")
    child = onnx_model.Description(
        architecture=onnx_model.ARCHITECTURE,
        reads=reads,
        label=description.label,
        classes=description.task.classes,
    )
    data = to_graph(network, description, child)
    return Made(files={DESCRIPTION_FILE: dump_description(child), onnx_model.ONNX_FILE: data})


class _Graph:
    """Nodes and tensors so far; every value has the number of its node as its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.last = INPUT

    def add(self, operator: str, *, inputs: tuple[str, ...] = (), first: str | None = None, **attributes: Any) -> str:
        """A node whose first input is the last value, or ``first``."""
        import onnx

        output = f"v{len(self.nodes)}"
        sources = [self.last if first is None else first, *inputs]
        self.nodes.append(onnx.helper.make_node(operator, sources, [output], **attributes))
        self.last = output
        return output

    def tensor(self, name: str, values: Any) -> str:
        """A constant, float32."""
        import numpy as np
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name


def to_graph(network: torch.nn.Module, description: TorchDescription, child: onnx_model.Description) -> bytes:
    """The bytes of ``model.onnx``.

    Raises:
        FormatError: the network has a layer that is not known here.
    """
    import onnx

    graph = _Graph()
    for name, layer in network.named_children():
        _add_layer(graph, name, layer, description)
    if child.classes == 2:
        positive = graph.add("Sigmoid")
        negative = graph.add("Sub", first=graph.tensor("one", [1.0]), inputs=(positive,))
        graph.add("Concat", first=negative, inputs=(positive,), axis=1)
    elif child.classes is not None:
        graph.add("Softmax", axis=1)
    del graph.nodes[-1].output[:]
    graph.nodes[-1].output.append(child.output)
    made = onnx.helper.make_graph(
        graph.nodes,
        "model",
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [None, *child.shape])],
        [onnx.helper.make_tensor_value_info(child.output, onnx.TensorProto.FLOAT, [None, child.outputs])],
        initializer=graph.tensors,
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    for field in ("producer_name", "producer_version"):
        model.ClearField(field)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _add_layer(graph: _Graph, name: str, layer: torch.nn.Module, description: TorchDescription) -> None:
    import torch

    state = {key: value.detach().cpu().numpy() for key, value in layer.state_dict().items()}

    def constants(*keys: str) -> tuple[str, ...]:
        return tuple(graph.tensor(f"{name}.{key}", state[key]) for key in keys)

    if isinstance(layer, torch.nn.Linear):
        graph.add("Gemm", inputs=constants("weight", "bias"), transB=1)
    elif isinstance(layer, torch.nn.ReLU):
        graph.add("Relu")
    elif isinstance(layer, torch.nn.Conv2d) and layer.groups == 1 and not isinstance(layer.padding, str):
        height, width = layer.padding
        graph.add(
            "Conv",
            inputs=constants("weight", "bias"),
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[height, width, height, width],
            dilations=list(layer.dilation),
        )
    elif isinstance(layer, torch.nn.BatchNorm2d):
        graph.add(
            "BatchNormalization", inputs=constants("weight", "bias", "running_mean", "running_var"), epsilon=layer.eps
        )
    elif isinstance(layer, torch.nn.MaxPool2d) and not layer.ceil_mode and layer.padding == 0 and layer.dilation == 1:
        graph.add("MaxPool", kernel_shape=_pair(layer.kernel_size), strides=_pair(layer.stride))
    elif isinstance(layer, torch.nn.Flatten) and layer.start_dim == 1 and layer.end_dim == -1:
        graph.add("Flatten", axis=1)
    elif isinstance(layer, torch.nn.Dropout | torch.nn.Identity):
        return
    else:
        _add_scaling(graph, name, layer, description)


def _add_scaling(graph: _Graph, name: str, layer: torch.nn.Module, description: Any) -> None:
    import numpy as np

    kind = type(layer).__name__
    if kind == "Standardise":
        shape = (1, -1, 1, 1)
        graph.add("Sub", inputs=(graph.tensor(f"{name}.mean", np.reshape(description.mean, shape)),))
        graph.add("Div", inputs=(graph.tensor(f"{name}.deviation", np.reshape(description.deviation, shape)),))
    elif kind == "Rescale":
        graph.add("Mul", inputs=(graph.tensor(f"{name}.deviation", [description.answer.deviation]),))
        graph.add("Add", inputs=(graph.tensor(f"{name}.mean", [description.answer.mean]),))
    else:
        raise FormatError(f"expected layers that ONNX has, got {kind} as {name!a:.80}", reason="transform-architecture")


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
