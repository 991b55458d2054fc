"""Keyless signatures: identities in certificates of Sigstore, and the trusted roots that vouch for them.

The only package that imports Sigstore's client, and none of its modules does so before something has to be verified
or signed.
"""

from lamslsa.sign.keyless.certificate import FulcioIdentity
from lamslsa.sign.keyless.root import Certified, SigstoreRoot
from lamslsa.sign.keyless.terms import KeylessTerms
from lamslsa.sign.keyless.verifier import KeylessVerifier

__all__ = ["Certified", "FulcioIdentity", "KeylessTerms", "KeylessVerifier", "SigstoreRoot"]
