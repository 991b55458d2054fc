"""What leaves has ResourceDescriptors that the in-toto-attestation package takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lamslsa import predicates, statement
from lamslsa.errors import FormatError
from lamslsa.predicates import Dataset, Predicate, Provenance, TeeEvidence
from lamslsa.predicates._common import ResourceDescriptor
from lamslsa.predicates.emit import verify_descriptors
from lamslsa.statement import Subject

Full = Mapping[str, tuple[str, Predicate]]


def payload(full: Full, name: str, predicate: Predicate | None = None) -> bytes:
    predicate_type, whole = full[name]
    subject = Subject(name="census", sha256="0" * 64)
    return statement.make([subject], predicate_type, predicates.to_wire(predicate or whole))


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        verify_descriptors(data)
    return caught.value.reason


@pytest.mark.parametrize(
    "name", ["dataset", "evaluation", "inference", "model", "training", "tee-evidence", "reference-values"]
)
def test_full_predicates_are_taken(full: Full, name: str) -> None:
    verify_descriptors(payload(full, name))


def test_a_descriptor_that_names_nothing(full: Full) -> None:
    dataset = full["dataset"][1]
    assert isinstance(dataset, Dataset)
    environment = msgspec.structs.replace(dataset.environment, packages=(ResourceDescriptor(media_type="text/plain"),))
    assert refusal(payload(full, "dataset", msgspec.structs.replace(dataset, environment=environment))) == "descriptor"


def test_content_that_is_no_base64(full: Full) -> None:
    evidence = full["tee-evidence"][1]
    assert isinstance(evidence, TeeEvidence)
    quote = msgspec.structs.replace(evidence.quote, content="?")
    assert refusal(payload(full, "tee-evidence", msgspec.structs.replace(evidence, quote=quote))) == "base64"


@pytest.mark.parametrize("field", ["event_log", "freshness", "device_evidence"])
def test_every_descriptor_is_looked_at(full: Full, field: str) -> None:
    evidence = full["tee-evidence"][1]
    assert isinstance(evidence, TeeEvidence)
    content = msgspec.structs.replace(evidence.quote, content="?")
    value: Any = (content,) if field == "device_evidence" else content
    assert refusal(payload(full, "tee-evidence", msgspec.structs.replace(evidence, **{field: value}))) == "base64"


def test_byproducts_are_looked_at(full: Full) -> None:
    provenance = full["training"][1]
    assert isinstance(provenance, Provenance)
    (first, *_) = provenance.run_details.byproducts
    details = msgspec.structs.replace(
        provenance.run_details, byproducts=(msgspec.structs.replace(first, content="no base64"),)
    )
    assert refusal(payload(full, "training", msgspec.structs.replace(provenance, run_details=details))) == "base64"


def test_what_is_no_statement() -> None:
    assert refusal(b"{}") == "statement-type"


def test_verification_never_imports_protobuf() -> None:
    code = "import sys, lamslsa.verification, lamslsa.predicates; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
