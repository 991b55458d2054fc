from __future__ import annotations

import datetime as dt

import dcap_qvl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa._der import integer, object_identifier, octets, sequence
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.simulated.certificates import Cpu
from lamslsa.testing.simulated import SimulatedVendor


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "020100"), (1, "020101"), (127, "02017f"), (128, "02020080"), (255, "020200ff"), (256, "02020100")],
)
def test_integers(value: int, encoded: str) -> None:
    assert integer(value).hex() == encoded


@pytest.mark.parametrize(
    ("dotted", "encoded"),
    [
        ("1.2.840.10045.2.1", "06072a8648ce3d0201"),
        ("2.5.4.3", "0603550403"),
        ("1.2.840.113741.1.13.1", "06092a864886f84d010d01"),
    ],
)
def test_object_identifiers(dotted: str, encoded: str) -> None:
    assert object_identifier(dotted).hex() == encoded


@pytest.mark.parametrize(
    ("size", "head"), [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100")]
)
def test_lengths(size: int, head: str) -> None:
    assert octets(bytes(size)).hex() == head + "00" * size


def test_sequences() -> None:
    assert sequence(integer(1), octets(b"x")).hex() == "3006020101040178"


@settings(max_examples=20)
@given(
    ppid=st.binary(min_size=16, max_size=16),
    cpu_svn=st.binary(min_size=16, max_size=16),
    pce_svn=st.integers(0, 0x7FFF),
    pce_id=st.binary(min_size=2, max_size=2),
    fmspc=st.binary(min_size=6, max_size=6),
)
def test_the_library_reads_what_is_written(
    ppid: bytes, cpu_svn: bytes, pce_svn: int, pce_id: bytes, fmspc: bytes
) -> None:
    cpu = Cpu(ppid=ppid, cpu_svn=cpu_svn, pce_svn=pce_svn, pce_id=pce_id, fmspc=fmspc)
    vendor = SimulatedVendor(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), cpu=cpu)
    read = dcap_qvl.parse_pck_extension_from_pem(render_chain(vendor.chain))
    assert (bytes(read.ppid), bytes(read.cpu_svn), read.pce_svn) == (ppid, cpu_svn, pce_svn)
    assert (bytes(read.pce_id), bytes(read.fmspc), read.sgx_type) == (pce_id, fmspc, 0)
