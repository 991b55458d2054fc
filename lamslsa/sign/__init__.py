"""Signing statements and verifying who signed: DSSE in a Sigstore bundle v0.3, by a managed key or an identity.

Identities and their certificates are in `lamslsa.sign.keyless`. Signatures of files, as ``cosign sign-blob`` makes
them, are in `lamslsa.sign.blob`, their bundles read by `parse_message_bundle`: they are for programs that use this
library, since the commands of this package sign and verify statements alone.
"""

from lamslsa.sign.dsse import BundleResult, parse_bundle, parse_bundles, parse_message_bundle
from lamslsa.sign.interface import BundleVerifier, Envelope, Material, Signature, Signer, TrustedTime, Witnessed
from lamslsa.sign.key import KeySigner, KeyVerifier, generate

__all__ = [
    "BundleResult",
    "BundleVerifier",
    "Envelope",
    "KeySigner",
    "KeyVerifier",
    "Material",
    "Signature",
    "Signer",
    "TrustedTime",
    "Witnessed",
    "generate",
    "parse_bundle",
    "parse_bundles",
    "parse_message_bundle",
]
