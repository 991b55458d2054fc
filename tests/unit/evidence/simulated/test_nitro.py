from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence.interface import Attester, Evidence
from lamslsa.evidence.nitro.verify import NitroClaims, NitroVerifier
from lamslsa.evidence.roots import load_root
from lamslsa.evidence.simulated.nitro import (
    ROOT_FILE,
    SimulatedNitroAttester,
    SimulatedNitroPlatform,
    package_pcrs,
)

DAY = dt.timedelta(days=1)
REPORT_DATA = bytes(range(64))


@pytest.fixture
def folder(tmp_path: Path, now: dt.datetime) -> Path:
    SimulatedNitroPlatform.create(tmp_path / "platform", now=now)
    return tmp_path / "platform"


def verified(platform: SimulatedNitroPlatform, at: dt.datetime) -> NitroClaims:
    evidence = SimulatedNitroAttester(platform, clock=lambda: at).quote(REPORT_DATA)
    return NitroVerifier().verify(evidence.quote, collateral=evidence.collateral, roots=[platform.root], at=at)


def test_what_is_in_the_folder(folder: Path) -> None:
    platform = SimulatedNitroPlatform.open(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.parent.iterdir()} == {"platform"}
    assert {path.name for path in folder.iterdir()} == {"root.pem", "instance.pem", "instance.key"}
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in folder.glob("*.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        for name in (certificate.subject, certificate.issuer):
            assert all(
                "SIMULATED" in str(attribute.value) and "no hardware" in str(attribute.value) for attribute in name
            )
    assert (folder / ROOT_FILE).read_bytes() == platform.root_pem
    assert load_root(platform.root_pem) == platform.root


def test_what_the_attester_emits_is_verified(folder: Path, now: dt.datetime) -> None:
    platform = SimulatedNitroPlatform.open_or_create(folder, now=now)
    attester: Attester = SimulatedNitroAttester(platform, clock=lambda: now)
    assert attester.tee == "simulated-nitro"
    assert attester.device_evidence(bytes(32)) == ()
    evidence: Evidence = attester.quote(REPORT_DATA)
    assert evidence.collateral is None
    verifier = verifier_for(evidence.media_type)
    claims = verifier.verify(evidence.quote, collateral=None, roots=[platform.root], at=now)
    assert claims.simulated
    assert not claims.debug
    assert claims.report_data == REPORT_DATA
    assert claims.platform_id.startswith("i-simulated-enc")
    assert platform.measurement().parts == claims.measurement
    assert platform.measurement().digest == claims.measurement_digest
    assert claims.measurement["pcr8"] == "00" * 48


def test_a_leaf_lives_for_three_hours(folder: Path, now: dt.datetime) -> None:
    platform = SimulatedNitroPlatform.open(folder)
    later = now + 500 * DAY
    document = SimulatedNitroAttester(platform, clock=lambda: later).quote(REPORT_DATA).quote
    for at in (later - dt.timedelta(minutes=10), later + dt.timedelta(hours=3)):
        claims = NitroVerifier().verify(document, collateral=None, roots=[platform.root], at=at)
        assert claims.timestamp == later
    for at in (later - dt.timedelta(minutes=11), later + dt.timedelta(hours=3, seconds=1)):
        with pytest.raises(VerificationError) as caught:
            NitroVerifier().verify(document, collateral=None, roots=[platform.root], at=at)
        assert caught.value.reason == "evidence-certificate-window"


def test_the_hosts_clock_by_default(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    platform = SimulatedNitroPlatform.create(tmp_path / "platform", now=before)
    document = SimulatedNitroAttester(platform).quote(REPORT_DATA).quote
    claims = NitroVerifier().verify(document, collateral=None, roots=[platform.root], at=before)
    assert before - dt.timedelta(seconds=1) <= claims.timestamp <= dt.datetime.now(dt.UTC)


def test_each_document_has_a_key_of_its_own(folder: Path, now: dt.datetime) -> None:
    platform = SimulatedNitroPlatform.open(folder)
    one, two = verified(platform, now), verified(platform, now)
    assert one.module_id != two.module_id
    assert one.measurement == two.measurement


def test_two_platforms_differ(folder: Path, tmp_path: Path, now: dt.datetime) -> None:
    one = SimulatedNitroPlatform.open(folder)
    two = SimulatedNitroPlatform.create(tmp_path / "two", now=now)
    assert one.root != two.root
    assert one.measurement() == two.measurement()


def test_create_never_overwrites(folder: Path, tmp_path: Path, now: dt.datetime) -> None:
    root = (folder / ROOT_FILE).read_bytes()
    with pytest.raises(FormatError) as caught:
        SimulatedNitroPlatform.create(folder, now=now)
    assert caught.value.reason == "output-exists"
    assert (folder / ROOT_FILE).read_bytes() == root
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"")
    with pytest.raises(FormatError):
        SimulatedNitroPlatform.open_or_create(tmp_path / "other", now=now)


def test_created_by_many_at_once(tmp_path: Path, now: dt.datetime) -> None:
    roots: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: roots.append(
                SimulatedNitroPlatform.open_or_create(tmp_path / "platform", now=now).root.sha256
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(roots) == 4
    assert len(set(roots)) == 1


def test_missing(tmp_path: Path, now: dt.datetime) -> None:
    with pytest.raises(UnavailableError) as caught:
        SimulatedNitroPlatform.open(tmp_path / "platform")
    assert caught.value.reason == "simulated-platform"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError):
        SimulatedNitroPlatform.open_or_create(tmp_path / "file" / "platform", now=now)


@pytest.mark.parametrize("name", ["root.pem", "instance.pem", "instance.key"])
@pytest.mark.parametrize("content", [b"", b"junk"])
def test_damaged_files(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(FormatError):
        SimulatedNitroPlatform.open(folder)


def test_another_kind_of_key(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "instance.key").write_bytes(key)
    with pytest.raises(FormatError) as caught:
        SimulatedNitroPlatform.open(folder)
    assert caught.value.reason == "simulated-platform"


def test_report_data_is_exactly_64_bytes(folder: Path) -> None:
    attester = SimulatedNitroAttester(SimulatedNitroPlatform.open(folder))
    for size in (0, 63, 65):
        with pytest.raises(ValueError, match="64 bytes"):
            attester.quote(bytes(size))


def test_every_file_of_the_package_counts(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"a = 1\n")
    first = package_pcrs(tmp_path)
    assert set(first) == set(range(16))
    assert all(len(register) == 48 for register in first.values())
    (tmp_path / "a.py").write_bytes(b"a = 2\n")
    second = package_pcrs(tmp_path)
    assert first[0] != second[0]
    assert {index for index in first if first[index] != second[index]} == {0}
    assert len({first[0], first[1], first[2], first[8]}) == 4
