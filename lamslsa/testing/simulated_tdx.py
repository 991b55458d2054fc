"""A whole TDX vendor in memory, for tests: real formats and real cryptography, and every part can be made to lie.

As `lamslsa.testing.simulated`, for TDs instead of enclaves.

>>> import datetime as dt
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> vendor = SimulatedTdxVendor(now)
>>> quote, collateral = vendor.quote(bytes(64)), vendor.collateral(module_status="OutOfDate")
>>> from lamslsa.evidence.tdx.verify import TdxVerifier
>>> TdxVerifier().verify(quote, collateral=collateral, roots=[vendor.root], at=now).tcb_status
'OutOfDate'
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.simulated.certificates import Cpu, Role, Window
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.evidence.simulated.td_quote import TD_QUOTING_ENCLAVE, TdQuotingEnclave, TrustDomain
from lamslsa.evidence.tdx.ccel import Event
from lamslsa.predicates.tee_evidence import TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.simulated import DcapVendor

__all__ = ["TRUST_DOMAIN", "SimulatedTdxVendor", "render_event_log"]

TRUST_DOMAIN: Final = TrustDomain(
    mr_td=b"\x33" * 48, rtmrs=(b"\x40" * 48, b"\x41" * 48, b"\x42" * 48, b"\x43" * 48), mr_config_id=b"\x44" * 48
)
"""The TD that is quoted where a test names no other."""


class SimulatedTdxVendor(DcapVendor):
    """Quotes of TDs, at will.

    Args:
        now: as for `DcapVendor`, and so are ``windows`` and ``cpu``.
        quoting_enclave: identity of the enclave that signs quotes.
    """

    form = "tdx"

    def __init__(
        self,
        now: dt.datetime,
        *,
        windows: Mapping[Role, Window] | None = None,
        cpu: Cpu | None = None,
        quoting_enclave: Enclave = TD_QUOTING_ENCLAVE,
    ) -> None:
        super().__init__(now, windows=windows, cpu=cpu)
        self._quoting_enclave = TdQuotingEnclave(
            attestation_key=self._keys["attestation"],
            pck_key=self._keys["pck"],
            chain=self.chain,
            cpu_svn=self._cpu.cpu_svn,
            identity=quoting_enclave,
        )

    def quote(self, report_data: bytes, *, domain: TrustDomain = TRUST_DOMAIN, version: Literal[4, 5] = 4) -> bytes:
        """A quote over 64 bytes of report data."""
        return self._quoting_enclave.quote(domain, report_data, version=version)

    def evidence(self, report_data: bytes, *, domain: TrustDomain = TRUST_DOMAIN, **collateral: Any) -> Evidence:
        """Quote and collateral as an attester hands them on."""
        return Evidence(
            media_type=TDX_QUOTE_MEDIA_TYPE,
            quote=self.quote(report_data, domain=domain),
            collateral=self.collateral(**collateral),
        )


def render_event_log(events: Sequence[Event], *, size: int = 4096) -> bytes:
    """A CCEL with SHA-384 digests, filled up with ones as firmware does."""
    spec_id = struct.pack("<16sI4BIHHB", b"Spec ID Event03", 0, 0, 2, 0, 2, 1, 0x0C, 48, 0)
    log = struct.pack("<II20sI", 0, 3, bytes(20), len(spec_id)) + spec_id
    for event in events:
        log += struct.pack("<IIIH", event.register, event.kind, 1, 0x0C) + event.digest
        log += struct.pack("<I", len(event.data)) + event.data
    return log.ljust(size, b"\xff")
