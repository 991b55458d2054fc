"""The .proto files say what the models say: every statement passes through the generated messages unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import resource_descriptor_pb2

from lamslsa import _codec, predicates, statement
from lamslsa.predicates import Predicate
from lamslsa.predicates import provenance as pv
from lamslsa.predicates._common import WireModel
from lamslsa.predicates.emit import verify_descriptors

Full = Mapping[str, tuple[str, Predicate]]

SPECS = Path(__file__).parents[3] / "predicates"
NAMES = (
    *("dataset", "evaluation", "evaluation-plan", "inference", "model"),
    *("reference-values", "tee-evidence", "training"),
)
MESSAGES = {
    "dataset": "lamslsa.dataset.v1.Dataset",
    "evaluation": "lamslsa.evaluation.v1.Evaluation",
    "evaluation-plan": "lamslsa.evaluation_plan.v1.EvaluationPlan",
    "inference": "lamslsa.inference.v1.Inference",
    "model": "lamslsa.model.v1.Model",
    "reference-values": "lamslsa.reference_values.v1.ReferenceValues",
    "tee-evidence": "lamslsa.tee_evidence.v1.TeeEvidence",
}
EXAMPLES = sorted(SPECS.glob("*/v1/examples/*.json"))
EXPECTED_EXAMPLES = {f"{name}/v1/examples/{name}.json" for name in NAMES}


def dependencies(file: Any, seen: dict[str, Any]) -> None:
    """Collect a generated module's descriptor and everything it imports, imports first."""
    for imported in file.dependencies:
        dependencies(imported, seen)
    seen.setdefault(file.name, file)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pool.DescriptorPool:
    """Every .proto of the repository, compiled against the descriptors in the in-toto-attestation wheel."""
    folder = tmp_path_factory.mktemp("protos")
    seen: dict[str, Any] = {}
    dependencies(resource_descriptor_pb2.DESCRIPTOR, seen)
    given = descriptor_pb2.FileDescriptorSet()
    for file in seen.values():
        file.CopyToProto(given.file.add())
    (folder / "given.binpb").write_bytes(given.SerializeToString())
    compiled = descriptor_pool.DescriptorPool()
    for proto in given.file:
        compiled.Add(proto)
    for name in NAMES:
        out = folder / f"{name}.binpb"
        arguments = [f"--descriptor_set_in={folder / 'given.binpb'}", f"--proto_path={SPECS / name / 'v1'}"]
        assert protoc.main(["protoc", *arguments, f"--descriptor_set_out={out}", f"{name}.proto"]) == 0
        for proto in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
            compiled.Add(proto)
    return compiled


def through(message: Any, value: Any) -> Any:
    """Parse JSON into a message, refusing unknown fields, and print it again."""
    parsed = json_format.ParseDict(value, message, ignore_unknown_fields=False)
    return json_format.MessageToDict(parsed, always_print_fields_with_no_presence=True)


def message(pool: descriptor_pool.DescriptorPool, name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ; numbers are compared as numbers, and absent is the same as empty."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() | theirs.keys():
            one, other = ours.get(key), theirs.get(key)
            if not (one in (None, [], {}) and other in (None, [], {}, "")):
                yield from differences(one, other, f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(ours, int) and not isinstance(ours, bool) and isinstance(theirs, str):
        if ours != int(theirs):
            yield f"{path}: {ours} is not {theirs}"
    elif isinstance(ours, bool) != isinstance(theirs, bool) or ours != theirs:
        yield f"{path}: {ours!r} is not {theirs!r}"


def compare(pool: descriptor_pool.DescriptorPool, name: str, value: Any) -> list[str]:
    if name != "training":
        return list(differences(value, through(message(pool, MESSAGES[name]), value)))
    definition = value["buildDefinition"]
    parts = [
        (provenance_pb2.Provenance(), value),
        (message(pool, "lamslsa.training.v1.ExternalParameters"), definition["externalParameters"]),
        (message(pool, "lamslsa.training.v1.InternalParameters"), definition["internalParameters"]),
        *(
            (message(pool, "lamslsa.training.v1.DependencyAnnotations"), dependency["annotations"])
            for dependency in definition["resolvedDependencies"]
        ),
    ]
    return [text for target, part in parts for text in differences(part, through(target, part))]


def wire(full: Full, name: str) -> Any:
    return json.loads(_codec.dumps(predicates.to_wire(full[name][1])))


@pytest.mark.parametrize("name", NAMES)
def test_full_predicates(pool: descriptor_pool.DescriptorPool, full: Full, name: str) -> None:
    assert compare(pool, name, wire(full, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_the_proto_lacks_would_be_seen(
    pool: descriptor_pool.DescriptorPool, full: Full, name: str
) -> None:
    value = wire(full, name)
    if name == "training":
        value["buildDefinition"]["externalParameters"]["other"] = 1
    else:
        value["other"] = 1
    with pytest.raises(json_format.ParseError):
        compare(pool, name, value)


def test_differences_are_seen() -> None:
    assert list(differences({"a": [1, 2.5]}, {"a": ["1", 2.5]})) == []
    for other in ({"a": ["2", 2.5]}, {"a": [1.0, 2.0]}, {"a": [True, 2.5]}, {"a": [1]}, {}, {"a": [1, 2.5], "b": "x"}):
        assert list(differences({"a": [1, 2.5]}, other)), other


def models(kind: type[WireModel], seen: set[type[WireModel]]) -> set[type[WireModel]]:
    """A wire model and every model that its fields hold."""
    if kind not in seen:
        seen.add(kind)
        for field in msgspec.structs.fields(kind):
            for inner in _inner(field.type):
                models(inner, seen)
    return seen


def _inner(kind: Any) -> Iterator[type[WireModel]]:
    if isinstance(kind, type) and issubclass(kind, WireModel):
        yield kind
    for argument in getattr(kind, "__args__", ()):
        yield from _inner(argument)


ROOTS: dict[str, tuple[type[WireModel], ...]] = {
    "dataset": (predicates.Dataset,),
    "evaluation": (predicates.Evaluation,),
    "inference": (predicates.Inference,),
    "model": (predicates.Model,),
    "evaluation-plan": (predicates.EvaluationPlan,),
    "reference-values": (predicates.ReferenceValues,),
    "tee-evidence": (predicates.TeeEvidence,),
    "training": (pv.ExternalParameters, pv.InternalParameters, pv.DependencyAnnotations),
}
IN_TOTO = {"ResourceDescriptor", "Content", "Digest"}


@pytest.mark.parametrize("name", NAMES)
def test_fields_and_presence_are_those_of_the_models(pool: descriptor_pool.DescriptorPool, name: str) -> None:
    package = f"lamslsa.{name.replace('-', '_')}.v1"
    kinds = {kind for root in ROOTS[name] for kind in models(root, set()) if kind.__name__ not in IN_TOTO}
    declared = pool.FindFileByName(f"{name}.proto").message_types_by_name
    assert set(declared) == {kind.__name__ for kind in kinds}
    for kind in kinds:
        fields = {field.json_name: field for field in pool.FindMessageTypeByName(f"{package}.{kind.__name__}").fields}
        ours = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        assert set(fields) == set(ours), kind
        for wire_name, field in ours.items():
            proto = fields[wire_name]
            if proto.message_type is None and not proto.is_repeated:
                assert proto.has_presence == (not field.required), (kind, wire_name)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_stands_in_the_specification(name: str) -> None:
    text = (SPECS / name / "v1" / "README.md").read_text(encoding="utf-8")
    roots = (pv.Provenance,) if name == "training" else ROOTS[name]
    for kind in {kind for root in roots for kind in models(root, set())}:
        for field in msgspec.structs.fields(kind):
            rows = [line for line in text.splitlines() if line.startswith("|") and f"`{field.encode_name}`" in line]
            assert rows, f"{name}: {kind.__name__}.{field.encode_name}"
            if kind.__name__ not in IN_TOTO:
                necessity = "required" if field.required else "optional"
                assert any(f"| {necessity} |" in row for row in rows), f"{name}: {kind.__name__}.{field.encode_name}"


def test_examples_are_complete_or_absent() -> None:
    found = {path.relative_to(SPECS).as_posix() for path in EXAMPLES}
    assert not found or found >= EXPECTED_EXAMPLES


def test_examples(pool: descriptor_pool.DescriptorPool) -> None:
    for path in EXAMPLES:
        payload = path.read_bytes()
        predicates.parse(statement.parse(payload))
        verify_descriptors(payload)
        assert compare(pool, path.parents[2].name, json.loads(payload)["predicate"]) == [], path
