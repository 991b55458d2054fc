"""Reports of the NVIDIA GPUs of this machine, collected through the driver (NVML).

Rules:
- The GPUs are in confidential mode, and in production: in developer mode a profiler on the host reads their memory.
  The driver says so; that it does not lie rests on the measurement of the guest that it is part of.
- Every GPU answers, or there is no evidence. The answer is parsed, and has to be to our nonce, before it is handed on.

Needs the package nvidia-ml-py, whose module `pynvml` calls the driver's library; it is loaded when it is asked for.

API: NVML reference, group "Conf Compute": nvmlSystemGetConfComputeState, nvmlDeviceGetConfComputeGpuAttestationReport
(a nonce of 32 bytes; at most 8192 bytes of report) and nvmlDeviceGetConfComputeGpuCertificate (PEM).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar, cast

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence.interface import DeviceEvidence
from lamslsa.evidence.nvidia.parse import CHAIN_LENGTH, NONCE_BYTES, parse, render
from lamslsa.predicates.tee_evidence import NVIDIA_REPORT_MEDIA_TYPE

__all__ = ["Nvml", "NvmlCollector", "from_text", "why_unavailable"]

_ENABLED: Final = 1
_PRODUCTION: Final = 2
_OFF: Final = 0
_MAX_CHAIN_BYTES: Final = 64 * 1024
_Result = TypeVar("_Result")


class Nvml(Protocol):
    """The part of the module `pynvml` that is used; its structures are those of the C library."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        """Load the driver's library."""

    def nvmlShutdown(self) -> None:  # noqa: N802 - the library's name
        """Undo `nvmlInit`."""

    def nvmlSystemGetConfComputeState(self) -> Any:  # noqa: N802 - the library's name
        """A structure with environment, ccFeature and devToolsMode."""
        ...

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's name
        """How many GPUs there are."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:  # noqa: N802 - the library's name
        """What the other functions call a GPU by."""
        ...

    def nvmlDeviceGetConfComputeGpuAttestationReport(self, handle: Any, nonce: bytes, /) -> Any:  # noqa: N802
        """A structure with attestationReport, of which attestationReportSize bytes are used."""
        ...

    def nvmlDeviceGetConfComputeGpuCertificate(self, handle: Any, /) -> Any:  # noqa: N802
        """A structure with attestationCertChain, of which attestationCertChainSize bytes are used."""
        ...


class NvmlCollector:
    """Has every GPU of this machine sign a nonce.

    Args:
        nvml: the driver's library; by default that of this machine.
    """

    def __init__(self, nvml: Nvml | None = None) -> None:
        self._nvml = nvml

    def __call__(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        """See `collect`."""
        return self.collect(nonce)

    def collect(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        """The report of each GPU over 32 bytes, in the driver's order.

        Raises:
            UnavailableError: no driver (gpu-driver), no confidential mode (gpu-mode), no GPU (gpu-missing), or one
                that does not answer (gpu-answer).
            ValueError: not 32 bytes.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"expected a nonce of {NONCE_BYTES} bytes, got {len(nonce)}")
        with _session(self._nvml) as nvml:
            count = _refuse_unfit(nvml)
            return tuple(_collect_one(nvml, number, nonce) for number in range(count))


def why_unavailable(nvml: Nvml | None = None) -> str | None:
    """Why no GPU of this machine can attest; None where all can be asked."""
    try:
        with _session(nvml) as library:
            _refuse_unfit(library)
    except UnavailableError as err:
        return str(err)
    return None


def from_text(report: str, chain: str) -> bytes:
    """Evidence from a report in hexadecimal and its chain in PEM, leaf first: as NVIDIA's tools print and ship them.

    Raises:
        FormatError: not such texts.
    """
    try:
        raw = bytes.fromhex(report)
    except ValueError as err:
        raise FormatError("expected a report in hexadecimal, got other characters", reason="gpu-text") from err
    data = render(raw, _certificates(chain.encode("utf-8")))
    parse(data)
    return data


@contextmanager
def _session(nvml: Nvml | None) -> Iterator[Nvml]:
    library = nvml or _load()
    _call(library, library.nvmlInit, reason="gpu-driver", expected="NVIDIA's driver")
    try:
        yield library
    finally:
        _call(library, library.nvmlShutdown, reason="gpu-driver", expected="NVIDIA's driver")


def _load() -> Nvml:
    try:
        import pynvml
    except ModuleNotFoundError as err:
        raise UnavailableError(
            "expected the module pynvml to ask GPUs with, got none",
            reason="gpu-driver",
            hint="pip install nvidia-ml-py",
        ) from err
    return cast("Nvml", pynvml)


def _call(nvml: Nvml, function: Callable[[], _Result], *, reason: str, expected: str) -> _Result:
    try:
        return function()
    except nvml.NVMLError as err:
        raise UnavailableError(f"expected {expected}, got {err or type(err).__name__}", reason=reason) from err


def _refuse_unfit(nvml: Nvml) -> int:
    """How many GPUs can be asked."""
    state = _call(
        nvml, nvml.nvmlSystemGetConfComputeState, reason="gpu-mode", expected="a driver that knows confidential mode"
    )
    if (state.ccFeature, state.environment, state.devToolsMode) != (_ENABLED, _PRODUCTION, _OFF):
        raise UnavailableError(
            "expected GPUs in confidential mode for production, got "
            f"feature {state.ccFeature}, environment {state.environment}, developer mode {state.devToolsMode}",
            reason="gpu-mode",
            hint="the host turns confidential mode on, with NVIDIA's gpu-admin-tools",
        )
    count = _call(nvml, nvml.nvmlDeviceGetCount, reason="gpu-missing", expected="the number of GPUs")
    if count < 1:
        raise UnavailableError("expected at least one GPU, got none", reason="gpu-missing")
    return count


def _collect_one(nvml: Nvml, number: int, nonce: bytes) -> DeviceEvidence:
    def ask() -> tuple[Any, Any]:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        report = nvml.nvmlDeviceGetConfComputeGpuAttestationReport(handle, nonce)
        return report, nvml.nvmlDeviceGetConfComputeGpuCertificate(handle)

    expected = f"the report of GPU {number}"
    answer, certificate = _call(nvml, ask, reason="gpu-answer", expected=expected)
    report = _used(answer.attestationReport, answer.attestationReportSize, expected)
    chain = _used(certificate.attestationCertChain, certificate.attestationCertChainSize, expected)
    try:
        data = render(report, _certificates(chain))
        answered = parse(data).report.nonce
    except FormatError as err:
        raise UnavailableError(f"expected {expected}, got {err}", reason="gpu-answer") from err
    if answered != nonce:
        raise UnavailableError(f"expected {expected} over our nonce, got one over another", reason="gpu-answer")
    return DeviceEvidence(media_type=NVIDIA_REPORT_MEDIA_TYPE, data=data)


def _used(buffer: Any, size: int, expected: str) -> bytes:
    if not 0 < size <= len(buffer):
        raise UnavailableError(
            f"expected {expected} of 1 to {len(buffer)} bytes, got {size} bytes", reason="gpu-answer"
        )
    return bytes(buffer[:size])


def _certificates(pem: bytes) -> list[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = x509.load_pem_x509_certificates(pem[:_MAX_CHAIN_BYTES])
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError("expected certificates in PEM, got other text", reason="gpu-text") from err
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates[: CHAIN_LENGTH + 1]]
