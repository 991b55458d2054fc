"""Authenticate quotes of SGX and TDX, whose signatures, certificates and collateral are of one kind.

The signatures, certificate paths, revocation lists, quoting enclave, TDX module and TCB level are verified by
``dcap_qvl``; this module decides under which root and as of when, and adds what that library leaves to its caller when
it is asked for claims only: the root's own window, revocation lists that are not valid yet, the provisioning enclave's
id, and that collateral hangs from the same root. No clock, no network, no environment.

Spec: Intel SGX DCAP ECDSA Quote Library API, Intel TDX DCAP Quote Verification Library, and Intel's PCS API v4 for TCB
info and QE identity.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import msgspec

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import collateral as endorsements
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.collateral import Collateral
from lamslsa.evidence.interface import Root, Standing
from lamslsa.evidence.roots import root_of

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["SGX", "TDX", "Kind", "PckQuote", "Verified", "authenticate", "concerns", "presented_path", "standing"]

_SECOND: Final = dt.timedelta(seconds=1)
_COLLATERAL_HINT: Final = "verify as of another time (--at), or pass the collateral of that time (--collateral)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What Intel's endorsements call a kind of platform and its quoting enclave."""

    tcb_info: str
    qe_identity: str


SGX: Final = Kind(tcb_info="SGX", qe_identity="QE")
TDX: Final = Kind(tcb_info="TDX", qe_identity="TD_QE")


class PckQuote(Protocol):
    """A parsed quote that carries its PCK chain: leaf first, root last."""

    @property
    def raw(self) -> bytes:
        """The quote without padding."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER of PCK certificate, its CA, and the root."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What is authentic about a quote besides the bytes that it signs.

    Attributes:
        root: what it chains to, with the fingerprint computed here.
        tcb_status: the worst one of platform, quoting enclave and TDX module.
        ppid: what Intel calls the platform, hexadecimal.
        qe_svn: security version number of the quoting enclave.
        pce_svn: that of the provisioning enclave.
    """

    root: Root
    tcb_status: str
    advisories: tuple[str, ...]
    tcb_evaluation_data_number: int
    ppid: str
    qe_svn: int
    pce_svn: int


class _Tcb(msgspec.Struct):
    status: str
    advisory_ids: tuple[str, ...]


class _Pck(msgspec.Struct):
    ppid: list[int]
    pce_id: list[int]
    pce_svn: int


class _Platform(msgspec.Struct):
    pck: _Pck


class _Report(msgspec.Struct):
    isv_svn: int


class _QuotingEnclave(msgspec.Struct):
    report: _Report


class _LibraryClaims(msgspec.Struct):
    """The part that matters of what the library found; times are seconds since the epoch."""

    tcb: _Tcb
    platform: _Platform
    qe: _QuotingEnclave
    latest_issue_date: int
    earliest_expiration_date: int


def authenticate(
    quote: PckQuote, collateral: bytes | None, *, kind: Kind, roots: Sequence[Root], at: dt.datetime
) -> Verified:
    """Authenticate a quote up to one of ``roots``, as of ``at``.

    1. There is collateral, it has the right shape, and is about this kind of platform and its quoting enclave.
    2. The root that the quote presents equals one of ``roots``, byte for byte, and the collateral hangs from it.
    3. TCB info and QE identity are valid at ``at``.
    4. ``dcap_qvl``, under that root alone: the signatures of TCB info, QE identity, quoting enclave and quote;
       certificate paths and revocation lists; identity of the quoting enclave and of the TDX module; a TCB level that
       is not revoked.
    5. Everything that step 4 relied on is valid at ``at``: the root and the revocation lists too.
    6. The TCB info is about this provisioning enclave (PCE).

    Raises:
        FormatError: not collateral.
        VerificationError: not authentic; the reason is evidence-collateral-missing, evidence-collateral-tee,
            evidence-root, evidence-collateral-root, evidence-collateral-window, evidence-revoked, evidence-quote or
            evidence-pce.
        ValueError: ``at`` has no time zone.
    """
    if at.utcoffset() is None:
        raise ValueError("expected a time with a time zone, got one without")
    endorsed = _endorsements(collateral, kind)  # (1)
    root = _choose_root(quote, endorsed, roots)  # (2)
    _refuse_outside(at, endorsed.issued, endorsed.expires)  # (3)
    found = _verify_with_library(quote, endorsed, root, at)  # (4)
    _refuse_outside(at, *_window(found))  # (5)
    pck = found.platform.pck
    pce_id = bytes(pck.pce_id).hex()
    if not hmac.compare_digest(pce_id, endorsed.pce_id):  # (6)
        raise VerificationError(
            f"expected TCB info of PCE {pce_id}, got that of {endorsed.pce_id}", reason="evidence-pce"
        )
    return Verified(
        root=root,
        tcb_status=found.tcb.status,
        advisories=found.tcb.advisory_ids,
        tcb_evaluation_data_number=endorsed.tcb_evaluation_data_number,
        ppid=bytes(pck.ppid).hex(),
        qe_svn=found.qe.report.isv_svn,
        pce_svn=pck.pce_svn,
    )


def standing(
    quote: PckQuote, collateral: bytes | None, *, kind: Kind, roots: Sequence[Root], now: dt.datetime
) -> Standing:
    """What collateral that is valid now says of the platform of a quote.

    The steps are those of `authenticate`, as of now; a revoked certificate or TCB level is an answer here. So is
    nothing else: a PCK certificate that has expired since, which takes years, is a refusal.

    Raises:
        FormatError: not collateral.
        VerificationError: the collateral is not authentic, not valid now, or not about this platform.
        ValueError: ``now`` has no time zone.
    """
    try:
        verified = authenticate(quote, collateral, kind=kind, roots=roots, at=now)
    except VerificationError as err:
        if err.reason == "evidence-revoked":
            return Standing(revoked=True)
        raise
    return Standing(
        revoked=False,
        advisories=verified.advisories,
        tcb_evaluation_data_number=verified.tcb_evaluation_data_number,
    )


def presented_path(quote: PckQuote, collateral: bytes | None) -> tuple[bytes, ...]:
    """Every certificate that a quote rests on, each once.

    Raises:
        FormatError: not collateral.
    """
    chains = () if collateral is None else endorsements.parse(collateral).chains.values()
    return tuple(dict.fromkeys((*quote.chain, *(der for chain in chains for der in chain))))


def concerns(quote: PckQuote, collateral: bytes, *, kind: Kind) -> bool:
    """Whether collateral says that it is about the platform of a quote; nothing is authenticated.

    It is where kind of platform, root, family (FMSPC), provisioning enclave and the CA of the PCK certificate are those
    of the quote; False where either cannot be read.
    """
    import dcap_qvl

    from lamslsa.evidence._x509 import load_certificate, load_revocation_list

    try:
        endorsed = _endorsements(collateral, kind)
        if any(chain[-1] != quote.chain[-1] for chain in endorsed.chains.values()):
            return False
        pck = dcap_qvl.parse_pck_extension_from_pem(render_chain(quote.chain[:1]))
        if (bytes(pck.fmspc).hex(), bytes(pck.pce_id).hex()) != (endorsed.fmspc, endorsed.pce_id):
            return False
        issuer = load_certificate(quote.chain[0], what="the quote").issuer
        return load_revocation_list(endorsed.pck_crl, what="pck_crl").issuer == issuer
    except (FormatError, VerificationError, ValueError):
        return False


def _endorsements(collateral: bytes | None, kind: Kind) -> Collateral:
    if collateral is None:
        raise VerificationError(
            "expected Intel's collateral with the quote, got none",
            reason="evidence-collateral-missing",
            hint="fetch it (lamslsa fetch-collateral) and pass it (--collateral)",
        )
    endorsed = endorsements.parse(collateral)
    if (endorsed.tcb_info_id, endorsed.qe_identity_id) != (kind.tcb_info, kind.qe_identity):
        raise VerificationError(
            f"expected TCB info of {kind.tcb_info} and identity of {kind.qe_identity}, got those of "
            f"{endorsed.tcb_info_id[:20]!r} and {endorsed.qe_identity_id[:20]!r}",
            reason="evidence-collateral-tee",
            hint="collateral of SGX and of TDX are different files: pass that of the quote's kind",
        )
    return endorsed


def _choose_root(quote: PckQuote, collateral: Collateral, roots: Sequence[Root]) -> Root:
    presented = root_of(quote.chain[-1])
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


def _verify_with_library(quote: PckQuote, collateral: Collateral, root: Root, at: dt.datetime) -> _LibraryClaims:
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
    return msgspec.json.decode(claims.to_json(), type=_LibraryClaims)


def _refuse(error: Exception, quote: PckQuote, collateral: Collateral, at: dt.datetime) -> NoReturn:
    """Name the reason of a refusal; the library gives one text for expired, revoked and forged certificates."""
    from cryptography import x509

    chains = [quote.chain, *collateral.chains.values()]
    try:
        certificates = [x509.load_der_x509_certificate(der) for chain in chains for der in chain]
        lists = [x509.load_der_x509_crl(der) for der in (collateral.root_ca_crl, collateral.pck_crl)]
        windows = [(item.not_valid_before_utc, item.not_valid_after_utc) for item in certificates]
        # A list is old in the second of its next update, a certificate only after its last one.
        windows += [(item.last_update_utc, (item.next_update_utc or item.last_update_utc) - _SECOND) for item in lists]
        _, pck_ca, root = certificates[: len(quote.chain)]
        authentic = [item for item, ca in zip(lists, (root, pck_ca), strict=True) if _is_signed(item, ca)]
        revoked = any(
            item.issuer == issued_by.issuer
            and issued_by.get_revoked_certificate_by_serial_number(item.serial_number) is not None
            for item in certificates
            for issued_by in authentic
        )
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected certificates and revocation lists in DER, got {err or type(err).__name__}",
            reason="evidence-certificates",
        ) from err
    if revoked or "Revoked" in str(error):
        raise VerificationError(
            f"expected a platform in good standing, got a revoked one: {error}", reason="evidence-revoked"
        ) from error
    for issued, expires in windows:
        _refuse_outside(at, issued, expires)
    raise VerificationError(f"expected an authentic quote, got {error}", reason="evidence-quote") from error


def _is_signed(revoked: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ca.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and revoked.is_signature_valid(key)


def _window(found: _LibraryClaims) -> tuple[dt.datetime, dt.datetime]:
    """When everything is valid that the library relied on: certificates, revocation lists, TCB info, QE identity."""
    issued, expires = found.latest_issue_date, found.earliest_expiration_date
    return dt.datetime.fromtimestamp(issued, dt.UTC), dt.datetime.fromtimestamp(expires, dt.UTC)
