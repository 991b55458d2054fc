from __future__ import annotations

import datetime as dt

import pytest

from lamslsa.testing.simulated_snp import SimulatedSnpVendor


@pytest.fixture(scope="session")
def snp_vendor(now: dt.datetime) -> SimulatedSnpVendor:
    """A simulated vendor; not to be changed."""
    return SimulatedSnpVendor(now)
