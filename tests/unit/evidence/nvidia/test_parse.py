from __future__ import annotations

import contextlib
import random

import pytest

from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence.nvidia.parse import parse, parse_report, render
from lamslsa.evidence.simulated.gpu_report import Gpu
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

NONCE = bytes(range(1, 33))


def test_fields(gpu_vendor: SimulatedGpuVendor) -> None:
    raw = gpu_vendor.raw_report(NONCE)
    evidence = parse(render(raw, gpu_vendor.chain))
    report = evidence.report
    assert evidence.chain == gpu_vendor.chain
    assert evidence.root == gpu_vendor.root.der
    assert report.raw == raw
    assert report.signed + report.signature == raw
    assert len(report.signature) == 96
    assert report.nonce == NONCE
    assert report.measurements == dict(enumerate(gpu_vendor.gpu.measurements, 1))
    assert (report.driver_version, report.vbios_version) == ("550.54.15", "96.00.5E.00.01")
    assert report.fwid == gpu_vendor.gpu.fwid
    assert report.chip is None
    assert not report.nvdec0_disabled


def test_evidence_is_written_as_it_is_read(gpu_vendor: SimulatedGpuVendor) -> None:
    data = gpu_vendor.report(NONCE)
    evidence = parse(data)
    assert render(evidence.report.raw, evidence.chain) == data


@pytest.mark.parametrize(
    ("status", "disabled"), [(b"\x55", True), (b"\xaa", False), (b"", False), (b"\x55\x55", False), (b"\0", False)]
)
def test_the_decoder_is_disabled_by_one_value_alone(
    gpu_vendor: SimulatedGpuVendor, *, status: bytes, disabled: bool
) -> None:
    gpu = Gpu(opaque={**Gpu().opaque, 11: status})
    assert parse_report(gpu_vendor.raw_report(NONCE, gpu=gpu)).nvdec0_disabled is disabled


@pytest.mark.parametrize(
    ("text", "version"),
    [(b"550.54.15", "550.54.15"), (b"1.2\0\0\0", "1.2"), (b"12345.12345.1.1.1\0", "12345.12345.1.1.1")],
)
def test_driver_versions(gpu_vendor: SimulatedGpuVendor, text: bytes, version: str) -> None:
    gpu = Gpu(opaque={**Gpu().opaque, 3: text})
    assert parse_report(gpu_vendor.raw_report(NONCE, gpu=gpu)).driver_version == version


@pytest.mark.parametrize(
    "text", [b"", b"\0", b"550", b"550.", b".550", b"550.54\n", b"123456.1", b"1.1.1.1.1.1", b"1.\xb2"]
)
def test_texts_that_are_no_driver_version(gpu_vendor: SimulatedGpuVendor, text: bytes) -> None:
    gpu = Gpu(opaque={**Gpu().opaque, 3: text})
    with pytest.raises(FormatError) as caught:
        parse_report(gpu_vendor.raw_report(NONCE, gpu=gpu))
    assert caught.value.reason == "gpu-opaque"


def test_sizes_at_their_limits(gpu_vendor: SimulatedGpuVendor) -> None:
    for size, reason in ((16384, "gpu-spdm"), (16385, "gpu-lengths")):
        with pytest.raises(FormatError) as caught:
            parse_report(bytes(size))
        assert caught.value.reason == reason
    data = gpu_vendor.report(NONCE)
    whole = data + b" " * (65536 - len(data))
    assert parse(whole) == parse(data)
    with pytest.raises(FormatError) as caught:
        parse(whole + b" ")
    assert caught.value.reason == "json-size"


def test_every_truncation_is_refused(gpu_vendor: SimulatedGpuVendor) -> None:
    raw = gpu_vendor.raw_report(NONCE)
    for size in range(0, len(raw), 7):
        with pytest.raises(FormatError):
            parse_report(raw[:size])


def test_any_bytes_give_a_value_or_an_error_of_ours(gpu_vendor: SimulatedGpuVendor) -> None:
    chance = random.Random(7)
    raw, data = gpu_vendor.raw_report(NONCE), gpu_vendor.report(NONCE)
    for _ in range(300):
        changed = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            changed[chance.choice((chance.randrange(60), chance.randrange(3550, 3720)))] = chance.randrange(256)
        text = bytearray(data)
        text[chance.randrange(len(text))] = chance.randrange(256)
        for function, argument in ((parse_report, changed), (parse, text), (parse, chance.randbytes(50))):
            with contextlib.suppress(LamslsaError):
                function(bytes(argument))
