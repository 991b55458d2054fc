"""How a peer is found, and what happens where it is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).resolve().parent


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


def node(program: str, request: Any, *, home: Path) -> Any:
    """What one of the programs of this folder answers on stdout; both ways JSON.

    Raises:
        subprocess.CalledProcessError: it ended with an error.
    """
    executable = require("node", package="nodejs")
    if not (HERE / "node_modules" / "@sigstore" / "verify").is_dir():
        missing("sigstore-js is not in tests/interop/node_modules: run `make peers`")
    result = subprocess.run(
        [executable, str(HERE / program)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(home)},
        timeout=60,
    )
    return json.loads(result.stdout)
