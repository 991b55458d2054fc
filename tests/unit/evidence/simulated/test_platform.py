from __future__ import annotations

import datetime as dt
import os
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import lamslsa
from lamslsa.artifact.package import package_manifest
from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.evidence import Claims, collateral, verifier_for
from lamslsa.evidence.roots import load_root
from lamslsa.evidence.simulated.attester import SimulatedAttester
from lamslsa.evidence.simulated.measurement import package_measurement
from lamslsa.evidence.simulated.platform import COLLATERAL_FILE, ROOT_FILE, SimulatedPlatform

DAY = dt.timedelta(days=1)


def verified(platform: SimulatedPlatform, at: dt.datetime) -> Claims:
    evidence = SimulatedAttester(platform).quote(bytes(64))
    assert evidence.collateral is not None
    verifier = verifier_for(evidence.media_type)
    return verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[platform.root], at=at)


def test_what_is_in_the_folder(tmp_path: Path, now: dt.datetime) -> None:
    folder = tmp_path / "a" / "platform"
    platform = SimulatedPlatform.create(folder, now=now)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.parent.iterdir()} == {"platform"}
    names = {path.name for path in folder.iterdir()}
    roles = ("root", "pck-ca", "tcb-signing", "pck")
    assert names == {COLLATERAL_FILE, "attestation.key", *(f"{r}.key" for r in roles), *(f"{r}.pem" for r in roles)}
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in folder.glob("*.key"):
        assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
        assert serialization.load_pem_private_key(path.read_bytes(), password=None)
    for path in folder.glob("*.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        for name in (certificate.subject, certificate.issuer):
            assert all(
                "SIMULATED" in str(attribute.value) and "no hardware" in str(attribute.value) for attribute in name
            )
    assert (folder / ROOT_FILE).read_bytes() == platform.root_pem
    assert load_root(platform.root_pem) == platform.root


def test_opened_again_it_is_the_same(tmp_path: Path, now: dt.datetime) -> None:
    created = SimulatedPlatform.create(tmp_path / "platform", now=now)
    opened = SimulatedPlatform.open(tmp_path / "platform", now=now)
    again = SimulatedPlatform.open_or_create(tmp_path / "platform", now=now)
    assert created.root == opened.root == again.root
    assert created.collateral == opened.collateral == again.collateral
    assert verified(opened, now) == verified(created, now)


def test_the_measurement_is_that_of_the_package(tmp_path: Path, now: dt.datetime) -> None:
    platform = SimulatedPlatform.create(tmp_path / "platform", now=now)
    measurement = platform.measurement()
    claims = verified(platform, now)
    assert measurement.parts == claims.measurement
    assert measurement.digest == claims.measurement_digest
    assert claims.simulated


def test_two_platforms_differ(tmp_path: Path, now: dt.datetime) -> None:
    one = SimulatedPlatform.create(tmp_path / "one", now=now)
    two = SimulatedPlatform.create(tmp_path / "two", now=now)
    assert one.root != two.root
    assert verified(one, now).platform_id != verified(two, now).platform_id
    assert one.measurement() == two.measurement()
    evidence = SimulatedAttester(one).quote(bytes(64))
    with pytest.raises(VerificationError) as caught:
        verifier_for(evidence.media_type).verify(
            evidence.quote, collateral=two.collateral, roots=[one.root, two.root], at=now
        )
    assert caught.value.reason == "evidence-collateral-root"


@pytest.mark.parametrize("days", [0, 1, 9])
def test_young_collateral_stays(tmp_path: Path, now: dt.datetime, days: int) -> None:
    created = SimulatedPlatform.create(tmp_path / "platform", now=now)
    assert SimulatedPlatform.open(tmp_path / "platform", now=now + days * DAY).collateral == created.collateral


@pytest.mark.parametrize("days", [-1, 10, 29, 400])
def test_old_collateral_is_renewed_on_opening(tmp_path: Path, now: dt.datetime, days: int) -> None:
    created = SimulatedPlatform.create(tmp_path / "platform", now=now)
    later = now + days * DAY
    opened = SimulatedPlatform.open(tmp_path / "platform", now=later)
    assert opened.collateral != created.collateral
    assert (tmp_path / "platform" / COLLATERAL_FILE).read_bytes() == opened.collateral
    assert not list((tmp_path / "platform").glob(".*"))
    parsed = collateral.parse(opened.collateral)
    assert parsed.issued <= later
    assert parsed.expires - parsed.issued == 30 * DAY
    if days >= 0:
        assert verified(opened, later).tcb_status == "UpToDate"


def test_create_never_overwrites(tmp_path: Path, now: dt.datetime) -> None:
    SimulatedPlatform.create(tmp_path / "platform", now=now)
    root = (tmp_path / "platform" / ROOT_FILE).read_bytes()
    with pytest.raises(FormatError) as caught:
        SimulatedPlatform.create(tmp_path / "platform", now=now)
    assert caught.value.reason == "output-exists"
    assert (tmp_path / "platform" / ROOT_FILE).read_bytes() == root
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"")
    with pytest.raises(FormatError):
        SimulatedPlatform.open_or_create(tmp_path / "other", now=now)
    assert {path.name for path in tmp_path.iterdir()} == {"platform", "other"}


def test_created_by_many_at_once(tmp_path: Path, now: dt.datetime) -> None:
    roots: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: roots.append(SimulatedPlatform.open_or_create(tmp_path / "platform", now=now).root.sha256)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(roots) == 4
    assert len(set(roots)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["platform"]


def test_missing(tmp_path: Path, now: dt.datetime) -> None:
    with pytest.raises(UnavailableError) as caught:
        SimulatedPlatform.open(tmp_path / "platform", now=now)
    assert caught.value.reason == "simulated-platform"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError):
        SimulatedPlatform.open_or_create(tmp_path / "file" / "platform", now=now)


@pytest.mark.parametrize("name", ["root.pem", "pck.pem", "collateral.json", "attestation.key", "pck.key"])
@pytest.mark.parametrize("content", [b"", b"junk"])
def test_damaged_files(tmp_path: Path, now: dt.datetime, name: str, content: bytes) -> None:
    SimulatedPlatform.create(tmp_path / "platform", now=now)
    (tmp_path / "platform" / name).write_bytes(content)
    with pytest.raises(FormatError):
        SimulatedAttester(SimulatedPlatform.open(tmp_path / "platform", now=now))


def test_large_files(tmp_path: Path, now: dt.datetime) -> None:
    SimulatedPlatform.create(tmp_path / "platform", now=now)
    (tmp_path / "platform" / COLLATERAL_FILE).write_bytes(bytes(1024 * 1024 + 1))
    with pytest.raises(FormatError, match="at most 1048576 bytes"):
        SimulatedPlatform.open(tmp_path / "platform", now=now)


def test_two_certificates_in_a_file(tmp_path: Path, now: dt.datetime) -> None:
    platform = SimulatedPlatform.create(tmp_path / "platform", now=now)
    (tmp_path / "platform" / ROOT_FILE).write_bytes(platform.root_pem * 2)
    with pytest.raises(FormatError) as caught:
        SimulatedPlatform.open(tmp_path / "platform", now=now)
    assert caught.value.reason == "simulated-platform"


def test_another_kind_of_key(tmp_path: Path, now: dt.datetime) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    SimulatedPlatform.create(tmp_path / "platform", now=now)
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "platform" / "attestation.key").write_bytes(key)
    with pytest.raises(FormatError) as caught:
        SimulatedAttester(SimulatedPlatform.open(tmp_path / "platform", now=now))
    assert caught.value.reason == "simulated-platform"


def test_report_data_is_exactly_64_bytes(tmp_path: Path, now: dt.datetime) -> None:
    attester = SimulatedAttester(SimulatedPlatform.create(tmp_path / "platform", now=now))
    for size in (0, 63, 65):
        with pytest.raises(ValueError, match="64 bytes"):
            attester.quote(bytes(size))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "sub").mkdir(parents=True)
    (folder / "__init__.py").write_text("a = 1\n", encoding="utf-8")
    (folder / "sub" / "data.json").write_text("{}", encoding="utf-8")
    return folder


def test_every_file_counts(package: Path) -> None:
    assert [entry.path for entry in package_manifest(package).files] == ["__init__.py", "sub/data.json"]
    first = package_measurement(package)
    (package / "sub" / "data.json").write_text("[]", encoding="utf-8")
    changed = package_measurement(package)
    (package / "new.py").write_bytes(b"")
    added = package_measurement(package)
    (package / "new.py").rename(package / "old.py")
    renamed = package_measurement(package)
    assert len({item.digest for item in (first, changed, added, renamed)}) == 4
    assert {item.parts["mrSigner"] for item in (first, changed, added, renamed)} == {first.parts["mrSigner"]}


def test_byte_code_and_times_do_not_count(package: Path) -> None:
    first = package_measurement(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"byte code")
    (package / "legacy.pyc").write_bytes(b"byte code")
    os.utime(package / "__init__.py", (0, 0))
    assert package_measurement(package) == first


def test_the_installed_package_is_measured() -> None:
    paths = {entry.path for entry in package_manifest(Path(lamslsa.__file__).parent).files}
    assert {"errors.py", "evidence/simulated/measurement.py", "artifact/manifest.py"} <= paths
    assert not any("__pycache__" in path for path in paths)
