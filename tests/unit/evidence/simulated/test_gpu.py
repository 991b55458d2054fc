from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.evidence import device_verifier_for
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.interface import DeviceClaims, DeviceEvidence
from lamslsa.evidence.roots import is_any_vendor_root, load_root
from lamslsa.evidence.simulated.gpu import SimulatedGpu

NONCE = bytes(range(1, 33))
LATER = dt.timedelta(days=3649)


def verified(gpus: SimulatedGpu, item: DeviceEvidence, at: dt.datetime) -> DeviceClaims:
    verifier = device_verifier_for(item.media_type)
    return verifier.verify(item.data, nonce=NONCE, roots=[gpus.root], manifests=[], at=at)


def test_a_gpu_answers(tmp_path: Path, now: dt.datetime) -> None:
    gpus = SimulatedGpu.create(tmp_path / "gpus", now=now)
    (item,) = gpus.collect(NONCE)
    for at in (now, now + LATER):
        claims = verified(gpus, item, at)
        assert claims.simulated
        assert (claims.kind, claims.architecture) == ("nvidia-gpu", "hopper")
        assert (claims.driver_version, claims.vbios_version) == ("550.54.15", "96.00.5E.00.01")
        assert claims.golden_values == "not compared"
    assert not is_any_vendor_root(gpus.root.sha256)
    assert load_root(gpus.root_pem) == gpus.root


def test_every_answer_is_another_one(tmp_path: Path, now: dt.datetime) -> None:
    gpus = SimulatedGpu.create(tmp_path / "gpus", now=now)
    assert gpus.collect(NONCE) != gpus.collect(NONCE)
    with pytest.raises(VerificationError) as caught:
        verified(gpus, gpus.collect(bytes(32))[0], now)
    assert caught.value.reason == "evidence-device-nonce"


def test_several_gpus_of_one_vendor(tmp_path: Path, now: dt.datetime) -> None:
    gpus = SimulatedGpu.create(tmp_path / "gpus", now=now, count=11)
    claims = [verified(gpus, item, now) for item in gpus.collect(NONCE)]
    assert len({item.device_id for item in claims}) == 11
    assert {item.root for item in claims} == {gpus.root.sha256}
    again = SimulatedGpu.open(tmp_path / "gpus")
    assert [verified(again, item, now) for item in again.collect(NONCE)] == claims


def test_the_folder(tmp_path: Path, now: dt.datetime) -> None:
    folder = tmp_path / "gpus"
    gpus = SimulatedGpu.create(folder, now=now, count=2)
    assert sorted(path.name for path in folder.iterdir()) == [
        "gpu-0.key",
        "gpu-0.pem",
        "gpu-1.key",
        "gpu-1.pem",
        "root.pem",
    ]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (folder / "root.pem").read_bytes() == gpus.root_pem
    for path in folder.glob("*.pem"):
        for der in parse_chain(path.read_bytes(), what="the chain"):
            certificate = x509.load_der_x509_certificate(der)
            for name in (certificate.subject, certificate.issuer):
                assert all("SIMULATED" in str(part.value) and "no hardware" in str(part.value) for part in name)


def test_opened_again_it_is_the_same(tmp_path: Path, now: dt.datetime) -> None:
    created = SimulatedGpu.open_or_create(tmp_path / "gpus", now=now, count=2)
    opened = SimulatedGpu.open_or_create(tmp_path / "gpus", now=now + LATER, count=2)
    assert (created.root, len(created)) == (opened.root, len(opened)) == (created.root, 2)


def test_another_number_is_asked_for(tmp_path: Path, now: dt.datetime) -> None:
    SimulatedGpu.create(tmp_path / "gpus", now=now)
    with pytest.raises(FormatError, match="expected 2 simulated GPUs") as caught:
        SimulatedGpu.open_or_create(tmp_path / "gpus", now=now, count=2)
    assert caught.value.reason == "simulated-platform"


@pytest.mark.parametrize("count", [-1, 0, 17])
def test_how_many_there_can_be(tmp_path: Path, now: dt.datetime, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        SimulatedGpu.create(tmp_path / "gpus", now=now, count=count)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_the_nonce_has_32_bytes(tmp_path: Path, now: dt.datetime, size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SimulatedGpu.create(tmp_path / "gpus", now=now).collect(bytes(size))


def test_create_never_overwrites(tmp_path: Path, now: dt.datetime) -> None:
    first = SimulatedGpu.create(tmp_path / "gpus", now=now)
    with pytest.raises(FormatError) as caught:
        SimulatedGpu.create(tmp_path / "gpus", now=now)
    assert caught.value.reason == "output-exists"
    assert SimulatedGpu.open(tmp_path / "gpus").root == first.root
    (tmp_path / "other").mkdir()
    with pytest.raises(FormatError):
        SimulatedGpu.open_or_create(tmp_path / "other", now=now)


def test_created_by_many_at_once(tmp_path: Path, now: dt.datetime) -> None:
    roots: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: roots.append(SimulatedGpu.open_or_create(tmp_path / "gpus", now=now).root.sha256)
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
        SimulatedGpu.open(tmp_path / "gpus")
    assert caught.value.reason == "simulated-platform"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError):
        SimulatedGpu.open_or_create(tmp_path / "file" / "gpus", now=now)


@pytest.mark.parametrize("name", ["root.pem", "gpu-0.pem", "gpu-0.key"])
@pytest.mark.parametrize("content", [b"", b"junk", bytes(64 * 1024 + 1)])
def test_damaged_files(tmp_path: Path, now: dt.datetime, name: str, content: bytes) -> None:
    SimulatedGpu.create(tmp_path / "gpus", now=now)
    (tmp_path / "gpus" / name).write_bytes(content)
    with pytest.raises(FormatError):
        SimulatedGpu.open(tmp_path / "gpus")


def test_a_key_of_another_curve(tmp_path: Path, now: dt.datetime) -> None:
    SimulatedGpu.create(tmp_path / "gpus", now=now)
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "gpus" / "gpu-0.key").write_bytes(key)
    with pytest.raises(FormatError, match="P-384"):
        SimulatedGpu.open(tmp_path / "gpus")


def test_the_gpu_of_another_vendor(tmp_path: Path, now: dt.datetime) -> None:
    SimulatedGpu.create(tmp_path / "one", now=now)
    SimulatedGpu.create(tmp_path / "two", now=now)
    (tmp_path / "one" / "gpu-0.pem").write_bytes((tmp_path / "two" / "gpu-0.pem").read_bytes())
    with pytest.raises(FormatError, match=r"from gpu-0 to root\.pem"):
        SimulatedGpu.open(tmp_path / "one")


def test_a_short_chain_and_no_gpu(tmp_path: Path, now: dt.datetime) -> None:
    gpus = SimulatedGpu.create(tmp_path / "gpus", now=now)
    path = tmp_path / "gpus" / "gpu-0.pem"
    path.write_bytes(render_chain(parse_chain(path.read_bytes(), what="the chain")[1:]))
    with pytest.raises(FormatError, match=r"from gpu-0 to root\.pem"):
        SimulatedGpu.open(tmp_path / "gpus")
    path.unlink()
    with pytest.raises(FormatError, match="got none"):
        SimulatedGpu.open(tmp_path / "gpus")
    assert gpus.collect(NONCE)
