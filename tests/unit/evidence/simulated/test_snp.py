from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence._x509 import load_revocation_list
from lamslsa.evidence.interface import Attester, Evidence
from lamslsa.evidence.roots import load_root
from lamslsa.evidence.simulated.snp import (
    COLLATERAL_FILE,
    ROOT_FILE,
    SimulatedSnpAttester,
    SimulatedSnpPlatform,
    package_guest,
)
from lamslsa.evidence.snp.collateral import parse, render
from lamslsa.evidence.snp.verify import SnpClaims, SnpVerifier

DAY = dt.timedelta(days=1)
REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, now: dt.datetime) -> Path:
    """A platform, not to be changed: its keys take their time."""
    folder = tmp_path_factory.mktemp("simulated") / "platform"
    SimulatedSnpPlatform.create(folder, now=now)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same platform, to be changed."""
    folder = tmp_path / "platform"
    folder.mkdir()
    for path in made.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def verified(platform: SimulatedSnpPlatform, at: dt.datetime) -> SnpClaims:
    evidence = SimulatedSnpAttester(platform).quote(REPORT_DATA)
    return SnpVerifier().verify(evidence.quote, collateral=evidence.collateral, roots=[platform.root], at=at)


def test_what_is_in_the_folder(made: Path, now: dt.datetime) -> None:
    platform = SimulatedSnpPlatform.open(made, now=now)
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in made.parent.iterdir()} == {"platform"}
    roles = ("root", "issuer", "leaf")
    assert {path.name for path in made.iterdir()} == {
        COLLATERAL_FILE,
        *(f"{role}.key" for role in roles),
        *(f"{role}.pem" for role in roles),
    }
    for path in made.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in made.glob("*.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        for name in (certificate.subject, certificate.issuer):
            (organization,) = name.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
            assert organization.value == "SIMULATED, no hardware"
    assert (made / ROOT_FILE).read_bytes() == platform.root_pem
    assert load_root(platform.root_pem) == platform.root


def test_what_the_attester_emits_is_verified(made: Path, now: dt.datetime) -> None:
    platform = SimulatedSnpPlatform.open(made, now=now)
    attester: Attester = SimulatedSnpAttester(platform)
    assert attester.tee == "simulated-snp"
    assert attester.device_evidence(bytes(32)) == ()
    evidence: Evidence = attester.quote(REPORT_DATA)
    verifier = verifier_for(evidence.media_type)
    claims = verifier.verify(evidence.quote, collateral=evidence.collateral, roots=[platform.root], at=now)
    assert claims.simulated
    assert not claims.debug
    assert claims.report_data == REPORT_DATA
    assert claims.measurement["vmpl"] == "00000000"
    assert len(claims.platform_id) == 128
    assert platform.measurement().parts == claims.measurement
    assert platform.measurement().digest == claims.measurement_digest
    standing = verifier.standing(evidence.quote, collateral=evidence.collateral, roots=[platform.root], now=now)
    assert not standing.revoked


def test_opened_again_it_is_the_same(made: Path, now: dt.datetime) -> None:
    opened = SimulatedSnpPlatform.open(made, now=now)
    again = SimulatedSnpPlatform.open_or_create(made, now=now)
    assert opened.root == again.root
    assert opened.collateral == again.collateral
    assert verified(opened, now) == verified(again, now)


def test_two_platforms_differ(made: Path, tmp_path: Path, now: dt.datetime) -> None:
    one = SimulatedSnpPlatform.open(made, now=now)
    two = SimulatedSnpPlatform.create(tmp_path / "two", now=now)
    assert one.root != two.root
    assert verified(one, now).platform_id != verified(two, now).platform_id
    assert one.measurement() == two.measurement()
    with pytest.raises(VerificationError):
        SnpVerifier().verify(
            SimulatedSnpAttester(one).quote(REPORT_DATA).quote,
            collateral=two.collateral,
            roots=[one.root, two.root],
            at=now,
        )


@pytest.mark.parametrize("days", [0, 1, 9])
def test_a_young_list_stays(copy: Path, now: dt.datetime, days: int) -> None:
    before = (copy / COLLATERAL_FILE).read_bytes()
    assert SimulatedSnpPlatform.open(copy, now=now + days * DAY).collateral == before


@pytest.mark.parametrize("days", [-1, 10, 29, 400])
def test_an_old_list_is_renewed_on_opening(copy: Path, now: dt.datetime, days: int) -> None:
    before = (copy / COLLATERAL_FILE).read_bytes()
    later = now + days * DAY
    opened = SimulatedSnpPlatform.open(copy, now=later)
    assert opened.collateral != before
    assert (copy / COLLATERAL_FILE).read_bytes() == opened.collateral
    assert not list(copy.glob(".*"))
    revocations = parse(opened.collateral).revocation_list
    assert revocations is not None
    window = load_revocation_list(revocations, what="a test")
    assert window.next_update_utc is not None
    assert window.last_update_utc == later - dt.timedelta(minutes=10)
    assert window.next_update_utc - window.last_update_utc == 30 * DAY
    if days >= 0:
        assert verified(opened, later).simulated


def test_a_missing_list_is_made(copy: Path, now: dt.datetime) -> None:
    found = parse((copy / COLLATERAL_FILE).read_bytes())
    (copy / COLLATERAL_FILE).write_bytes(render(leaf=found.leaf, issuer=found.issuer, root=found.root))
    assert parse(SimulatedSnpPlatform.open(copy, now=now).collateral).revocation_list is not None


def test_create_never_overwrites(copy: Path, now: dt.datetime) -> None:
    root = (copy / ROOT_FILE).read_bytes()
    with pytest.raises(FormatError) as caught:
        SimulatedSnpPlatform.create(copy, now=now)
    assert caught.value.reason == "output-exists"
    assert (copy / ROOT_FILE).read_bytes() == root


def test_a_folder_of_something_else(tmp_path: Path, now: dt.datetime) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"")
    with pytest.raises(FormatError):
        SimulatedSnpPlatform.open_or_create(tmp_path / "other", now=now)


def test_created_by_many_at_once(tmp_path: Path, now: dt.datetime) -> None:
    roots: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: roots.append(SimulatedSnpPlatform.open_or_create(tmp_path / "platform", now=now).root.sha256)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(roots) == 3
    assert len(set(roots)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["platform"]


def test_missing(tmp_path: Path, now: dt.datetime) -> None:
    with pytest.raises(UnavailableError) as caught:
        SimulatedSnpPlatform.open(tmp_path / "platform", now=now)
    assert caught.value.reason == "simulated-platform"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError):
        SimulatedSnpPlatform.open_or_create(tmp_path / "file" / "platform", now=now)


def test_a_list_that_cannot_be_renewed(copy: Path, now: dt.datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lamslsa.evidence.simulated._folder.replace_file", refuse)
    with pytest.raises(UnavailableError, match="Read-only"):
        SimulatedSnpPlatform.open(copy, now=now + 400 * DAY)


@pytest.mark.parametrize("name", ["root.pem", "issuer.pem", "leaf.pem", "collateral.json", "leaf.key"])
@pytest.mark.parametrize("content", [b"", b"junk"])
def test_damaged_files(copy: Path, now: dt.datetime, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    with pytest.raises(FormatError):
        SimulatedSnpAttester(SimulatedSnpPlatform.open(copy, now=now)).quote(REPORT_DATA)


def test_large_files(copy: Path, now: dt.datetime) -> None:
    (copy / COLLATERAL_FILE).write_bytes(bytes(1024 * 1024 + 1))
    with pytest.raises(FormatError, match="at most 1048576 bytes"):
        SimulatedSnpPlatform.open(copy, now=now)


def test_two_certificates_in_a_file(copy: Path, now: dt.datetime) -> None:
    (copy / ROOT_FILE).write_bytes((copy / ROOT_FILE).read_bytes() * 2)
    with pytest.raises(FormatError) as caught:
        SimulatedSnpPlatform.open(copy, now=now)
    assert caught.value.reason == "simulated-platform"


def _pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_another_kind_of_key(copy: Path, now: dt.datetime) -> None:
    platform = SimulatedSnpPlatform.open(copy, now=now)
    for data in (_pem(ed25519.Ed25519PrivateKey.generate()), (copy / "root.key").read_bytes()):
        (copy / "leaf.key").write_bytes(data)
        with pytest.raises(FormatError) as caught:
            platform.report(package_guest(), REPORT_DATA)
        assert caught.value.reason == "simulated-platform"


def test_another_leaf(copy: Path, now: dt.datetime) -> None:
    issuer = parse((copy / COLLATERAL_FILE).read_bytes()).issuer
    assert issuer is not None
    (copy / "leaf.pem").write_bytes(render_chain([issuer]))
    with pytest.raises(FormatError) as caught:
        SimulatedSnpPlatform.open(copy, now=now).report(package_guest(), REPORT_DATA)
    assert caught.value.reason == "simulated-platform"


def test_report_data_is_exactly_64_bytes(made: Path, now: dt.datetime) -> None:
    attester = SimulatedSnpAttester(SimulatedSnpPlatform.open(made, now=now))
    for size in (0, 63, 65):
        with pytest.raises(ValueError, match="64 bytes"):
            attester.quote(bytes(size))


def test_every_file_of_the_package_counts(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"a = 1\n")
    first = package_guest(tmp_path).measurement
    assert len(first) == 48
    (tmp_path / "a.py").write_bytes(b"a = 2\n")
    second = package_guest(tmp_path).measurement
    (tmp_path / "b.py").write_bytes(b"")
    assert len({first, second, package_guest(tmp_path).measurement}) == 3
