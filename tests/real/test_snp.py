"""Genuine AMD reports through the verifier; expected values: evidence/SOURCES.md of the shared files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence.interface import Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.snp.collateral import SnpCollateral, from_certificates, render
from lamslsa.evidence.snp.parse import Tcb
from lamslsa.evidence.snp.verify import SnpClaims, SnpVerifier
from lamslsa.predicates.tee_evidence import SNP_REPORT_MEDIA_TYPE
from lamslsa.testing.simulated_snp import SimulatedSnpVendor

MILAN = "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"
SECOND = dt.timedelta(seconds=1)
VCEK_FIRST = dt.datetime(2022, 9, 24, 0, 55, 28, tzinfo=dt.UTC)
VCEK_LAST = dt.datetime(2029, 9, 24, 0, 55, 28, tzinfo=dt.UTC)
VLEK_FIRST = dt.datetime(2024, 12, 10, 22, 14, 21, tzinfo=dt.UTC)
VLEK_LAST = dt.datetime(2025, 12, 10, 22, 14, 21, tzinfo=dt.UTC)
VCEK_CHIP = (
    "3ac3fe21e13fb0990eb28a802e3fb6a29483a6b0753590c951bdd3b8e5378618"
    "4ca39e359669a2b76a1936776b564ea464cdce40c05f63c9b610c5068b006b5d"
)


class Evidence:
    """A report with its certificates."""

    def __init__(self, folder: Path, report: str, leaf: str, chain: str) -> None:
        self.report = (folder / report).read_bytes()
        self.found = from_certificates((folder / leaf).read_bytes(), (folder / chain).read_bytes())
        self.collateral = rendered(self.found)
        assert self.found.root is not None
        self.root = root_of(self.found.root)

    def verify(self, at: dt.datetime, *, collateral: bytes | None = None, root: Root | None = None) -> SnpClaims:
        return SnpVerifier().verify(
            self.report, collateral=collateral or self.collateral, roots=[root or self.root], at=at
        )


def rendered(found: SnpCollateral) -> bytes:
    return render(leaf=found.leaf, issuer=found.issuer, root=found.root)


@pytest.fixture(scope="module")
def vcek(shared: Path) -> Evidence:
    return Evidence(shared / "evidence" / "snp", "attestation.bin", "vcek.testcer", "milan.testcer")


@pytest.fixture(scope="module")
def vlek(shared: Path) -> Evidence:
    return Evidence(shared / "evidence" / "snp", "test-vlek-report.bin", "test-vlek.der", "milanvlek.testcer")


def test_a_report_signed_by_a_chip(vcek: Evidence) -> None:
    claims = vcek.verify(VCEK_LAST - dt.timedelta(days=1000))
    assert not claims.simulated
    assert claims.root == MILAN
    assert (claims.product, claims.signing_key, claims.vmpl) == ("Milan", "vcek", 0)
    assert claims.debug
    assert claims.measurement == {
        "measurement": "b07af9620f3b839b47996422ddec6058338951d984e312115131ea82705eaf5b"
        "6bdf8a9ece31a5a608eb0cf2e4872b01",
        "hostData": "00" * 32,
        "policy": "00000000000b0000",
        "vmpl": "00000000",
    }
    assert claims.versions == {"bootloader": 2, "tee": 0, "snp": 5, "microcode": 68, "guest": 0}
    assert claims.current_tcb == claims.launch_tcb == Tcb(bootloader=2, tee=0, snp=5, microcode=68)
    assert claims.platform_id == claims.chip_id == VCEK_CHIP
    assert claims.report_data == bytes((1, 2, 3, 4, 5)).ljust(64, b"\0")


def test_a_report_signed_by_a_key_of_a_cloud_provider(vlek: Evidence) -> None:
    claims = vlek.verify(VLEK_LAST - dt.timedelta(days=100))
    assert not claims.simulated
    assert claims.root == MILAN
    assert (claims.product, claims.signing_key, claims.vmpl) == ("Milan", "vlek", 1)
    assert not claims.debug
    assert claims.csp_id == "CN=cc-us-east-2.amazonaws.com"
    assert claims.platform_id == ""
    assert claims.versions == {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 217, "guest": 0}
    assert claims.current_tcb == Tcb(bootloader=4, tee=0, snp=24, microcode=220)
    assert claims.committed_tcb == claims.launch_tcb == Tcb(bootloader=4, tee=0, snp=24, microcode=219)


def test_before_inside_and_after_the_window(vcek: Evidence, vlek: Evidence) -> None:
    for evidence, first, last in ((vcek, VCEK_FIRST, VCEK_LAST), (vlek, VLEK_FIRST, VLEK_LAST)):
        assert evidence.verify(first)
        assert evidence.verify(last)
        for at in (first - SECOND, last + SECOND):
            with pytest.raises(VerificationError) as caught:
                evidence.verify(at)
            assert caught.value.reason == "evidence-certificate-window"


def test_any_byte_changed(vcek: Evidence) -> None:
    accepted = []
    for position in range(len(vcek.report)):
        changed = bytearray(vcek.report)
        changed[position] ^= 1
        try:
            SnpVerifier().verify(bytes(changed), collateral=vcek.collateral, roots=[vcek.root], at=VCEK_LAST)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


def test_the_chain_of_another_key(vcek: Evidence, vlek: Evidence) -> None:
    at = VLEK_LAST
    for evidence, other in ((vcek, vlek), (vlek, vcek)):
        assert not SnpVerifier().concerns(evidence.report, other.collateral)
        assert SnpVerifier().concerns(evidence.report, evidence.collateral)
        with pytest.raises(VerificationError) as caught:
            evidence.verify(at, collateral=other.collateral)
        assert caught.value.reason == "evidence-product"
    mixed = SnpCollateral(leaf=vcek.found.leaf, issuer=vlek.found.issuer, root=vcek.found.root)
    with pytest.raises(VerificationError) as caught:
        vcek.verify(at, collateral=rendered(mixed))
    assert caught.value.reason == "evidence-chain"


def test_a_simulated_root_does_not_do(vcek: Evidence) -> None:
    vendor = SimulatedSnpVendor(VCEK_FIRST)
    with pytest.raises(VerificationError) as caught:
        vcek.verify(VCEK_LAST, root=vendor.root)
    assert caught.value.reason == "evidence-root"
    own = SnpCollateral(leaf=vcek.found.leaf, issuer=vcek.found.issuer, root=vendor.root.der)
    with pytest.raises(VerificationError) as caught:
        vcek.verify(VCEK_LAST, collateral=rendered(own), root=vendor.root)
    assert caught.value.reason == "evidence-chain"


def test_the_verifier_of_its_media_type(vcek: Evidence) -> None:
    verifier = verifier_for(SNP_REPORT_MEDIA_TYPE)
    assert verifier.presented_root(vcek.report, vcek.collateral).sha256 == MILAN
    assert verifier.verify(vcek.report, collateral=vcek.collateral, roots=[vcek.root], at=VCEK_LAST).debug
