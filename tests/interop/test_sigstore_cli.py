"""Keyless bundles: sigstore's API and command line verify ours against the canonical manifest, and we verify theirs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

import lamslsa.errors
from lamslsa.sign import parse_bundle
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from lamslsa.statement import parse
from lamslsa.testing.sigstore import SUBJECT, LocalSigstore, Rekor
from tests.interop.keyless import signed, statement
from tests.interop.peers import CLOSED

MANIFEST = b'{"schemaVersion":2}'
PROVENANCE = {
    "buildDefinition": {"buildType": "https://lamslsa.dev/training/v1", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://lamslsa.dev/enclave/1"}},
}


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_api_returns_the_very_bytes_that_we_signed(
    local_sigstore: LocalSigstore, tmp_path: Path, rekor: Rekor
) -> None:
    (tmp_path / "trusted_root.json").write_text(local_sigstore.trusted_root_json())
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(tmp_path / "trusted_root.json")))
    bundle = Bundle.from_json(signed(local_sigstore, statement(), token=local_sigstore.token(), rekor=rekor))
    ours = policy.Identity(identity=SUBJECT, issuer=local_sigstore.issuer)
    assert verifier.verify_dsse(bundle, ours) == ("application/vnd.in-toto+json", statement())
    with pytest.raises(VerificationError, match="Certificate's SANs do not match"):
        verifier.verify_dsse(bundle, policy.Identity(identity="mallory@example.test", issuer=local_sigstore.issuer))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """sigstore in a folder that is its HOME."""
    command = [sys.executable, "-m", "sigstore", "--trust-config", "config.json", *words]
    environment = {"HOME": str(folder), "COLUMNS": "500", **CLOSED}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_command_line_verifies_the_manifest(local_sigstore: LocalSigstore, tmp_path: Path, rekor: Rekor) -> None:
    sha256 = hashlib.sha256(MANIFEST).hexdigest()
    bundle = signed(local_sigstore, statement(sha256), token=local_sigstore.token(), rekor=rekor)
    (tmp_path / "config.json").write_text(local_sigstore.trust_config_json(rekor))
    (tmp_path / "bundle.sigstore.json").write_bytes(bundle)
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    (tmp_path / "another.json").write_bytes(b"{}")

    def verify(file: str, identity: str = SUBJECT) -> subprocess.CompletedProcess[str]:
        words = ["verify", "identity", "--offline", "--bundle", "bundle.sigstore.json"]
        return run(tmp_path, *words, "--cert-identity", identity, "--cert-oidc-issuer", local_sigstore.issuer, file)

    accepted = verify("manifest.json")
    assert accepted.returncode == 0, accepted.stderr
    assert "OK: manifest.json" in accepted.stderr
    another = verify("another.json")
    assert another.returncode == 1
    assert "FAIL: another.json" in another.stderr
    assert "in-toto statement has no subject" in another.stderr
    somebody = verify("manifest.json", "mallory@example.test")
    assert somebody.returncode == 1
    assert "SANs do not match" in somebody.stderr


@pytest.mark.parametrize("rekor", [1, 2])
def test_we_verify_what_the_command_line_signs(local_sigstore: LocalSigstore, tmp_path: Path, rekor: Rekor) -> None:
    (tmp_path / "config.json").write_text(local_sigstore.trust_config_json(rekor))
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    (tmp_path / "predicate.json").write_text(json.dumps(PROVENANCE))
    words = ["--identity-token", local_sigstore.token(email="someone@example.test"), "--bundle", "bundle.json"]
    words += ["--predicate", "predicate.json", "--predicate-type", "https://slsa.dev/provenance/v1", "manifest.json"]
    signing = run(tmp_path, "attest", *words)
    assert signing.returncode == 0, signing.stderr

    envelope = parse_bundle((tmp_path / "bundle.json").read_bytes())
    root = SigstoreRoot.load(local_sigstore.trusted_root_json().encode())
    terms = KeylessTerms(issuer=local_sigstore.issuer, identity="someone@example.test")
    signature = KeylessVerifier(terms=terms, root=root).verify(envelope)
    assert signature.witnessed.logged
    assert {time.source for time in signature.witnessed.times} == (
        {"log", "timestamp"} if rekor == 1 else {"timestamp"}
    )
    (subject,) = parse(envelope.payload).subjects
    assert subject.sha256 == hashlib.sha256(MANIFEST).hexdigest()

    others = KeylessTerms(issuer=local_sigstore.issuer, identity="mallory@example.test")
    with pytest.raises(lamslsa.errors.VerificationError) as caught:
        KeylessVerifier(terms=others, root=root).verify(envelope)
    assert caught.value.reason == "signature-identity"
