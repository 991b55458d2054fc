"""@sigstore/oci, with which GitHub's attest actions push: it attaches to our model, and our listing reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.artifact.manifest import Manifest
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.dsse import MEDIA_TYPE
from lamslsa.store.oci import OciStore, Options
from lamslsa.testing.registry import Behaviour, Registry
from tests.interop.docker_registry import DockerRegistry
from tests.interop.keyless import statement
from tests.interop.peers import node
from tests.interop.registries import make_model


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def attach(host: str, manifest: Manifest, bundle: bytes, home: Path) -> str:
    """The digest of the referrer that @sigstore/oci makes."""
    request = {
        "imageName": f"{host}/team/model",
        "imageDigest": f"sha256:{manifest.sha256}",
        "bundle": bundle.decode(),
        "mediaType": MEDIA_TYPE,
        "annotations": {"dev.sigstore.bundle.content": "dsse-envelope"},
    }
    digest: str = node("attach.mjs", request, home=home)["digest"]
    return digest


def both_attach(host: str, signer: KeySigner, folder: Path) -> None:
    """They, we, they again; all three are listed, and ours is not attached again."""
    model = make_model(folder / "model")
    manifest = model.manifest()
    theirs, ours, more = (
        signer.sign(statement(manifest.sha256, f"https://lamslsa.dev/{name}/v1")) for name in ("a", "b", "c")
    )
    with OciStore(f"oci://{host}/team/model:v1", Options(plain_http=True)) as store:
        store.receive(manifest, model)
        digest = attach(host, manifest, theirs, folder)
        (stored,) = store.bundles()
        assert digest in stored.source
        assert stored.data == theirs

        place = store.put(ours, name="evaluation")
        attach(host, manifest, more, folder)
        listed = [stored.data for stored in store.bundles()]
        assert sorted(listed, key=str) == sorted((theirs, ours, more), key=str)
        for data in listed:
            assert isinstance(data, bytes)
            assert signer.verifier().verify(parse_bundle(data)).key_id == signer.key_id

        assert store.put(ours, name="evaluation") == place
        assert digest in store.put(theirs, name="evaluation")
        assert len(list(store.bundles())) == 3


def test_docker_registry(docker_registry: DockerRegistry, signer: KeySigner, tmp_path: Path) -> None:
    both_attach(docker_registry.host, signer, tmp_path)


@pytest.mark.parametrize("referrers", ["api", "none", "lies"])
def test_test_registry(referrers: str, signer: KeySigner, tmp_path: Path) -> None:
    """Also one that answers OCI-Subject and has no referrers API, as Amazon's did."""
    behaviour = Behaviour(referrers=referrers)  # type: ignore[arg-type]
    with Registry(tmp_path / "registry", behaviour=behaviour) as registry:
        both_attach(registry.url.removeprefix("http://"), signer, tmp_path)
