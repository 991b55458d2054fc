"""Every file of real evidence is told apart by its bytes and described; what is not at hand is not verified."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from lamslsa.describe import Surroundings, describe_evidence

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
KINDS = {
    "nitro/valid-attestation-doc-bytes": "Nitro attestation document",
    "nitro/debug-mode-attestation-doc-bytes": "Nitro attestation document",
    "nvidia/1010_0200_882_96005E0001_PROD.swidtag": "NVIDIA reference integrity manifest",
    "nvidia/Driver_RIM_test_no_gpu.swidtag": "NVIDIA reference integrity manifest",
    "nvidia/hopperAttestationReport.txt": "NVIDIA GPU report, bare",
    "nvidia/hopperAttestationReportInvalidSignature.txt": "NVIDIA GPU report, bare",
    "sgx/occlum_quote.dat": "SGX quote",
    "sgx/sgx_quote": "SGX quote",
    "sgx/sgx_quote_collateral.json": "DCAP quote collateral",
    "sigstruct/gramine.sig": "SIGSTRUCT",
    "snp/attestation.bin": "SEV-SNP attestation report",
    "snp/test-vlek-report.bin": "SEV-SNP attestation report",
    "tdx/ccel_data.dat": "CCEL event log",
    "tdx/cos-113-tdx-quote.dat": "TDX quote",
    "tdx/tdx_quote": "TDX quote",
    "tdx/tdx_quote_debug.dat": "TDX quote",
    "tdx/tdx_quote_outdated": "TDX quote",
    "tdx/tdx_quote_collateral.json": "DCAP quote collateral",
}
# Nothing else has to be at hand for these, at their own time.
SELF_CONTAINED = {"sigstruct/gramine.sig"}


def around(*held: bytes, at: dt.datetime = NOW) -> Surroundings:
    return Surroundings(at=at, now=at, held=held, keys={})


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_every_format_is_recognised(shared: Path, name: str, kind: str) -> None:
    found = describe_evidence((shared / "evidence" / name).read_bytes(), around())
    assert found.kind == kind
    assert bool(found.verified) is (name in SELF_CONTAINED)
    assert found.unverified
    json.dumps(found.document())


def test_a_quote_with_its_endorsements_is_verified_as_intels(shared: Path) -> None:
    folder = shared / "evidence" / "tdx"
    inside = dt.datetime(2025, 6, 30, tzinfo=dt.UTC)
    held = (folder / "tdx_quote_collateral.json").read_bytes()
    found = describe_evidence((folder / "tdx_quote").read_bytes(), around(held, at=inside))
    assert "Intel SGX Root CA" in found.verified[0]
    assert found.facts["tcbStatus"] == "UpToDate"
    assert "SIMULATED" not in json.dumps(found.document())
