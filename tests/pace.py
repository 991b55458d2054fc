"""What makes a run of all tests shorter on two workers; no test knows of it.

- Tests that share a fixture of seconds stay on one worker, so that it is made once: see `TOGETHER`.
- Each worker rewrites the assertions of some files, where it may keep that beside the sources, and not of all.
- What takes longest starts first, so that neither worker is idle at the end. The order is random otherwise.
- What is collected lives as long as the run, so the garbage collector need not look at it again and again.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.assertion import rewrite
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Files or tests, and the name of what goes to one worker: all that use a fixture, or a program parsed once.
TOGETHER: Final = {
    "tests/actions/test_actions.py": "census",
    "tests/actions/test_attach.py": "census",
    "tests/actions/test_tees.py": "census",
    "tests/cli/test_keyless_chain.py": "made",
    "tests/cli/test_plans_verified.py": "chain",
    "tests/unit/attester/test_vectors.py": "trained",
    "tests/unit/enclave/test_closure.py": "measure-build",
    "tests/unit/enclave/test_end_to_end.py::test_every_job_runs_on_trusted_files_alone": "measure-build",
    "tests/unit/evidence/test_attesters.py": "snp",
    "tests/unit/measure/test_dataset_properties.py": "rows",
    "tests/unit/test_refusals.py": "refusals",
}
# Here a fixture makes something for each parameter.
_BY_PARAMETER: Final = "tests/cli/test_policy_templates.py"
_TESTS: Final = Path(__file__).resolve().parent


def together(nodeid: str) -> str:
    """The name of what goes to one worker with this test; its own where it may go to any."""
    path, _, test = nodeid.partition("::")
    if path == _BY_PARAMETER and "[" in test:
        return path + test[test.index("[") :]
    return TOGETHER.get(path) or TOGETHER.get(nodeid) or nodeid


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """One test at a time to whichever worker is free, but for what goes together."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Forget what is done, which xdist would count again after each test."""
        super().mark_test_complete(node, item_index, duration)
        work, done = self.assigned_work[node], together(self.registered_collections[node][item_index])
        if all(work[done].values()):
            del work[done]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together | None:
    """In place of ``--dist load``; with pytest 9.2, ``--dist loadgroup`` of xdist 3.8 groups nothing."""
    return Together(config, log) if config.getvalue("dist") == "load" else None


def _rewrite_share(config: pytest.Config) -> None:
    """Rewrite this worker's share of the test files; the other workers find it done."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    of = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if of == 1 or sys.dont_write_bytecode:
        return
    asked = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    paths = [path for path in sorted(_TESTS.rglob("test_*.py")) if any(map(path.is_relative_to, asked))]
    for path in paths[number::of]:
        folder = rewrite.get_cache_dir(path)
        kept = folder / (path.stem + rewrite.PYC_TAIL)
        if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(folder):
            source, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source, kept)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without looking for garbage, of which collecting makes little."""
    gc.disable()
    try:
        _rewrite_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """What was collected is garbage like any other now."""
    gc.unfreeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffle: slow tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
