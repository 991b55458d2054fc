"""Who a bundle says has signed it, for people, before anything is verified."""

from __future__ import annotations

from lamslsa.sign.interface import Envelope

__all__ = ["claimed_signer"]


def claimed_signer(envelope: Envelope) -> str:
    """What the bundle says of its signer: a hint at a key, or the names in a certificate; anybody can write either."""
    if envelope.key_hint:
        return f"key {envelope.key_hint}"
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(envelope.material.certificates[0])
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "certificate without a name that can be read"
    return ", ".join(str(name.value) for name in names) or "certificate without a name"
