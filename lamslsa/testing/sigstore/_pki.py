"""Keys and certificates of the services."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "ORGANIZATION",
    "YEAR",
    "Authority",
    "PublicKey",
    "SigningKey",
    "b64",
    "der",
    "fingerprint",
    "key_usage",
    "make_root",
    "pem",
    "sign",
    "spki",
]

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey
"""Keys that a signer may have."""

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey
"""Keys that a log may have."""

ORGANIZATION: Final = "sigstore.local"  # gh reads O= of the certificate's issuer
YEAR: Final = dt.timedelta(days=365)


def b64(data: bytes) -> str:
    """Base64, as every service of Sigstore writes bytes."""
    return base64.b64encode(data).decode()


def spki(key: PublicKey) -> bytes:
    """The SubjectPublicKeyInfo of a key, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PublicKey) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo: what logs of RFC 6962 and Rekor v1 are called by."""
    return hashlib.sha256(spki(key)).digest()


def der(certificate: x509.Certificate) -> bytes:
    """A certificate, DER."""
    return certificate.public_bytes(Encoding.DER)


def pem(certificate: x509.Certificate) -> str:
    """A certificate, PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """What a key may do: sign certificates and revocation lists, or data."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class Authority:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def below(self, common_name: str, *, path_length: int | None, now: dt.datetime) -> Authority:
        """An authority under this one; a timestamp authority where ``path_length`` is None."""
        key = ec.generate_private_key(ec.SECP384R1() if path_length is not None else ec.SECP256R1())
        builder = _builder(common_name, key.public_key(), self.certificate.subject, self.key.public_key(), now)
        builder = _constrained(builder, path_length=path_length, ca=path_length is not None)
        if path_length is None:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(usage, critical=True)  # RFC 3161 section 2.3
        return Authority(key, builder.sign(self.key, hashes.SHA384()))


def make_root(common_name: str, *, now: dt.datetime, path_length: int | None = None) -> Authority:
    """A self-signed authority, valid from a year before ``now`` to ten years after."""
    key = ec.generate_private_key(ec.SECP384R1())
    builder = _builder(common_name, key.public_key(), _name(common_name), key.public_key(), now)
    return Authority(key, _constrained(builder, path_length=path_length, ca=True).sign(key, hashes.SHA384()))


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    common_name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(
            subject_name=_name(common_name),
            issuer_name=issuer,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - YEAR,
            not_valid_after=now + 10 * YEAR,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _constrained(builder: x509.CertificateBuilder, *, path_length: int | None, ca: bool) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True).add_extension(
        key_usage(ca=ca), critical=True
    )


def sign(key: SigningKey, data: bytes) -> bytes:
    """A signature as logs make them: ECDSA with SHA-256, or Ed25519."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(hashes.SHA256()))
