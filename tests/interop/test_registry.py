"""The OCI store against Debian's docker-registry: TLS, a password, and no referrers API."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lamslsa.errors import UnavailableError
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.store.folder import FolderStore
from lamslsa.store.oci import OciStore, Options
from tests.interop.docker_registry import DockerRegistry
from tests.interop.keyless import statement
from tests.interop.registries import logged_in, make_model, options_of


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def get(registry: DockerRegistry, path: str, accept: str) -> urllib3.BaseHTTPResponse:
    """What the registry answers another client."""
    headers = urllib3.make_headers(basic_auth=f"{registry.user}:{registry.password}")
    with urllib3.PoolManager(ca_certs=str(registry.ca)) as http:
        return http.request("GET", f"{registry.url}/v2/{path}", headers={**headers, "Accept": accept})


def test_push_attach_list_and_pull(guarded_docker_registry: DockerRegistry, signer: KeySigner, tmp_path: Path) -> None:
    registry, model = guarded_docker_registry, make_model(tmp_path / "model")
    manifest, options = model.manifest(), options_of(registry, tmp_path)
    with OciStore(f"oci://{registry.host}/team/model:v1", options) as store:
        pushed = store.receive(manifest, model)
        assert pushed == f"oci://{registry.host}/team/model:v1@sha256:{manifest.sha256}"
        assert list(store.bundles()) == []
        bundles = {signer.sign(statement(manifest.sha256, f"https://lamslsa.dev/{name}/v1")) for name in ("a", "b")}
        for bundle in bundles:
            assert store.put(bundle, name="evaluation") == store.put(bundle, name="evaluation")

    # Another client sees the very manifest, by its digest, and both bundles under the fallback tag.
    raw = get(registry, "team/model/manifests/v1", "application/vnd.oci.image.manifest.v1+json")
    assert raw.headers["Docker-Content-Digest"] == f"sha256:{manifest.sha256}"
    assert raw.data == manifest.canonical
    tag = get(registry, f"team/model/manifests/sha256-{manifest.sha256}", "application/vnd.oci.image.index.v1+json")
    assert len(json.loads(tag.data)["manifests"]) == len(bundles)
    api = get(registry, f"team/model/referrers/sha256:{manifest.sha256}", "application/vnd.oci.image.index.v1+json")
    assert api.status == 404

    with OciStore(pushed.replace(":v1@", "@"), options) as store:
        assert {stored.data for stored in store.bundles()} == bundles
        for stored in store.bundles():
            assert isinstance(stored.data, bytes)
            assert signer.verifier().verify(parse_bundle(stored.data)).key_id == signer.key_id
        pulled = FolderStore(path=tmp_path / "pulled")
        pulled.receive(store.manifest(), store)
    assert pulled.manifest() == manifest
    assert (pulled.path / "tokenizer" / "größe.txt").read_bytes() == b"\n"


def test_a_registry_that_is_not_trusted_or_refuses_is_unavailable(
    guarded_docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    registry = guarded_docker_registry
    pauses: list[float] = []
    wrong = dataclasses.replace(registry, password="hunter2-of-somebody")
    trusted = Options(authorities=registry.ca, sleep=pauses.append)
    for options, reason in (
        (Options(environ=logged_in(registry, tmp_path / "a"), sleep=lambda _: None), "registry-tls"),
        (trusted, "registry-denied"),
        (dataclasses.replace(trusted, environ=logged_in(wrong, tmp_path / "b")), "registry-denied"),
    ):
        with (
            OciStore(f"oci://{registry.host}/team/model:v1", options) as store,
            pytest.raises(UnavailableError) as caught,
        ):
            store.manifest()
        assert caught.value.reason == reason
        said = f"{caught.value}{caught.value.hint}{store!r}{options!r}"
        assert registry.password not in said
        assert wrong.password not in said
    assert pauses == []


def test_a_published_chain_through_the_command_line(
    chain: Any, guarded_docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    """Push, verify from the manifest and the bundles alone, pull, verify; no layer is asked for before."""
    registry = guarded_docker_registry
    environment = {**os.environ, **logged_in(registry, tmp_path / "home")}

    def lamslsa(*words: str | Path, expect: int = 0) -> str:
        command = [sys.executable, "-m", "lamslsa", *map(str, words)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == expect, result.stdout + result.stderr
        assert registry.password not in result.stdout + result.stderr
        return result.stdout

    trusted = ("--ca-file", str(registry.ca))
    place = f"oci://{registry.host}/acme/census"
    reference = json.loads(lamslsa("push", chain.model, f"{place}:v1", *trusted, "--format", "json"))["reference"]
    assert reference.startswith(f"{place}:v1@sha256:")
    lamslsa("pull", reference, tmp_path / "pulled", *trusted)
    assert "ACCEPTED" in lamslsa("verify", tmp_path / "pulled", "--policy", chain.policy)

    blobs = registry.storage / "docker" / "registry" / "v2" / "blobs" / "sha256"
    for file in FolderStore(path=chain.model).manifest().files:
        shutil.rmtree(blobs / file.sha256[:2] / file.sha256)
    pinned = reference.replace(":v1@", "@")
    assert "ACCEPTED" in lamslsa("verify", pinned, "--policy", chain.policy, *trusted)
    lamslsa("verify", pinned, "--pull", "--policy", chain.policy, *trusted, expect=6)
