"""Run the command line as a user does: a process of its own, its exit code, stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.main import main
from tests.forking import Forked

# Variables that an interpreter or a library reads once, when it starts.
AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "OMP_", "MKL_")
Run = Callable[..., subprocess.CompletedProcess[str]]
Cli = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def lamslsa(tmp_path: Path) -> Run:
    """``lamslsa(*words)``; HOME and the simulated platform are the test's own."""

    def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LAMSLSA_")}
        environment |= {"HOME": str(tmp_path), "COLUMNS": "100", "NO_COLOR": "1"} | variables
        environment.pop("XDG_STATE_HOME", None)
        arguments = [str(word) for word in words]
        command = [sys.executable, "-m", "lamslsa", *arguments]
        if not any(name.startswith(AT_START) for name in variables):
            process = Forked(arguments, environment)
            out, err = process.ended()
            return subprocess.CompletedProcess(command, process.returncode or 0, out, err)
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)

    return run


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Exit code, the JSON on stdout, and stderr."""

    def run(*words: str | Path) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main([*map(str, words), "--format", "json"])
        done = capsys.readouterr()
        return code, json.loads(done.out) if done.out else None, done.err

    return run
