"""Roots of trust: the vendors' by a fingerprint that is compiled in, every other one by a file that a policy pins.

Rules:
- Hardware means: the quote chains to a root whose SHA-256 fingerprint stands in this module. Every other root is
  simulated, whoever passes it.
- A fingerprint is SHA-256 over the DER certificate, lower-case hexadecimal.

Source of the Intel SGX Root CA, also the last certificate of every genuine SGX and TDX quote's chain:
https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer

>>> is_vendor_root(INTEL_SGX_ROOT.sha256)
True
"""

from __future__ import annotations

import base64
from typing import Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain
from lamslsa.evidence.interface import Root

__all__ = ["INTEL_SGX_ROOT", "VENDOR_ROOTS", "is_vendor_root", "load_root", "root_of"]

_MAX_CERTIFICATE_BYTES: Final = 16 * 1024
_INTEL_SGX_ROOT_SHA256: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
_INTEL_SGX_ROOT_DER: Final = base64.b64decode(
    "MIICjzCCAjSgAwIBAgIUImUM1lqdNInzg7SVUr9QGzknBqwwCgYIKoZIzj0EAwIwaDEaMBgGA1UEAwwRSW50ZWwgU0dYIFJvb3Qg"
    "Q0ExGjAYBgNVBAoMEUludGVsIENvcnBvcmF0aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJBgNVBAYT"
    "AlVTMB4XDTE4MDUyMTEwNDUxMFoXDTQ5MTIzMTIzNTk1OVowaDEaMBgGA1UEAwwRSW50ZWwgU0dYIFJvb3QgQ0ExGjAYBgNVBAoM"
    "EUludGVsIENvcnBvcmF0aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJBgNVBAYTAlVTMFkwEwYHKoZI"
    "zj0CAQYIKoZIzj0DAQcDQgAEC6nEwMDIYZOj/iPWsCzaEKi71OiOSLRFhWGjbnBVJfVnkY4u3IjkDYYL0MxO4mqsyYjlBalTVYxF"
    "P2sJBK5zlKOBuzCBuDAfBgNVHSMEGDAWgBQiZQzWWp00ifODtJVSv1AbOScGrDBSBgNVHR8ESzBJMEegRaBDhkFodHRwczovL2Nl"
    "cnRpZmljYXRlcy50cnVzdGVkc2VydmljZXMuaW50ZWwuY29tL0ludGVsU0dYUm9vdENBLmRlcjAdBgNVHQ4EFgQUImUM1lqdNInz"
    "g7SVUr9QGzknBqwwDgYDVR0PAQH/BAQDAgEGMBIGA1UdEwEB/wQIMAYBAf8CAQEwCgYIKoZIzj0EAwIDSQAwRgIhAOW/5QkR+S9C"
    "iSDcNoowLuPRLsWGf/Yi7GSX94BgwTwgAiEA4J0lrHoMs+Xo5o/sX6O9QWxHRAvZUGOdRQ7cvqRXaqI="
)


def root_of(der: bytes) -> Root:
    """A root from its DER certificate, with the fingerprint computed; nothing is verified."""
    return Root(der=der, sha256=_codec.sha256_hex(der))


INTEL_SGX_ROOT: Final = root_of(_INTEL_SGX_ROOT_DER)
VENDOR_ROOTS: Final = frozenset({_INTEL_SGX_ROOT_SHA256})


def is_vendor_root(sha256: str) -> bool:
    """Whether a fingerprint is that of a TEE vendor's root."""
    return sha256 in VENDOR_ROOTS


def load_root(pem_or_der: bytes) -> Root:
    """Read a root from a file that a policy names: exactly one self-signed P-256 CA certificate.

    Raises:
        FormatError: anything else.
    """
    if len(pem_or_der) > _MAX_CERTIFICATE_BYTES:
        raise FormatError(
            f"expected at most {_MAX_CERTIFICATE_BYTES} bytes of certificate, got {len(pem_or_der)}",
            reason="root-certificate",
        )
    der = pem_or_der
    if pem_or_der.startswith(b"-----"):
        first, *others = parse_chain(pem_or_der, what="a root certificate")
        if others:
            raise FormatError(
                f"expected exactly one certificate, got {1 + len(others)}",
                reason="root-certificate",
                hint="keep the self-signed certificate only",
            )
        der = first
    _refuse_other_than_root(der)
    return root_of(der)


def _refuse_other_than_root(der: bytes) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(certificate)
    except Exception as err:  # the library lists no complete set of what malformed certificates raise
        raise FormatError(
            f"expected a self-signed CA certificate, got {err or type(err).__name__}",
            reason="root-certificate",
            hint="name the root certificate in DER, or in PEM without text around it",
        ) from err
    if not constraints.ca:
        raise FormatError("expected a CA certificate, got one of an end entity", reason="root-certificate")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise FormatError("expected a P-256 key in the root certificate, got another", reason="root-certificate")
