"""Signing statements and verifying who signed: DSSE in a Sigstore bundle v0.3, by a managed key or an identity.

Identities and their certificates are in `lamslsa.sign.keyless`, signatures of files in `lamslsa.sign.blob`.
"""

from lamslsa.sign.dsse import BundleResult, parse_bundle, parse_bundles
from lamslsa.sign.interface import BundleVerifier, Envelope, Signer
from lamslsa.sign.key import KeySigner, KeyVerifier, generate

__all__ = [
    "BundleResult",
    "BundleVerifier",
    "Envelope",
    "KeySigner",
    "KeyVerifier",
    "Signer",
    "generate",
    "parse_bundle",
    "parse_bundles",
]
