"""The bytes that quotes of SGX and TDX share: where each length ends, and what a refusal says."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence import _dcap_quote
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.sgx import parse as sgx
from lamslsa.evidence.tdx import parse as tdx
from lamslsa.testing.simulated import SimulatedVendor


def refused(section: bytes) -> tuple[str, str]:
    with pytest.raises(FormatError) as caught:
        _dcap_quote.parse_certification(section)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    ("version", "tee", "kind"),
    [
        *((version, 0, "SGX") for version in (3, 4, 5)),
        *((version, 0x81, "TDX") for version in (4, 5)),
        *((version, 0, "unknown") for version in (0, 2, 6)),
        *((version, 0x81, "unknown") for version in (3, 6)),
        *((version, 1, "unknown") for version in (3, 4, 5)),
    ],
)
def test_what_a_quote_says_it_is(version: int, tee: int, kind: str) -> None:
    assert _dcap_quote.describe(struct.pack("<HHI", version, 2, tee)) == f"version {version} of kind {kind}"


@pytest.mark.parametrize(("parse", "named"), [(sgx.parse, "an SGX quote"), (tdx.parse, "a TDX quote")])
def test_a_report_that_carries_a_quote_is_none(parse: Callable[[bytes], object], named: str) -> None:
    with pytest.raises(FormatError, match=f"expected {named}, got an Azure HCL report") as caught:
        parse(b"HCLA" + bytes(1000))
    assert caught.value.reason == "quote-azure-hcl"


def test_a_quote_ends_where_its_length_says() -> None:
    for length in (0, 1, 5):
        quote = bytes(10) + struct.pack("<I", length) + b"x" * length
        for padding in (b"", b"\0", bytes(9)):
            assert _dcap_quote.without_padding(quote + padding, signed=10) == quote
    for quote, reason in (
        (bytes(13), "quote-truncated"),
        (bytes(10) + struct.pack("<I", 1), "quote-truncated"),
        (bytes(14) + b"x", "quote-trailing"),
        (bytes(15) + b"x", "quote-trailing"),
    ):
        with pytest.raises(FormatError) as caught:
            _dcap_quote.without_padding(quote, signed=10)
        assert caught.value.reason == reason


@pytest.mark.parametrize("size", [0, 446, 447, 448, 449])
def test_a_section_without_room_for_authentication_data(size: int) -> None:
    assert refused(bytes(size)) == ("quote-lengths", "expected a signature section, got a shorter one")


def test_a_section_without_certification_data() -> None:
    for rest in (b"\0\0", b"\0\0" + bytes(5), b"\5\0" + bytes(10)):
        assert refused(bytes(448) + rest) == ("quote-lengths", "expected certification data, got none")


def test_certification_data_that_is_empty() -> None:
    assert refused(bytes(448) + b"\0\0" + struct.pack("<HI", 5, 0))[0] == "pem-chain"
    assert refused(bytes(448) + b"\0\0" + struct.pack("<HI", 4, 0))[0] == "quote-certification"


def test_certification_data_that_ends_the_section(vendor: SimulatedVendor) -> None:
    pem = render_chain(vendor.chain)
    for authentication in (b"", b"x", b"x" * 300):
        start = bytes(448) + struct.pack("<H", len(authentication)) + authentication
        for chain in (pem, pem + b"\0"):
            section = start + struct.pack("<HI", 5, len(chain)) + chain
            assert _dcap_quote.parse_certification(section) == vendor.chain
        for stated in (len(pem) - 1, len(pem) + 1):
            reason, message = refused(start + struct.pack("<HI", 5, stated) + pem)
            assert (reason, message.split("got ")[1]) == ("quote-lengths", f"{stated} bytes of {len(pem)}")
