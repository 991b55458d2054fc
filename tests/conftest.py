"""Fixtures that every test can use: the Census chain, made once a run by the demo's own code."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.forking import forked
from tests.loading import load_script
from tests.pace import (
    pytest_collection,
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_xdist_make_scheduler,
)

__all__ = [
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_sessionfinish",
    "pytest_xdist_make_scheduler",
]

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="cli: write the golden files anew")
    parser.addoption("--every-mutation", action="store_true", help="fuzz: every single-byte mutation, once")


def pytest_configure() -> None:
    """Draw the fuzz seed before the workers are started: they inherit it."""
    os.environ.setdefault("LAMSLSA_FUZZ_SEED", str(random.SystemRandom().getrandbits(32)))


def pytest_report_header() -> str:
    return f"fresh mutations: LAMSLSA_FUZZ_SEED={os.environ['LAMSLSA_FUZZ_SEED']}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out for want of Gramine, which no package registry has."""
    skipped = [item for item in terminalreporter.stats.get("skipped", []) if "gramine" in item.keywords]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests need Gramine and were skipped: see enclave/README.md")


@pytest.fixture(scope="session")
def adult() -> Path:
    """The folder with UCI Adult, which `make test` fetches."""
    folder = Path(os.environ.get("LAMSLSA_ADULT", ROOT / "build" / "demo" / "data")).resolve()
    if not (folder / "adult.test").is_file():
        message = f"UCI Adult is not in {folder}: run `make test`, or examples/census/fetch.py"
        if os.environ.get("CI_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@contextmanager
def _once(folder: Path) -> Iterator[bool]:
    """Whether this process is the first of all workers to get here; the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, adult: Path) -> Any:
    """A `Demo` whose steps 1 to 4 have run and which is armed for the attacks; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "census"
    demo_module = load_script(ROOT / "examples" / "census" / "demo.py", "census_demo")
    with _once(shared) as first:
        folder = shared / "demo"
        demo = demo_module.Demo(folder, job=ROOT / "examples" / "census" / "census.yaml", data=adult)
        if first:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with forked(sys.modules["walk"]):
                demo.walk()
                demo.arm()
    return demo
