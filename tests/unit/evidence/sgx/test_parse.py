from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence.sgx.parse import MAX_QUOTE_BYTES, parse, parse_report
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor

ENCLAVE = Enclave(
    mr_enclave=b"E" * 32,
    mr_signer=b"S" * 32,
    attributes=b"A" * 16,
    misc_select=b"MMMM",
    config_id=b"C" * 64,
    isv_prod_id=0x0102,
    isv_svn=0x0304,
)
DATA = bytes(range(64))


@pytest.fixture(scope="module")
def quote(vendor: SimulatedVendor) -> bytes:
    return vendor.quote(DATA, enclave=ENCLAVE)


def test_every_field_at_its_offset(vendor: SimulatedVendor, quote: bytes) -> None:
    report = parse(quote).report
    body = quote[48:432]
    assert report.cpu_svn == body[0:16]
    assert report.misc_select == body[16:20] == b"MMMM"
    assert report.isv_ext_prod_id == body[32:48]
    assert report.attributes == body[48:64] == b"A" * 16
    assert report.mr_enclave == body[64:96] == b"E" * 32
    assert report.mr_signer == body[128:160] == b"S" * 32
    assert report.config_id == body[192:256] == b"C" * 64
    assert report.isv_prod_id.to_bytes(2, "little") == body[256:258] == b"\x02\x01"
    assert report.isv_svn.to_bytes(2, "little") == body[258:260] == b"\x04\x03"
    assert report.config_svn.to_bytes(2, "little") == body[260:262]
    assert report.isv_family_id == body[304:320]
    assert report.report_data == body[320:384] == DATA
    parsed = parse(quote)
    assert (parsed.qe_svn, parsed.pce_svn) == (8, 13)
    assert parsed.chain == vendor.chain
    assert parsed.root == vendor.root.der


def test_the_complete_measurement(quote: bytes) -> None:
    assert parse(quote).report.measurement == {
        "mrEnclave": "45" * 32,
        "mrSigner": "53" * 32,
        "attributes": "41" * 16,
        "miscSelect": "4d" * 4,
        "configId": "43" * 64,
    }


@pytest.mark.parametrize("zeros", [0, 1, 100])
def test_padding_is_cut_off(quote: bytes, zeros: int) -> None:
    assert parse(quote + bytes(zeros)).raw == quote


def test_debug(vendor: SimulatedVendor) -> None:
    debug = Enclave(mr_enclave=bytes(32), mr_signer=bytes(32), attributes=DEBUG_ATTRIBUTES)
    assert parse(vendor.quote(DATA, enclave=debug)).report.debug
    assert not parse(vendor.quote(DATA)).report.debug


def test_every_truncation_is_refused(quote: bytes) -> None:
    for length in range(len(quote)):
        with pytest.raises(FormatError):
            parse(quote[:length])


def test_a_chain_may_end_in_nul_or_not(quote: bytes) -> None:
    without = bytearray(quote[:-1])
    for offset in (432, len(quote) - len(quote.split(b"-----BEGIN", 1)[1]) - 14):
        size = int.from_bytes(without[offset : offset + 4], "little") - 1
        without[offset : offset + 4] = size.to_bytes(4, "little")
    assert parse(bytes(without)).chain == parse(quote).chain


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data)


@given(st.binary(max_size=200), st.integers(0, 4000), st.booleans())
def test_any_bytes_inside_a_quote(quote: bytes, data: bytes, at: int, insert: bool) -> None:
    changed = quote[:at] + data + quote[at if insert else at + len(data) :]
    with contextlib.suppress(FormatError):
        parse(changed)


def test_size(quote: bytes) -> None:
    assert parse(quote.ljust(MAX_QUOTE_BYTES, b"\0"))
    with pytest.raises(FormatError) as caught:
        parse(quote.ljust(MAX_QUOTE_BYTES + 1, b"\0"))
    assert caught.value.reason == "quote-size"


@pytest.mark.parametrize("size", [0, 383, 385])
def test_report_size(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse_report(bytes(size))
    assert caught.value.reason == "quote-report"
