"""Certificate paths of TEE vendors: leaf first, root last, as of a time; and what a root says of its revoked CAs.

Rules:
- Each certificate is issued by the next one by name and signature, and the last one by itself. The caller decides
  whether that last one is trusted. Signatures are verified from the root down, so that no key is used before it is
  certified.
- An issuer is a CA that may sign certificates, with no more certificates below it than it allows; a leaf may sign data.
- Every certificate is valid at the time in question, and has no critical extension that this module does not know.
- AMD numbers every leaf zero, which RFC 5280 does not allow and ``cryptography`` warns about: certificates are told
  apart by more than their number, so that warning is not passed on.

Source: RFC 5280, sections 5 and 6, without policies and names, which no TEE vendor uses.
"""

from __future__ import annotations

import datetime as dt
import functools
import warnings
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning

from lamslsa.errors import FormatError, VerificationError

__all__ = [
    "MAX_CERTIFICATE_BYTES",
    "MAX_REVOCATION_LIST_BYTES",
    "load_certificate",
    "load_revocation_list",
    "revoked_serials",
    "serial_number",
    "verify_path",
]

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
MAX_REVOCATION_LIST_BYTES: Final = 1024 * 1024
_MAX_PATH: Final = 10
_MEMORY: Final = 256
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
            _ = certificate.subject, certificate.issuer, certificate.serial_number, certificate.signature_hash_algorithm
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            _ = list(certificate.extensions), certificate.public_key()
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected a certificate in DER in {what}, got {err or type(err).__name__}", reason="evidence-certificates"
        ) from err
    _refuse_part_of_byte(der, certificate.signature, what=what)
    return certificate


def serial_number(certificate: x509.Certificate) -> int:
    """The number that its issuer gave it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return certificate.serial_number


def load_revocation_list(der: bytes, *, what: str) -> x509.CertificateRevocationList:
    """A revocation list whose names, window and entries can be read.

    Raises:
        FormatError: not one.
    """
    if len(der) > MAX_REVOCATION_LIST_BYTES:
        raise FormatError(
            f"expected at most {MAX_REVOCATION_LIST_BYTES} bytes of {what}, got {len(der)}",
            reason="evidence-certificates",
        )
    try:
        revoked = x509.load_der_x509_crl(der)
        _ = revoked.issuer, revoked.last_update_utc, revoked.next_update_utc, list(revoked.extensions)
        _ = [(entry.serial_number, list(entry.extensions)) for entry in revoked]
    except Exception as err:  # the library lists no complete set of what malformed lists raise
        raise FormatError(
            f"expected a revocation list in DER as {what}, got {err or type(err).__name__}",
            reason="evidence-certificates",
        ) from err
    _refuse_part_of_byte(der, revoked.signature, what=what)
    return revoked


def _refuse_part_of_byte(der: bytes, signature: bytes, *, what: str) -> None:
    """The count of unused bits before a signature is signed by nobody, and the library reads past it."""
    if not der.endswith(b"\0" + signature):
        raise FormatError(f"expected a signature of whole bytes in {what}, got others", reason="evidence-certificates")


def revoked_serials(
    revocations: x509.CertificateRevocationList, *, issuer: x509.Certificate, at: dt.datetime, what: str
) -> frozenset[int]:
    """Verify a revocation list, and return the numbers of the certificates that it revokes.

    Args:
        revocations: the list.
        issuer: whose certificates it is about; trusted by the caller.
        at: timezone-aware.
        what: whose list it is, for messages.

    Raises:
        VerificationError: evidence-revocation-list: another issuer, not signed by it, or with a critical extension,
            which would narrow down what the list covers; evidence-collateral-window: not valid at ``at``.
    """
    key = issuer.public_key()
    if revocations.issuer != issuer.subject or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise _unusable(what, f"the list of {revocations.issuer.rfc4514_string()[:120]!r}")
    try:
        signed = revocations.is_signature_valid(key)
    except Exception as err:  # unknown algorithms and parameters raise differently
        raise _unusable(what, f"one whose signature cannot be verified: {err or type(err).__name__}") from err
    if not signed:
        raise _unusable(what, f"one that {_name(issuer)} did not sign")
    issued, expires = revocations.last_update_utc, revocations.next_update_utc
    if expires is None or not issued <= at <= expires:
        raise VerificationError(
            f"expected a revocation list of {what} valid at {at.isoformat()}, got one from {issued.isoformat()} to "
            f"{expires.isoformat() if expires else 'no stated end'}",
            reason="evidence-collateral-window",
            hint="verify as of another time (--at), or pass the collateral of that time (--collateral)",
        )
    extensions = [*revocations.extensions, *(extension for entry in revocations for extension in entry.extensions)]
    for extension in extensions:
        if extension.critical:
            raise _unusable(what, f"one with the critical extension {extension.oid.dotted_string}")
    return frozenset(entry.serial_number for entry in revocations)


def verify_path(
    certificates: Sequence[x509.Certificate], *, at: dt.datetime | None, what: str, to_authority: bool = False
) -> None:
    """Verify a path from its leaf to a self-signed certificate, which is not trusted for that.

    Args:
        certificates: leaf first; at least one.
        at: timezone-aware; None judges no windows.
        what: whose path it is, for messages.
        to_authority: the first certificate is an authority too, and its leaf is not at hand.

    Raises:
        VerificationError: evidence-chain, or evidence-certificate-window.
    """
    if not 1 <= len(certificates) <= _MAX_PATH:
        raise VerificationError(
            f"expected 1 to {_MAX_PATH} certificates in the path of {what}, got {len(certificates)}",
            reason="evidence-chain",
        )
    for depth in reversed(range(len(certificates))):
        certificate, issuer = certificates[depth], certificates[min(depth + 1, len(certificates) - 1)]
        try:
            _verify_issued(certificate, issuer)
        except Exception as err:  # wrong names, key types and signatures raise differently
            raise _broken(what, f"one that {_name(issuer)} did not issue: {_name(certificate)}") from err
        _verify_extensions(certificate, what)
        if depth > 0 or to_authority:
            _verify_issuer(certificate, below=depth - 1 + to_authority, what=what)
        else:
            _verify_leaf(certificate, what)
    for certificate in certificates:
        issued, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if at is not None and not issued <= at <= expires:
            raise VerificationError(
                f"expected certificates of {what} valid at {at.isoformat()}, got {_name(certificate)} from "
                f"{issued.isoformat()} to {expires.isoformat()}",
                reason="evidence-certificate-window",
                hint="verify as of another time (--at)",
            )


@functools.lru_cache(maxsize=_MEMORY)
def _verify_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Names and signature of one link: a pure function of both certificates' bytes.

    A vendor's CAs stand above thousands of leaves, and a P-384 signature takes most of a millisecond, so what was found
    valid is remembered.
    """
    certificate.verify_directly_issued_by(issuer)


def _verify_extensions(certificate: x509.Certificate, what: str) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN:
            raise _broken(what, f"{_name(certificate)} with the critical extension {extension.oid.dotted_string}")


def _verify_leaf(certificate: x509.Certificate, what: str) -> None:
    usage = _key_usage(certificate)
    if usage is not None and not usage.digital_signature:
        raise _broken(what, f"{_name(certificate)} as leaf, whose key may not sign data")


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
    usage = _key_usage(certificate)
    if usage is not None and not usage.key_cert_sign:
        raise _broken(what, f"{_name(certificate)} as issuer, whose key may not sign certificates")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    """What its key may be used for; without the extension it is not restricted (RFC 5280, section 4.2.1.3)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string()[:120])


def _broken(what: str, got: str) -> VerificationError:
    return VerificationError(f"expected an unbroken certificate path of {what}, got {got}", reason="evidence-chain")


def _unusable(what: str, got: str) -> VerificationError:
    return VerificationError(f"expected a revocation list of {what}, got {got}", reason="evidence-revocation-list")
