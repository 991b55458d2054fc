# ruff: noqa: N802 - the double has the names of the library
from __future__ import annotations

import ctypes
import inspect
import sys
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.nvidia.collect import Nvml, NvmlCollector, _used, from_text, why_unavailable
from lamslsa.evidence.nvidia.parse import parse
from lamslsa.evidence.nvidia.verify import MEDIA_TYPE, NvidiaVerifier
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

NONCE = bytes(range(1, 33))


class State(ctypes.Structure):
    _fields_ = [("environment", ctypes.c_uint), ("ccFeature", ctypes.c_uint), ("devToolsMode", ctypes.c_uint)]


class Report(ctypes.Structure):
    _fields_ = [
        ("isCecAttestationReportPresent", ctypes.c_uint),
        ("attestationReportSize", ctypes.c_uint),
        ("cecAttestationReportSize", ctypes.c_uint),
        ("nonce", ctypes.c_uint8 * 32),
        ("attestationReport", ctypes.c_uint8 * 0x2000),
        ("cecAttestationReport", ctypes.c_uint8 * 0x1000),
    ]


class Certificate(ctypes.Structure):
    _fields_ = [
        ("certChainSize", ctypes.c_uint),
        ("attestationCertChainSize", ctypes.c_uint),
        ("certChain", ctypes.c_uint8 * 0x1000),
        ("attestationCertChain", ctypes.c_uint8 * 0x1400),
    ]


class DriverError(Exception):
    pass


def pem(vendor: SimulatedGpuVendor) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in vendor.chain)


class Driver:
    """Behaves as the driver's library: one session at a time, sizes of the C structures, a nonce of 32 bytes."""

    NVMLError: type[Exception] = DriverError

    def __init__(self, *vendors: SimulatedGpuVendor, **wrong: Any) -> None:
        self.vendors = vendors
        self.wrong = wrong
        self.open = False
        self.sessions = 0

    def _answer(self, name: str) -> None:
        if name != "nvmlInit" and not self.open:
            raise AssertionError(f"{name} without nvmlInit")
        if self.wrong.get("fails") == name:
            raise DriverError(self.wrong.get("text", "Unknown Error"))

    def nvmlInit(self) -> None:
        assert not self.open
        self._answer("nvmlInit")
        self.open = True
        self.sessions += 1

    def nvmlShutdown(self) -> None:
        self._answer("nvmlShutdown")
        self.open = False

    def nvmlSystemGetConfComputeState(self) -> State:
        self._answer("nvmlSystemGetConfComputeState")
        return State(*self.wrong.get("state", (2, 1, 0)))

    def nvmlDeviceGetCount(self) -> int:
        self._answer("nvmlDeviceGetCount")
        return len(self.vendors)

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:
        self._answer("nvmlDeviceGetHandleByIndex")
        return self.vendors[index]

    def nvmlDeviceGetConfComputeGpuAttestationReport(self, handle: Any, nonce: bytes, /) -> Report:
        self._answer("nvmlDeviceGetConfComputeGpuAttestationReport")
        answer = Report()
        answer.nonce = (ctypes.c_uint8 * len(nonce))(*nonce)  # a TypeError unless 32 bytes
        raw = handle.raw_report(self.wrong.get("nonce", bytes(answer.nonce)))
        ctypes.memmove(answer.attestationReport, raw, len(raw))
        answer.attestationReportSize = self.wrong.get("size", len(raw))
        return answer

    def nvmlDeviceGetConfComputeGpuCertificate(self, handle: Any, /) -> Certificate:
        self._answer("nvmlDeviceGetConfComputeGpuCertificate")
        chain = self.wrong.get("chain", pem(handle))
        certificate = Certificate(attestationCertChainSize=self.wrong.get("chain_size", len(chain)))
        ctypes.memmove(certificate.attestationCertChain, chain, len(chain))
        return certificate


def test_every_gpu_answers_in_order(gpu_vendor: SimulatedGpuVendor) -> None:
    other = SimulatedGpuVendor(gpu_vendor.now)
    driver = Driver(gpu_vendor, other)
    collected = NvmlCollector(driver).collect(NONCE)
    assert [item.media_type for item in collected] == [MEDIA_TYPE, MEDIA_TYPE]
    for vendor, item in zip((gpu_vendor, other), collected, strict=True):
        claims = NvidiaVerifier().verify(item.data, nonce=NONCE, roots=[vendor.root], manifests=[], at=vendor.now)
        assert claims.root == vendor.root.sha256
    assert (driver.sessions, driver.open) == (1, False)


def test_the_collector_is_what_an_attester_calls(gpu_vendor: SimulatedGpuVendor) -> None:
    assert len(NvmlCollector(Driver(gpu_vendor))(NONCE)) == 1


@pytest.mark.parametrize("size", [0, 31, 33])
def test_the_nonce_has_32_bytes(gpu_vendor: SimulatedGpuVendor, size: int) -> None:
    driver = Driver(gpu_vendor)
    with pytest.raises(ValueError, match="32 bytes"):
        NvmlCollector(driver).collect(bytes(size))
    assert driver.sessions == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"fails": "nvmlInit", "text": "NVML Shared Library Not Found"}, "gpu-driver"),
        ({"fails": "nvmlShutdown"}, "gpu-driver"),
        ({"fails": "nvmlSystemGetConfComputeState", "text": "Function Not Found"}, "gpu-mode"),
        ({"state": (2, 0, 0)}, "gpu-mode"),
        ({"state": (0, 1, 0)}, "gpu-mode"),
        ({"state": (1, 1, 0)}, "gpu-mode"),
        ({"state": (2, 1, 1)}, "gpu-mode"),
        ({"fails": "nvmlDeviceGetCount"}, "gpu-missing"),
        ({"fails": "nvmlDeviceGetHandleByIndex"}, "gpu-answer"),
        ({"fails": "nvmlDeviceGetConfComputeGpuAttestationReport", "text": "Not Supported"}, "gpu-answer"),
        ({"fails": "nvmlDeviceGetConfComputeGpuCertificate"}, "gpu-answer"),
        ({"size": 0}, "gpu-answer"),
        ({"size": 0x2001}, "gpu-answer"),
        ({"size": 0x2000}, "gpu-answer"),
        ({"chain_size": 0}, "gpu-answer"),
        ({"chain_size": 0x1401}, "gpu-answer"),
        ({"chain": b"no certificate"}, "gpu-answer"),
        ({"nonce": bytes(32)}, "gpu-answer"),
    ],
)
def test_what_is_unavailable(gpu_vendor: SimulatedGpuVendor, wrong: dict[str, Any], reason: str) -> None:
    driver = Driver(gpu_vendor, **wrong)
    with pytest.raises(UnavailableError, match=wrong.get("text", "expected ")) as caught:
        NvmlCollector(driver).collect(NONCE)
    assert caught.value.reason == reason
    assert driver.open == (wrong.get("fails") == "nvmlShutdown")


def test_no_gpu() -> None:
    with pytest.raises(UnavailableError) as caught:
        NvmlCollector(Driver()).collect(NONCE)
    assert caught.value.reason == "gpu-missing"


def test_one_gpu_that_does_not_answer_is_enough_to_refuse(gpu_vendor: SimulatedGpuVendor) -> None:
    class Second(Driver):
        def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:
            if index == 1:
                raise DriverError("GPU is lost")
            return super().nvmlDeviceGetHandleByIndex(index)

    with pytest.raises(UnavailableError, match="GPU 1, got GPU is lost"):
        NvmlCollector(Second(gpu_vendor, gpu_vendor)).collect(NONCE)


def test_other_errors_are_bugs_and_end_the_session(gpu_vendor: SimulatedGpuVendor) -> None:
    class Broken(Driver):
        def nvmlDeviceGetCount(self) -> int:
            raise KeyError

    driver = Broken(gpu_vendor)
    with pytest.raises(KeyError):
        NvmlCollector(driver).collect(NONCE)
    assert not driver.open


def test_why_unavailable(gpu_vendor: SimulatedGpuVendor) -> None:
    assert why_unavailable(Driver(gpu_vendor)) is None
    assert "confidential mode" in str(why_unavailable(Driver(gpu_vendor, state=(2, 0, 0))))
    assert "at least one GPU" in str(why_unavailable(Driver()))


def test_without_the_drivers_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UnavailableError) as caught:
        NvmlCollector().collect(NONCE)
    assert caught.value.reason == "gpu-driver"
    assert "nvidia-ml-py" in str(caught.value.hint)
    assert "pynvml" in str(why_unavailable())


def test_the_module_of_this_machine_is_asked_by_default(
    gpu_vendor: SimulatedGpuVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver(gpu_vendor))
    assert len(NvmlCollector().collect(NONCE)) == 1


def test_the_double_is_like_the_library() -> None:
    pynvml = pytest.importorskip("pynvml")
    assert issubclass(pynvml.NVMLError, Exception)
    for name in (name for name in vars(Nvml) if name.startswith("nvml")):
        taken = [item for item in inspect.signature(getattr(Driver, name)).parameters if item != "self"]
        parameters = inspect.signature(getattr(pynvml, name)).parameters.values()
        assert len([item for item in parameters if item.default is item.empty]) == len(taken)
    for ours, theirs in (
        (State, pynvml.c_nvmlConfComputeSystemState_t),
        (Report, pynvml.c_nvmlConfComputeGpuAttestationReport_t),
        (Certificate, pynvml.c_nvmlConfComputeGpuCertificate_t),
    ):
        assert [name for name, *_ in ours._fields_] == [name for name, *_ in theirs._fields_]
        assert ctypes.sizeof(ours) == ctypes.sizeof(theirs)
    assert (pynvml.NVML_CC_SYSTEM_FEATURE_ENABLED, pynvml.NVML_CC_SYSTEM_ENVIRONMENT_PROD) == (1, 2)
    assert pynvml.NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF == 0


def test_from_text(gpu_vendor: SimulatedGpuVendor) -> None:
    raw, chain = gpu_vendor.raw_report(NONCE), pem(gpu_vendor).decode()
    evidence = parse(from_text(f"{raw.hex()}\n", f"leaf first\n{chain}"))
    assert evidence.report.raw == raw
    assert evidence.chain == gpu_vendor.chain


def test_from_other_text(gpu_vendor: SimulatedGpuVendor) -> None:
    raw, chain = gpu_vendor.raw_report(NONCE).hex(), pem(gpu_vendor).decode()
    other_version = gpu_vendor.chain[0].replace(bytes.fromhex("a003020102"), bytes.fromhex("a00302010a"))
    for report, certificates, reason in (
        ("0x" + raw, chain, "gpu-text"),
        (raw, "", "gpu-text"),
        (raw[2:], chain, "gpu-spdm"),
        (raw, chain + chain, "gpu-certificates"),
        (raw, render_chain([other_version]).decode(), "gpu-text"),
    ):
        with pytest.raises(FormatError) as caught:
            from_text(report, certificates)
        assert caught.value.reason == reason


@pytest.mark.parametrize("size", [1, 2, 4])
def test_bytes_that_are_used(size: int) -> None:
    assert _used((ctypes.c_uint8 * 4)(1, 2, 3, 4), size, "a report") == bytes([1, 2, 3, 4])[:size]


@pytest.mark.parametrize("size", [0, 5])
def test_more_bytes_than_there_are_and_none(size: int) -> None:
    with pytest.raises(UnavailableError, match=f"expected a report of 1 to 4 bytes, got {size} bytes") as caught:
        _used((ctypes.c_uint8 * 4)(), size, "a report")
    assert caught.value.reason == "gpu-answer"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"fails": "nvmlSystemGetConfComputeState"}, "expected a driver that knows confidential mode, got Unknown"),
        ({"fails": "nvmlDeviceGetCount"}, "expected the number of GPUs, got Unknown Error"),
        ({"size": 0}, "expected the report of GPU 0 of 1 to 8192 bytes, got 0 bytes"),
        ({"chain_size": 0}, "expected the report of GPU 0 of 1 to 5120 bytes, got 0 bytes"),
    ],
)
def test_what_is_said_of_a_driver(gpu_vendor: SimulatedGpuVendor, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UnavailableError, match=said):
        NvmlCollector(Driver(gpu_vendor, **wrong)).collect(NONCE)


def test_of_too_many_certificates_one_is_enough_to_refuse(gpu_vendor: SimulatedGpuVendor) -> None:
    raw, chain = gpu_vendor.raw_report(NONCE).hex(), pem(gpu_vendor).decode()
    with pytest.raises(FormatError, match="expected 5 certificates from the leaf to the root, got 6"):
        from_text(raw, chain + chain)
