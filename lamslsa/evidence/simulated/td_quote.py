"""Quotes of the simulated TD quoting enclave: byte for byte in the format of DCAP versions 4 and 5.

Layout: see `lamslsa.evidence.tdx.parse`, which reads what this module writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lamslsa.evidence._dcap_quote import INTEL_QE_VENDOR_ID, TDX
from lamslsa.evidence.simulated.certificates import Key, raw_public, sign
from lamslsa.evidence.simulated.quote import QUOTING_ENCLAVE, Enclave, certification

__all__ = [
    "TD_ATTRIBUTES",
    "TD_QE_PROD_ID",
    "TD_QUOTING_ENCLAVE",
    "TEE_TCB_SVN",
    "TdQuotingEnclave",
    "TrustDomain",
]

# SEPT_VE_DISABLE, not DEBUG.
TD_ATTRIBUTES: Final = bytes.fromhex("0000001000000000")
# x87, SSE, AVX, AVX-512, PKRU and AMX.
_XFAM: Final = bytes.fromhex("e702060000000000")
# SVN 5 of the TDX module, major version 1, SVN 2 of the SEAM loader.
TEE_TCB_SVN: Final = bytes((5, 1, 2)) + bytes(13)
_MR_SEAM: Final = hashlib.sha384(b"lamslsa simulated TDX module").digest()
TD_QE_PROD_ID: Final = 2
TD_QUOTING_ENCLAVE: Final = dataclasses.replace(QUOTING_ENCLAVE, isv_prod_id=TD_QE_PROD_ID)
_QE_REPORT_CERTIFICATION: Final = 6
_TD_REPORT_1_5: Final = 3
_REPORT: Final = struct.Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDomain:
    """What the TDX module reports about a TD and about itself, apart from the report data."""

    mr_td: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes] = (bytes(48),) * 4
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    td_attributes: bytes = TD_ATTRIBUTES
    xfam: bytes = _XFAM
    tee_tcb_svn: bytes = TEE_TCB_SVN
    mr_seam: bytes = _MR_SEAM
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    tee_tcb_svn_now: bytes = TEE_TCB_SVN
    mr_service_td: bytes = bytes(48)

    def report(self, report_data: bytes) -> bytes:
        """The 584 bytes of the report body of TDX 1.0."""
        return _REPORT.pack(
            self.tee_tcb_svn,
            self.mr_seam,
            self.mr_signer_seam,
            self.seam_attributes,
            self.td_attributes,
            self.xfam,
            self.mr_td,
            self.mr_config_id,
            self.mr_owner,
            self.mr_owner_config,
            *self.rtmrs,
            report_data,
        )

    def body(self, report_data: bytes, version: Literal[4, 5]) -> bytes:
        """What follows the header of a quote: version 5 has the report of TDX 1.5, with type and size before it."""
        if version == 4:
            return self.report(report_data)
        report = self.report(report_data) + self.tee_tcb_svn_now + self.mr_service_td
        return struct.pack("<HI", _TD_REPORT_1_5, len(report)) + report


class TdQuotingEnclave:
    """Signs reports of TDs with the attestation key, which the PCK key vouches for once.

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
        identity: Enclave = TD_QUOTING_ENCLAVE,
    ) -> None:
        self._key = attestation_key
        certified = certification(attestation_key, pck_key=pck_key, chain=chain, cpu_svn=cpu_svn, identity=identity)
        self._certification = (
            raw_public(attestation_key) + struct.pack("<HI", _QE_REPORT_CERTIFICATION, len(certified)) + certified
        )

    def quote(self, domain: TrustDomain, report_data: bytes, *, version: Literal[4, 5] = 4) -> bytes:
        """A quote of a TD over 64 bytes of report data."""
        header = struct.pack("<HHI4x16s20x", version, 2, TDX, INTEL_QE_VENDOR_ID)
        signed = header + domain.body(report_data, version)
        section = sign(self._key, signed) + self._certification
        return signed + struct.pack("<I", len(section)) + section
