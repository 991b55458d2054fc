"""Certificate paths of TEE vendors: leaf first, root last, as of a time.

Rules:
- Each certificate is issued by the next one by name and signature, and the last one by itself. The caller decides
  whether that last one is trusted.
- An issuer is a CA that may sign certificates, with no more certificates below it than it allows.
- Every certificate is valid at the time in question, and has no critical extension that this module does not know.

Source: RFC 5280, section 6.1, without policies and names, which no TEE vendor uses.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cryptography import x509

from lamslsa.errors import FormatError, VerificationError

__all__ = ["MAX_CERTIFICATE_BYTES", "load_certificate", "load_revocation_list", "verify_path"]

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
_MAX_REVOCATION_LIST_BYTES: Final = 1024 * 1024
_MAX_PATH: Final = 10
_KNOWN: Final = frozenset({x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid})


def load_certificate(der: bytes, *, what: str) -> x509.Certificate:
    """A certificate whose names, key, window and extensions can be read.

    Raises:
        FormatError: not one.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise FormatError(
            f"expected at most {MAX_CERTIFICATE_BYTES} bytes of certificate in {what}, got {len(der)}",
            reason="evidence-certificates",
        )
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.subject, certificate.issuer, certificate.serial_number, certificate.signature_hash_algorithm
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _ = list(certificate.extensions), certificate.public_key()
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected a certificate in DER in {what}, got {err or type(err).__name__}", reason="evidence-certificates"
        ) from err
    return certificate


def load_revocation_list(der: bytes, *, what: str) -> x509.CertificateRevocationList:
    """A revocation list whose names, window and entries can be read.

    Raises:
        FormatError: not one.
    """
    if len(der) > _MAX_REVOCATION_LIST_BYTES:
        raise FormatError(
            f"expected at most {_MAX_REVOCATION_LIST_BYTES} bytes of {what}, got {len(der)}",
            reason="evidence-certificates",
        )
    try:
        revoked = x509.load_der_x509_crl(der)
        _ = revoked.issuer, revoked.last_update_utc, revoked.next_update_utc, list(revoked.extensions), len(revoked)
    except Exception as err:  # the library lists no complete set of what malformed lists raise
        raise FormatError(
            f"expected a revocation list in DER as {what}, got {err or type(err).__name__}",
            reason="evidence-certificates",
        ) from err
    return revoked


def verify_path(certificates: Sequence[x509.Certificate], *, at: dt.datetime, what: str) -> None:
    """Verify a path from its leaf to a self-signed certificate, which is not trusted for that.

    Args:
        certificates: leaf first; at least one.
        at: timezone-aware.
        what: whose path it is, for messages.

    Raises:
        VerificationError: evidence-chain, or evidence-certificate-window.
    """
    if not 1 <= len(certificates) <= _MAX_PATH:
        raise VerificationError(
            f"expected 1 to {_MAX_PATH} certificates in the path of {what}, got {len(certificates)}",
            reason="evidence-chain",
        )
    for depth, certificate in enumerate(certificates):
        issuer = certificates[min(depth + 1, len(certificates) - 1)]
        try:
            certificate.verify_directly_issued_by(issuer)
        except Exception as err:  # wrong names, key types and signatures raise differently
            raise _broken(what, f"one that {_name(issuer)} did not issue: {_name(certificate)}") from err
        _verify_extensions(certificate, what)
        if depth > 0:
            _verify_issuer(certificate, below=depth - 1, what=what)
    for certificate in certificates:
        issued, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not issued <= at <= expires:
            raise VerificationError(
                f"expected certificates of {what} valid at {at.isoformat()}, got {_name(certificate)} from "
                f"{issued.isoformat()} to {expires.isoformat()}",
                reason="evidence-certificate-window",
                hint="verify as of another time (--at)",
            )


def _verify_extensions(certificate: x509.Certificate, what: str) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN:
            raise _broken(what, f"{_name(certificate)} with the critical extension {extension.oid.dotted_string}")


def _verify_issuer(certificate: x509.Certificate, *, below: int, what: str) -> None:
    """A CA, for at most ``below`` further CAs under it."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as err:
        raise _broken(what, f"{_name(certificate)} as issuer, which is not a CA") from err
    if not constraints.ca:
        raise _broken(what, f"{_name(certificate)} as issuer, which is not a CA")
    if constraints.path_length is not None and constraints.path_length < below:
        raise _broken(what, f"{below} CAs below {_name(certificate)}, which allows {constraints.path_length}")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return  # RFC 5280 4.2.1.3: without the extension the key is not restricted
    if not usage.key_cert_sign:
        raise _broken(what, f"{_name(certificate)} as issuer, whose key may not sign certificates")


def _name(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string()[:120])


def _broken(what: str, got: str) -> VerificationError:
    return VerificationError(f"expected an unbroken certificate path of {what}, got {got}", reason="evidence-chain")
