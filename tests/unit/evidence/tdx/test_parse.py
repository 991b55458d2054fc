from __future__ import annotations

import contextlib
import datetime as dt
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence.simulated.td_quote import TrustDomain
from lamslsa.evidence.tdx.parse import MAX_QUOTE_BYTES, _parse_certification, parse, parse_report
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

DATA = bytes(range(64))
DOMAIN = TrustDomain(
    mr_td=b"T" * 48,
    rtmrs=(b"0" * 48, b"1" * 48, b"2" * 48, b"3" * 48),
    mr_config_id=b"C" * 48,
    mr_owner=b"O" * 48,
    mr_owner_config=b"P" * 48,
    td_attributes=bytes(range(8)),
    xfam=b"X" * 8,
    tee_tcb_svn=bytes(range(16)),
    mr_seam=b"M" * 48,
    mr_signer_seam=b"S" * 48,
    seam_attributes=b"A" * 8,
    tee_tcb_svn_now=bytes(range(16, 32)),
    mr_service_td=b"V" * 48,
)
Version = Literal[4, 5]
VERSIONS: tuple[Version, ...] = (4, 5)


@pytest.fixture(scope="module")
def vendor(now: dt.datetime) -> SimulatedTdxVendor:
    return SimulatedTdxVendor(now)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    value: Version = request.param
    return value


@pytest.fixture(scope="module")
def quote(vendor: SimulatedTdxVendor, version: Version) -> bytes:
    return vendor.quote(DATA, domain=DOMAIN, version=version)


def test_every_field_at_its_offset(vendor: SimulatedTdxVendor, quote: bytes, version: Version) -> None:
    parsed = parse(quote)
    report, body = parsed.report, quote[48 if version == 4 else 54 :]
    assert report.tee_tcb_svn == body[0:16] == bytes(range(16))
    assert report.mr_seam == body[16:64] == b"M" * 48
    assert report.mr_signer_seam == body[64:112] == b"S" * 48
    assert report.seam_attributes == body[112:120] == b"A" * 8
    assert report.td_attributes == body[120:128] == bytes(range(8))
    assert report.xfam == body[128:136] == b"X" * 8
    assert report.mr_td == body[136:184] == b"T" * 48
    assert report.mr_config_id == body[184:232] == b"C" * 48
    assert report.mr_owner == body[232:280] == b"O" * 48
    assert report.mr_owner_config == body[280:328] == b"P" * 48
    assert b"".join(report.rtmrs) == body[328:520] == b"0" * 48 + b"1" * 48 + b"2" * 48 + b"3" * 48
    assert report.report_data == body[520:584] == DATA
    if version == 4:
        assert (report.tee_tcb_svn_now, report.mr_service_td) == (None, None)
    else:
        assert report.tee_tcb_svn_now == body[584:600] == bytes(range(16, 32))
        assert report.mr_service_td == body[600:648] == b"V" * 48
    assert parsed.version == version
    assert parsed.chain == vendor.chain
    assert parsed.root == vendor.root.der


def test_the_complete_measurement(quote: bytes) -> None:
    assert parse(quote).report.measurement == {
        "mrTd": "54" * 48,
        "rtmr0": "30" * 48,
        "rtmr1": "31" * 48,
        "rtmr2": "32" * 48,
        "rtmr3": "33" * 48,
        "mrConfigId": "43" * 48,
        "tdAttributes": "0001020304050607",
        "xfam": "58" * 8,
    }


@pytest.mark.parametrize("bit", range(64))
def test_debug(bit: int) -> None:
    domain = TrustDomain(mr_td=bytes(48), td_attributes=(1 << bit).to_bytes(8, "little"))
    assert parse_report(domain.report(DATA)).debug is (bit < 8)


@pytest.mark.parametrize("zeros", [0, 1, 100])
def test_padding_is_cut_off(quote: bytes, zeros: int) -> None:
    assert parse(quote + bytes(zeros)).raw == quote


def test_every_truncation_is_refused(quote: bytes) -> None:
    for length in range(len(quote)):
        with pytest.raises(FormatError):
            parse(quote[:length])


def test_the_report_of_tdx_1_0_in_version_5(vendor: SimulatedTdxVendor) -> None:
    four = vendor.quote(DATA, domain=DOMAIN)
    five = b"\x05" + four[1:48] + bytes.fromhex("020048020000") + four[48:]
    assert parse(five).report == parse(four).report
    assert (parse(five).version, parse(four).version) == (5, 4)


@given(st.binary(max_size=900))
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


@pytest.mark.parametrize("size", [0, 583, 585, 647, 649])
def test_report_size(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse_report(bytes(size))
    assert caught.value.reason == "quote-report"


def test_a_header_of_version_5_with_nothing_but_its_body_type(vendor: SimulatedTdxVendor) -> None:
    header = vendor.quote(DATA, domain=DOMAIN, version=5)[:48]
    for body, reason in (
        (bytes(5), "quote-truncated"),
        (bytes(6), "quote-body"),
        (b"\x03\x00" + (648).to_bytes(4, "little"), "quote-truncated"),
    ):
        with pytest.raises(FormatError) as caught:
            parse(header + body)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (b"", "quote-lengths"),
        (b"\x05\x00" + bytes(3), "quote-lengths"),
        (b"\x05\x00" + bytes(4), "quote-certification"),
        (b"\x06\x00" + bytes(5), "quote-lengths"),
    ],
)
def test_certification_data_from_its_smallest_size(section: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        _parse_certification(section)
    assert caught.value.reason == reason
