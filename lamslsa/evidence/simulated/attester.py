"""The attester of the simulated platform: asked for by name, never a fallback."""

from __future__ import annotations

from typing import Final

from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.simulated.measurement import package_enclave
from lamslsa.evidence.simulated.platform import SimulatedPlatform

__all__ = ["SimulatedAttester"]

_REPORT_DATA_BYTES: Final = 64


class SimulatedAttester:
    """Emits SGX quotes of the installed package, signed by a simulated platform.

    The package is measured and the keys are loaded here, once, before anything is asked to be quoted.

    Raises:
        UnavailableError: the platform's keys cannot be read.
        FormatError: not the keys of a platform.
    """

    def __init__(self, platform: SimulatedPlatform) -> None:
        self._enclave = package_enclave()
        self._quoting_enclave = platform.quoting_enclave()
        self._collateral = platform.collateral

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return "simulated"

    def quote(self, report_data: bytes) -> Evidence:
        """Have the platform sign exactly 64 bytes of report data.

        Raises:
            ValueError: not 64 bytes.
        """
        if len(report_data) != _REPORT_DATA_BYTES:
            raise ValueError(f"expected {_REPORT_DATA_BYTES} bytes of report data, got {len(report_data)}")
        return Evidence(
            media_type=MEDIA_TYPE,
            quote=self._quoting_enclave.quote(self._enclave, report_data),
            collateral=self._collateral,
        )
