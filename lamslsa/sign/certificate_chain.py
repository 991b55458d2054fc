"""Certificates of an organisation's own CA: ``x509CertificateChain`` of a bundle, up to a CA that the user names.

Rules:
- The user's certificates are the only authorities. What a bundle brings along are a leaf and intermediates, whatever
  they say of themselves: a root in a bundle is worth nothing.
- A path is found by name and signature, takes each certificate at most once and never turns back, so its cost is
  bounded. Each issuer is a CA that may sign certificates, with no more of them below it than it allows; RSA of at least
  2048 bits or ECDSA on a NIST curve, over SHA-2. A restriction that this module does not read refuses: unknown critical
  extensions, name constraints, extended key usages without code signing.
- The leaf says that its key may sign data or code, and nothing in it says otherwise; it may call itself a CA, as that
  of the test vectors of OMS does, and certifies nobody here.
- Every certificate is valid at the time that the caller gives. No third party dates such a signature, and revocation is
  not looked up: an organisation takes a certificate back by naming another CA.

Sources: RFC 5280, section 6, without policies; https://github.com/ossf/model-signing-spec; model_signing 1.1,
``_signing/sign_certificate.py``, which judges windows as of the leaf's own beginning and so accepts expired ones.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from lamslsa.errors import FormatError, VerificationError
from lamslsa.sign import _spki
from lamslsa.sign.interface import Envelope, Material, Signature
from lamslsa.sign.key import KeyVerifier

__all__ = ["CertificateChainVerifier"]

E = TypeVar("E", bound=x509.ExtensionType)

_MAX_PEM_BYTES: Final = 256 * 1024
_MAX_AUTHORITIES: Final = 64
_RSA_BITS: Final = range(2048, 8192 + 1)
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_KNOWN: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,  # names of a leaf restrict nothing
    }
)
_CODE_SIGNING: Final = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateChainVerifier:
    """Knows the CAs of an organisation: any leaf below them that may sign is its own.

    Attributes:
        at: the time at which certificates have to be valid; timezone-aware.
    """

    at: dt.datetime
    _authorities: tuple[x509.Certificate, ...] = field(repr=False)

    @classmethod
    def load(cls, pem: bytes, *, at: dt.datetime) -> CertificateChainVerifier:
        """Read the certificates of one or more CAs in PEM.

        Raises:
            FormatError: none, too many, or one that is not a certificate of a CA.
        """
        if len(pem) > _MAX_PEM_BYTES or not 1 <= pem.count(b"-----BEGIN ") <= _MAX_AUTHORITIES:
            raise FormatError(
                f"expected 1 to {_MAX_AUTHORITIES} certificates in at most {_MAX_PEM_BYTES} bytes of PEM, got others",
                reason="ca-pem",
            )
        if b" PRIVATE KEY-----" in pem:
            raise FormatError(
                "expected certificates of a CA, got a private key",
                reason="ca-private-key",
                hint="a private key stays with its CA; name the file with the certificate",
            )
        try:
            authorities = tuple(x509.load_pem_x509_certificates(pem))
        except (ValueError, x509.InvalidVersion) as err:
            raise FormatError("expected certificates in PEM, got other bytes", reason="ca-pem") from err
        if len(authorities) != pem.count(b"-----BEGIN "):
            raise FormatError("expected nothing but certificates in PEM, got another block", reason="ca-pem")
        for authority in authorities:
            try:
                _refuse_as_issuer(_readable(authority), below=0)
            except VerificationError as err:
                raise FormatError(
                    str(err), reason="ca-certificate", hint="name the certificate of the CA, not the signer's"
                ) from err
        return cls(at=at, _authorities=authorities)

    def verify(self, envelope: Envelope) -> Signature:
        """That a leaf below one of the CAs signed the envelope.

        STEPS:
            (1) the bundle names its signer by certificates, each of which can be read;
            (2) a path leads from the first of them to a CA of the user (RFC 5280, section 6.1.3 a 1 and a 4);
            (3) every issuer on it may issue what is below it (section 6.1.4 k to n), each certificate has only
                restrictions that are understood (o), and is valid at the time (6.1.3 a 2);
            (4) the leaf's key may sign data or code (sections 4.2.1.3 and 4.2.1.12);
            (5) the signature verifies with the leaf's key over PAE(payloadType, payload) (DSSE v1.0.2).

        Raises:
            FormatError: a certificate that cannot be read.
            VerificationError: no such signature.
        """
        # (1): a key is for another verifier
        if not envelope.material.certificates:
            raise VerificationError(
                "expected a signature with a chain of certificates, got one of a key", reason="signature-key"
            )
        leaf, *others = (_load(der) for der in envelope.material.certificates)
        # (2): by name and signature
        path = self._path(leaf, others)
        # (3): what stands above the leaf
        for below, issuer in enumerate(path[1:]):
            _refuse_as_issuer(issuer, below=below)
        for certificate in path:
            _refuse_restricted(certificate)
            if not certificate.not_valid_before_utc <= self.at <= certificate.not_valid_after_utc:
                raise VerificationError(
                    f"expected certificates valid at {self.at.isoformat()}, got {_name(certificate)} from "
                    f"{certificate.not_valid_before_utc.isoformat()} to {certificate.not_valid_after_utc.isoformat()}",
                    reason="chain-window",
                    hint="have the model signed again with a certificate that is valid",
                )
        # (4): the leaf
        _refuse_as_signer(leaf)
        # (5): the decision
        _verify_signature(leaf, envelope)
        return Signature(
            signer=f"{leaf.subject.rfc4514_string()} ({leaf.issuer.rfc4514_string()})",
            key_sha256=_spki.key_sha256(leaf.public_key()),
        )

    def _path(self, leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        path, left = [leaf], list(others)
        while (authority := _issuer_of(path[-1], self._authorities)) is None:
            following = _issuer_of(path[-1], left)
            if following is None:
                raise VerificationError(
                    f"expected a path to a CA that was named, got one that ends at {_name(path[-1])}, which is issued "
                    f"by {path[-1].issuer.rfc4514_string()[:120]!r}",
                    reason="chain-path",
                    hint="name the certificate of that CA, if you trust it",
                )
            left.remove(following)
            path.append(following)
        return [*path, authority]


def _load(der: bytes) -> x509.Certificate:
    try:
        return _readable(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion) as err:
        raise FormatError("expected a certificate in DER, got other bytes", reason="chain-certificate") from err


def _readable(certificate: x509.Certificate) -> x509.Certificate:
    """Read everything once that is read lazily: later on nothing can fail in a way of its own."""
    try:
        _ = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string(), certificate.public_key()
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, list(certificate.extensions)
        _ = certificate.signature_hash_algorithm
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected a certificate that can be read, got {err or type(err).__name__}", reason="chain-certificate"
        ) from err
    return certificate


def _issuer_of(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The first of the candidates that issued a certificate, by name and signature."""
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        return None
    for candidate in candidates:
        if candidate == certificate or candidate.subject != certificate.issuer or not _is_strong(candidate):
            continue
        try:
            certificate.verify_directly_issued_by(candidate)
        except Exception:  # noqa: BLE001, S112 - wrong key types, parameters and signatures raise differently
            continue
        return candidate
    return None


def _is_strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in _RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES


def _refuse_as_issuer(certificate: x509.Certificate, *, below: int) -> None:
    """Refuse what may not stand above a certificate and ``below`` more CAs."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _broken(f"{_name(certificate)} as issuer, which is no CA")
    if constraints.path_length is not None and constraints.path_length < below:
        raise _broken(f"{below} CAs below {_name(certificate)}, which allows {constraints.path_length}")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise _broken(f"{_name(certificate)} as issuer, whose key may not sign certificates")
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if extended is not None and _CODE_SIGNING.isdisjoint(extended):
        raise _broken(f"{_name(certificate)} as issuer, whose leaves may not sign code")
    if _extension(certificate, x509.NameConstraints) is not None:
        raise _broken(f"{_name(certificate)} as issuer, with name constraints")


def _refuse_restricted(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN:
            raise _broken(f"{_name(certificate)} with the critical extension {extension.oid.dotted_string}")


def _refuse_as_signer(leaf: x509.Certificate) -> None:
    usage, extended = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    signs_data = usage is None or usage.digital_signature
    signs_code = extended is None or not _CODE_SIGNING.isdisjoint(extended)
    if (usage is None and extended is None) or not (signs_data and signs_code):
        raise VerificationError(
            f"expected a certificate whose key may sign data or code, got {_name(leaf)}",
            reason="chain-usage",
            hint="issue one with key usage digitalSignature and extended key usage codeSigning",
        )


def _verify_signature(leaf: x509.Certificate, envelope: Envelope) -> None:
    """Verify the envelope as one that the leaf's key signed; the certificate says which key that is."""
    pem = leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        key = KeyVerifier.load(pem)
    except FormatError as err:
        raise VerificationError(
            f"expected a certificate of an ECDSA key on P-256, P-384 or P-521, got {_name(leaf)}", reason="chain-key"
        ) from err
    key.verify(replace(envelope, material=Material(key_hint=key.key_id)))


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string()[:120])


def _broken(got: str) -> VerificationError:
    return VerificationError(f"expected a path of certificates to a CA, got {got}", reason="chain-path")
