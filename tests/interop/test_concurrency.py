"""16 writers attach 5 bundles each to one artifact at the same time: what was said to be attached is listed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.sign import KeySigner, generate
from lamslsa.store.oci import OciStore, Options
from lamslsa.testing.registry import Behaviour, Registry
from tests.interop.docker_registry import DockerRegistry
from tests.interop.keyless import statement
from tests.interop.registries import make_model

WRITERS = 16
EACH = 5


def attach_at_once(host: str, folder: Path, each: int = EACH) -> tuple[set[bytes], set[bytes], set[bytes]]:
    """The bundles that were said to be attached, those that were not, and those that are listed in the end."""
    model, signer = make_model(folder / "model"), KeySigner.load(generate(None), None)
    manifest, options = model.manifest(), Options(plain_http=True)
    reference = f"oci://{host}/team/model@sha256:{manifest.sha256}"
    with OciStore(reference, options) as store:
        store.receive(manifest, model)

    def write(writer: int) -> dict[bytes, bool]:
        outcome = {}
        with OciStore(reference, options) as store:
            for number in range(each):
                kind = f"https://lamslsa.dev/{writer}-{number}/v1"
                bundle = signer.sign(statement(manifest.sha256, kind))
                try:
                    store.put(bundle, name="evaluation")
                    outcome[bundle] = True
                except UnavailableError:
                    outcome[bundle] = False
        return outcome

    outcomes: dict[bytes, bool] = {}
    with ThreadPoolExecutor(WRITERS) as pool:
        for outcome in pool.map(write, range(WRITERS)):
            outcomes |= outcome
    assert len(outcomes) == WRITERS * each
    with OciStore(reference, options) as store:
        listed = {bundle.data for bundle in store.bundles() if isinstance(bundle.data, bytes)}
    attached = {bundle for bundle, kept in outcomes.items() if kept}
    return attached, outcomes.keys() - attached, listed


def test_docker_registry(docker_registry: DockerRegistry, tmp_path: Path) -> None:
    """Which ignores If-Match and answers 500 when a tag is written twice at the same time."""
    attached, lost, listed = attach_at_once(docker_registry.host, tmp_path)
    assert attached <= listed
    assert len(lost) < len(attached)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_fallback_tag_with_and_without_conditions(tmp_path: Path, *, conditional: bool) -> None:
    behaviour = Behaviour(referrers="none", conditional=conditional)
    with Registry(tmp_path / "registry", behaviour=behaviour) as registry:
        attached, lost, listed = attach_at_once(registry.url.removeprefix("http://"), tmp_path)
    assert attached <= listed
    assert len(lost) < len(attached)


def test_the_referrers_api(oci_registry: Registry, tmp_path: Path) -> None:
    """Where nobody writes what somebody else reads."""
    attached, lost, listed = attach_at_once(oci_registry.url.removeprefix("http://"), tmp_path, each=3)
    assert attached == listed
    assert not lost
