"""The attester of the simulated platform: asked for by name, never a fallback."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.simulated.measurement import package_enclave, package_trust_domain
from lamslsa.evidence.simulated.platform import SimulatedPlatform
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE

__all__ = ["SimulatedAttester"]

_REPORT_DATA_BYTES: Final = 64


class SimulatedAttester:
    """Emits quotes of the installed package, signed by a simulated platform: of the kind of TEE that this stands for.

    The package is measured and the keys are loaded here, once, before anything is asked to be quoted.

    Raises:
        UnavailableError: the platform's keys cannot be read.
        FormatError: not the keys of a platform.
    """

    def __init__(self, platform: SimulatedPlatform, *, beside: bytes = b"") -> None:
        self._quote: Callable[[bytes], bytes]
        if platform.form == "sgx":
            self._name, self._media_type = "simulated", SGX_QUOTE_MEDIA_TYPE
            self._quote = partial(platform.quoting_enclave().quote, package_enclave(beside=beside))
        else:
            self._name, self._media_type = "simulated-tdx", TDX_QUOTE_MEDIA_TYPE
            self._quote = partial(platform.td_quoting_enclave().quote, package_trust_domain(beside=beside))
        self._collateral = platform.collateral

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester: ``simulated`` for SGX, ``simulated-tdx``."""
        return self._name

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - nobody is there to sign it
        """Nothing: no device is attached."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the platform sign exactly 64 bytes of report data.

        Raises:
            ValueError: not 64 bytes.
        """
        if len(report_data) != _REPORT_DATA_BYTES:
            raise ValueError(f"expected {_REPORT_DATA_BYTES} bytes of report data, got {len(report_data)}")
        return Evidence(media_type=self._media_type, quote=self._quote(report_data), collateral=self._collateral)
