"""Verify an SGX quote: the same function takes Intel's quotes and those of the simulated platform.

The signatures, certificate paths, revocation lists, quoting enclave and TCB level are verified by ``dcap_qvl``; this
module decides under which root and as of when, and adds what that library leaves to its caller when it is asked for
claims only: the root's own window, revocation lists that are not valid yet, the provisioning enclave's id, and that
collateral hangs from the same root. No clock, no network, no environment.

Spec: Intel SGX DCAP ECDSA Quote Library API, appendix A.4, and Intel's PCS API v4 for TCB info and QE identity.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import collateral as endorsements
from lamslsa.evidence.collateral import Collateral
from lamslsa.evidence.interface import Claims, Root
from lamslsa.evidence.roots import is_vendor_root, root_of
from lamslsa.evidence.sgx.parse import Quote, Report, parse
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "SgxVerifier"]

MEDIA_TYPE: Final = SGX_QUOTE_MEDIA_TYPE
_COLLATERAL_HINT: Final = "verify as of another time (--at), or pass the collateral of that time (--collateral)"


class SgxVerifier:
    """Verifies SGX quotes of version 3; holds no state."""

    __slots__ = ()

    @property
    def media_type(self) -> str:
        """The media type of the quotes that this verifier takes."""
        return MEDIA_TYPE

    def presented_root(self, quote: bytes) -> Root:
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

    def verify(self, quote: bytes, *, collateral: bytes, roots: Sequence[Root], at: dt.datetime) -> Claims:
        """Authenticate a quote up to one of ``roots``, as of ``at``.

        1. Quote and collateral have the right shape; every byte is accounted for.
        2. The root that the quote presents equals one of ``roots``, byte for byte, and the collateral hangs from it.
        3. The enclave is not open to a debugger.
        4. TCB info and QE identity are valid at ``at``.
        5. ``dcap_qvl``, under that root alone: the signatures of TCB info, QE identity, quoting enclave and quote;
           certificate paths and revocation lists; identity of the quoting enclave; a TCB level that is not revoked.
        6. Everything that step 5 relied on is valid at ``at``: the root and the revocation lists too.
        7. The TCB info is about this provisioning enclave (PCE).
        8. Claims are read from the signed bytes and from what step 5 verified.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: not authentic; the reason is evidence-root, evidence-collateral-root, evidence-debug,
                evidence-collateral-window, evidence-revoked, evidence-pce or evidence-quote.
            ValueError: ``at`` has no time zone.
        """
        if at.utcoffset() is None:
            raise ValueError("expected a time with a time zone, got one without")
        parsed = parse(quote)  # (1)
        endorsed = endorsements.parse(collateral)
        root = _choose_root(parsed, endorsed, roots)  # (2)
        if parsed.report.debug:  # (3)
            raise VerificationError(
                "expected a production enclave, got one in debug mode: its memory is open to the host",
                reason="evidence-debug",
            )
        _refuse_outside(at, endorsed.issued, endorsed.expires)  # (4)
        verified = _verify_with_library(parsed, endorsed, root, at)  # (5)
        _refuse_outside(at, *_window(verified))  # (6)
        pck = verified["platform"]["pck"]
        if not hmac.compare_digest(bytes(pck["pce_id"]).hex(), endorsed.pce_id):  # (7)
            raise VerificationError(
                f"expected TCB info of PCE {bytes(pck['pce_id']).hex()}, got that of {endorsed.pce_id}",
                reason="evidence-pce",
            )
        return _claims(parsed.report, root, endorsed, verified)  # (8)


def _choose_root(quote: Quote, collateral: Collateral, roots: Sequence[Root]) -> Root:
    presented = root_of(quote.root)
    if not any(hmac.compare_digest(root.der, presented.der) for root in roots):
        raise VerificationError(
            f"expected a quote under one of {len(roots)} trusted roots, got one under root {presented.sha256}",
            reason="evidence-root",
            hint="pin this root in the policy if it is meant to be trusted",
        )
    for key, chain in collateral.chains.items():
        if not hmac.compare_digest(chain[-1], presented.der):
            raise VerificationError(
                f"expected {key} to end in the root of the quote, got another certificate",
                reason="evidence-collateral-root",
                hint="pass the collateral of the platform that made the quote",
            )
    return presented


def _refuse_outside(at: dt.datetime, issued: dt.datetime, expires: dt.datetime) -> None:
    if not issued <= at <= expires:
        raise VerificationError(
            f"expected collateral valid at {at.isoformat()}, got {issued.isoformat()} to {expires.isoformat()}",
            reason="evidence-collateral-window",
            hint=_COLLATERAL_HINT,
        )


def _verify_with_library(quote: Quote, collateral: Collateral, root: Root, at: dt.datetime) -> dict[str, Any]:
    import dcap_qvl

    now = int(at.timestamp())
    endorsement = dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=collateral.pck_crl_issuer_chain,
        root_ca_crl=collateral.root_ca_crl,
        pck_crl=collateral.pck_crl,
        tcb_info_issuer_chain=collateral.tcb_info_issuer_chain,
        tcb_info=collateral.tcb_info,
        tcb_info_signature=collateral.tcb_info_signature,
        qe_identity_issuer_chain=collateral.qe_identity_issuer_chain,
        qe_identity=collateral.qe_identity,
        qe_identity_signature=collateral.qe_identity_signature,
    )
    verifier = dcap_qvl.QuoteVerifier(root.der)
    try:
        claims = verifier.verify_with_policy(quote.raw, endorsement, now, dcap_qvl.QuotePolicy.claims_only(now))
    except (ValueError, OverflowError) as err:
        _refuse(err, quote, collateral, at)
    result: dict[str, Any] = json.loads(claims.to_json())
    return result


def _refuse(error: Exception, quote: Quote, collateral: Collateral, at: dt.datetime) -> NoReturn:
    """Name the reason of a refusal; the library gives one text for expired, revoked and forged certificates."""
    from cryptography import x509

    chains = [quote.chain, *collateral.chains.values()]
    try:
        certificates = [x509.load_der_x509_certificate(der) for chain in chains for der in chain]
        lists = [x509.load_der_x509_crl(der) for der in (collateral.root_ca_crl, collateral.pck_crl)]
        windows = [(item.not_valid_before_utc, item.not_valid_after_utc) for item in certificates]
        windows += [(item.last_update_utc, item.next_update_utc or item.last_update_utc) for item in lists]
        revoked = any(
            item.issuer == issued_by.issuer
            and issued_by.get_revoked_certificate_by_serial_number(item.serial_number) is not None
            for item in certificates
            for issued_by in lists
        )
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected certificates and revocation lists in DER, got {err or type(err).__name__}",
            reason="evidence-certificates",
        ) from err
    if revoked or "evoked" in str(error):
        raise VerificationError(
            f"expected a platform in good standing, got a revoked one: {error}", reason="evidence-revoked"
        ) from error
    for issued, expires in windows:
        _refuse_outside(at, issued, expires)
    raise VerificationError(f"expected an authentic quote, got {error}", reason="evidence-quote") from error


def _window(verified: dict[str, Any]) -> tuple[dt.datetime, dt.datetime]:
    """When everything is valid that the library relied on: certificates, revocation lists, TCB info, QE identity."""
    issued = max(verified["latest_issue_date"], verified["qe_iden_latest_issue_date"])
    expires = min(verified["earliest_expiration_date"], verified["qe_iden_earliest_expiration_date"])
    return dt.datetime.fromtimestamp(issued, dt.UTC), dt.datetime.fromtimestamp(expires, dt.UTC)


def _claims(report: Report, root: Root, collateral: Collateral, verified: dict[str, Any]) -> Claims:
    tcb = verified["tcb"]
    return Claims(
        tee="sgx",
        simulated=not is_vendor_root(root.sha256),
        root=root.sha256,
        measurement=report.measurement,
        versions={"isvProdId": report.isv_prod_id, "isvSvn": report.isv_svn},
        report_data=report.report_data,
        debug=report.debug,
        tcb_status=tcb["status"],
        advisories=tuple(tcb["advisory_ids"]),
        tcb_evaluation_data_number=collateral.tcb_evaluation_data_number,
        platform_id=bytes(verified["platform"]["pck"]["ppid"]).hex(),
    )
