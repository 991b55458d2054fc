"""Signed files with a managed key: the file decides, and what the bundle says of it is compared."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lamslsa.errors import VerificationError
from lamslsa.sign.blob import verify_content, verify_digest
from lamslsa.sign.interface import Envelope, Material, SignedMessage, Witnessed
from lamslsa.sign.key import KeySigner, KeyVerifier, generate

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PEM = generate(None)


@pytest.fixture(scope="module")
def verifier() -> KeyVerifier:
    return KeySigner.load(PEM, None).verifier()


@pytest.fixture(scope="module")
def message(verifier: KeyVerifier) -> SignedMessage:
    key = load_pem_private_key(PEM, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(CONTENT, ec.ECDSA(hashes.SHA256()))
    return SignedMessage(sha256=SHA256, signature=signature, material=Material(key_hint=verifier.key_id))


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(VerificationError) as caught:
        call()
    return caught.value.reason


def test_by_content_and_by_digest(message: SignedMessage, verifier: KeyVerifier) -> None:
    assert verify_content(message, CONTENT, verifier).key_id == verifier.key_id
    assert verify_digest(message, SHA256, verifier).key_id == verifier.key_id


def test_a_bundle_need_not_state_the_digest(message: SignedMessage, verifier: KeyVerifier) -> None:
    silent = dataclasses.replace(message, sha256=None)
    assert verify_content(silent, CONTENT, verifier).key_id == verifier.key_id
    assert refusal(lambda: verify_content(silent, b"other", verifier)) == "signature"
    assert refusal(lambda: verify_digest(silent, "00" * 32, verifier)) == "signature"


def test_a_digest_that_is_not_of_the_file(message: SignedMessage, verifier: KeyVerifier) -> None:
    assert refusal(lambda: verify_content(message, b"other", verifier)) == "signature-file"
    assert refusal(lambda: verify_digest(message, "00" * 32, verifier)) == "signature-file"
    lying = dataclasses.replace(message, sha256="00" * 32)
    assert refusal(lambda: verify_content(lying, CONTENT, verifier)) == "signature-file"


def test_another_key(message: SignedMessage) -> None:
    other = KeySigner.load(generate(None), None).verifier()
    assert refusal(lambda: verify_content(message, CONTENT, other)) == "signature-key"
    posing = dataclasses.replace(message, material=Material(key_hint=other.key_id))
    assert refusal(lambda: verify_content(posing, CONTENT, other)) == "signature"
    assert refusal(lambda: verify_digest(posing, SHA256, other)) == "signature"


def test_a_certificate_is_no_key(message: SignedMessage, verifier: KeyVerifier) -> None:
    certified = dataclasses.replace(message, material=Material(certificates=(b"",), log_entries=({},)))
    assert refusal(lambda: verify_content(certified, CONTENT, verifier)) == "signature-key"
    assert refusal(lambda: verify_digest(certified, SHA256, verifier)) == "signature-key"


@pytest.mark.parametrize("digest", ["", "00", SHA256.upper(), "sha256:" + SHA256, "0x" + SHA256[2:]])
def test_what_is_no_digest(message: SignedMessage, verifier: KeyVerifier, digest: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hexadecimal digits"):
        verify_digest(message, digest, verifier)


def test_a_root_is_asked_about_the_digest_of_the_file(message: SignedMessage, verifier: KeyVerifier) -> None:
    asked: list[SignedMessage | Envelope] = []

    class Root:
        def witnessed(self, bundle: Envelope | SignedMessage, *, public_pem: bytes) -> Witnessed:
            asked.append(bundle)
            return Witnessed(logged=True)

    rooted = KeyVerifier.load(verifier.public_pem, Root())
    material = Material(key_hint=verifier.key_id, timestamps=(b"stamp",))
    silent = dataclasses.replace(message, sha256=None, material=material)
    for signature in (verify_content(silent, CONTENT, rooted), verify_digest(silent, SHA256, rooted)):
        assert signature.witnessed.logged
    assert [bundle.sha256 for bundle in asked if isinstance(bundle, SignedMessage)] == [SHA256, SHA256]
