"""The simulated platform in its TDX form; what both forms share is tested with the SGX form."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from lamslsa.artifact.package import package_manifest
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import Attester, collateral, verifier_for
from lamslsa.evidence.simulated.attester import SimulatedAttester
from lamslsa.evidence.simulated.measurement import package_measurement
from lamslsa.evidence.simulated.platform import SimulatedPlatform
from lamslsa.evidence.tdx.verify import MEDIA_TYPE, TdxClaims

DATA = bytes(range(64))


def verified(platform: SimulatedPlatform, at: dt.datetime) -> TdxClaims:
    evidence = SimulatedAttester(platform).quote(DATA)
    assert evidence.media_type == MEDIA_TYPE
    verifier = verifier_for(evidence.media_type)
    claims = verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[platform.root], at=at)
    assert isinstance(claims, TdxClaims)
    return claims


def test_from_folder_to_claims(tmp_path: Path, now: dt.datetime) -> None:
    platform = SimulatedPlatform.open_or_create(tmp_path / "tdx", now=now, form="tdx")
    assert platform.form == "tdx"
    claims = verified(platform, now)
    assert claims.simulated
    assert (claims.tee, claims.tcb_status, claims.report_data) == ("tdx", "UpToDate", DATA)
    assert claims.measurement == platform.measurement().parts
    assert claims.measurement_digest == package_measurement(tee="tdx").digest
    again = SimulatedPlatform.open_or_create(tmp_path / "tdx", now=now, form="tdx")
    assert again.root == platform.root
    assert verified(again, now) == claims


def test_the_attester(tmp_path: Path, now: dt.datetime) -> None:
    attester: Attester = SimulatedAttester(SimulatedPlatform.create(tmp_path / "tdx", now=now, form="tdx"))
    assert attester.tee == "simulated-tdx"
    assert attester.device_evidence(bytes(32)) == ()
    assert attester.quote(DATA).event_log is None
    with pytest.raises(ValueError, match="64 bytes"):
        attester.quote(bytes(63))


def test_collateral_is_renewed(tmp_path: Path, now: dt.datetime) -> None:
    created = SimulatedPlatform.create(tmp_path / "tdx", now=now, form="tdx")
    later = now + dt.timedelta(days=25)
    opened = SimulatedPlatform.open(tmp_path / "tdx", now=later, form="tdx")
    assert opened.collateral != created.collateral
    assert collateral.parse(opened.collateral).tcb_info_id == "TDX"
    assert verified(opened, later).tcb_status == "UpToDate"


def test_each_form_has_a_folder_of_its_own(tmp_path: Path, now: dt.datetime) -> None:
    sgx = SimulatedPlatform.create(tmp_path / "sgx", now=now)
    tdx = SimulatedPlatform.create(tmp_path / "tdx", now=now, form="tdx")
    assert sgx.form == "sgx"
    assert sgx.root != tdx.root
    with pytest.raises(FormatError, match=r"for tdx in .*, got one for sgx") as caught:
        SimulatedPlatform.open_or_create(tmp_path / "sgx", now=now, form="tdx")
    assert caught.value.reason == "simulated-platform"
    with pytest.raises(FormatError, match=r"for sgx in .*, got one for tdx"):
        SimulatedPlatform.open(tmp_path / "tdx", now=now)


def test_an_sgx_verifier_takes_no_td(tmp_path: Path, now: dt.datetime) -> None:
    platform = SimulatedPlatform.create(tmp_path / "tdx", now=now, form="tdx")
    sgx = SimulatedAttester(SimulatedPlatform.create(tmp_path / "sgx", now=now)).quote(DATA)
    with pytest.raises(FormatError):
        verifier_for(MEDIA_TYPE).presented_root(sgx.quote, None)
    quote = SimulatedAttester(platform).quote(DATA).quote
    with pytest.raises(VerificationError) as caught:
        verifier_for(MEDIA_TYPE).verify(quote, collateral=sgx.collateral, roots=[platform.root], at=now)
    assert caught.value.reason == "evidence-collateral-tee"


def test_every_file_counts(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("a = 1\n", encoding="utf-8")
    first = package_measurement(tmp_path, tee="tdx")
    assert first.parts["mrTd"] == hashlib.sha384(bytes.fromhex(package_manifest(tmp_path).sha256)).hexdigest()
    (tmp_path / "module.py").write_text("a = 2\n", encoding="utf-8")
    assert package_measurement(tmp_path, tee="tdx") != first
