"""The Census model, attested by a workflow of GitHub."""

from __future__ import annotations

from typing import Any

import pytest

from lamslsa.testing.fixtures import local_sigstore, oci_registry
from lamslsa.testing.sigstore import LocalSigstore
from tests.actions.census import Census

__all__ = ["local_sigstore", "oci_registry"]


@pytest.fixture(scope="session")
def census(chain: Any, local_sigstore: LocalSigstore, tmp_path_factory: pytest.TempPathFactory) -> Census:
    return Census(chain, local_sigstore, tmp_path_factory.mktemp("actions"))
