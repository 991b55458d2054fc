from __future__ import annotations

import dataclasses
import datetime as dt
import re
import sys
from typing import Any

import pytest
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
from lamslsa.evidence.nvidia import rim
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(scope="module")
def manifest(gpu_vendor: SimulatedGpuVendor) -> bytes:
    return gpu_vendor.manifest("vbios", measurements={3: [bytes(48), b"\x01" * 48], 5: []})


def test_what_it_says(gpu_vendor: SimulatedGpuVendor, manifest: bytes) -> None:
    presented = rim.parse(manifest)
    content = rim.verify(presented, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
    assert content == presented.content
    assert (content.product, content.version) == ("GH100", "96.00.5E.00.01")
    assert content.measurements.keys() == set(range(13)) - {5}
    assert content.measurements[3] == (bytes(48), b"\x01" * 48)
    assert content.measurements[4] == (gpu_vendor.gpu.measurements[4],)
    assert presented.chain[-1] == gpu_vendor.root.der
    assert len(presented.chain) == 3


def test_a_declaration_may_come_first(gpu_vendor: SimulatedGpuVendor, manifest: bytes) -> None:
    for declaration in (b'<?xml version="1.0"?>', b"<?xml version='1.0' encoding='UTF-8'?>\n"):
        presented = rim.parse(declaration + manifest)
        assert rim.verify(presented, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now) == rim.parse(manifest).content


@pytest.mark.parametrize(
    "roots", [[], ["00" * 32], ["12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"]]
)
def test_another_root(gpu_vendor: SimulatedGpuVendor, manifest: bytes, roots: list[str]) -> None:
    with pytest.raises(VerificationError) as caught:
        rim.verify(rim.parse(manifest), roots=roots, at=gpu_vendor.now)
    assert caught.value.reason == "evidence-manifest-root"


def test_the_edges_of_the_signers_window(gpu_vendor: SimulatedGpuVendor, now: dt.datetime) -> None:
    presented = rim.parse(gpu_vendor.manifest("driver", window=(now - DAY, now + DAY)))
    for at in (now - DAY, now + DAY):
        assert rim.verify(presented, roots=[gpu_vendor.root.sha256], at=at)
    for at in (now - DAY - SECOND, now + DAY + SECOND):
        with pytest.raises(VerificationError) as caught:
            rim.verify(presented, roots=[gpu_vendor.root.sha256], at=at)
        assert caught.value.reason == "evidence-certificate-window"


def test_only_what_was_signed_comes_back(gpu_vendor: SimulatedGpuVendor, manifest: bytes) -> None:
    presented = rim.parse(manifest)
    more = dataclasses.replace(presented, content=dataclasses.replace(presented.content, version="1.2"))
    with pytest.raises(VerificationError, match="more than was signed") as caught:
        rim.verify(more, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
    assert caught.value.reason == "evidence-manifest-signature"


def test_certificates_that_are_none(gpu_vendor: SimulatedGpuVendor, manifest: bytes) -> None:
    presented = rim.parse(manifest)
    broken = dataclasses.replace(presented, chain=(b"\x30\x00", *presented.chain[1:]))
    with pytest.raises(FormatError) as caught:
        rim.verify(broken, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
    assert caught.value.reason == "evidence-certificates"


def test_certificates_at_their_limit(manifest: bytes) -> None:
    text = manifest.decode()
    start, end = text.index("<ds:X509Certificate>"), text.index("</ds:X509Data>")
    three = text[start:end]
    one = three[: three.index("</ds:X509Certificate>") + len("</ds:X509Certificate>")]
    assert len(rim.parse(text.replace(three, three + 5 * one).encode()).chain) == 8
    with pytest.raises(FormatError) as caught:
        rim.parse(text.replace(three, three + 6 * one).encode())
    assert caught.value.reason == "manifest-certificates"


def test_size_at_its_limit(manifest: bytes) -> None:
    padded = manifest + b" " * (rim.MAX_MANIFEST_BYTES - len(manifest))
    assert rim.parse(padded).content == rim.parse(manifest).content
    with pytest.raises(FormatError) as caught:
        rim.parse(padded + b" ")
    assert caught.value.reason == "manifest-size"


@pytest.mark.parametrize("package", ["lxml", "signxml.verifier"])
def test_without_its_packages(
    gpu_vendor: SimulatedGpuVendor, manifest: bytes, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    presented = rim.parse(manifest)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnavailableError) as caught:
        rim.verify(presented, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
    assert caught.value.reason == "manifest-package"
    assert "lamslsa[gpu]" in str(caught.value.hint)


@pytest.mark.parametrize(
    "data", [b"", b"<", b"<a/>", b"\xff\xfe<\0a\0/\0>\0", b"<a>\xff</a>", b"<a" * 1000, b"<a>" * 1000]
)
def test_any_bytes_give_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(LamslsaError) as caught:
        rim.parse(data)
    assert caught.value.reason in {"manifest-xml", "manifest-shape"}


def test_any_byte_of_it_counts(gpu_vendor: SimulatedGpuVendor, manifest: bytes) -> None:
    """A change is refused, or it is one that XML does not tell, and what comes back is what was signed."""
    signed = rim.parse(manifest).content
    for position in range(0, len(manifest), 61):
        changed = bytearray(manifest)
        changed[position] ^= 1
        try:
            content = rim.verify(rim.parse(bytes(changed)), roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
        except (FormatError, VerificationError):
            continue
        assert content == signed


def test_nesting_is_limited(manifest: bytes) -> None:
    """Before anything is read of it."""
    deep = b"<a>" * 300 + b"</a>" * 300
    with pytest.raises(FormatError, match="Excessive depth") as caught:
        rim.parse(manifest.replace(b"</SoftwareIdentity>", deep + b"</SoftwareIdentity>"))
    assert caught.value.reason == "manifest-xml"


def test_one_certificate_is_a_chain(manifest: bytes) -> None:
    parts = manifest.decode().split("<ds:X509Certificate>")
    rest = parts[-1].partition("</ds:X509Certificate>")[2]
    single = parts[0] + "<ds:X509Certificate>" + parts[1].strip() + rest
    assert rim.parse(single.encode()).chain == rim.parse(manifest).chain[:1]
    with pytest.raises(FormatError) as caught:
        rim.parse((parts[0] + rest).encode())
    assert (caught.value.reason, "got 0" in str(caught.value)) == ("manifest-certificates", True)


@pytest.mark.parametrize("name", ["index", "size", "alternatives", "type", "active", "Hash0"])
def test_a_measurement_without_one_of_its_members(manifest: bytes, name: str) -> None:
    without = re.sub(rf' (?:[a-zA-Z0-9]+:)?{name}="[^"]*"'.encode(), b"", manifest, count=0)
    assert without != manifest
    with pytest.raises(FormatError) as caught:
        rim.parse(without)
    assert caught.value.reason == "manifest-measurements"


@pytest.mark.parametrize(
    "weak", [{"signature_algorithm": SignatureMethod.ECDSA_SHA256}, {"digest_algorithm": DigestAlgorithm.SHA256}]
)
def test_other_algorithms_than_the_makers(
    gpu_vendor: SimulatedGpuVendor, monkeypatch: pytest.MonkeyPatch, weak: dict[str, Any]
) -> None:
    class Weak(XMLSigner):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**{**arguments, **weak})

    monkeypatch.setattr("signxml.signer.XMLSigner", Weak)
    presented = rim.parse(gpu_vendor.manifest("driver"))
    with pytest.raises(VerificationError) as caught:
        rim.verify(presented, roots=[gpu_vendor.root.sha256], at=gpu_vendor.now)
    assert caught.value.reason == "evidence-manifest-signature"
