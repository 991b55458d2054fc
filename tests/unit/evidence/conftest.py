from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.testing.simulated import SimulatedVendor


@pytest.fixture(scope="session")
def now() -> dt.datetime:
    return dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def vendor(now: dt.datetime) -> SimulatedVendor:
    """A simulated vendor; not to be changed."""
    return SimulatedVendor(now)
