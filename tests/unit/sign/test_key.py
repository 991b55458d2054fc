"""Managed keys: what verifies, and one refusal per rule of lamslsa/sign/key.py."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
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
from lamslsa.sign.interface import Envelope, Material, SignedMessage, TrustedTime, Witnessed
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


def hinted(envelope: Envelope, hint: str) -> Envelope:
    return dataclasses.replace(envelope, material=dataclasses.replace(envelope.material, key_hint=hint))


def test_own_signature_verifies(signer: KeySigner, verifier: KeyVerifier, envelope: Envelope) -> None:
    signature = verifier.verify(envelope)
    assert envelope.payload == PAYLOAD
    assert signature.signer == signer.identity
    assert signature.key_id == signer.key_id
    assert signature.witnessed == Witnessed()


def test_a_signer_knows_its_own_key(signer: KeySigner, verifier: KeyVerifier, envelope: Envelope) -> None:
    assert signer.verifier() == verifier
    assert signer.verifier().verify(envelope).key_id == signer.key_id


def test_the_bare_signature_is_over_the_statement(signer: KeySigner, verifier: KeyVerifier, envelope: Envelope) -> None:
    verifier.verify(dataclasses.replace(envelope, signature=signer.sign_raw(PAYLOAD)))


def test_a_key_named_as_model_signing_names_it(verifier: KeyVerifier, signer: KeySigner, envelope: Envelope) -> None:
    hint = hashlib.sha256(signer.public_pem).hexdigest()
    assert verifier.verify(hinted(envelope, hint)).key_id == signer.key_id
    assert refusal(verifier, hinted(envelope, hint.upper())) == "signature-key"


def test_a_key_is_known_however_its_file_is_written(signer: KeySigner) -> None:
    loaded = KeyVerifier.load(b"# a comment\n" + signer.public_pem.replace(b"\n", b"\r\n"))
    assert loaded.public_pem == signer.public_pem


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
    assert refusal(verifier, hinted(envelope, other.key_id)) == "signature-key"


@pytest.mark.parametrize("hint", ["", "é"])
def test_a_hint_that_is_no_hint(verifier: KeyVerifier, envelope: Envelope, hint: str) -> None:
    assert refusal(verifier, hinted(envelope, hint)) == "signature-key"


def test_other_payload(verifier: KeyVerifier, envelope: Envelope) -> None:
    changed = dataclasses.replace(envelope, payload=PAYLOAD.replace(b"0.85", b"0.95"))
    assert refusal(verifier, changed) == "signature"


def test_other_payload_type_is_refused_even_when_signed(signer: KeySigner, verifier: KeyVerifier) -> None:
    private = signer._key
    signature = private.sign(dsse.pae("text/plain", PAYLOAD), key._ALGORITHM)
    material = Material(key_hint=signer.key_id)
    envelope = Envelope(payload=PAYLOAD, payload_type="text/plain", signature=signature, material=material)
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
    "P-224": ec.generate_private_key(ec.SECP224R1()),
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


LARGER: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "P-384": (ec.SECP384R1(), hashes.SHA384()),
    "P-521": (ec.SECP521R1(), hashes.SHA512()),
}


@pytest.mark.parametrize("kind", LARGER)
def test_larger_curves_are_read_and_never_signed_with(kind: str) -> None:
    curve, digest = LARGER[kind]
    private = ec.generate_private_key(curve)
    assert load_reason(private_pem(private)) == "key-type"
    verifier = KeyVerifier.load(public_pem(private))
    signed = Envelope(
        payload=PAYLOAD,
        payload_type="application/vnd.in-toto+json",
        signature=private.sign(dsse.pae("application/vnd.in-toto+json", PAYLOAD), ec.ECDSA(digest)),
        material=Material(key_hint=verifier.key_id),
    )
    assert verifier.verify(signed).key_id == verifier.key_id
    weaker = private.sign(dsse.pae("application/vnd.in-toto+json", PAYLOAD), ec.ECDSA(hashes.SHA256()))
    assert refusal(verifier, dataclasses.replace(signed, signature=weaker)) == "signature"


def test_a_file_signed_with_a_larger_key_needs_the_file() -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    verifier = KeyVerifier.load(public_pem(private))
    message = SignedMessage(
        sha256=None,
        signature=private.sign(b"file", ec.ECDSA(hashes.SHA384())),
        material=Material(key_hint=verifier.key_id),
    )
    assert verifier.verify_message(message, b"file").key_id == verifier.key_id
    with pytest.raises(VerificationError) as caught:
        verifier.verify_message_digest(message, hashlib.sha256(b"file").digest())
    assert caught.value.reason == "signature-digest"


class Root:
    """A trusted root that has seen everything; remembers what it was asked about."""

    WITNESSED = Witnessed(times=(TrustedTime(at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), source="log"),), logged=True)

    def __init__(self) -> None:
        self.asked: list[tuple[Envelope | SignedMessage, bytes]] = []

    def witnessed(self, bundle: Envelope | SignedMessage, *, public_pem: bytes) -> Witnessed:
        self.asked.append((bundle, public_pem))
        return self.WITNESSED


WITNESSES = [Material(timestamps=(b"stamp",)), Material(log_entries=({"logIndex": "1"},))]


@pytest.mark.parametrize("brought", WITNESSES)
def test_a_root_says_what_timestamps_and_logs_are_worth(
    signer: KeySigner, envelope: Envelope, brought: Material
) -> None:
    root = Root()
    bundle = dataclasses.replace(envelope, material=dataclasses.replace(brought, key_hint=signer.key_id))
    assert KeyVerifier.load(signer.public_pem, root).verify(bundle).witnessed == Root.WITNESSED
    assert root.asked == [(bundle, signer.public_pem)]


@pytest.mark.parametrize("brought", WITNESSES)
def test_without_a_root_they_are_worth_nothing(verifier: KeyVerifier, envelope: Envelope, brought: Material) -> None:
    bundle = dataclasses.replace(envelope, material=dataclasses.replace(brought, key_hint=verifier.key_id))
    witnessed = verifier.verify(bundle).witnessed
    assert witnessed.times == ()
    assert not witnessed.logged
    assert witnessed.message == "expected a trusted root to judge timestamps and log entries with, got none"


def test_a_root_is_never_asked_about_what_does_not_verify(signer: KeySigner, envelope: Envelope) -> None:
    root = Root()
    loaded = KeyVerifier.load(signer.public_pem, root)
    loaded.verify(envelope)
    material = Material(key_hint=signer.key_id, timestamps=(b"stamp",))
    assert refusal(loaded, dataclasses.replace(envelope, material=material, payload=b"{}")) == "signature"
    assert root.asked == []
