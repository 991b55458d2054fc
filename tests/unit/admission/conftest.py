"""A model in a registry on this machine, with its chain and a policy that accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _confined
from lamslsa.admission.references import pinned
from lamslsa.evidence.nonce import Nonce
from lamslsa.policy import Policy
from lamslsa.policy.opening import open_policy
from lamslsa.store import open_artifact_store
from lamslsa.store.oci import Options, Reference
from lamslsa.store.transfer import copy
from lamslsa.testing.registry import Registry
from tests.cli.world import World

OPTIONS = Options(plain_http=True, sleep=lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The registry, the accepted model in it, and the policy."""

    registry: Registry
    model: Reference
    policy: Policy
    policy_path: Path
    options: Options = OPTIONS

    @property
    def host(self) -> str:
        return self.model.host

    def bare(self, repository: str) -> Reference:
        """The same model without attestations, in another repository."""
        target = open_artifact_store(f"oci://{self.host}/{repository}:v1", options=OPTIONS)
        source = open_artifact_store(str(self.model), options=OPTIONS)
        return pinned(copy(source, target, attestations=False).reference)


@pytest.fixture(autouse=True)
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_confined, "_may_fork", lambda: True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "world").mkdir()
    world = World.of(tmp_path / "world")
    world.publish(Nonce.random())
    policy = world.policy()
    with Registry(tmp_path / "registry") as registry:
        host = registry.url.removeprefix("http://")
        target: Any = open_artifact_store(f"oci://{host}/team/census:v1", options=OPTIONS)
        reference = copy(open_artifact_store(str(world.model)), target, attestations=True).reference
        yield Place(
            registry=registry,
            model=pinned(reference),
            policy=open_policy(str(policy)).policy,
            policy_path=policy,
        )
