from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.testing.simulated_nitro import SimulatedNitroVendor


@pytest.fixture(scope="session")
def nitro_vendor(now: dt.datetime) -> SimulatedNitroVendor:
    """A simulated vendor; not to be changed."""
    return SimulatedNitroVendor(now)
