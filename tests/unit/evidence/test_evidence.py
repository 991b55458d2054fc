"""The package's own functions: what is chosen by name, and what is never chosen."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

import lamslsa.evidence
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence import Attester, attester_for, attesters, device_verifier_for, report_data, verifier_for
from lamslsa.evidence.detect import Machine, choose_auto
from lamslsa.evidence.simulated.open import open_platform
from lamslsa.predicates import tee_evidence as types


def test_exported_members() -> None:
    for name in lamslsa.evidence.__all__:
        assert getattr(lamslsa.evidence, name) is not None
    assert list(lamslsa.evidence.__all__) == sorted(lamslsa.evidence.__all__, key=lambda name: (name.islower(), name))


@pytest.mark.parametrize(
    ("tee", "media_type", "collateral"),
    [
        ("sgx", types.SGX_QUOTE_MEDIA_TYPE, types.COLLATERAL_MEDIA_TYPE),
        ("tdx", types.TDX_QUOTE_MEDIA_TYPE, types.COLLATERAL_MEDIA_TYPE),
        ("snp", types.SNP_REPORT_MEDIA_TYPE, types.SNP_COLLATERAL_MEDIA_TYPE),
        ("nitro", types.NITRO_DOCUMENT_MEDIA_TYPE, None),
    ],
)
def test_a_verifier_for_each_media_type_of_the_predicate(tee: str, media_type: str, collateral: str | None) -> None:
    verifier = verifier_for(media_type)
    assert (verifier.tee, verifier.media_type, verifier.collateral_media_type) == (tee, media_type, collateral)


def test_a_verifier_for_devices() -> None:
    assert device_verifier_for(types.NVIDIA_REPORT_MEDIA_TYPE).media_type == types.NVIDIA_REPORT_MEDIA_TYPE
    with pytest.raises(FormatError) as caught:
        device_verifier_for(types.TDX_QUOTE_MEDIA_TYPE)
    assert caught.value.reason == "evidence-media-type"


@pytest.mark.parametrize(
    ("media_type", "named"),
    [
        ("application/vnd.lamslsa.quote.nvidia-gpu+json", "the report of a GPU"),
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
        choose_auto(Machine(root=tmp_path, find=lambda program: None))
    assert caught.value.reason == "tee-missing"
    assert "--tee simulated" in (caught.value.hint or "")


def test_auto_takes_what_is_there_and_nothing_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attesters, "choose_auto", lambda machine: "nitro")
    monkeypatch.setattr(attesters, "available", lambda machine: ())
    assert attester_for("auto", simulated_platform=tmp_path / "platform").tee == "nitro"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tee", ["sgx", "tdx", "snp", "nitro"])
def test_hardware_has_an_attester_and_touches_no_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tee: str
) -> None:
    monkeypatch.setattr(attesters, "available", lambda machine: ())
    assert attester_for(tee, simulated_platform=tmp_path / "platform").tee == tee
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tee", ["sgx", "tdx", "snp", "nitro"])
def test_hardware_that_is_missing_is_said_at_once(tmp_path: Path, tee: str) -> None:
    empty = Machine(root=tmp_path, find=lambda program: None)
    with pytest.raises(UnavailableError) as caught:
        attester_for(tee, simulated_platform=tmp_path / "platform", machine=empty)
    assert caught.value.reason == "tee-missing"
    assert "--tee simulated" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tee", ["", "Simulated", "SGX", "simulated-sgx", "gramine-direct"])
def test_an_unknown_tee_is_never_simulated(tmp_path: Path, tee: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        attester_for(tee, simulated_platform=tmp_path / "platform")
    assert caught.value.reason == "tee-unknown"
    assert "lamslsa tee" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_host_with_sgx_needs_an_enclave_to_measure_in(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        attester_for("sgx-host", simulated_platform=tmp_path / "platform")
    assert caught.value.reason == "tee-needs-enclave"


@pytest.mark.parametrize(
    ("form", "tee", "folder"),
    [
        ("simulated", "sgx", "platform"),
        ("simulated-tdx", "tdx", "platform-tdx"),
        ("simulated-snp", "snp", "platform-snp"),
        ("simulated-nitro", "nitro", "platform-nitro"),
    ],
)
def test_simulated_end_to_end(tmp_path: Path, now: dt.datetime, form: str, tee: str, folder: str) -> None:
    attester: Attester = attester_for(form, simulated_platform=tmp_path / "platform", now=now)
    data = report_data(bytes(32), statements=["00" * 32])
    assert attester.device_evidence(bytes(32)) == ()
    evidence = attester.quote(data)
    assert attester.tee == form
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    verifier = verifier_for(evidence.media_type)
    root = verifier.presented_root(evidence.quote, evidence.collateral)
    claims = verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[root], at=now)
    assert (claims.tee, claims.simulated, claims.report_data) == (tee, True, data)
    assert claims.measurement_digest == open_platform(form, tmp_path / "platform", now=now).measurement().digest
    standing = verifier.standing(evidence.quote, collateral=evidence.collateral, roots=[root], now=now)
    assert not standing.revoked


@pytest.mark.parametrize("form", ["simulated-tdx", "simulated-snp"])
def test_a_simulated_gpu_answers_beside_a_guest(tmp_path: Path, now: dt.datetime, form: str) -> None:
    attester = attester_for(form, simulated_platform=tmp_path / "platform", gpu="simulated", now=now)
    (answer,) = attester.device_evidence(b"\x07" * 32)
    verifier = device_verifier_for(answer.media_type)
    roots = [verifier.presented_root(answer.data)]
    claims = verifier.verify(answer.data, nonce=b"\x07" * 32, roots=roots, manifests=(), at=now)
    assert (claims.simulated, claims.golden_values) == (True, "not compared")


@pytest.mark.parametrize("tee", ["simulated", "simulated-nitro", "sgx", "nitro"])
def test_no_gpu_beside_an_enclave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tee: str) -> None:
    monkeypatch.setattr(attesters, "available", lambda machine: ())
    for gpu in ("nvidia", "simulated"):
        with pytest.raises(UnavailableError) as caught:
            attester_for(tee, simulated_platform=tmp_path / "platform", gpu=gpu)
        assert caught.value.reason == "gpu-needs-guest"


def test_an_unknown_gpu(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        attester_for("simulated-tdx", simulated_platform=tmp_path / "platform", gpu="amd")
    assert caught.value.reason == "gpu-unknown"


def test_gpus_of_nvidia_are_asked_through_the_driver(tmp_path: Path) -> None:
    attester = attester_for("simulated-tdx", simulated_platform=tmp_path / "platform", gpu="nvidia")
    with pytest.raises(UnavailableError) as caught:
        attester.device_evidence(bytes(32))
    assert caught.value.reason.startswith("gpu-")


def test_the_clock_serves_when_no_time_is_given(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    evidence = attester_for("simulated", simulated_platform=tmp_path / "platform").quote(bytes(64))
    assert evidence.collateral is not None
    verifier = verifier_for(evidence.media_type)
    root = verifier.presented_root(evidence.quote, evidence.collateral)
    for at in (before, dt.datetime.now(dt.UTC)):
        assert verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[root], at=at)


def test_the_clock_serves_documents_too(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    attester = attester_for("simulated-nitro", simulated_platform=tmp_path / "platform")
    evidence = attester.quote(bytes(64))
    verifier = verifier_for(evidence.media_type)
    root = verifier.presented_root(evidence.quote, None)
    for at in (before, dt.datetime.now(dt.UTC)):
        assert verifier.verify(evidence.quote, collateral=None, roots=[root], at=at).simulated


def test_importing_is_light() -> None:
    code = (
        "import sys, lamslsa.evidence, lamslsa.evidence.sgx.verify; "
        "print(sorted({'dcap_qvl', 'cryptography', 'socket', 'ssl', 'http', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
