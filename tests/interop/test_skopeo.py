"""skopeo, which knows nothing of models, copies ours between registries and image layouts without changing a byte."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError
from lamslsa.sign import KeySigner, generate
from lamslsa.store import open_artifact_store
from lamslsa.store.folder import FolderStore
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.oci import OciStore, Options
from tests.interop.docker_registry import DockerRegistry
from tests.interop.keyless import statement
from tests.interop.peers import CLOSED, require
from tests.interop.registries import logged_in, make_model, options_of


@dataclass(frozen=True, slots=True)
class Skopeo:
    """skopeo with credentials and authorities of its own."""

    home: Path
    registry: DockerRegistry

    def run(self, *words: str) -> bytes:
        """What a command prints; it succeeds."""
        program = require("skopeo", package="skopeo")
        environment = {**logged_in(self.registry, self.home), "TMPDIR": str(self.home), **CLOSED}
        command = [program, "--insecure-policy", *words]
        result = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def copy(self, source: str, target: str) -> None:
        """Copy an artifact; one that cannot be copied without a change is an error."""
        self.run("copy", "--preserve-digests", *self._trust(), source, target)

    def copy_list(self, source: str, target: str) -> None:
        """Copy a list of referrers with all of them; version 1.9 drops artifactType from the entries of the list."""
        self.run("copy", "--all", *self._trust(), source, target)

    def inspect(self, reference: str) -> bytes:
        """The manifest as the registry has it."""
        return self.run("inspect", "--raw", f"--cert-dir={self._authorities()}", reference)

    def _trust(self) -> list[str]:
        return [f"--{side}-cert-dir={self._authorities()}" for side in ("src", "dest")]

    def _authorities(self) -> Path:
        folder = self.home / "certs"
        folder.mkdir(parents=True, exist_ok=True)
        assert self.registry.ca is not None
        (folder / "ca.crt").write_bytes(self.registry.ca.read_bytes())
        return folder


@dataclass(frozen=True, slots=True)
class Published:
    """A model in a guarded docker-registry as ``team/model:v1``, with one bundle."""

    manifest: Manifest
    bundle: bytes
    registry: DockerRegistry
    options: Options

    @property
    def listed(self) -> str:
        """The tag under which the registry lists referrers."""
        return f"sha256-{self.manifest.sha256}"

    def store(self, place: str) -> OciStore:
        return OciStore(f"oci://{self.registry.host}/{place}", self.options)


@pytest.fixture
def skopeo(guarded_docker_registry: DockerRegistry, tmp_path: Path) -> Skopeo:
    return Skopeo(tmp_path / "skopeo", guarded_docker_registry)


@pytest.fixture
def published(guarded_docker_registry: DockerRegistry, tmp_path: Path) -> Published:
    model = make_model(tmp_path / "model")
    manifest, options = model.manifest(), options_of(guarded_docker_registry, tmp_path / "home")
    bundle = KeySigner.load(generate(None), None).sign(statement(manifest.sha256))
    with OciStore(f"oci://{guarded_docker_registry.host}/team/model:v1", options) as store:
        store.receive(manifest, model)
        store.put(bundle, name="evaluation")
    return Published(manifest, bundle, guarded_docker_registry, options)


def bundles(store: ArtifactStore) -> list[bytes]:
    """What a store lists; nothing of it is damaged."""
    listed = [stored.data for stored in store.bundles()]
    assert all(isinstance(data, bytes) for data in listed), listed
    return [data for data in listed if isinstance(data, bytes)]


def pulled(store: ArtifactStore, folder: Path) -> Manifest:
    """The manifest of what arrives in a folder, computed anew."""
    target = FolderStore(path=folder)
    target.receive(store.manifest(), store)
    return target.manifest()


def test_skopeo_sees_the_canonical_manifest(skopeo: Skopeo, published: Published) -> None:
    place = f"docker://{published.registry.host}/team/model"
    assert skopeo.inspect(f"{place}:v1") == published.manifest.canonical
    assert skopeo.inspect(f"{place}@sha256:{published.manifest.sha256}") == published.manifest.canonical


def test_from_a_registry_into_a_layout_that_we_read(skopeo: Skopeo, published: Published, tmp_path: Path) -> None:
    """With the tag that lists referrers, the bundles come along."""
    layout = tmp_path / "layout"
    place = f"docker://{published.registry.host}/team/model"
    skopeo.copy(f"{place}:v1", f"oci:{layout}:v1")
    skopeo.copy_list(f"{place}:{published.listed}", f"oci:{layout}:{published.listed}")
    store = open_artifact_store(f"oci-layout:{layout}:v1")
    assert store.manifest() == published.manifest
    assert bundles(store) == [published.bundle]
    assert pulled(store, tmp_path / "pulled") == published.manifest


def test_from_our_layout_into_a_registry_that_we_read(skopeo: Skopeo, published: Published, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    with published.store("team/model:v1") as store:
        open_artifact_store(f"oci-layout:{layout}:v2").receive(published.manifest, store)
    skopeo.copy(f"oci:{layout}:v2", f"docker://{published.registry.host}/other/model:v2")
    with published.store("other/model:v2") as store:
        assert store.manifest() == published.manifest
        assert bundles(store) == []
        assert pulled(store, tmp_path / "pulled") == published.manifest


def test_from_one_repository_to_another(skopeo: Skopeo, published: Published) -> None:
    place = f"docker://{published.registry.host}"
    skopeo.copy(f"{place}/team/model:v1", f"{place}/mirror/model:v1")
    skopeo.copy_list(f"{place}/team/model:{published.listed}", f"{place}/mirror/model:{published.listed}")
    with published.store(f"mirror/model@sha256:{published.manifest.sha256}") as store:
        assert store.manifest() == published.manifest
        assert bundles(store) == [published.bundle]


def test_what_another_tool_pushed_in_its_own_form_is_refused(
    skopeo: Skopeo, published: Published, tmp_path: Path
) -> None:
    """skopeo can be asked to rewrite a manifest; what it makes is another one, and no artifact of ours."""
    place = f"docker://{published.registry.host}"
    folder = tmp_path / "folder"
    skopeo.copy(f"{place}/team/model:v1", f"dir:{folder}")
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'":', b'": '))
    skopeo.copy(f"dir:{folder}", f"{place}/rewritten/model:v1")
    with published.store("rewritten/model:v1") as store, pytest.raises(FormatError) as caught:
        store.manifest()
    assert caught.value.reason == "manifest-not-canonical"
