"""Revocation lists that a verifier holds, whichever platform's endorsements they came with.

Rules:
- A list counts if the very certificate path of the evidence holds the authority that signed it; a certificate counts as
  revoked if that authority issued it and lists its number. So a list can only refuse, never vouch.
- A list that has been replaced since still says what it said: revocations are not taken back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lamslsa.errors import FormatError

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["is_revoked", "revocation_lists"]


def revocation_lists(collateral: bytes) -> tuple[bytes, ...]:
    """The lists in endorsements of any format, DER; none where the bytes are of no such format."""
    from lamslsa.evidence import collateral as dcap
    from lamslsa.evidence.snp import collateral as snp

    try:
        intel = dcap.parse(collateral)
    except FormatError:
        pass
    else:
        return intel.root_ca_crl, intel.pck_crl
    try:
        amd = snp.parse(collateral)
    except FormatError:
        return ()
    return () if amd.revocation_list is None else (amd.revocation_list,)


def is_revoked(path: Sequence[bytes], lists: Iterable[bytes], *, now: dt.datetime) -> bool:
    """Whether some list of an authority in a certificate path revokes another certificate of the path.

    Args:
        path: DER certificates, authenticated, in any order.
        lists: DER, of anybody.
        now: lists from the future say nothing.
    """
    from lamslsa.evidence._x509 import load_certificate, load_revocation_list, serial_number

    certificates = [load_certificate(der, what="the evidence") for der in path]
    for der in lists:
        try:
            found = load_revocation_list(der, what="a revocation list")
        except FormatError:
            continue
        issued = [item for item in certificates if item.issuer == found.issuer]
        authorities = [item for item in certificates if item.subject == found.issuer]
        if found.last_update_utc > now or not any(_is_signed(found, authority) for authority in authorities):
            continue
        if any(found.get_revoked_certificate_by_serial_number(serial_number(item)) is not None for item in issued):
            return True
    return False


def _is_signed(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = authority.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return False
    try:
        return found.is_signature_valid(key)
    except Exception:  # noqa: BLE001 - unknown algorithms and parameters raise differently, and sign nothing
        return False
