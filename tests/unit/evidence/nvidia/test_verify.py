from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence import device_verifier_for
from lamslsa.evidence.nvidia import rim
from lamslsa.evidence.nvidia.parse import parse, render
from lamslsa.evidence.nvidia.verify import MEDIA_TYPE, NvidiaVerifier, _identify
from lamslsa.evidence.roots import VENDOR_ROOTS
from lamslsa.evidence.simulated.gpu_report import Gpu, generate_key
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

NONCE = bytes(range(1, 33))
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def verify(vendor: SimulatedGpuVendor, report: bytes | None = None, **changes: Any) -> Any:
    arguments = {"nonce": NONCE, "roots": [vendor.root], "manifests": [], "at": vendor.now, **changes}
    return NvidiaVerifier().verify(report or vendor.report(NONCE), **arguments)


def test_the_registry_knows_it() -> None:
    assert isinstance(device_verifier_for(MEDIA_TYPE), NvidiaVerifier)
    assert NvidiaVerifier().media_type == MEDIA_TYPE


def test_the_root_that_a_report_presents(gpu_vendor: SimulatedGpuVendor) -> None:
    assert NvidiaVerifier().presented_root(gpu_vendor.report(NONCE)) == gpu_vendor.root
    with pytest.raises(FormatError):
        NvidiaVerifier().presented_root(b"{}")


def test_the_device_id_is_that_of_the_device_key(gpu_vendor: SimulatedGpuVendor) -> None:
    key = x509.load_der_x509_certificate(gpu_vendor.chain[1]).public_key()
    expected = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    assert verify(gpu_vendor).device_id == expected


def test_the_device_id_stays_when_the_firmware_changes(now: dt.datetime) -> None:
    device = generate_key()
    before = SimulatedGpuVendor(now, keys={"device": device})
    after = SimulatedGpuVendor(now, keys={"device": device}, gpu=Gpu(fwid=bytes(48)))
    assert before.chain[0] != after.chain[0]
    assert verify(before).device_id == verify(after).device_id
    assert verify(before).device_id != verify(SimulatedGpuVendor(now)).device_id


def test_a_time_without_a_zone_is_a_bug(gpu_vendor: SimulatedGpuVendor) -> None:
    with pytest.raises(ValueError, match="time zone"):
        verify(gpu_vendor, at=gpu_vendor.now.replace(tzinfo=None))


def test_the_edges_of_the_window(now: dt.datetime) -> None:
    vendor = SimulatedGpuVendor(now, windows={"device": (now - DAY, now + DAY), "root": (now - 2 * DAY, now + 9 * DAY)})
    for at in (now - DAY, now + DAY):
        assert verify(vendor, at=at)
    for at in (now - DAY - SECOND, now + DAY + SECOND):
        with pytest.raises(VerificationError) as caught:
            verify(vendor, at=at)
        assert caught.value.reason == "evidence-certificate-window"


def test_one_of_several_roots_is_enough(gpu_vendor: SimulatedGpuVendor, now: dt.datetime) -> None:
    other = SimulatedGpuVendor(now)
    assert verify(gpu_vendor, roots=[other.root, gpu_vendor.root]).root == gpu_vendor.root.sha256


def test_a_root_is_compared_whole(gpu_vendor: SimulatedGpuVendor) -> None:
    claimed = dataclasses.replace(gpu_vendor.root, der=gpu_vendor.chain[3])
    with pytest.raises(VerificationError) as caught:
        verify(gpu_vendor, roots=[claimed])
    assert caught.value.reason == "evidence-root"


def test_the_report_of_another_gpu_does_not_go_with_this_chain(
    gpu_vendor: SimulatedGpuVendor, now: dt.datetime
) -> None:
    mixed = render(SimulatedGpuVendor(now).raw_report(NONCE), gpu_vendor.chain)
    with pytest.raises(VerificationError) as caught:
        verify(gpu_vendor, mixed)
    assert caught.value.reason == "evidence-device-signature"


@pytest.mark.parametrize("nonce", [b"", NONCE[:31], NONCE + b"\0", bytes(32)])
def test_the_nonce_is_compared_whole(gpu_vendor: SimulatedGpuVendor, nonce: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(gpu_vendor, nonce=nonce)
    assert caught.value.reason == "evidence-device-nonce"


def test_any_bit_of_the_report_counts(gpu_vendor: SimulatedGpuVendor) -> None:
    raw = gpu_vendor.raw_report(NONCE)
    for position in range(0, len(raw), 11):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        with pytest.raises(LamslsaError) as caught:
            verify(gpu_vendor, render(bytes(changed), gpu_vendor.chain))
        assert isinstance(caught.value, FormatError | VerificationError)


def test_manifests_under_nvidias_root_are_for_nvidias_gpus(
    gpu_vendor: SimulatedGpuVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU under the vendor's root is compared with manifests under the vendor's other root, and with no others."""
    manifests = [gpu_vendor.manifest("driver"), gpu_vendor.manifest("vbios")]
    claims = verify(gpu_vendor, manifests=manifests)
    assert (claims.simulated, claims.golden_values) == (True, "matched")
    devices = {**VENDOR_ROOTS, "nvidia-gpu": {gpu_vendor.root.sha256: "stands in"}}
    monkeypatch.setattr("lamslsa.evidence.roots.VENDOR_ROOTS", devices)
    claims = verify(gpu_vendor, manifests=manifests)
    assert (claims.simulated, claims.golden_values) == (False, "not compared")
    both = {**devices, "nvidia-rim": {gpu_vendor.root.sha256: "stands in"}}
    monkeypatch.setattr("lamslsa.evidence.nvidia.verify.VENDOR_ROOTS", both)
    assert verify(gpu_vendor, manifests=manifests).golden_values == "matched"


def test_a_manifest_is_judged_as_of_the_same_time(gpu_vendor: SimulatedGpuVendor, now: dt.datetime) -> None:
    short = (now - DAY, now + DAY)
    old = [gpu_vendor.manifest("driver", window=short), gpu_vendor.manifest("vbios", window=short)]
    assert verify(gpu_vendor, manifests=old, at=now).golden_values == "matched"
    assert verify(gpu_vendor, manifests=old, at=now + 2 * DAY).golden_values == "not compared"
    renewed = [gpu_vendor.manifest("driver"), gpu_vendor.manifest("vbios"), *old]
    assert verify(gpu_vendor, manifests=renewed, at=now + 2 * DAY).golden_values == "matched"


def test_a_broken_path_of_a_manifest_is_refused(gpu_vendor: SimulatedGpuVendor) -> None:
    signed = gpu_vendor.manifest("driver").decode()
    certificates = signed.split("<ds:X509Certificate>")
    certificates[1], certificates[2] = certificates[2], certificates[1]
    with pytest.raises(VerificationError) as caught:
        verify(gpu_vendor, manifests=["<ds:X509Certificate>".join(certificates).encode()])
    assert caught.value.reason == "evidence-chain"
    assert rim.parse(signed.encode()).content.version == "550.54.15"


def test_of_several_that_fit_the_closest_is_told(gpu_vendor: SimulatedGpuVendor) -> None:
    """One manifest that differs in two early measurements, one that differs in a late one."""
    early = gpu_vendor.manifest("vbios", measurements={0: [bytes(48)], 1: [bytes(48)]})
    late = gpu_vendor.manifest("vbios", measurements={9: [bytes(48)]})
    for manifests in ([early, late], [late, early]):
        claims = verify(gpu_vendor, manifests=manifests)
        assert (claims.golden_values, claims.differing) == ("different", (9,))


@pytest.mark.parametrize(
    ("names", "identified"),
    [
        (["GH100 A01 GSP BROM"], ("GH100", "hopper")),
        (["GB202"], ("GB202", "blackwell")),
        ([], None),
        (["GH100", "GH100"], None),
        (["GH100\tA01"], None),
        (["GA100 A01"], None),
        (["A01 GH100"], None),
    ],
)
def test_the_chip_that_the_device_certificate_names(
    gpu_vendor: SimulatedGpuVendor, names: list[str], identified: tuple[str, str] | None
) -> None:
    key = generate_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in names])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(gpu_vendor.now).not_valid_after(gpu_vendor.now + DAY)
    device, report = builder.sign(key, hashes.SHA384()), parse(gpu_vendor.report(NONCE)).report
    assert report.chip is None
    if identified is None:
        with pytest.raises(VerificationError) as caught:
            _identify(report, device)
        assert caught.value.reason == "evidence-device-architecture"
    else:
        assert _identify(report, device) == identified
