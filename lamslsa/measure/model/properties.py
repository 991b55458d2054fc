"""Measurer ``model-properties/1``: what a model folder holds, whether we could load it or not.

    model: {measurer: model-properties/1, perTensor: true | false}

``perTensor`` says whether each tensor's statistics stand in the statement, or only those of all together. Tensors are
read from safetensors and from ONNX with its weights inside; nothing else is interpreted. Normative text:
predicates/model/v1/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _yaml, predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Payload, Plan, named
from lamslsa.measure.model.architecture import architecture_of
from lamslsa.measure.model.scan import Scan, scan
from lamslsa.measure.model.statistics import CHUNK, Sums
from lamslsa.measure.model.tensors import FLOATING, Entry, MalformedError, onnx_tensors, parse_safetensors, values
from lamslsa.predicates._common import Digest
from lamslsa.predicates.model import PREDICATE_TYPE, InspectedFile, Model, Statistics, Tensor, Weights

__all__ = ["MAX_TENSORS", "NAME", "ModelProperties", "declare"]

NAME: Final = "model-properties/1"
MAX_TENSORS: Final = 10_000
_PACKAGES: Final = ("lamslsa", "numpy", "onnx")
_START_S: Final = 0.7  # half of it to look at a graph, twice of it for a network
_BYTE_S: Final = 0.12e-6  # of a tensor, summed exactly; measured on networks of UCI Adult and digits
_BUFFERS: Final = ("running_mean", "running_var")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProperties:
    """The plan."""

    per_tensor: bool

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model."""
        return (Input(role="model", kind="model"),)

    def steps(self) -> tuple[str, ...]:
        """What would be measured."""
        return ("formats of all files, and what in them could run code", "parameters, types and weight statistics")

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        return _START_S + sizes["model"] * _BYTE_S

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Look at every file; see `lamslsa.measure.interface.Plan`."""
        given, progress = inputs["model"], context.progress
        artifact = given.artifact
        paths = [entry.path for entry in artifact.manifest.files]
        progress("looking at files", 0, len(paths))
        found = scan((path, artifact.file(path).view()) for path in paths)
        progress("looking at files", len(paths), len(paths))
        tensors = _tensors(artifact, found)
        if self.per_tensor and len(tensors) > MAX_TENSORS:
            raise FormatError(
                f"expected at most {MAX_TENSORS} tensors, got {len(tensors)}",
                reason="model-tensors",
                hint="perTensor: false",
            )
        overall, each = Sums(), []
        for done, (path, entry) in enumerate(tensors):
            progress("reading tensors", done, len(tensors))
            each.append(_tensor(path, entry, overall))
        progress("reading tensors", len(tensors), len(tensors))
        configuration = {"perTensor": self.per_tensor}
        predicate = Model(
            kind="model",
            measurer=self.measurer,
            configuration=configuration,
            configuration_digest=Digest(sha256=predicates.configuration_digest(configuration)),
            files=tuple(
                InspectedFile(
                    path=entry.path,
                    digest=Digest(sha256=entry.sha256),
                    size=entry.size,
                    format=found.formats[entry.path],
                )
                for entry in artifact.manifest.files
            ),
            findings=tuple(found.findings),
            severities={
                severity: sum(item.severity == severity for item in found.findings)
                for severity in ("code", "unknown", "notice")
            },
            weights=_weights(artifact, each, overall),
            architecture=architecture_of(artifact, (entry for _, entry in tensors), _nodes(artifact, found)),
            environment=environment(_PACKAGES),
            tensors=tuple(each) if self.per_tensor else (),
        )
        subject = statement.Subject(name=given.name, sha256=artifact.manifest.sha256)
        payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
        return Outcome(statements=[Payload(label="model", data=payload)])


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    del scope
    return ModelProperties(per_tensor=node.take("perTensor").boolean())


def _tensors(artifact: VerifiedArtifact, found: Scan) -> list[tuple[str, Entry]]:
    """File and tensor, by file and name; a tensor that stands in two files is a finding."""
    tensors: list[tuple[str, Entry]] = []
    for path, form in found.formats.items():
        content = artifact.file(path).view()
        try:
            if form == "safetensors":
                tensors += [(path, entry) for entry in parse_safetensors(content)]
            elif form == "onnx":
                tensors += [(path, entry) for entry in onnx_tensors(content)]
        except MalformedError as err:
            found.add(path, "tensors", "unknown", str(err))
    seen: set[str] = set()
    for path, entry in tensors:
        if entry.name in seen:
            found.add(path, "tensor-twice", "unknown", f"the tensor {entry.name!a:.200} stands in two places")
        seen.add(entry.name)
    return tensors


def _tensor(path: str, entry: Entry, overall: Sums) -> Tensor:
    sums = Sums()
    for start in range(0, entry.elements, CHUNK):
        part = values(entry, start, min(start + CHUNK, entry.elements))
        if part is None:
            statistics = Statistics(
                elements=entry.elements, zeros=0, non_finite=0, undefined="integers past 2^53 are not summed up"
            )
            break
        sums.add(part)
    else:
        statistics = sums.result()
        if entry.dtype in FLOATING:
            overall.merge(sums)
    return Tensor(
        name=entry.name[:1024],
        file=path,
        dtype=entry.dtype,
        shape=entry.shape,
        bytes=len(entry.data),
        statistics=statistics,
    )


def _weights(artifact: VerifiedArtifact, tensors: list[Tensor], overall: Sums) -> Weights:
    dtypes: dict[str, int] = {}
    for tensor in tensors:
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.statistics.elements
    return Weights(
        tensors=len(tensors),
        elements=sum(dtypes.values()),
        bytes=sum(tensor.bytes for tensor in tensors),
        dtypes=dict(sorted(dtypes.items())),
        statistics=overall.result(),
        trainable=_trainable(artifact, tensors),
    )


def _trainable(artifact: VerifiedArtifact, tensors: list[Tensor]) -> int | None:
    """The elements that training changes, where the folder is a model of ours whose weights are float32 tensors."""
    from lamslsa.measure.models.loading import load_model

    try:
        loaded = load_model(artifact)
    except FormatError:
        return None
    if loaded.network is None or not hasattr(loaded.description, "shapes"):
        return None
    return sum(item.statistics.elements for item in tensors if not item.name.endswith(_BUFFERS))


def _nodes(artifact: VerifiedArtifact, found: Scan) -> Iterator[str]:
    import onnx

    for path, form in found.formats.items():
        if form == "onnx":
            model: Any = onnx.ModelProto.FromString(bytes(artifact.file(path).view()))
            yield from (f"{node.domain}:{node.op_type}" for node in model.graph.node)
