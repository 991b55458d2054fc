"""A reference-values statement is about its subject, and could vouch for something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lamslsa import predicates, statement
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import MEASUREMENT_PARTS, SECURITY_VERSIONS, TEES, Measurement, Tee
from lamslsa.evidence.reference import Masked, Proposal, make_statement, measurement_of
from lamslsa.predicates import ReferenceValues
from lamslsa.predicates._common import ResourceDescriptor
from lamslsa.predicates.provenance import OWN_TRAINING_BUILD_TYPE
from lamslsa.predicates.reference_values import (
    MEASURE_VOUCHES,
    PREDICATE_TYPE,
    EnclaveBuild,
    VouchesFor,
    train_own_vouches,
)
from lamslsa.statement import Statement, Subject

EVALUATION = "https://lamslsa.dev/evaluation/v1"
DATASET = "https://lamslsa.dev/dataset/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = EnclaveBuild(name="measure")


def measurement(tee: Tee) -> Measurement:
    return Measurement(tee=tee, parts={name: "5a" * size for name, size in MEASUREMENT_PARTS[tee].items()})


def made(
    tee: Tee = "sgx",
    *,
    vouches_for: VouchesFor = MEASURE_VOUCHES,
    minimum_svns: Mapping[str, int] | None = None,
    build: EnclaveBuild = BUILD,
) -> Statement:
    payload = make_statement(
        measurement(tee), release="0.2.0", build=build, vouches_for=vouches_for, minimum_svns=minimum_svns or {}
    )
    return statement.parse(payload)


def values_of(parsed: Statement) -> ReferenceValues:
    values = predicates.parse(parsed)
    assert isinstance(values, ReferenceValues)
    return values


def refusal(parsed: Statement, values: ReferenceValues) -> str:
    with pytest.raises(FormatError) as caught:
        measurement_of(parsed, values)
    return caught.value.reason


def listing(**lists: Any) -> ReferenceValues:
    values = values_of(made())
    return msgspec.structs.replace(values, vouches_for=VouchesFor(**lists))


@pytest.mark.parametrize("tee", TEES)
def test_there_and_back(tee: Tee) -> None:
    svns = dict.fromkeys(SECURITY_VERSIONS[tee], 3)
    parsed = made(tee, minimum_svns=svns)
    assert parsed.predicate_type == PREDICATE_TYPE
    assert parsed.subjects == (Subject(name=f"measure-{tee}", sha256=measurement(tee).digest),)
    assert measurement_of(parsed, values_of(parsed)) == measurement(tee)
    assert values_of(parsed).minimum_svns == svns


def test_another_subject() -> None:
    values = values_of(made())
    other = statement.make([Subject(name="x", sha256="0" * 64)], PREDICATE_TYPE, predicates.to_wire(values))
    assert refusal(statement.parse(other), values) == "reference-values-subject"


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_subjects(count: int) -> None:
    parsed = made()
    several = Statement(
        payload=parsed.payload,
        sha256=parsed.sha256,
        subjects=parsed.subjects * count,
        predicate_type=parsed.predicate_type,
        predicate=parsed.predicate,
    )
    assert refusal(several, values_of(parsed)) == "statement-one-subject"


def test_parts() -> None:
    parsed = made()
    values = values_of(parsed)
    whole = values.measurement
    for parts in (
        {name: value for name, value in whole.items() if name != "configId"},
        whole | {"mrTd": "00" * 48},
        whole | {"configId": "5a" * 63},
    ):
        assert refusal(parsed, msgspec.structs.replace(values, measurement=parts)) == "measurement-parts"
    other = msgspec.structs.replace(values, measurement=whole | {"configId": "5b" * 64})
    assert refusal(parsed, other) == "reference-values-subject"
    assert refusal(parsed, msgspec.structs.replace(values, tee="tdx")) == "measurement-parts"


@pytest.mark.parametrize("tee", TEES)
def test_security_versions_are_known(tee: Tee) -> None:
    for name in ("isvProdId", "guest", "x", *(set(sum(SECURITY_VERSIONS.values(), ())) - set(SECURITY_VERSIONS[tee]))):
        with pytest.raises(FormatError) as caught:
            made(tee, minimum_svns={name: 0})
        assert caught.value.reason == "reference-values-svn"


@pytest.mark.parametrize("code", ["", "C0DE" * 16, "c0de" * 15, "sha256:" + "c0de" * 16, "c0de" * 16 + "\n"])
def test_training_code_is_named_by_its_whole_digest(code: str) -> None:
    with pytest.raises(FormatError) as caught:
        made(vouches_for=train_own_vouches(code))
    assert caught.value.reason == "predicate-schema"


@pytest.mark.parametrize("field", ["predicate_types", "build_types", "measurers", "own_code"])
def test_nothing_twice(field: str) -> None:
    lists = {
        "predicate_types": (PROVENANCE, EVALUATION),
        "build_types": ("b",),
        "measurers": ("m/1",),
        "own_code": ("0" * 64,),
    }
    assert measurement_of(made(), listing(**lists))
    assert refusal(made(), listing(**lists | {field: lists[field] * 2})) == "reference-values-duplicate"


@pytest.mark.parametrize(
    "lists",
    [
        {"predicate_types": ()},
        {"predicate_types": (), "build_types": ("b",), "measurers": ("m/1",)},
        {"predicate_types": (PROVENANCE,), "measurers": ("m/1",)},
        {"predicate_types": (EVALUATION,), "build_types": ("b",)},
        {"predicate_types": (DATASET,), "build_types": ("b",)},
        {"predicate_types": (PROVENANCE, DATASET), "build_types": ("b",)},
        {"predicate_types": (PROVENANCE,), "build_types": (OWN_TRAINING_BUILD_TYPE,)},
        {"predicate_types": (PROVENANCE,), "build_types": ("b", OWN_TRAINING_BUILD_TYPE)},
    ],
)
def test_what_could_vouch_for_nothing(lists: dict[str, Any]) -> None:
    assert refusal(made(), listing(**lists)) == "reference-values-empty"


@pytest.mark.parametrize(
    "lists",
    [
        {"predicate_types": (PROVENANCE,), "build_types": ("b",)},
        {"predicate_types": (EVALUATION,), "measurers": ("m/1",)},
        {"predicate_types": ("https://example.com/other/v1",)},
    ],
)
def test_lists_that_are_not_needed_may_be_empty(lists: dict[str, Any]) -> None:
    assert measurement_of(made(), listing(**lists)) == measurement("sgx")


def test_the_defaults_of_the_builds() -> None:
    own = train_own_vouches("c0de" * 16)
    for vouches in (MEASURE_VOUCHES, own):
        assert values_of(made(vouches_for=vouches)).vouches_for == vouches
    assert (own.predicate_types, own.own_code) == ((PROVENANCE,), ("c0de" * 16,))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (EnclaveBuild(name="measure", materials=(ResourceDescriptor(media_type="text/plain"),)), "descriptor"),
        (EnclaveBuild(name="measure", source=ResourceDescriptor(content="?")), "base64"),
        (EnclaveBuild(name="x" * 257), "predicate-schema"),
    ],
)
def test_nothing_leaves_that_a_reader_would_refuse(build: EnclaveBuild, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        made(build=build)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("given_", "agrees"), [("00ff", True), ("0fff", True), ("f0ff", False), ("00fe", False)])
def test_a_mask_fixes_the_bits_that_are_set(given_: str, agrees: bool) -> None:
    masked = Masked(value=bytes.fromhex("0aff"), mask=bytes.fromhex("f0ff"))
    assert masked.agrees(bytes.fromhex(given_)) == agrees


def test_given_parts_go_before_defaults() -> None:
    proposal = Proposal(tee="snp", parts={"policy": "00" * 8, "vmpl": "00" * 4}, defaults={"hostData": "00" * 32})
    launch = {"measurement": "11" * 48}
    assert proposal.complete(launch).parts["hostData"] == "00" * 32
    assert proposal.complete(launch | {"hostData": "22" * 32}).parts["hostData"] == "22" * 32


def test_a_given_part_of_another_size_is_no_match_for_a_mask() -> None:
    mask = Masked(value=bytes(4), mask=b"\xff" * 4)
    proposal = Proposal(tee="snp", parts={}, masks={"vmpl": mask})
    parts = {name: "00" * size for name, size in MEASUREMENT_PARTS["snp"].items()}
    assert proposal.complete(parts).parts == parts
    for vmpl, reason in (("00", "measurement-parts"), ("00000001", "measurement-part-mask")):
        with pytest.raises(FormatError) as caught:
            proposal.complete(parts | {"vmpl": vmpl})
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("given", "reason", "hint"),
    [
        ({"mrTd": "00" * 48}, "measurement-part-unknown", None),
        ({"mrEnclave": "00" * 32}, "measurement-part-twice", "leave it out: the file has it"),
        ({}, "measurement-part-missing", "pass --part mrSigner=HEX for each"),
    ],
)
def test_a_proposal_that_is_not_complete(given: dict[str, str], reason: str, hint: str | None) -> None:
    with pytest.raises(FormatError) as caught:
        Proposal(tee="sgx", parts={"mrEnclave": "00" * 32}).complete(given)
    assert (caught.value.reason, caught.value.hint) == (reason, hint)
