"""Peers that users already have, run as they are: docker-registry, skopeo, node with sigstore-js, gh, sigstore.

A peer that is missing skips by name on a contributor's machine and fails under ``CI_REQUIRE_PEERS=1``. Nothing here
reaches further than loopback, and no peer sees the HOME or the credentials of whoever runs the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lamslsa.testing.fixtures import local_sigstore, oci_registry
from tests.interop.docker_registry import DockerRegistry, running

__all__ = ["docker_registry", "guarded_docker_registry", "local_sigstore", "oci_registry"]


@pytest.fixture
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """An empty docker-registry over plain HTTP, open to everybody on this machine."""
    with running(tmp_path_factory.mktemp("registry"), guarded=False) as registry:
        yield registry


@pytest.fixture
def guarded_docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """An empty docker-registry with TLS and htpasswd."""
    with running(tmp_path_factory.mktemp("registry"), guarded=True) as registry:
        yield registry
