"""Roots of trust: the vendors' by a fingerprint that is compiled in, every other one by a file that a policy pins.

Rules:
- Hardware means: the evidence chains to a root whose SHA-256 fingerprint stands in this module, for this kind of
  evidence. Every other root is simulated, whoever passes it.
- A fingerprint is SHA-256 over the DER certificate, lower-case hexadecimal.

Sources of the fingerprints, each compared with a certificate that verifies real evidence or with a second publication:
- Intel SGX Root CA, for SGX and TDX:
  https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer
- AMD's ARK of each product: https://kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain
- AWS Nitro Enclaves root G1: https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html
- NVIDIA's device identity and reference manifest roots: https://github.com/NVIDIA/nvtrust, verifier_device_root.pem and
  verifier_RIM_root.pem

>>> is_vendor_root(INTEL_SGX_ROOT.sha256, of="sgx")
True
>>> is_vendor_root(INTEL_SGX_ROOT.sha256, of="snp")
False
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain
from lamslsa.evidence.interface import Root

__all__ = ["INTEL_SGX_ROOT", "VENDOR_ROOTS", "RootOf", "is_any_vendor_root", "is_vendor_root", "load_root", "root_of"]

RootOf = Literal["sgx", "tdx", "snp", "nitro", "nvidia-gpu", "nvidia-rim"]

_MAX_CERTIFICATE_BYTES: Final = 16 * 1024
_MIN_RSA_BITS: Final = 3072
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
_INTEL: Final[Mapping[str, str]] = MappingProxyType({_INTEL_SGX_ROOT_SHA256: "Intel SGX Root CA"})
VENDOR_ROOTS: Final[Mapping[RootOf, Mapping[str, str]]] = MappingProxyType(
    {
        "sgx": _INTEL,
        "tdx": _INTEL,
        "snp": MappingProxyType(
            {
                "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd": "ARK-Milan",
                "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1": "ARK-Genoa",
                "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a": "ARK-Turin",
            }
        ),
        "nitro": MappingProxyType(
            {"641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b": "aws.nitro-enclaves"}
        ),
        "nvidia-gpu": MappingProxyType(
            {"102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48": "NVIDIA Device Identity CA"}
        ),
        "nvidia-rim": MappingProxyType(
            {"12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1": "NVIDIA CoRIM signing Root CA"}
        ),
    }
)
"""Fingerprint to the certificate's name, by the kind of evidence that may chain to it as hardware."""


def is_vendor_root(sha256: str, *, of: RootOf) -> bool:
    """Whether a fingerprint is that of the vendor's root for a kind of evidence."""
    return sha256 in VENDOR_ROOTS[of]


def is_any_vendor_root(sha256: str) -> bool:
    """Whether a fingerprint is that of some vendor's root: no simulated platform may have it."""
    return any(sha256 in roots for roots in VENDOR_ROOTS.values())


def load_root(pem_or_der: bytes) -> Root:
    """Read a root from a file that a policy names: exactly one self-signed CA certificate.

    Keys are those of the formats: P-256 or P-384, or RSA of 3072 bits and more.

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
        text = pem_or_der if pem_or_der.endswith(b"\n") else pem_or_der + b"\n"
        first, *others = parse_chain(text, what="a root certificate")
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
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

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
    elliptic = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    if not elliptic and not (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS):
        raise FormatError(
            f"expected a P-256, P-384 or RSA key of {_MIN_RSA_BITS} bits or more in the root certificate, got another",
            reason="root-certificate",
        )
