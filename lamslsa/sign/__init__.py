"""Signing statements and verifying who signed: DSSE in a Sigstore bundle v0.3, with a managed key."""

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
