"""A pytest plugin for mutation testing: what one test left in a cache is no answer in the next one; nothing is drawn.

Parsers remember what they parsed, and every mutant is tried in a fork of the process that ran the tests without it. So
caches are cleared: those of the package before every test, and those of the tests, which hold minted evidence, before
every run.
"""

from __future__ import annotations

import sys


def pytest_configure() -> None:
    """Have hypothesis draw the same few examples for every mutant."""
    from hypothesis import settings

    settings.register_profile("mutation", derandomize=True, database=None, max_examples=30)
    settings.load_profile("mutation")


def pytest_sessionstart() -> None:
    """Forget what the run before this one left behind."""
    _clear("lamslsa", "tests")


def pytest_runtest_setup() -> None:
    """Forget what the test before this one left behind."""
    _clear("lamslsa")


def _clear(*packages: str) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if callable(clear):
                    clear()
