"""A genuine Hopper report and genuine manifests; expected values: evidence/SOURCES.md of the shared files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.nvidia import rim
from lamslsa.evidence.nvidia.collect import from_text
from lamslsa.evidence.nvidia.golden import compare
from lamslsa.evidence.nvidia.parse import parse, parse_report, render
from lamslsa.evidence.nvidia.verify import NvidiaVerifier
from lamslsa.evidence.roots import VENDOR_ROOTS, root_of
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

NONCE = bytes.fromhex("931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb")
DEVICE_ROOT = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
RIM_ROOT = "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
# The last certificate of the chain to become valid is that of the provisioner; none of them expires before the last
# second that a certificate can state.
FIRST = dt.datetime(2022, 3, 1, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
MANIFESTS = {
    "1010_0200_882_96005E0001_PROD.swidtag": (
        dt.datetime(2023, 6, 23, 9, 30, 33, tzinfo=dt.UTC),
        dt.datetime(2025, 6, 22, 9, 30, 33, tzinfo=dt.UTC),
    ),
    "Driver_RIM_test_no_gpu.swidtag": (
        dt.datetime(2023, 6, 27, 6, 10, 12, tzinfo=dt.UTC),
        dt.datetime(2025, 6, 26, 6, 10, 12, tzinfo=dt.UTC),
    ),
}


@pytest.fixture(scope="module")
def nvidia(shared: Path) -> Path:
    return shared / "evidence" / "nvidia"


@pytest.fixture(scope="module")
def device_root(nvidia: Path) -> bytes:
    return x509.load_pem_x509_certificate((nvidia / "verifier_device_root.pem").read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def evidence(nvidia: Path) -> bytes:
    report, chain = (nvidia / name for name in ("hopperAttestationReport.txt", "hopperCertChain.txt"))
    return from_text(report.read_text(encoding="ascii"), chain.read_text(encoding="ascii"))


def test_the_published_roots_are_compiled_in(nvidia: Path, device_root: bytes) -> None:
    manifests = x509.load_pem_x509_certificate((nvidia / "verifier_RIM_root.pem").read_bytes())
    assert VENDOR_ROOTS["nvidia-gpu"].keys() == {root_of(device_root).sha256} == {DEVICE_ROOT}
    assert VENDOR_ROOTS["nvidia-rim"].keys() == {root_of(manifests.public_bytes(Encoding.DER)).sha256} == {RIM_ROOT}


@pytest.mark.parametrize("at", [FIRST, NOW, LAST])
def test_a_genuine_gpu_inside_its_window(evidence: bytes, device_root: bytes, nvidia: Path, at: dt.datetime) -> None:
    manifests = [(nvidia / name).read_bytes() for name in MANIFESTS]
    claims = NvidiaVerifier().verify(evidence, nonce=NONCE, roots=[root_of(device_root)], manifests=manifests, at=at)
    assert not claims.simulated
    assert claims.root == DEVICE_ROOT
    assert claims.kind == "nvidia-gpu"
    assert claims.architecture == "hopper"
    assert claims.device_id == "0456ef114633549618e8fbe54ece97118b2f034f11b036980137a15264a46d07"
    assert (claims.driver_version, claims.vbios_version) == ("550.90.07", "96.00.9F.00.01")
    assert (claims.golden_values, claims.differing) == ("not compared", ())


@pytest.mark.parametrize("at", [FIRST - SECOND, LAST + SECOND / 2])
def test_outside_its_window(evidence: bytes, device_root: bytes, at: dt.datetime) -> None:
    with pytest.raises(VerificationError) as caught:
        NvidiaVerifier().verify(evidence, nonce=NONCE, roots=[root_of(device_root)], manifests=[], at=at)
    assert caught.value.reason == "evidence-certificate-window"


def test_another_nonce(evidence: bytes, device_root: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        NvidiaVerifier().verify(evidence, nonce=bytes(32), roots=[root_of(device_root)], manifests=[], at=NOW)
    assert caught.value.reason == "evidence-device-nonce"


def test_under_another_root(evidence: bytes, nvidia: Path) -> None:
    manifests = x509.load_pem_x509_certificate((nvidia / "verifier_RIM_root.pem").read_bytes())
    others = [SimulatedGpuVendor(NOW).root, root_of(manifests.public_bytes(Encoding.DER))]
    with pytest.raises(VerificationError) as caught:
        NvidiaVerifier().verify(evidence, nonce=NONCE, roots=others, manifests=[], at=NOW)
    assert caught.value.reason == "evidence-root"


def test_the_broken_signature(nvidia: Path, evidence: bytes, device_root: bytes) -> None:
    text = (nvidia / "hopperAttestationReportInvalidSignature.txt").read_text(encoding="ascii")
    broken = parse_report(bytes.fromhex(text))
    assert broken.nonce == NONCE
    assert (broken.driver_version, broken.vbios_version) == ("560.00", "96.00.A5.00.01")
    with pytest.raises(VerificationError) as caught:
        NvidiaVerifier().verify(
            render(broken.raw, parse(evidence).chain),
            nonce=NONCE,
            roots=[root_of(device_root)],
            manifests=[],
            at=NOW,
        )
    assert caught.value.reason == "evidence-device-signature"


def test_any_changed_byte_is_refused(evidence: bytes, device_root: bytes) -> None:
    genuine = parse(evidence)
    parts = [genuine.report.raw, *genuine.chain]
    assert len(genuine.report.raw) == 4117
    accepted = []
    for number, part in enumerate(parts):
        for position in range(number, len(part), 5):
            changed = bytearray(part)
            changed[position] ^= 1 << position % 8
            whole = [*parts[:number], bytes(changed), *parts[number + 1 :]]
            try:
                NvidiaVerifier().verify(
                    render(whole[0], whole[1:]), nonce=NONCE, roots=[root_of(device_root)], manifests=[], at=NOW
                )
            except (FormatError, VerificationError):
                continue
            accepted.append((number, position))
    assert accepted == []


@pytest.mark.parametrize(("name", "window"), MANIFESTS.items())
def test_manifests_inside_and_outside_of_their_signers_window(
    nvidia: Path, name: str, window: tuple[dt.datetime, dt.datetime]
) -> None:
    presented = rim.parse((nvidia / name).read_bytes())
    for at in window:
        assert rim.verify(presented, roots={RIM_ROOT}, at=at).product == "GH100"
    for at in (window[0] - SECOND, window[1] + SECOND, NOW):
        with pytest.raises(VerificationError) as caught:
            rim.verify(presented, roots={RIM_ROOT}, at=at)
        assert caught.value.reason == "evidence-certificate-window"
    with pytest.raises(VerificationError) as caught:
        rim.verify(presented, roots={DEVICE_ROOT}, at=window[0])
    assert caught.value.reason == "evidence-manifest-root"


@pytest.mark.parametrize(("name", "window"), MANIFESTS.items())
def test_a_changed_manifest_is_refused(nvidia: Path, name: str, window: tuple[dt.datetime, dt.datetime]) -> None:
    data = (nvidia / name).read_bytes()
    for old, new in ((b'active="False"', b'active="True"'), (b'Hash0="', b'Hash0="0'), (b"96.00.5E", b"96.00.9F")):
        if old not in data:
            continue
        with pytest.raises((FormatError, VerificationError)) as caught:
            rim.verify(rim.parse(data.replace(old, new, 1)), roots={RIM_ROOT}, at=window[0])
        assert caught.value.reason in {"evidence-manifest-signature", "manifest-measurements"}


def test_what_the_manifests_say(nvidia: Path) -> None:
    vbios, driver = (rim.parse((nvidia / name).read_bytes()).content for name in MANIFESTS)
    assert (vbios.version, driver.version) == ("96.00.5E.00.01", "545.00")
    assert vbios.measurements.keys() == {*range(7), *range(8, 13)}
    assert driver.measurements.keys() == {7, *range(21, 41)}
    assert (len(vbios.measurements[12]), len(driver.measurements[35])) == (4, 2)


def test_the_report_beside_manifests_of_other_versions(nvidia: Path, evidence: bytes) -> None:
    """Relabelled in memory only: numbering and comparison meet genuine values, some of which other versions share."""
    report = parse(evidence).report
    vbios, driver = (rim.parse((nvidia / name).read_bytes()).content for name in MANIFESTS)
    same = {
        index
        for index, values in (*vbios.measurements.items(), *driver.measurements.items())
        if report.measurements[index + 1] in values
    }
    assert {0, 3, 4, 5, 6, 35} <= same
    held = [(nvidia / name).read_bytes() for name in MANIFESTS]
    assert compare(report, chip="GH100", manifests=held, roots={RIM_ROOT}, at=NOW) == ("not compared", ())


def test_the_device_is_the_one_that_the_leaf_names(evidence: bytes) -> None:
    """Hopper states the key of the device in the certificate of the signing key too."""
    leaf, device = (x509.load_der_x509_certificate(der) for der in parse(evidence).chain[:2])
    stated = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier("2.23.133.5.4.1")).value
    assert isinstance(stated, x509.UnrecognizedExtension)
    assert device.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) in stated.value
