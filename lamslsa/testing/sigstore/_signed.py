"""Whether what is to be logged was signed by the certificate or key that comes with it: logs take nothing else."""

from __future__ import annotations

import base64
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from lamslsa.testing.sigstore._http import RefusedError
from lamslsa.testing.sigstore._pki import PublicKey

__all__ = ["ALGORITHMS", "pem_verifier", "raw_verifier", "verify_digest", "verify_message"]

ALGORITHMS: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def pem_verifier(encoded: str) -> tuple[PublicKey, str]:
    """The key of a certificate or public key (base64 of PEM), and the same spelled in the one way that is logged."""
    data = base64.b64decode(encoded, validate=True)
    if b"BEGIN CERTIFICATE" in data:
        certificate = x509.load_pem_x509_certificate(data)
        pem = certificate.public_bytes(Encoding.PEM)
        return _supported(certificate.public_key()), base64.b64encode(pem).decode()
    key = _supported(load_pem_public_key(data))
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key, base64.b64encode(pem).decode()


def raw_verifier(data: bytes, *, certificate: bool) -> PublicKey:
    """The key of a certificate or public key (DER)."""
    return _supported(x509.load_der_x509_certificate(data).public_key() if certificate else load_der_public_key(data))


def verify_message(key: PublicKey, signature: bytes, message: bytes) -> None:
    """Refuse a signature over other bytes, or by another key.

    Raises:
        RefusedError: it does not verify.
    """
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            case Ed25519PublicKey():
                key.verify(signature, message)
            case _:
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as err:
        raise RefusedError("could not verify the signature") from err


def verify_digest(key: PublicKey, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
    """Refuse a signature over something with another digest, or by another key.

    Raises:
        RefusedError: it does not verify.
    """
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
            case Ed25519PublicKey():
                raise RefusedError("Ed25519 signs messages, not digests")
            case _:
                key.verify(signature, digest, padding.PKCS1v15(), Prehashed(algorithm))
    except InvalidSignature as err:
        raise RefusedError("could not verify the signature") from err


def _supported(key: object) -> PublicKey:
    if not isinstance(key, PublicKey):
        raise RefusedError(f"expected a key of ECDSA, Ed25519 or RSA, got {type(key).__name__}")
    return key
