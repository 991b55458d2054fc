"""How a peer is found, and what happens where it is missing."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def require(program: str, *, package: str) -> str:
    """The path of a peer; without it the test is skipped, or fails where peers are required."""
    found = shutil.which(program)
    if found is None:
        missing(f"{program} is not on PATH: apt-get install {package}")
    return found


def missing(message: str) -> NoReturn:
    """Skip the test by name, or fail it where peers are required."""
    if os.environ.get("CI_REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)
