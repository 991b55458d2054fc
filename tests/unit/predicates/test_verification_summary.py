"""The verification summary: only what lamslsa writes is read, and in-toto's schema reads what it writes."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.predicates import VerificationSummary, verification_summary
from lamslsa.predicates._common import WireModel
from lamslsa.statement import Subject

README = Path(__file__).parents[3] / "predicates" / "verification-summary" / "v1" / "README.md"
PREDICATE: dict[str, Any] = {
    "verifier": {"id": "https://deployer.example/verifier", "version": {"lamslsa": "0.1.0"}},
    "timeVerified": "2026-11-22T12:00:00Z",
    "resourceUri": "oci://registry.example/census@sha256:" + "0" * 64,
    "policy": {"uri": "ni:///sha-256;abc", "digest": {"sha256": "1" * 64}, "name": "census-income"},
    "inputAttestations": [{"digest": {"sha256": "2" * 64}}],
    "verificationResult": "PASSED",
    "verifiedLevels": ["LAMSLSA_INGREDIENTS"],
}


def parse(predicate: Any, *, subjects: int = 1) -> VerificationSummary:
    names = [Subject(name="census-mlp", sha256=f"{index:064x}") for index in range(subjects)]
    payload = statement.make(names, verification_summary.PREDICATE_TYPE, predicate)
    found = predicates.parse(statement.parse(payload))
    assert isinstance(found, VerificationSummary)
    return found


def test_a_summary_comes_back() -> None:
    found = parse(PREDICATE)
    assert json.loads(_codec.dumps(predicates.to_wire(found))) == PREDICATE
    assert found.verifier.id == "https://deployer.example/verifier"
    assert found.policy.digest.sha256 == "1" * 64
    assert found.verified_at == dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    assert (found.passed, found.simulated) == (True, False)


@pytest.mark.parametrize(
    ("result", "level", "passed", "simulated"),
    [("PASSED", "LAMSLSA_INGREDIENTS_SIMULATED", True, True), ("FAILED", "FAILED", False, False)],
)
def test_results(result: str, level: str, passed: bool, simulated: bool) -> None:
    found = parse(PREDICATE | {"verificationResult": result, "verifiedLevels": [level]})
    assert (found.passed, found.simulated) == (passed, simulated)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verificationResult", "FAILED"),  # beside a level that was verified
        ("verifiedLevels", ["FAILED"]),  # beside the result PASSED
        ("verifiedLevels", []),
        ("verifiedLevels", ["SLSA_BUILD_LEVEL_3"]),
        ("verifiedLevels", ["LAMSLSA_INGREDIENTS", "LAMSLSA_INGREDIENTS"]),
        ("verificationResult", "passed"),
        ("verifier", {"id": "deployer"}),
        ("verifier", {"id": "https://deployer.example/a b"}),
        ("verifier", {"id": "https://deployer.example/é"}),
        ("verifier", {"version": {"lamslsa": "1"}}),
        ("timeVerified", "2026-13-22T12:00:00Z"),
        ("timeVerified", "2026-11-22T12:00:00+00:00"),
        ("timeVerified", "2026-11-22T12:00:00Z\n"),
        ("resourceUri", "./model"),
        ("policy", {"uri": "ni:///sha-256;abc"}),
        ("policy", {"uri": "ni:///sha-256;abc", "digest": {"sha256": "A" * 64}}),
        ("inputAttestations", [{"uri": "https://example.com"}]),
        ("inputAttestations", [{"digest": {"sha256": "2" * 64}}] * (verification_summary.MAX_INPUTS + 1)),
    ],
)
def test_what_we_do_not_write_is_refused(field: str, value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        parse(PREDICATE | {field: value})
    assert caught.value.reason == "predicate-schema"


@pytest.mark.parametrize("field", sorted(set(PREDICATE) - {"inputAttestations"}))
def test_required_fields(field: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse({key: value for key, value in PREDICATE.items() if key != field})
    assert caught.value.reason == "predicate-schema"


def test_a_second_subject_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        parse(PREDICATE, subjects=2)
    assert caught.value.reason == "statement-one-subject"


def test_fields_that_we_do_not_write_grant_nothing() -> None:
    assert parse(PREDICATE | {"slsaVersion": "1.0", "dependencyLevels": {"SLSA_BUILD_LEVEL_3": 1}}) == parse(PREDICATE)


def test_the_schema_of_in_toto_reads_it() -> None:
    """Its .proto is of version 1.0, which knows neither ``verifier.version`` nor names, and holds one level."""
    value = copy.deepcopy(PREDICATE)
    del value["verifier"]["version"], value["policy"]["name"]
    value["verifiedLevels"] = value["verifiedLevels"][0]
    read = json_format.ParseDict(value, vsa_pb2.VerificationSummary(), ignore_unknown_fields=False)
    assert json_format.MessageToDict(read) == value


def _models(kind: type[WireModel]) -> list[type[WireModel]]:
    inner = [
        argument
        for field in msgspec.structs.fields(kind)
        for argument in re.findall(r"\w+", str(field.type))
        if isinstance(getattr(verification_summary, argument, None), type)
        and issubclass(getattr(verification_summary, argument), WireModel)
    ]
    return [kind, *(each for name in inner for each in _models(getattr(verification_summary, name)))]


def test_every_field_stands_in_the_specification() -> None:
    text = README.read_text(encoding="utf-8")
    kinds = _models(VerificationSummary)
    assert len(kinds) > 4
    for kind in kinds:
        for field in msgspec.structs.fields(kind):
            rows = [line for line in text.splitlines() if line.startswith("|") and f"`{field.encode_name}`" in line]
            necessity = "required" if field.required else "optional"
            assert any(f"| {necessity} |" in row or row.endswith("digits | required |") for row in rows), field


def test_the_numbers_of_the_specification_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert f"at most {verification_summary.MAX_INPUTS}" in text
    assert all(f"`{level}`" in text for level in (verification_summary.INGREDIENTS, "LAMSLSA_INGREDIENTS_SIMULATED"))
    assert verification_summary.PREDICATE_TYPE in text
