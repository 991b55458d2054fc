"""Tests on real evidence, which lies outside the repository: ``LAMSLSA_SHARED``, by default ``../shared``.

Where it is missing nothing in this folder is collected but one test, which says so: skipped on a contributor's machine,
failed under ``CI_REQUIRE_SHARED=1``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = (ROOT / os.environ.get("LAMSLSA_SHARED", "../shared")).resolve()
ONLY = "test_shared.py"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without the shared files, leave one test to say so."""
    alone = not SHARED.is_dir() and collection_path.is_file()
    return True if alone and collection_path.name not in (ONLY, "conftest.py") else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real evidence and bundles."""
    if not SHARED.is_dir():
        message = f"shared files are not in {SHARED}: set LAMSLSA_SHARED"
        if os.environ.get("CI_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED
