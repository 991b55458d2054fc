from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lamslsa._der import element
from lamslsa.errors import FormatError
from lamslsa.evidence.nvidia.dice import COMPOSITE_DEVICE_ID, TCB_INFO, elements, fwid_of
from lamslsa.evidence.simulated.gpu_report import Gpu, dice_extension, generate_key
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535])
def test_lengths(size: int) -> None:
    body = bytes(size)
    assert elements(element(4, body) + element(2, b"\x01")) == [(4, body), (2, b"\x01")]


def test_nothing_is_no_element() -> None:
    assert elements(b"") == []


@pytest.mark.parametrize(
    "text",
    [
        "04",  # no length
        "0401",  # no content
        "040200",  # less content
        "0480",  # indefinite
        "0480" + "00" * 128,
        "04800000",
        "0481",  # a length that does not come
        "048200",
        "04817f" + "00" * 127,  # longer forms than needed
        "04820080" + "00" * 128,
        "048200ff" + "00" * 255,
        "0483010000" + "00" * 65536,  # more than 64 KiB
        "1f0100",  # tags of several bytes
        "3f0100",
        "ff0100",
    ],
)
def test_other_encodings(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        elements(bytes.fromhex(text))
    assert caught.value.reason == "gpu-dice"


@pytest.mark.parametrize("chip", ["GH100", "GB100"])
def test_the_firmware_of_each_architecture(gpu_vendor: SimulatedGpuVendor, chip: str) -> None:
    gpu = Gpu(chip=chip, fwid=bytes(range(48)))
    vendor = SimulatedGpuVendor(gpu_vendor.now, gpu=gpu)
    leaf = x509.load_der_x509_certificate(vendor.chain[0])
    stated = [item.oid.dotted_string for item in leaf.extensions]
    assert (COMPOSITE_DEVICE_ID in stated, TCB_INFO in stated) == (chip == "GH100", chip == "GB100")
    assert fwid_of(leaf) == gpu.fwid


def test_a_certificate_with_both_forms_is_refused(gpu_vendor: SimulatedGpuVendor) -> None:
    key = generate_key()
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(gpu_vendor.now)
        .not_valid_after(gpu_vendor.now + dt.timedelta(days=1))
    )
    for chip in ("GH100", "GB100"):
        builder = builder.add_extension(dice_extension(Gpu(chip=chip), key.public_key()), critical=False)
    with pytest.raises(FormatError) as caught:
        fwid_of(builder.sign(key, hashes.SHA384()))
    assert caught.value.reason == "gpu-dice"
