"""Fixtures for pytest: a whole Sigstore and an OCI registry on loopback.

Put ``pytest_plugins = ["lamslsa.testing.fixtures"]`` into the ``conftest.py`` at the root of your tests.

- ``local_sigstore``: one `LocalSigstore` for the whole session; what it logs stays.
- ``faulty_sigstore``: the same one for a test that lets it fail or lie, sets clocks, or shortens lifetimes; all of
  that ends with the test.
- ``oci_registry``: an empty registry for one test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamslsa.testing.sigstore import LocalSigstore

if TYPE_CHECKING:
    from lamslsa.testing.registry import Registry

__all__ = ["faulty_sigstore", "local_sigstore", "oci_registry"]


@pytest.fixture(scope="session")
def local_sigstore() -> Iterator[LocalSigstore]:
    """A Sigstore of its own for the session."""
    with LocalSigstore() as sigstore:
        yield sigstore


@pytest.fixture
def faulty_sigstore(local_sigstore: LocalSigstore) -> Iterator[LocalSigstore]:
    """The same, reset when the test ends."""
    yield local_sigstore
    local_sigstore.reset()


@pytest.fixture
def oci_registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry in the test's own folder."""
    from lamslsa.testing.registry import Registry

    with Registry(tmp_path / "registry") as registry:
        yield registry
