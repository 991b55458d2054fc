"""The wire models are strict: required is required, nothing is coerced, and what is unknown changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.predicates import Predicate, model_signature, verification_summary
from lamslsa.predicates._common import WireModel
from lamslsa.statement import Subject

Full = Mapping[str, tuple[str, Predicate]]
Path = tuple[str | int, ...]

# Optional for predicates of this type at large, and required of this build type.
BY_BUILD_TYPE = {("buildDefinition", "externalParameters", "trainer")}
NAMES = (
    *("dataset", "evaluation", "inference", "model", "training", "tee-evidence", "reference-values"),
    "evaluation-plan",
)
SUBJECT = Subject(name="census", sha256="0" * 64)


def wire(full: Full, name: str) -> tuple[str, Any]:
    predicate_type, predicate = full[name]
    return predicate_type, copy.deepcopy(predicates.to_wire(predicate))


def parse(predicate_type: str, value: Any, *, subjects: int = 1) -> Predicate:
    payload = _codec.dumps(
        {
            "_type": statement.STATEMENT_TYPE,
            "subject": [{"name": f"{number}", "digest": {"sha256": SUBJECT.sha256}} for number in range(subjects)],
            "predicateType": predicate_type,
            "predicate": value,
        }
    )
    return predicates.parse(statement.parse(payload))


def refused(predicate_type: str, value: Any) -> bool:
    try:
        parse(predicate_type, value)
    except FormatError as err:
        return err.reason == "predicate-schema"
    return False


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def typed_fields(model: Any, value: Any, path: Path = ()) -> Iterator[tuple[Path, bool, Any]]:
    """Path, whether it is required, and the typed value, of every field of every model in a predicate."""
    if isinstance(model, WireModel):
        for field in msgspec.structs.fields(type(model)):
            child = getattr(model, field.name)
            if field.encode_name not in value:
                continue
            here = (*path, field.encode_name)
            yield here, field.required, child
            yield from typed_fields(child, value[field.encode_name], here)
    elif isinstance(model, tuple):
        for index, item in enumerate(model):
            yield from typed_fields(item, value[index], (*path, index))


def all_fields(full: Full, name: str) -> list[tuple[Path, bool, Any]]:
    predicate_type, value = wire(full, name)
    found = list(typed_fields(full[name][1], value))
    assert len(found) > 10, predicate_type
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_predicate_comes_back(full: Full, name: str) -> None:
    predicate_type, value = wire(full, name)
    assert parse(predicate_type, value) == full[name][1]


def test_every_supported_predicate_is_tested(full: Full) -> None:
    assert tuple(full) == NAMES
    # OpenSSF's and SLSA's, not ours: test_model_signature.py, test_verification_summary.py
    others = {model_signature.PREDICATE_TYPE, verification_summary.PREDICATE_TYPE}
    assert {predicate_type for predicate_type, _ in full.values()} | others == set(predicates.SUPPORTED)


@pytest.mark.parametrize("name", NAMES)
def test_required_is_required_and_optional_is_optional(full: Full, name: str) -> None:
    for path, required, _ in all_fields(full, name):
        predicate_type, value = wire(full, name)
        del at(value, path[:-1])[path[-1]]
        assert refused(predicate_type, value) == (required or path in BY_BUILD_TYPE), path


@pytest.mark.parametrize("name", NAMES)
def test_null_is_no_value(full: Full, name: str) -> None:
    for path, required, typed in all_fields(full, name):
        predicate_type, value = wire(full, name)
        at(value, path[:-1])[path[-1]] = None
        may_be_absent = not required and not isinstance(typed, tuple) and path != ("minimumSvns",)
        assert refused(predicate_type, value) != (may_be_absent and path not in BY_BUILD_TYPE), path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", ["0.1", True, [], {}])
def test_a_number_is_a_number(full: Full, name: str, other: Any) -> None:
    numbers = [path for path, _, typed in all_fields(full, name) if type(typed) in (int, float)]
    assert numbers or name in ("training", "tee-evidence", "reference-values", "evaluation-plan")
    for path in numbers:
        predicate_type, value = wire(full, name)
        at(value, path[:-1])[path[-1]] = other
        assert refused(predicate_type, value), path


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_integers_and_not_negative(full: Full, name: str) -> None:
    for path, _, typed in all_fields(full, name):
        if type(typed) is not int:
            continue
        for other in (-1, 0.5):
            predicate_type, value = wire(full, name)
            at(value, path[:-1])[path[-1]] = other
            assert refused(predicate_type, value), path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", [1, False, [], {}])
def test_a_text_is_a_text(full: Full, name: str, other: Any) -> None:
    for path, _, typed in all_fields(full, name):
        if isinstance(typed, str):
            predicate_type, value = wire(full, name)
            at(value, path[:-1])[path[-1]] = other
            assert refused(predicate_type, value), path


@pytest.mark.parametrize("name", NAMES)
def test_digests_have_one_spelling(full: Full, name: str) -> None:
    digests = [path for path, _, _ in all_fields(full, name) if path[-1] == "sha256"]
    assert digests
    for path in digests:
        for other in ("A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "sha256:" + "a" * 64, ""):
            predicate_type, value = wire(full, name)
            at(value, path[:-1])[path[-1]] = other
            assert refused(predicate_type, value), (path, other)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_change_nothing(full: Full, name: str) -> None:
    for path in [(), *(path for path, _, typed in all_fields(full, name) if isinstance(typed, WireModel))]:
        predicate_type, value = wire(full, name)
        at(value, path)["assurance"] = "tee"
        assert parse(predicate_type, value) == full[name][1], path


@pytest.mark.parametrize(
    "predicate_type",
    [
        "https://lamslsa.dev/evaluation/v2",
        "https://lamslsa.dev/evaluation/v1/",
        "https://LAMSLSA.dev/evaluation/v1",
        "https://slsa.dev/provenance/v0.2",
        "https://example.com/evaluation/v1",
    ],
)
def test_unknown_predicates_are_refused(full: Full, predicate_type: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(predicate_type, wire(full, "evaluation")[1])
    assert caught.value.reason == "predicate-type"


def test_unknown_build_types_are_refused(full: Full) -> None:
    predicate_type, value = wire(full, "training")
    value["buildDefinition"]["buildType"] = "https://lamslsa.dev/training/v2"
    assert refused(predicate_type, value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "tee-evidence"])
def test_a_statement_but_evidence_has_one_subject(full: Full, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(*wire(full, name), subjects=2)
    assert caught.value.reason == "statement-one-subject"


def test_evidence_has_one_subject_a_statement(full: Full) -> None:
    assert parse(*wire(full, "tee-evidence"), subjects=3) == full["tee-evidence"][1]


@pytest.mark.parametrize("name", NAMES)
def test_another_predicate_under_this_type_is_refused(full: Full, name: str) -> None:
    predicate_type, _ = full[name]
    for other in NAMES:
        if other != name:
            assert refused(predicate_type, wire(full, other)[1])


@pytest.mark.parametrize("kind", ["model", "dataset", "MODEL", ""])
def test_kinds_are_not_mixed_up(full: Full, kind: str) -> None:
    for name, own in (("dataset", "dataset"), ("evaluation", "model")):
        predicate_type, value = wire(full, name)
        value["kind"] = kind
        assert refused(predicate_type, value) == (kind != own)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_a_confidence_level_lies_between_0_and_1(full: Full, level: float) -> None:
    predicate_type, value = wire(full, "evaluation")
    value["metrics"][0]["interval"]["level"] = level
    assert refused(predicate_type, value)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        (("tee",), "SGX"),
        (("tee",), "simulated"),
        (("measurement",), {}),
        (("measurement", "mrEnclave"), "A" * 64),
        (("measurement", "mrEnclave"), "1" * 63),
        (("measurement", "mrEnclave"), ""),
        (("measurement", "mrEnclave"), 1),
        (("measurement",), {f"part{number}": "00" for number in range(33)}),
        (("release",), ""),
        (("release",), "0.2.0/../0.1.0"),
        (("release",), ".2"),
        (("release",), "0.2.0\n"),
        (("release",), "0" * 129),
        (("build", "name"), ""),
        (("build", "command"), "x" * 4097),
        (("build", "materials"), [{"name": "x"}] * 257),
        (("vouchesFor", "predicateTypes"), []),
        (("vouchesFor", "predicateTypes"), ["x"] * 257),
        (("vouchesFor", "predicateTypes"), [""]),
        (("vouchesFor", "buildTypes"), ["x"] * 257),
        (("vouchesFor", "buildTypes"), ["x" * 513]),
        (("vouchesFor", "measurers"), ["x"] * 257),
        (("vouchesFor", "measurers"), [None]),
        (("minimumSvns", "isvSvn"), -1),
        (("minimumSvns", "isvSvn"), 1.0),
        (("minimumSvns", "isvSvn"), True),
        (("minimumSvns",), {f"svn{number}": 0 for number in range(33)}),
    ],
)
def test_reference_values_are_bounded(full: Full, path: Path, other: Any) -> None:
    predicate_type, value = wire(full, "reference-values")
    assert not refused(predicate_type, value)
    at(value, path[:-1])[path[-1]] = other
    assert refused(predicate_type, value)
