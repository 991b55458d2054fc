"""The package's own functions: what is chosen by name, and what is never chosen."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

import lamslsa.evidence
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence import Attester, attester_for, report_data, verifier_for
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE


def test_exported_members() -> None:
    for name in lamslsa.evidence.__all__:
        assert getattr(lamslsa.evidence, name) is not None
    assert list(lamslsa.evidence.__all__) == sorted(lamslsa.evidence.__all__, key=lambda name: (name.islower(), name))


def test_a_verifier_for_each_media_type_of_the_predicate() -> None:
    assert verifier_for(SGX_QUOTE_MEDIA_TYPE).media_type == SGX_QUOTE_MEDIA_TYPE


@pytest.mark.parametrize(
    ("media_type", "named"),
    [
        ("application/vnd.lamslsa.quote.tdx+bin", "TDX quotes"),
        ("application/vnd.lamslsa.quote.snp+bin", "SEV-SNP reports"),
        ("application/vnd.lamslsa.quote.nitro+cbor", "Nitro attestation documents"),
        ("application/vnd.lamslsa.quote.nvidia-gpu+json", "NVIDIA GPU evidence"),
        ("application/vnd.lamslsa.quote.azure-hcl+bin", "Azure vTPM evidence"),
        ("application/vnd.lamslsa.quote.vTPM+bin", "Azure vTPM evidence"),
        ("application/octet-stream", "'application/octet-stream'"),
        ("", "''"),
        ("APPLICATION/VND.LAMSLSA.QUOTE.SGX+BIN", "'APPLICATION"),
    ],
)
def test_other_media_types_are_refused_by_name(media_type: str, named: str) -> None:
    with pytest.raises(FormatError, match=named) as caught:
        verifier_for(media_type)
    assert caught.value.reason == "evidence-media-type"


def test_no_tee_is_an_error_that_names_simulation(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        attester_for(None, simulated_platform=tmp_path / "platform")
    assert caught.value.reason == "tee-missing"
    assert "--tee simulated" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tee", ["sgx", "tdx", "", "Simulated", "auto"])
def test_an_unknown_tee_is_never_simulated(tmp_path: Path, tee: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        attester_for(tee, simulated_platform=tmp_path / "platform")
    assert caught.value.reason == "tee-unknown"
    assert "--tee simulated" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_simulated_end_to_end(tmp_path: Path, now: dt.datetime) -> None:
    attester: Attester = attester_for("simulated", simulated_platform=tmp_path / "platform", now=now)
    data = report_data(bytes(32), statements=["00" * 32])
    evidence = attester.quote(data)
    assert attester.tee == "simulated"
    assert evidence.collateral is not None
    verifier = verifier_for(evidence.media_type)
    root = verifier.presented_root(evidence.quote, evidence.collateral)
    claims = verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[root], at=now)
    assert (claims.tee, claims.simulated, claims.report_data) == ("sgx", True, data)


def test_the_clock_serves_when_no_time_is_given(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    evidence = attester_for("simulated", simulated_platform=tmp_path / "platform").quote(bytes(64))
    assert evidence.collateral is not None
    verifier = verifier_for(evidence.media_type)
    root = verifier.presented_root(evidence.quote, evidence.collateral)
    for at in (before, dt.datetime.now(dt.UTC)):
        assert verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[root], at=at)


def test_importing_is_light() -> None:
    code = (
        "import sys, lamslsa.evidence, lamslsa.evidence.sgx.verify; "
        "print(sorted({'dcap_qvl', 'cryptography', 'socket', 'ssl', 'http', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
