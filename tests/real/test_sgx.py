"""Genuine Intel quotes through the verifier; expected values: evidence/SOURCES.md of the shared files."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import Standing, collateral, verifier_for
from lamslsa.evidence.roots import INTEL_SGX_ROOT, load_root
from lamslsa.evidence.sgx.parse import parse
from lamslsa.evidence.sgx.verify import MEDIA_TYPE, SgxClaims
from lamslsa.testing.simulated import SimulatedVendor

VALID = dt.datetime(2025, 6, 25, tzinfo=dt.UTC)
FIRST = dt.datetime(2025, 6, 19, 10, 56, 11, tzinfo=dt.UTC)
LAST = dt.datetime(2025, 7, 19, 10, 1, 17, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(scope="module")
def quote(shared: Path) -> bytes:
    return (shared / "evidence/sgx/sgx_quote").read_bytes()


@pytest.fixture(scope="module")
def endorsements(shared: Path) -> bytes:
    return (shared / "evidence/sgx/sgx_quote_collateral.json").read_bytes()


def test_accepted_under_intels_root(quote: bytes, endorsements: bytes) -> None:
    claims = verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=[INTEL_SGX_ROOT], at=VALID)
    assert not claims.simulated
    assert claims.root == "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
    assert claims.tcb_status == "ConfigurationAndSWHardeningNeeded"
    assert claims.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert claims.tcb_evaluation_data_number == 17
    assert claims.report_data == b"Hello, world!".ljust(64, b"\0")
    assert claims.measurement == {
        "mrEnclave": "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb",
        "mrSigner": "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6",
        "attributes": "0500000000000000e700000000000000",
        "miscSelect": "00000000",
        "configId": "00" * 64,
    }
    assert claims.versions == {"isvProdId": 0, "isvSvn": 0}
    assert claims.platform_id == "d04ec06d4e6d92dc90d0ad3cf5ee2ddf"
    assert not claims.debug
    assert isinstance(claims, SgxClaims)
    assert (claims.cpu_svn, claims.qe_svn, claims.pce_svn) == ("0b0b1a18ffff04000000000000000000", 10, 15)


@pytest.mark.parametrize("at", [FIRST, LAST])
def test_accepted_on_the_edges_of_the_window(quote: bytes, endorsements: bytes, at: dt.datetime) -> None:
    assert verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=[INTEL_SGX_ROOT], at=at)


@pytest.mark.parametrize("at", [dt.datetime(2025, 8, 1, tzinfo=dt.UTC), FIRST - SECOND, LAST + 2 * SECOND])
def test_refused_outside_the_window(quote: bytes, endorsements: bytes, at: dt.datetime) -> None:
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=[INTEL_SGX_ROOT], at=at)
    assert caught.value.reason == "evidence-collateral-window"


def test_refused_with_any_byte_changed(quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    assert len(quote) == 4600
    accepted = []
    for position in range(len(quote)):
        changed = bytearray(quote)
        changed[position] ^= 1
        try:
            verifier.verify(bytes(changed), collateral=endorsements, roots=[INTEL_SGX_ROOT], at=VALID)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


def test_refused_under_another_root(quote: bytes, endorsements: bytes) -> None:
    other = SimulatedVendor(VALID).root
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=endorsements, roots=[other], at=VALID)
    assert caught.value.reason == "evidence-root"


def test_refused_with_collateral_of_a_tdx_platform(shared: Path, quote: bytes) -> None:
    foreign = (shared / "evidence/tdx/tdx_quote_collateral.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=foreign, roots=[INTEL_SGX_ROOT], at=VALID)
    assert caught.value.reason == "evidence-collateral-tee"


def test_the_library_reads_the_same_report(quote: bytes) -> None:
    import dcap_qvl

    theirs = dcap_qvl.parse_quote(quote)
    ours = parse(quote)
    assert ours.report.mr_enclave == bytes(theirs.report.mr_enclave)
    assert ours.report.mr_signer == bytes(theirs.report.mr_signer)
    assert ours.report.attributes == bytes(theirs.report.attributes)
    assert ours.report.report_data == bytes(theirs.report.report_data)
    assert ours.report.cpu_svn == bytes(theirs.report.cpu_svn)
    assert (ours.qe_svn, ours.pce_svn) == (theirs.header.qe_svn, theirs.header.pce_svn) == (10, 15)


def test_the_compiled_in_root_ends_the_chain(quote: bytes) -> None:
    assert parse(quote).root == INTEL_SGX_ROOT.der
    assert verifier_for(MEDIA_TYPE).presented_root(quote, None) == INTEL_SGX_ROOT
    assert load_root(INTEL_SGX_ROOT.der) == INTEL_SGX_ROOT


def test_another_platforms_quote_parses(shared: Path, endorsements: bytes) -> None:
    other = (shared / "evidence/sgx/occlum_quote.dat").read_bytes()
    parsed = parse(other)
    assert parsed.report.report_data == b"test".ljust(64, b"\0")
    assert parsed.root == INTEL_SGX_ROOT.der
    assert parsed.report.debug
    verifier = verifier_for(MEDIA_TYPE)
    for at_hand in (endorsements, None):
        with pytest.raises(VerificationError) as caught:
            verifier.verify(other, collateral=at_hand, roots=[INTEL_SGX_ROOT], at=VALID)
        assert caught.value.reason == "evidence-debug"
    with pytest.raises(VerificationError) as caught:
        verifier.standing(other, collateral=None, roots=[INTEL_SGX_ROOT], now=VALID)
    assert caught.value.reason == "evidence-collateral-missing"


def test_nothing_is_verified_without_collateral(quote: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=None, roots=[INTEL_SGX_ROOT], at=VALID)
    assert caught.value.reason == "evidence-collateral-missing"


def test_collateral_is_found_by_the_platform(shared: Path, quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    assert verifier.concerns(quote, endorsements)
    assert not verifier.concerns((shared / "evidence/sgx/occlum_quote.dat").read_bytes(), endorsements)
    assert not verifier.concerns(quote, (shared / "evidence/tdx/tdx_quote_collateral.json").read_bytes())


def test_how_the_platform_stood(quote: bytes, endorsements: bytes) -> None:
    verifier = verifier_for(MEDIA_TYPE)
    stood = verifier.standing(quote, collateral=endorsements, roots=[INTEL_SGX_ROOT], now=VALID)
    assert stood == Standing(
        revoked=False, advisories=("INTEL-SA-00289", "INTEL-SA-00615"), tcb_evaluation_data_number=17
    )
    with pytest.raises(VerificationError) as caught:
        verifier.standing(quote, collateral=endorsements, roots=[INTEL_SGX_ROOT], now=LAST + 2 * SECOND)
    assert caught.value.reason == "evidence-collateral-window"


@pytest.mark.parametrize("name", ["tdx_quote", "tdx_quote_outdated", "tdx_quote_debug.dat", "cos-113-tdx-quote.dat"])
def test_tdx_quotes_are_refused_by_name(shared: Path, name: str) -> None:
    with pytest.raises(FormatError, match=r"version [45] of kind TDX") as caught:
        parse((shared / "evidence/tdx" / name).read_bytes())
    assert caught.value.reason == "quote-version"


@pytest.mark.parametrize(
    "name", ["nitro/valid-attestation-doc-bytes", "snp/attestation.bin", "tdx/ccel_data.dat", "sigstruct/gramine.sig"]
)
def test_other_evidence_is_no_sgx_quote(shared: Path, name: str) -> None:
    with pytest.raises(FormatError):
        parse((shared / "evidence" / name).read_bytes())


def test_collateral_as_published(endorsements: bytes) -> None:
    parsed = collateral.parse(endorsements)
    assert (parsed.fmspc, parsed.pce_id, parsed.tcb_evaluation_data_number) == ("00a067110000", "0000", 17)
    assert (parsed.issued, parsed.expires) == (FIRST, LAST + SECOND)


def test_edited_collateral_is_refused(quote: bytes, endorsements: bytes) -> None:
    value = json.loads(endorsements)
    value["tcb_info"] = value["tcb_info"].replace("ConfigurationAndSWHardeningNeeded", "UpToDate")
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=json.dumps(value).encode(), roots=[INTEL_SGX_ROOT], at=VALID)
    assert caught.value.reason == "evidence-quote"
