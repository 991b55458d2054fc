from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.testing.simulated_gpu import SimulatedGpuVendor


@pytest.fixture(scope="session")
def gpu_vendor(now: dt.datetime) -> SimulatedGpuVendor:
    """A simulated GPU vendor; not to be changed."""
    return SimulatedGpuVendor(now)
