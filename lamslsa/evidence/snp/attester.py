"""The attester inside a SEV-SNP guest: reports through configfs-tsm, with the certificates that the host hands over.

The report is asked for at VMPL 0, explicitly: in a guest where something else holds that level, such as a paravisor,
the request fails here and not at the verifier. The host may put a certificate table beside the report; it is material
for the verifier, authentic by its own signatures, and what it lacks of the chain the host adds later.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report; AMD 56421, GHCB, section on guest message requests.
"""

from __future__ import annotations

from typing import Final

from lamslsa.evidence._kernel import Kernel, Linux, answering, refuse_other_report_data, require_report_data
from lamslsa.evidence._tsm import Provider, request_report
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.snp.collateral import parse_certificate_table, render
from lamslsa.evidence.snp.parse import Report, parse
from lamslsa.predicates.tee_evidence import SNP_REPORT_MEDIA_TYPE

__all__ = ["PROVIDER", "SnpAttester"]

PROVIDER: Final = Provider(name="sev_guest", product="SEV-SNP", privilege_level=0, has_auxiliary=True)
_HINT: Final = "lamslsa tee says what this guest lacks"


class SnpAttester:
    """Emits reports of the SEV-SNP guest that this process runs in."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Linux()

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return "snp"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - the interface's signature
        """None by itself: see `lamslsa.evidence.devices`."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the secure processor sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: not inside a SEV-SNP guest, one that is not at VMPL 0, or a race (evidence-race).
            ValueError: not 64 bytes.
        """
        require_report_data(report_data)
        answer = request_report(self._kernel, report_data, provider=PROVIDER)
        with answering("the secure processor", hint=_HINT):
            report = parse(answer.outblob)
            refuse_other_report_data(report.report_data, report_data, what="the report")
            collateral = _endorsements(report, answer.auxiliary)
        return Evidence(media_type=SNP_REPORT_MEDIA_TYPE, quote=answer.outblob, collateral=collateral)


def _endorsements(report: Report, table: bytes) -> bytes | None:
    """What the host handed over of the chain of the key that signed; the host completes it later."""
    if not table:
        return None
    held = parse_certificate_table(table)
    leaf = {"vcek": held.vcek, "vlek": held.vlek}[report.signing_key]
    if not (leaf or held.issuer or held.root):
        return None
    return render(leaf=leaf, issuer=held.issuer, root=held.root)
