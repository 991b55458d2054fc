"""The digest of the key that signed: the same whether the key stands in a file, a bundle or a certificate."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lamslsa.policy.identities import Credential, Identity
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from tests.unit.sign.keyless.bundles import Signing
from tests.unit.sign.test_certificate_chain import authority, envelope, signer, verifier

if TYPE_CHECKING:
    from lamslsa.testing.sigstore import LocalSigstore


def spki(pem: bytes) -> str:
    key = load_pem_public_key(pem)
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_of_a_managed_key_and_through_an_identity() -> None:
    own = KeySigner.load(generate(None), None)
    bundle = parse_bundle(own.sign(b"{}"))
    assert own.verifier().verify(bundle).key_sha256 == spki(own.public_pem)
    identity = Identity(credentials=(Credential(verifier=own.verifier()),))
    assert identity.verify(bundle).key_sha256 == spki(own.public_pem)


def test_of_the_key_in_a_certificate_of_an_organisation() -> None:
    root = authority("root")
    leaf = signer(root)
    pem = leaf.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert verifier(root).verify(envelope(leaf)).key_sha256 == spki(pem)


def test_of_the_key_in_a_keyless_certificate(local_sigstore: LocalSigstore) -> None:
    root = SigstoreRoot.load(local_sigstore.trusted_root_json().encode())
    signing = Signing.of(local_sigstore)
    bundle = parse_bundle(signing.envelope())
    certificate = root.verify(bundle).certificate
    terms = KeylessTerms(issuer=certificate.issuer, identity=certificate.san)
    found = KeylessVerifier(terms=terms, root=root).verify(bundle)
    assert found.key_sha256 == spki(signing.public_pem)
    assert found.key_id == ""
