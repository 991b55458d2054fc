"""The attester inside a TDX guest: quotes through configfs-tsm, with the firmware's event log where it explains them.

The log is the firmware's, handed over as an ACPI table; it goes with the quote only when replaying it gives the quote's
registers, since one that does not says nothing about this boot.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report and sysfs-firmware-acpi; Intel TDX Virtual Firmware Design
Guide, section on the CC event log (CCEL).
"""

from __future__ import annotations

from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence._kernel import (
    Kernel,
    Linux,
    answering,
    read_file,
    refuse_other_report_data,
    require_report_data,
)
from lamslsa.evidence._tsm import Provider, request_report
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.tdx.parse import Report, parse
from lamslsa.predicates.tee_evidence import TDX_QUOTE_MEDIA_TYPE

__all__ = ["EVENT_LOG", "PROVIDER", "TdxAttester"]

PROVIDER: Final = Provider(name="tdx_guest", product="TDX")
EVENT_LOG: Final = "/sys/firmware/acpi/tables/data/CCEL"
_HINT: Final = "lamslsa tee says what this guest lacks"


class TdxAttester:
    """Emits quotes of the trust domain that this process runs in."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Linux()

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return "tdx"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - the interface's signature
        """None by itself: see `lamslsa.evidence.devices`."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the quoting enclave on the host sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: not inside a TDX guest, no quoting service on the host, or a race (evidence-race).
            ValueError: not 64 bytes.
        """
        require_report_data(report_data)
        quote = request_report(self._kernel, report_data, provider=PROVIDER).outblob
        with answering("the quoting service", hint=_HINT):
            report = parse(quote).report
            refuse_other_report_data(report.report_data, report_data, what="the quote")
        return Evidence(
            media_type=TDX_QUOTE_MEDIA_TYPE, quote=quote, collateral=None, event_log=self._event_log(report)
        )

    def _event_log(self, report: Report) -> bytes | None:
        """The event log, if there is one and it replays to the registers of this report."""
        from lamslsa.evidence.tdx import ccel

        try:
            log = read_file(self._kernel, EVENT_LOG, limit=ccel.MAX_LOG_BYTES)
            registers = ccel.replay(ccel.parse(log))
        except (OSError, FormatError):
            return None
        return log if registers == report.rtmrs else None
