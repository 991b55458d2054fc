from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.http import HttpClient
from lamslsa.testing.provisioning import FakePccs
from lamslsa.testing.simulated import SimulatedVendor


@pytest.fixture(scope="session")
def now() -> dt.datetime:
    return dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def vendor(now: dt.datetime) -> SimulatedVendor:
    """A simulated vendor; not to be changed."""
    return SimulatedVendor(now)


@pytest.fixture
def pccs(vendor: SimulatedVendor) -> Iterator[FakePccs]:
    with FakePccs(vendor.collateral()) as server:
        yield server


@pytest.fixture
def fetcher(now: dt.datetime) -> Fetcher:
    """Asks without a cache, and never pauses."""
    return Fetcher(HttpClient(sleep=lambda _: None), now=now)
