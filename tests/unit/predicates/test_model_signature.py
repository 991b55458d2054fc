"""The wire model of OpenSSF model signing: names with underscores, read strictly, whatever the serialization."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.predicates import ModelSignature
from lamslsa.predicates.model_signature import PREDICATE_TYPE, Resource, Serialization

WIRE: dict[str, Any] = {
    "serialization": {
        "method": "shards",
        "hash_type": "sha256",
        "allow_symlinks": True,
        "ignore_paths": ["model.sig", ".git"],
    },
    "resources": [{"name": "a:0:3", "digest": "ab" * 32, "algorithm": "sha256-sharded-1000000000"}],
}
MODEL = ModelSignature(
    serialization=Serialization(
        method="shards",
        hash_type="sha256",
        allow_symlinks=True,
        ignore_paths=("model.sig", ".git"),
    ),
    resources=(Resource(name="a:0:3", digest="ab" * 32, algorithm="sha256-sharded-1000000000"),),
)


def parse(wire: Any, *, subjects: int = 1) -> Any:
    payload = _codec.dumps(
        {
            "_type": statement.STATEMENT_TYPE,
            "subject": [{"name": "m", "digest": {"sha256": "0" * 64}}] * subjects,
            "predicateType": PREDICATE_TYPE,
            "predicate": wire,
        }
    )
    return predicates.parse(statement.parse(payload))


def refused(wire: Any) -> str:
    with pytest.raises(FormatError) as caught:
        parse(wire)
    return caught.value.reason


def test_there_and_back() -> None:
    assert parse(WIRE) == MODEL
    assert _codec.loads(_codec.dumps(predicates.to_wire(MODEL))) == WIRE


def test_what_may_be_absent() -> None:
    wire = copy.deepcopy(WIRE)
    del wire["serialization"]["ignore_paths"]
    parsed = parse(wire)
    assert parsed.serialization.ignore_paths == ()
    assert _codec.loads(_codec.dumps(predicates.to_wire(parsed))) == wire


def test_the_size_of_shards_is_a_float_in_the_wild() -> None:
    wire = copy.deepcopy(WIRE)
    wire["serialization"]["shard_size"] = 1e9
    assert parse(wire) == MODEL


def test_unknown_fields_change_nothing() -> None:
    wire = copy.deepcopy(WIRE)
    wire["future"] = wire["serialization"]["future"] = wire["resources"][0]["future"] = {"x": 1}
    assert parse(wire) == MODEL


@pytest.mark.parametrize("field", ["method", "hash_type", "allow_symlinks"])
def test_serialization_is_complete(field: str) -> None:
    wire = copy.deepcopy(WIRE)
    del wire["serialization"][field]
    assert refused(wire) == "predicate-schema"


@pytest.mark.parametrize("field", ["name", "digest", "algorithm"])
def test_a_resource_is_complete(field: str) -> None:
    wire = copy.deepcopy(WIRE)
    del wire["resources"][0][field]
    assert refused(wire) == "predicate-schema"


@pytest.mark.parametrize("field", ["serialization", "resources"])
def test_both_halves_are_there(field: str) -> None:
    assert refused({key: value for key, value in WIRE.items() if key != field}) == "predicate-schema"


@pytest.mark.parametrize(
    "digest", ["", "ab" * 31, "AB" * 32, "ab" * 32 + "\n", "ab" * 33, "ab" * 65, "sha256:" + "ab" * 32, None, 7]
)
def test_a_digest_is_lower_case_hexadecimal(digest: Any) -> None:
    wire = copy.deepcopy(WIRE)
    wire["resources"][0]["digest"] = digest
    assert refused(wire) == "predicate-schema"


def test_a_digest_of_another_algorithm_is_read() -> None:
    wire = copy.deepcopy(WIRE)
    wire["resources"][0] |= {"digest": "ab" * 64, "algorithm": "blake2b"}
    assert parse(wire).resources[0].algorithm == "blake2b"


@pytest.mark.parametrize(
    ("field", "value"),
    [("allow_symlinks", "false"), ("allow_symlinks", 0), ("ignore_paths", "model.sig"), ("ignore_paths", [1])],
)
def test_nothing_is_coerced(field: str, value: Any) -> None:
    wire = copy.deepcopy(WIRE)
    wire["serialization"][field] = value
    assert refused(wire) == "predicate-schema"


def test_one_subject() -> None:
    with pytest.raises(FormatError) as caught:
        parse(WIRE, subjects=2)
    assert caught.value.reason == "statement-one-subject"
