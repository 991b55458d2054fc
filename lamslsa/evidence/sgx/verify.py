"""Verify an SGX quote: the same function takes Intel's quotes and those of the simulated platform.

Spec: Intel SGX DCAP ECDSA Quote Library API, appendix A.4; what the signatures rest on: `lamslsa.evidence._dcap`.
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
from lamslsa.evidence.sgx.parse import Quote, parse
from lamslsa.predicates.tee_evidence import COLLATERAL_MEDIA_TYPE, SGX_QUOTE_MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "SgxClaims", "SgxVerifier"]

MEDIA_TYPE: Final = SGX_QUOTE_MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxClaims(Claims):
    """What only SGX states; bytes as lower-case hexadecimal, as they stand in the report.

    Attributes:
        cpu_svn: of the processor when the report was made.
        config_svn: what the host set beside CONFIGID.
        isv_ext_prod_id: meaningful under MRSIGNER only, as ``isv_family_id`` is.
        qe_svn: of the quoting enclave, as the header states it.
        pce_svn: of the provisioning enclave, as the header states it.
    """

    cpu_svn: str
    config_svn: int
    isv_ext_prod_id: str
    isv_family_id: str
    qe_svn: int
    pce_svn: int


class SgxVerifier:
    """Verifies SGX quotes of version 3; holds no state."""

    __slots__ = ()

    @property
    def tee(self) -> Tee:
        """The kind of TEE."""
        return "sgx"

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
            FormatError: not an SGX quote.
        """
        return root_of(parse(quote).root)

    def presented_report_data(self, quote: bytes) -> bytes:
        """The 64 bytes that a quote says it signs: not authenticated.

        Raises:
            FormatError: not an SGX quote.
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
            return _dcap.concerns(parse(quote), collateral, kind=_dcap.SGX)
        except FormatError:
            return False

    def verify(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], at: dt.datetime) -> SgxClaims:
        """Authenticate a quote up to one of ``roots``, as of ``at``.

        1. The quote has the right shape; every byte is accounted for.
        2. The enclave is not open to a debugger.
        3. Signatures, certificates and endorsements: the six steps of `_dcap.authenticate`.
        4. Claims are read from the signed bytes and from what step 3 verified.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: not authentic; the reason is evidence-debug, or one of `_dcap.authenticate`.
            ValueError: ``at`` has no time zone.
        """
        parsed = parse(quote)  # (1)
        if parsed.report.debug:  # (2)
            raise VerificationError(
                "expected a production enclave, got one in debug mode: its memory is open to the host",
                reason="evidence-debug",
            )
        verified = _dcap.authenticate(parsed, collateral, kind=_dcap.SGX, roots=roots, at=at)  # (3)
        return _claims(parsed, verified)  # (4)

    def standing(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], now: dt.datetime) -> Standing:
        """How the platform of a quote, authentic as of its own time, stands now; see `_dcap.standing`.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: the collateral is not authentic, not valid now, or not about this platform.
            ValueError: ``now`` has no time zone.
        """
        return _dcap.standing(parse(quote), collateral, kind=_dcap.SGX, roots=roots, now=now)


def _claims(quote: Quote, verified: _dcap.Verified) -> SgxClaims:
    report = quote.report
    return SgxClaims(
        tee="sgx",
        simulated=not is_vendor_root(verified.root.sha256, of="sgx"),
        root=verified.root.sha256,
        measurement=report.measurement,
        versions={"isvProdId": report.isv_prod_id, "isvSvn": report.isv_svn},
        report_data=report.report_data,
        debug=report.debug,
        tcb_status=verified.tcb_status,
        advisories=verified.advisories,
        tcb_evaluation_data_number=verified.tcb_evaluation_data_number,
        platform_id=verified.ppid,
        cpu_svn=report.cpu_svn.hex(),
        config_svn=report.config_svn,
        isv_ext_prod_id=report.isv_ext_prod_id.hex(),
        isv_family_id=report.isv_family_id.hex(),
        qe_svn=quote.qe_svn,
        pce_svn=quote.pce_svn,
    )
