"""Real Sigstore bundles: what this release does not verify is refused by name, and never by another exception."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.sign.dsse import parse_bundle, parse_bundles
from lamslsa.sign.key import KeyVerifier

REFUSED = {
    "conformance/dsse-invalid-sig_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/dsse-mismatch-envelope_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/dsse-mismatch-sig_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/happy-path-intoto-in-dsse-v3/bundle.sigstore.json": "bundle-certificate",
    "conformance/managed-key-happy-path/bundle.sigstore.json": "bundle-message-signature",
    "conformance/managed-key-wrong-key_fail/bundle.sigstore.json": "bundle-message-signature",
    "conformance/rekor2-dsse-happy-path/bundle.sigstore.json": "bundle-certificate",
    "conformance/rekor2-dsse-invalid-sig_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/rekor2-dsse-mismatch-envelope_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/rekor2-dsse-mismatch-sig_fail/bundle.sigstore.json": "bundle-certificate",
    "conformance/rekor2-no-timestamp_fail/bundle.sigstore.json": "bundle-message-signature",
    "model_signing/v1.0.0-elliptic-key/model.sig": "bundle-shape",
    "model_signing/v1.0.0-sigstore/model.sig": "bundle-certificate",
    "model_signing/v1.1.0-elliptic-key/model.sig": "bundle-key-hint",
    "model_signing/v1.1.0-sigstore/model.sig": "bundle-certificate",
    "model_signing/spec-v1.0/invalid-payload/wrong-predicate.bundle.json": "bundle-key-hint",
    "model_signing/spec-v1.0/invalid/empty.bundle.json": "json-syntax",
    "model_signing/spec-v1.0/invalid/missing-envelope.bundle.json": "bundle-key-hint",
    "model_signing/spec-v1.0/invalid/missing-tlog-entries.bundle.json": "bundle-certificate",
    "model_signing/spec-v1.0/invalid/missing-verification-material.bundle.json": "bundle-shape",
    "model_signing/spec-v1.0/valid/certificate.bundle.json": "bundle-certificate",
    "model_signing/spec-v1.0/valid/key.bundle.json": "bundle-key-hint",
    "model_signing/spec-v1.0/valid/sigstore.bundle.json": "bundle-certificate",
    "other/pypi_attestation_models-0.0.4a2.tar.gz.sigstore": "bundle-certificate",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(shared: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_bundle((shared / "sigstore" / name).read_bytes())
    assert caught.value.reason == REFUSED[name]


def test_every_bundle_is_listed(shared: Path) -> None:
    folder = shared / "sigstore"
    found = {
        path.relative_to(folder).as_posix()
        for pattern in ("*.sigstore.json", "*.sigstore", "*.sig", "*.bundle.json", "*sigstore.bundle.json")
        for path in folder.rglob(pattern)
    }
    assert found == set(REFUSED)


def test_a_line_of_bundles(shared: Path) -> None:
    file = shared / "sigstore" / "other" / "slsa-github-generator-push-v14.2.intoto.jsonl"
    (result,) = parse_bundles(file.name, file.read_bytes())
    assert isinstance(result.outcome, FormatError)
    assert result.outcome.reason == "bundle-certificate"


def test_the_managed_key_of_the_conformance_suite(shared: Path) -> None:
    folder = shared / "sigstore" / "conformance"
    bundle = json.loads((folder / "managed-key-happy-path" / "bundle.sigstore.json").read_bytes())
    key = KeyVerifier.load((folder / "managed-key-happy-path" / "key.pub").read_bytes())
    assert key.key_id == bundle["verificationMaterial"]["publicKey"]["hint"]


def test_the_broken_key_of_the_conformance_suite(shared: Path) -> None:
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load((shared / "sigstore/conformance/managed-key-wrong-key_fail/key.pub").read_bytes())
    assert caught.value.reason == "key-pem"
