"""Managed keys: what verifies, and one refusal per rule of lamslsa/sign/key.py."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from sigstore_models.bundle.v1 import Bundle

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.sign import dsse, key
from lamslsa.sign.interface import Envelope
from lamslsa.sign.key import KeySigner, KeyVerifier

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"accuracy":0.85}}'


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(key.generate(None), None)


@pytest.fixture(scope="module")
def other() -> KeySigner:
    return KeySigner.load(key.generate(None), None)


@pytest.fixture(scope="module")
def verifier(signer: KeySigner) -> KeyVerifier:
    return KeyVerifier.load(signer.public_pem)


@pytest.fixture
def envelope(signer: KeySigner) -> Envelope:
    return dsse.parse_bundle(signer.sign(PAYLOAD))


def refusal(verifier: KeyVerifier, envelope: Envelope) -> str:
    with pytest.raises(VerificationError) as caught:
        verifier.verify(envelope)
    return caught.value.reason


def test_own_signature_verifies(verifier: KeyVerifier, envelope: Envelope) -> None:
    verifier.verify(envelope)
    assert envelope.payload == PAYLOAD


def test_the_hint_is_the_digest_of_the_public_key(signer: KeySigner, verifier: KeyVerifier) -> None:
    der = load_pem_public_key(signer.public_pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert signer.key_id == verifier.key_id == expected
    bundle = json.loads(signer.sign(PAYLOAD))
    assert bundle["verificationMaterial"] == {"publicKey": {"hint": expected}, "tlogEntries": []}
    assert bundle["dsseEnvelope"]["signatures"][0]["keyid"] == expected


def test_signature_of_another_key(verifier: KeyVerifier, other: KeySigner) -> None:
    assert refusal(verifier, dsse.parse_bundle(other.sign(PAYLOAD))) == "signature-key"


def test_signature_of_another_key_under_this_hint(verifier: KeyVerifier, envelope: Envelope, other: KeySigner) -> None:
    foreign = dsse.parse_bundle(other.sign(PAYLOAD))
    swapped = dataclasses.replace(envelope, signature=foreign.signature)
    assert refusal(verifier, swapped) == "signature"


def test_own_signature_under_another_hint(verifier: KeyVerifier, envelope: Envelope, other: KeySigner) -> None:
    assert refusal(verifier, dataclasses.replace(envelope, key_hint=other.key_id)) == "signature-key"


@pytest.mark.parametrize("hint", ["", "é"])
def test_a_hint_that_is_no_hint(verifier: KeyVerifier, envelope: Envelope, hint: str) -> None:
    assert refusal(verifier, dataclasses.replace(envelope, key_hint=hint)) == "signature-key"


def test_other_payload(verifier: KeyVerifier, envelope: Envelope) -> None:
    changed = dataclasses.replace(envelope, payload=PAYLOAD.replace(b"0.85", b"0.95"))
    assert refusal(verifier, changed) == "signature"


def test_other_payload_type_is_refused_even_when_signed(signer: KeySigner, verifier: KeyVerifier) -> None:
    private = signer._key
    signature = private.sign(dsse.pae("text/plain", PAYLOAD), key._ALGORITHM)
    envelope = Envelope(payload=PAYLOAD, payload_type="text/plain", signature=signature, key_hint=signer.key_id)
    assert refusal(verifier, envelope) == "envelope-payload-type"


def test_the_payload_alone_is_not_what_is_signed(signer: KeySigner, verifier: KeyVerifier, envelope: Envelope) -> None:
    bare = dataclasses.replace(envelope, signature=signer._key.sign(PAYLOAD, key._ALGORITHM))
    assert refusal(verifier, bare) == "signature"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda signature: b"", id="empty"),
        pytest.param(lambda signature: signature[:-1], id="truncated DER"),
        pytest.param(lambda signature: signature + b"\0", id="trailing byte"),
        pytest.param(lambda signature: b"\x30\x80" + signature[2:] + b"\0\0", id="indefinite length"),
        pytest.param(lambda signature: encode_dss_signature(0, 0), id="zeros"),
        pytest.param(lambda signature: encode_dss_signature(*reversed(decode_dss_signature(signature))), id="r and s"),
        pytest.param(
            lambda signature: b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(signature)), id="raw"
        ),
    ],
)
def test_malformed_signatures(verifier: KeyVerifier, envelope: Envelope, edit: Callable[[bytes], bytes]) -> None:
    assert refusal(verifier, dataclasses.replace(envelope, signature=edit(envelope.signature))) == "signature"


def test_no_single_byte_makes_another_payload(signer: KeySigner, verifier: KeyVerifier) -> None:
    bundle = signer.sign(PAYLOAD)
    seed = random.SystemRandom().getrandbits(64)
    rng = random.Random(seed)
    for position in range(len(bundle)):
        for changed in (
            bundle[:position]
            + bytes([rng.choice([byte for byte in range(256) if byte != bundle[position]])])
            + bundle[position + 1 :],
            bundle[:position] + bundle[position + 1 :],
            bundle[:position] + bundle[position : position + 1] + bundle[position:],
        ):
            try:
                envelope = dsse.parse_bundle(changed)
                verifier.verify(envelope)
            except LamslsaError:
                continue
            assert envelope.payload == PAYLOAD, f"seed {seed}, position {position}"


def test_the_bundle_is_read_by_sigstore_models(signer: KeySigner) -> None:
    bundle = Bundle.from_json(signer.sign(PAYLOAD))
    assert bundle.verification_material.public_key is not None
    assert bundle.verification_material.public_key.hint == signer.key_id
    assert bundle.dsse_envelope is not None
    assert bundle.dsse_envelope.payload == PAYLOAD


def test_encrypted_key() -> None:
    pem = key.generate(b"correct horse")
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    signer = KeySigner.load(pem, b"correct horse")
    KeyVerifier.load(signer.public_pem).verify(dsse.parse_bundle(signer.sign(PAYLOAD)))


def test_the_passphrase_goes_through_scrypt() -> None:
    der = base64.b64decode(b"".join(key.generate(b"x").splitlines()[1:-1]))
    assert bytes.fromhex("06092b06010401da47040b") in der


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_openssl_reads_an_encrypted_key(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(key.generate(b"secret"))
    result = subprocess.run(
        ["openssl", "pkey", "-in", str(file), "-passin", "pass:secret", "-pubout"], capture_output=True, check=True
    )
    assert result.stdout == KeySigner.load(file.read_bytes(), b"secret").public_pem


def test_keys_differ() -> None:
    assert key.generate(None) != key.generate(None)


def test_a_private_key_does_not_show(signer: KeySigner) -> None:
    assert "_key" not in repr(signer)


def load_reason(pem: bytes, passphrase: bytes | None = None) -> str:
    with pytest.raises(FormatError) as caught:
        KeySigner.load(pem, passphrase)
    return caught.value.reason


def private_pem(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

OTHER_KEYS: dict[str, PrivateKey] = {
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_other_keys_are_refused(kind: str) -> None:
    assert load_reason(private_pem(OTHER_KEYS[kind])) == "key-type"
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load(public_pem(OTHER_KEYS[kind]))
    assert caught.value.reason == "key-type"


def test_encrypted_key_without_passphrase() -> None:
    assert load_reason(key.generate(b"x")) == "key-passphrase"


def test_wrong_passphrase() -> None:
    assert load_reason(key.generate(b"x"), b"y") == "key-passphrase"


def test_empty_passphrases() -> None:
    assert load_reason(key.generate(b"x"), b"") == "key-passphrase"
    with pytest.raises(FormatError) as caught:
        key.generate(b"")
    assert caught.value.reason == "key-passphrase"


def test_passphrase_for_a_key_in_the_clear() -> None:
    assert load_reason(key.generate(None), b"x") == "key-not-encrypted"


def test_a_key_that_another_tool_encrypted() -> None:
    private = load_pem_private_key(key.generate(None), None)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    assert KeySigner.load(pem, b"x").public_pem == private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def test_public_and_private_mixed_up(signer: KeySigner) -> None:
    assert load_reason(signer.public_pem) == "key-public"
    for pem in (key.generate(None), key.generate(b"x")):
        with pytest.raises(FormatError) as caught:
            KeyVerifier.load(pem)
        assert caught.value.reason == "key-private"
        assert caught.value.hint is not None


PRIVATE_DAMAGE = [
    b"",
    b"junk",
    b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n",
    b"-----BEGIN PRIVATE KEY-----\n",
]


@pytest.mark.parametrize("pem", PRIVATE_DAMAGE)
def test_what_is_no_key(pem: bytes) -> None:
    assert load_reason(pem) == "key-pem"
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load(pem.replace(b"PRIVATE", b"PUBLIC"))
    assert caught.value.reason == "key-pem"


def test_two_keys_in_one_file(signer: KeySigner, other: KeySigner) -> None:
    assert load_reason(key.generate(None) + key.generate(None)) == "key-pem"
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load(signer.public_pem + other.public_pem)
    assert caught.value.reason == "key-pem"


def test_a_key_file_is_capped(signer: KeySigner) -> None:
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load(signer.public_pem + b"\n" * 20_000)
    assert caught.value.reason == "key-size"
    assert load_reason(key.generate(None) + b"\n" * 20_000) == "key-size"
