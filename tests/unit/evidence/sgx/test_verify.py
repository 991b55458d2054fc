"""What no single vector shows: sweeps over all bytes, the interface, and claims. Refusals: tests/vectors/evidence."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.interface import Claims, EvidenceVerifier, Root
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.sgx.verify import MEDIA_TYPE, SgxClaims, SgxVerifier
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.testing.simulated import SimulatedVendor

DATA = bytes(range(64))
ENCLAVE = Enclave(mr_enclave=b"E" * 32, mr_signer=b"S" * 32, isv_prod_id=7, isv_svn=3)


@pytest.fixture(scope="module")
def quote(vendor: SimulatedVendor) -> bytes:
    return vendor.quote(DATA, enclave=ENCLAVE)


@pytest.fixture(scope="module")
def collateral(vendor: SimulatedVendor) -> bytes:
    return vendor.collateral(advisories=("INTEL-SA-00001",))


def verify(vendor: SimulatedVendor, quote: bytes, collateral: bytes, at: dt.datetime | None = None) -> Claims:
    return SgxVerifier().verify(quote, collateral=collateral, roots=[vendor.root], at=at or vendor.now)


def test_claims(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    claims = verify(vendor, quote, collateral)
    assert claims == SgxClaims(
        tee="sgx",
        simulated=True,
        root=vendor.root.sha256,
        measurement={
            "mrEnclave": "45" * 32,
            "mrSigner": "53" * 32,
            "attributes": "0500000000000000e700000000000000",
            "miscSelect": "00" * 4,
            "configId": "00" * 64,
        },
        versions={"isvProdId": 7, "isvSvn": 3},
        report_data=DATA,
        debug=False,
        tcb_status="UpToDate",
        advisories=("INTEL-SA-00001",),
        tcb_evaluation_data_number=17,
        platform_id=claims.platform_id,
        cpu_svn="0202020203010003" + "00" * 8,
        config_svn=0,
        isv_ext_prod_id="00" * 16,
        isv_family_id="00" * 16,
        qe_svn=8,
        pce_svn=13,
    )
    assert len(bytes.fromhex(claims.platform_id)) == 16


def test_the_interface(vendor: SimulatedVendor, quote: bytes) -> None:
    verifier: EvidenceVerifier = SgxVerifier()
    assert verifier.tee == "sgx"
    assert verifier.media_type == MEDIA_TYPE == "application/vnd.lamslsa.quote.sgx+bin"
    assert verifier.collateral_media_type == "application/vnd.lamslsa.collateral.dcap+json"
    assert verifier.presented_root(quote, None) == vendor.root
    assert verifier.presented_report_data(quote) == DATA
    for call in (lambda: verifier.presented_root(b"junk", None), lambda: verifier.presented_report_data(b"junk")):
        with pytest.raises(FormatError):
            call()


def test_one_root_of_several(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    roots = [INTEL_SGX_ROOT, vendor.root]
    assert SgxVerifier().verify(quote, collateral=collateral, roots=roots, at=vendor.now).simulated


def test_a_fingerprint_that_a_caller_wrote_counts_for_nothing(
    vendor: SimulatedVendor, quote: bytes, collateral: bytes
) -> None:
    lie = Root(der=vendor.root.der, sha256=INTEL_SGX_ROOT.sha256)
    claims = SgxVerifier().verify(quote, collateral=collateral, roots=[lie], at=vendor.now)
    assert claims.simulated
    assert claims.root == vendor.root.sha256


def test_a_time_without_zone_is_a_bug(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    with pytest.raises(ValueError, match="time zone"):
        verify(vendor, quote, collateral, at=vendor.now.replace(tzinfo=None))


def test_other_zones_are_the_same_moment(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    zone = dt.timezone(dt.timedelta(hours=9))
    assert verify(vendor, quote, collateral, at=vendor.now.astimezone(zone)).tcb_status == "UpToDate"


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_times_far_away(vendor: SimulatedVendor, quote: bytes, collateral: bytes, year: int) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(vendor, quote, collateral, at=dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    assert caught.value.reason == "evidence-collateral-window"


def test_collateral_from_before_the_epoch(vendor: SimulatedVendor, quote: bytes) -> None:
    old = vendor.collateral(
        tcb_info={"issueDate": "1900-01-01T00:00:00Z"}, qe_identity={"issueDate": "1900-01-01T00:00:00Z"}
    )
    with pytest.raises(VerificationError):
        verify(vendor, quote, old, at=dt.datetime(1950, 1, 1, tzinfo=dt.UTC))


def test_the_edges_of_the_window(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    first, last = vendor.now - dt.timedelta(days=1), vendor.now + dt.timedelta(days=29)
    second = dt.timedelta(seconds=1)
    assert verify(vendor, quote, collateral, at=first)
    assert verify(vendor, quote, collateral, at=last - second)
    for at in (first - second / 1000, last + second / 1000):
        with pytest.raises(VerificationError) as caught:
            verify(vendor, quote, collateral, at=at)
        assert caught.value.reason == "evidence-collateral-window"


def test_any_byte_of_the_quote_changed(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    accepted = []
    for position in range(len(quote)):
        changed = bytearray(quote)
        changed[position] ^= 1
        try:
            verify(vendor, bytes(changed), collateral)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


def test_any_byte_of_the_collateral_changed(vendor: SimulatedVendor, quote: bytes, collateral: bytes) -> None:
    """Hexadecimal has two spellings, and the end of a window of text may be white space: same claims, or refused."""
    expected = verify(vendor, quote, collateral)
    for position in range(0, len(collateral), 3):
        changed = bytearray(collateral)
        changed[position] ^= 0x20
        try:
            claims = verify(vendor, quote, bytes(changed))
        except (FormatError, VerificationError):
            continue
        else:
            assert claims == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_in_signed_documents(vendor: SimulatedVendor, quote: bytes, data: st.DataObject) -> None:
    """Even a vendor's own signature makes no other exception than ours."""
    scalars = st.none() | st.booleans() | st.integers(-2, 2**40) | st.text(max_size=8) | st.lists(st.integers(0, 9))
    tcb_names = ["id", "tcbType", "fmspc", "pceId", "tcbLevels", "tcbEvaluationDataNumber", "tdxModule", "issueDate"]
    qe_names = ["id", "version", "miscselect", "attributes", "attributesMask", "mrsigner", "isvprodid", "tcbLevels"]
    tcb_info: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(tcb_names), scalars, max_size=2))
    qe_identity: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(qe_names), scalars, max_size=2))
    with contextlib.suppress(LamslsaError):
        verify(vendor, quote, vendor.collateral(tcb_info=tcb_info, qe_identity=qe_identity))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["root_ca_crl", "pck_crl", "tcb_info_signature"]), junk=st.binary(min_size=1, max_size=90))
def test_any_bytes_in_binary_members(
    vendor: SimulatedVendor, quote: bytes, collateral: bytes, key: str, junk: bytes
) -> None:
    value = {**json.loads(collateral), key: junk.hex()}
    with pytest.raises(LamslsaError):
        verify(vendor, quote, json.dumps(value).encode())
