"""Quotes of the simulated quoting enclave: byte for byte in the format of DCAP version 3.

Layout: see `lamslsa.evidence.sgx.parse` and `lamslsa.evidence._dcap_quote`, which read what this module writes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.evidence._dcap_quote import INTEL_QE_VENDOR_ID
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.simulated.certificates import Key, raw_public, sign

__all__ = [
    "ENCLAVE_ATTRIBUTES",
    "QE_ISV_SVN",
    "QE_MR_SIGNER",
    "QE_PROD_ID",
    "QUOTING_ENCLAVE",
    "Enclave",
    "QuotingEnclave",
    "certification",
]

# Flags INIT and MODE64BIT, not DEBUG; XFRM x87, SSE, AVX and AVX-512.
ENCLAVE_ATTRIBUTES: Final = bytes.fromhex("0500000000000000e700000000000000")
# The quoting enclave has the provisioning key too.
_QE_ATTRIBUTES: Final = bytes.fromhex("1500000000000000e700000000000000")
QE_MR_SIGNER: Final = hashlib.sha256(b"lamslsa simulated quoting enclave, signer").digest()
QE_ISV_SVN: Final = 8
_QE_MR_ENCLAVE: Final = hashlib.sha256(b"lamslsa simulated quoting enclave").digest()
QE_PROD_ID: Final = 1
_QE_AUTH_DATA: Final = hashlib.sha256(b"lamslsa simulated quoting enclave, authentication data").digest()
_REPORT: Final = struct.Struct("<16s4s12x16x16s32s32x32s32x64sHHH42x16x64s")
_PCK_CHAIN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclave:
    """What the processor reports about an enclave, apart from the report data."""

    mr_enclave: bytes
    mr_signer: bytes
    attributes: bytes = ENCLAVE_ATTRIBUTES
    misc_select: bytes = bytes(4)
    config_id: bytes = bytes(64)
    isv_prod_id: int = 0
    isv_svn: int = 0

    def report(self, cpu_svn: bytes, report_data: bytes) -> bytes:
        """The 384 bytes of the report body."""
        return _REPORT.pack(
            cpu_svn,
            self.misc_select,
            self.attributes,
            self.mr_enclave,
            self.mr_signer,
            self.config_id,
            self.isv_prod_id,
            self.isv_svn,
            0,
            report_data,
        )


QUOTING_ENCLAVE: Final = Enclave(
    mr_enclave=_QE_MR_ENCLAVE,
    mr_signer=QE_MR_SIGNER,
    attributes=_QE_ATTRIBUTES,
    isv_prod_id=QE_PROD_ID,
    isv_svn=QE_ISV_SVN,
)


def certification(
    attestation_key: Key, *, pck_key: Key, chain: Sequence[bytes], cpu_svn: bytes, identity: Enclave
) -> bytes:
    """What vouches for an attestation key: the quoting enclave's report, signed by the PCK key, and the PCK chain.

    The report binds the key: its data is SHA-256(key ‖ authentication data), then zeros.
    """
    bound = hashlib.sha256(raw_public(attestation_key) + _QE_AUTH_DATA).digest()
    report = identity.report(cpu_svn, bound.ljust(64, b"\0"))
    pem = render_chain(chain) + b"\0"
    return (
        report
        + sign(pck_key, report)
        + struct.pack("<H", len(_QE_AUTH_DATA))
        + _QE_AUTH_DATA
        + struct.pack("<HI", _PCK_CHAIN, len(pem))
        + pem
    )


class QuotingEnclave:
    """Signs reports with the attestation key, which the PCK key vouches for once.

    Args:
        chain: DER of PCK certificate, its CA, and the root.
    """

    def __init__(
        self,
        *,
        attestation_key: Key,
        pck_key: Key,
        chain: Sequence[bytes],
        cpu_svn: bytes,
        pce_svn: int,
        identity: Enclave = QUOTING_ENCLAVE,
    ) -> None:
        self._key = attestation_key
        self._cpu_svn = cpu_svn
        self._header = struct.pack("<HHIHH16s20x", 3, 2, 0, identity.isv_svn, pce_svn, INTEL_QE_VENDOR_ID)
        self._certification = raw_public(attestation_key) + certification(
            attestation_key, pck_key=pck_key, chain=chain, cpu_svn=cpu_svn, identity=identity
        )

    def quote(self, enclave: Enclave, report_data: bytes) -> bytes:
        """A quote of an enclave over 64 bytes of report data."""
        signed = self._header + enclave.report(self._cpu_svn, report_data)
        section = sign(self._key, signed) + self._certification
        return signed + struct.pack("<I", len(section)) + section
