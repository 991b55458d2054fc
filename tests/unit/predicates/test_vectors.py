"""The numbers in the specifications are those that the code computes, and that a second computation by hand gives."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.evidence.binding import device_nonce, report_data
from lamslsa.evidence.interface import MEASUREMENT_PARTS, SECURITY_VERSIONS, TEES, Measurement
from lamslsa.evidence.reference import measurement_of
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS, derive_seed
from lamslsa.predicates.reference_values import MEASURE_VOUCHES, VouchesFor, train_own_vouches

ROOT = Path(__file__).parents[3]


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def vectors(path: str) -> list[Any]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text(path), re.DOTALL)]


REPORT_DATA = vectors("predicates/tee-evidence/v1/README.md")


def listed(digests: list[str]) -> bytes:
    return struct.pack(">I", len(digests)) + b"".join(map(bytes.fromhex, digests))


@pytest.mark.parametrize("vector", REPORT_DATA)
def test_report_data(vector: dict[str, Any]) -> None:
    nonce = base64.b64decode(vector["nonce"])
    preimage = b"https://lamslsa.dev/report-data/v1\n" + struct.pack(">I", 3) + hashlib.sha256(nonce).digest()
    preimage += listed(vector["deviceEvidence"]) + listed(vector["statements"])
    assert hashlib.sha512(preimage).hexdigest() == vector["reportData"]
    computed = report_data(nonce, device_evidence=vector["deviceEvidence"], statements=vector["statements"])
    assert computed.hex() == vector["reportData"]


def test_parts_of_the_report_data() -> None:
    vector, second = REPORT_DATA
    nonce = base64.b64decode(vector["nonce"])
    assert hashlib.sha256(nonce).hexdigest() == vector["sha256OfNonce"]
    assert hashlib.sha512(bytes.fromhex(vector["preimage"])).hexdigest() == vector["reportData"]
    payloads = (b"statement one", b"statement two")
    assert [hashlib.sha256(payload).hexdigest() for payload in payloads] == vector["statements"]
    assert [hashlib.sha256(b"device report").hexdigest()] == second["deviceEvidence"]
    assert device_nonce(nonce, statements=vector["statements"]).hex() == vector["deviceNonce"]


def test_measurement_digest() -> None:
    parts = {
        "mrEnclave": "11" * 32,
        "mrSigner": "22" * 32,
        "attributes": "0500000000000000e700000000000000",
        "miscSelect": "00" * 4,
        "configId": "00" * 64,
    }
    canonical = json.dumps({"tee": "sgx", **parts}, sort_keys=True, separators=(",", ":")).encode()
    digest = Measurement(tee="sgx", parts=parts).digest
    assert digest == hashlib.sha256(canonical).hexdigest()
    assert digest in text("predicates/README.md")


def test_seed() -> None:
    seed = derive_seed(model="00" * 32, dataset="11" * 32, configuration="22" * 32)
    assert seed == hashlib.sha256(bytes(32) + b"\x11" * 32 + b"\x22" * 32).hexdigest()
    assert seed in text("predicates/evaluation/v1/README.md")


def test_default_configuration() -> None:
    configuration = dict(DEFAULT_CONFIGURATIONS["tabular-evaluation/1"])
    specification = text("predicates/evaluation/v1/README.md")
    assert predicates.configuration_digest(configuration) in specification
    for key, value in configuration.items():
        shown = f'`"{value}"`' if isinstance(value, str) else value
        assert f"| `{key}` | {shown} |" in specification


def test_artifact_identity() -> None:
    specification = text("docs/artifact-identity.md")
    files = [
        FileEntry(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for path, data in (("model.safetensors", b"weights"), ("model.json", b"{}"))
    ]
    manifest = Manifest.of("model", files)
    for value in (manifest.config.decode(), manifest.canonical.decode(), manifest.sha256):
        assert value in specification


REFERENCE_VALUES = "predicates/reference-values/v1/README.md"


def rows(specification: str, start: str, end: str) -> list[list[str]]:
    """Cells of the rows of the table between two texts, without its head."""
    section = specification.split(start)[1].split(end, maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_parts_of_every_measurement() -> None:
    listed: dict[str, dict[str, int]] = {}
    tee = ""
    for kind, names, size, _ in rows(text(REFERENCE_VALUES), "## Measurements", "`minimumSvns` has"):
        tee = kind.strip("`") or tee
        listed.setdefault(tee, {}).update({name: int(size) for name in re.findall(r"`(\w+)`", names)})
    assert listed == {tee: dict(parts) for tee, parts in MEASUREMENT_PARTS.items()}


def test_security_versions() -> None:
    found = rows(text(REFERENCE_VALUES), "`minimumSvns` has", "Whether a quote")
    listed = {kind.strip("`"): tuple(re.findall(r"`(\w+)`", names)) for kind, names in found}
    assert listed == {tee: SECURITY_VERSIONS[tee] for tee in TEES}


@pytest.mark.parametrize(
    ("build", "vouches"), [("measure", MEASURE_VOUCHES), ("train-own", train_own_vouches("0" * 64))]
)
def test_what_the_builds_vouch_for(build: str, vouches: VouchesFor) -> None:
    (row,) = (row for row in rows(text(REFERENCE_VALUES), "## The builds", "## How") if row[0] == f"`{build}`")
    listed = [tuple(re.findall(r"`([^`]+)`", cell)) for cell in row[1:]]
    assert listed == [vouches.predicate_types, vouches.build_types, vouches.measurers]


def test_the_measure_build_vouches_for_every_measurer_there_is() -> None:
    from lamslsa.measure.dataset.declare import NAMES
    from lamslsa.measure.registry import BUILT_IN

    made = {*NAMES, *(name for stage in ("evaluation", "inference", "model") for name in BUILT_IN.names(stage))}
    assert set(MEASURE_VOUCHES.measurers) == made
    assert len(MEASURE_VOUCHES.measurers) == len(made)
    assert not train_own_vouches("0" * 64).measurers


def test_every_evaluation_has_a_default_configuration() -> None:
    from lamslsa.measure.registry import BUILT_IN

    assert set(DEFAULT_CONFIGURATIONS) == set(BUILT_IN.names("evaluation"))


def test_the_example_of_a_reference_value() -> None:
    parsed = statement.parse(
        (ROOT / REFERENCE_VALUES).with_name("examples").joinpath("reference-values.json").read_bytes()
    )
    values = predicates.parse(parsed)
    assert isinstance(values, predicates.ReferenceValues)
    assert measurement_of(parsed, values).digest in text("predicates/README.md")
    assert values.vouches_for == MEASURE_VOUCHES
