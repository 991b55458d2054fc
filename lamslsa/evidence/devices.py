"""Attached devices: whose word for them counts.

A GPU's report says that such a GPU signed a nonce, not that it is attached to the TEE that asked: the host could relay
any GPU's answer. Inside a confidential guest the driver's own session with the GPU rules that out, and the guest's
measurement covers the driver; an enclave of SGX or Nitro has no such session, so it gets no devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lamslsa.errors import UnavailableError
from lamslsa.evidence.interface import Attester, DeviceEvidence, Evidence

__all__ = ["GUESTS", "WithDevices"]

GUESTS: Final = ("tdx", "snp", "simulated-tdx", "simulated-snp")
_NONCE_BYTES: Final = 32


class WithDevices:
    """An attester of a confidential guest that has its devices answer too.

    Args:
        attester: the guest's.
        collect: has every device sign a nonce of 32 bytes; an empty answer is refused.

    Raises:
        UnavailableError: the attester is not one of a confidential guest (gpu-needs-guest).
    """

    def __init__(self, attester: Attester, collect: Callable[[bytes], tuple[DeviceEvidence, ...]]) -> None:
        if attester.tee not in GUESTS:
            raise UnavailableError(
                f"expected GPU evidence together with {', '.join(GUESTS)}, got {attester.tee}",
                reason="gpu-needs-guest",
                hint="attest in a TDX or SEV-SNP guest that the GPU is attached to, or leave the GPU out",
            )
        self._attester = attester
        self._collect = collect

    @property
    def tee(self) -> str:
        """What ``--tee`` calls the guest's attester."""
        return self._attester.tee

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        """Have every attached device sign a nonce of 32 bytes.

        Raises:
            UnavailableError: a device does not answer, or there is none.
            ValueError: not 32 bytes.
        """
        if len(nonce) != _NONCE_BYTES:
            raise ValueError(f"expected a nonce of {_NONCE_BYTES} bytes, got {len(nonce)}")
        answers = self._collect(nonce)
        if not answers:
            raise UnavailableError(
                "expected the answer of at least one GPU, got none",
                reason="gpu-missing",
                hint="lamslsa tee says what keeps the GPU from answering",
            )
        return (*self._attester.device_evidence(nonce), *answers)

    def quote(self, report_data: bytes) -> Evidence:
        """Have the guest's TEE sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: the TEE is not there or does not answer.
            ValueError: not 64 bytes.
        """
        return self._attester.quote(report_data)
