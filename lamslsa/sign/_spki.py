"""The one name that a public key has here: SHA-256 over its DER SubjectPublicKeyInfo, however it was written down."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lamslsa import _codec

__all__ = ["certificate_key_sha256", "key_sha256"]


def key_sha256(key: CertificatePublicKeyTypes) -> str:
    """Of a public key, hexadecimal; it is encoded anew, so that one key has one digest."""
    return _codec.sha256_hex(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def certificate_key_sha256(der: bytes) -> str:
    """Of the key in a certificate that has been verified already."""
    return key_sha256(x509.load_der_x509_certificate(der).public_key())
