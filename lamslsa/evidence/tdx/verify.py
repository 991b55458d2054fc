"""Verify a TDX quote: the same function takes Intel's quotes and those of the simulated platform.

Spec: Intel TDX DCAP Quote Generation Library and Quote Verification Library, appendix A.3; Intel TDX Module Base
Architecture Specification for what the registers mean; what the signatures rest on: `lamslsa.evidence._dcap`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import _dcap
from lamslsa.evidence.interface import Claims, Root, Standing, Tee
from lamslsa.evidence.roots import is_vendor_root, root_of
from lamslsa.evidence.tdx.parse import Quote, parse
from lamslsa.predicates.tee_evidence import COLLATERAL_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "TdxClaims", "TdxVerifier"]

MEDIA_TYPE: Final = TDX_QUOTE_MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxClaims(Claims):
    """What only TDX states; bytes as lower-case hexadecimal, as they stand in the report.

    Attributes:
        version: of the quote: 4 or 5.
        tee_tcb_svn: of the TDX module when the TD was launched; ``versions`` has its first three numbers.
        tee_tcb_svn_now: of the TDX module that runs now; None in TDX 1.0.
        mr_seam: measurement of the TDX module.
        mr_signer_seam: who signed the TDX module; zeros for Intel.
        mr_owner: what the host says about the TD's owner, as ``mr_owner_config`` is.
        rtmrs: the registers that the guest extends, to which its event log replays.
        mr_service_td: hash over the bound service TDs; None in TDX 1.0.
        qe_svn: of the quoting enclave.
        pce_svn: of the provisioning enclave.
    """

    version: int
    tee_tcb_svn: str
    tee_tcb_svn_now: str | None
    mr_seam: str
    mr_signer_seam: str
    seam_attributes: str
    mr_owner: str
    mr_owner_config: str
    td_attributes: str
    xfam: str
    rtmrs: tuple[str, str, str, str]
    mr_service_td: str | None
    qe_svn: int
    pce_svn: int


class TdxVerifier:
    """Verifies TDX quotes of versions 4 and 5; holds no state."""

    __slots__ = ()

    @property
    def tee(self) -> Tee:
        """The kind of TEE."""
        return "tdx"

    @property
    def media_type(self) -> str:
        """The media type of the quotes that this verifier takes."""
        return MEDIA_TYPE

    @property
    def collateral_media_type(self) -> str:
        """The media type of Intel's collateral."""
        return COLLATERAL_MEDIA_TYPE

    def presented_root(self, quote: bytes, collateral: bytes | None) -> Root:  # noqa: ARG002 - the quote carries it
        """The root that a quote says it chains to: not authenticated.

        Raises:
            FormatError: not a TDX quote.
        """
        return root_of(parse(quote).root)

    def presented_report_data(self, quote: bytes) -> bytes:
        """The 64 bytes that a quote says it signs: not authenticated.

        Raises:
            FormatError: not a TDX quote.
        """
        return parse(quote).report.report_data

    def presented_path(self, quote: bytes, collateral: bytes | None) -> tuple[bytes, ...]:
        """PCK certificate, its CA, the root, and the certificates that sign the collateral.

        Raises:
            FormatError: not a quote, or not collateral.
        """
        return _dcap.presented_path(parse(quote), collateral)

    def concerns(self, quote: bytes, collateral: bytes) -> bool:
        """Whether collateral says that it is about the platform of a quote: not authenticated."""
        try:
            return _dcap.concerns(parse(quote), collateral, kind=_dcap.TDX)
        except FormatError:
            return False

    def verify(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], at: dt.datetime) -> TdxClaims:
        """Authenticate a quote up to one of ``roots``, as of ``at``.

        1. The quote has the right shape; every byte is accounted for.
        2. The TD is not open to a debugger, and no other bit is set that makes it untrusted (TUD).
        3. The TDX module is one that Intel signed, whatever the TCB info of a simulated vendor allows.
        4. Signatures, certificates and endorsements: the six steps of `_dcap.authenticate`. They include the TDX module
           that runs now, that the TD cannot be migrated, and the reserved bits of its attributes.
        5. Claims are read from the signed bytes and from what step 4 verified.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: not authentic; the reason is evidence-debug, evidence-seam, or one of
                `_dcap.authenticate`.
            ValueError: ``at`` has no time zone.
        """
        parsed = parse(quote)  # (1)
        if parsed.report.debug:  # (2)
            raise VerificationError(
                "expected a production TD, got one under debug: its memory and state are open to the host",
                reason="evidence-debug",
            )
        if any(parsed.report.mr_signer_seam):  # (3)
            raise VerificationError(
                f"expected a TDX module signed by Intel, got signer {parsed.report.mr_signer_seam.hex()}",
                reason="evidence-seam",
            )
        verified = _dcap.authenticate(parsed, collateral, kind=_dcap.TDX, roots=roots, at=at)  # (4)
        return _claims(parsed, verified)  # (5)

    def standing(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], now: dt.datetime) -> Standing:
        """How the platform of a quote, authentic as of its own time, stands now; see `_dcap.standing`.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: the collateral is not authentic, not valid now, or not about this platform.
            ValueError: ``now`` has no time zone.
        """
        return _dcap.standing(parse(quote), collateral, kind=_dcap.TDX, roots=roots, now=now)


def _claims(quote: Quote, verified: _dcap.Verified) -> TdxClaims:
    report = quote.report
    module, major, loader = report.tee_tcb_svn[:3]
    registers = [register.hex() for register in report.rtmrs]
    return TdxClaims(
        tee="tdx",
        simulated=not is_vendor_root(verified.root.sha256, of="tdx"),
        root=verified.root.sha256,
        measurement=report.measurement,
        versions={"tdxModule": module, "tdxModuleMajor": major, "seamLoader": loader},
        report_data=report.report_data,
        debug=report.debug,
        tcb_status=verified.tcb_status,
        advisories=verified.advisories,
        tcb_evaluation_data_number=verified.tcb_evaluation_data_number,
        platform_id=verified.ppid,
        version=quote.version,
        tee_tcb_svn=report.tee_tcb_svn.hex(),
        tee_tcb_svn_now=None if report.tee_tcb_svn_now is None else report.tee_tcb_svn_now.hex(),
        mr_seam=report.mr_seam.hex(),
        mr_signer_seam=report.mr_signer_seam.hex(),
        seam_attributes=report.seam_attributes.hex(),
        mr_owner=report.mr_owner.hex(),
        mr_owner_config=report.mr_owner_config.hex(),
        td_attributes=report.td_attributes.hex(),
        xfam=report.xfam.hex(),
        rtmrs=(registers[0], registers[1], registers[2], registers[3]),
        mr_service_td=None if report.mr_service_td is None else report.mr_service_td.hex(),
        qe_svn=verified.qe_svn,
        pce_svn=verified.pce_svn,
    )
