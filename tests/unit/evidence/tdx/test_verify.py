"""What no single vector shows: a sweep over bytes, the interface, claims. Refusals: tests/vectors/evidence-tdx."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.interface import EvidenceVerifier, Root
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.tdx.verify import MEDIA_TYPE, TdxClaims, TdxVerifier
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor

DATA = bytes(range(64))
DOMAIN = dataclasses.replace(TRUST_DOMAIN, mr_owner=b"\x55" * 48, mr_owner_config=b"\x66" * 48)


@pytest.fixture(scope="module")
def tdx(now: dt.datetime) -> SimulatedTdxVendor:
    return SimulatedTdxVendor(now)


@pytest.fixture(scope="module")
def quote(tdx: SimulatedTdxVendor) -> bytes:
    return tdx.quote(DATA, domain=DOMAIN)


@pytest.fixture(scope="module")
def collateral(tdx: SimulatedTdxVendor) -> bytes:
    return tdx.collateral(advisories=("INTEL-SA-00001",))


def verify(tdx: SimulatedTdxVendor, quote: bytes, collateral: bytes, at: dt.datetime | None = None) -> TdxClaims:
    return TdxVerifier().verify(quote, collateral=collateral, roots=[tdx.root], at=at or tdx.now)


def test_claims(tdx: SimulatedTdxVendor, quote: bytes, collateral: bytes) -> None:
    claims = verify(tdx, quote, collateral)
    assert claims == TdxClaims(
        tee="tdx",
        simulated=True,
        root=tdx.root.sha256,
        measurement={
            "mrTd": "33" * 48,
            "rtmr0": "40" * 48,
            "rtmr1": "41" * 48,
            "rtmr2": "42" * 48,
            "rtmr3": "43" * 48,
            "mrConfigId": "44" * 48,
            "tdAttributes": "0000001000000000",
            "xfam": "e702060000000000",
        },
        versions={"tdxModule": 5, "tdxModuleMajor": 1, "seamLoader": 2},
        report_data=DATA,
        debug=False,
        tcb_status="UpToDate",
        advisories=("INTEL-SA-00001",),
        tcb_evaluation_data_number=17,
        platform_id=claims.platform_id,
        version=4,
        tee_tcb_svn="050102" + "00" * 13,
        tee_tcb_svn_now=None,
        mr_seam=DOMAIN.mr_seam.hex(),
        mr_signer_seam="00" * 48,
        seam_attributes="00" * 8,
        mr_owner="55" * 48,
        mr_owner_config="66" * 48,
        td_attributes="0000001000000000",
        xfam="e702060000000000",
        rtmrs=("40" * 48, "41" * 48, "42" * 48, "43" * 48),
        mr_service_td=None,
        qe_svn=8,
        pce_svn=13,
    )
    assert len(bytes.fromhex(claims.platform_id)) == 16
    assert len(claims.measurement_digest) == 64


def test_the_module_that_runs_now(tdx: SimulatedTdxVendor, collateral: bytes) -> None:
    updated = dataclasses.replace(DOMAIN, tee_tcb_svn_now=bytes((9, 1, 2)) + bytes(13))
    claims = verify(tdx, tdx.quote(DATA, domain=updated, version=5), collateral)
    assert (claims.version, claims.mr_service_td) == (5, "00" * 48)
    assert (claims.tee_tcb_svn[:6], (claims.tee_tcb_svn_now or "")[:6]) == ("050102", "090102")
    assert claims.versions["tdxModule"] == 5


def test_the_interface(tdx: SimulatedTdxVendor, vendor: SimulatedVendor, quote: bytes) -> None:
    verifier: EvidenceVerifier = TdxVerifier()
    assert verifier.tee == "tdx"
    assert verifier.media_type == MEDIA_TYPE == "application/vnd.lamslsa.quote.tdx+bin"
    assert verifier.collateral_media_type == "application/vnd.lamslsa.collateral.dcap+json"
    assert verifier.presented_root(quote, None) == tdx.root
    assert verifier.presented_report_data(quote) == DATA
    for junk in (b"junk", vendor.quote(DATA)):
        with pytest.raises(FormatError):
            verifier.presented_root(junk, None)
        with pytest.raises(FormatError):
            verifier.presented_report_data(junk)


def test_a_fingerprint_that_a_caller_wrote_counts_for_nothing(
    tdx: SimulatedTdxVendor, quote: bytes, collateral: bytes
) -> None:
    lie = Root(der=tdx.root.der, sha256=INTEL_SGX_ROOT.sha256)
    claims = TdxVerifier().verify(quote, collateral=collateral, roots=[INTEL_SGX_ROOT, lie], at=tdx.now)
    assert claims.simulated
    assert claims.root == tdx.root.sha256


def test_a_time_without_zone_is_a_bug(tdx: SimulatedTdxVendor, quote: bytes, collateral: bytes) -> None:
    with pytest.raises(ValueError, match="time zone"):
        verify(tdx, quote, collateral, at=tdx.now.replace(tzinfo=None))


def test_any_byte_of_the_quote_changed(tdx: SimulatedTdxVendor, quote: bytes, collateral: bytes) -> None:
    accepted = []
    for position in [*range(1400), *range(1400, len(quote), 5)]:  # the PCK chain is swept for SGX
        changed = bytearray(quote)
        changed[position] ^= 1
        try:
            verify(tdx, bytes(changed), collateral)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []
