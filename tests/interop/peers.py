"""How a peer is found, and what happens where it is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).resolve().parent
CLOSED = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
"""Environment variables that lead every attempt to reach something else than this machine nowhere."""


def require(program: str, *, package: str) -> str:
    """The path of a peer; without it the test is skipped, or fails where peers are required.

    Programs that Python packages bring along lie beside the interpreter and go before others of the same name.
    """
    found = shutil.which(program, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))
    if found is None:
        missing(f"{program} is not on PATH; it comes with the package {package}")
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
