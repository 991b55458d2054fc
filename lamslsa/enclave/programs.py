"""Gramine's programs: found on PATH, run without a shell, and their failures told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lamslsa.errors import UnavailableError

__all__ = ["PROGRAMS", "find_program", "run_program"]

PROGRAMS: Final = ("gramine-manifest", "gramine-sgx-sign", "gramine-direct", "gramine-sgx")
_HINTS: Final = {"ldd": "install the programs of the C library"}
_MAX_MESSAGE: Final = 2000


def find_program(name: str) -> str:
    """The path of a program.

    Raises:
        UnavailableError: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(
            f"expected the program {name} on PATH, got none",
            reason="enclave-program",
            hint=_HINTS.get(name, "install Gramine 1.8 or later: enclave/README.md says how"),
        )
    return found


def run_program(name: str, arguments: Sequence[str], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end, and return what it wrote to stdout.

    Raises:
        UnavailableError: it is not on PATH, or it failed.
    """
    done = subprocess.run(
        [find_program(name), *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing")[-_MAX_MESSAGE:]
        raise UnavailableError(
            f"expected {name} to succeed, got exit code {done.returncode} and: {said}", reason="enclave-program-failed"
        )
    return done.stdout
