"""Limits of bundles to the last one that is taken, and the form of encrypted keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lamslsa.errors import FormatError
from lamslsa.sign import KeySigner, KeyVerifier, dsse, generate, key
from lamslsa.sign.interface import Envelope

HINT = base64.b64encode(bytes(32)).decode()
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


def bundle(**material: Any) -> bytes:
    value = json.loads(dsse.make_bundle(PAYLOAD, signature=b"signature", key_hint=HINT))
    if material:
        value["verificationMaterial"] = material
        value["dsseEnvelope"]["signatures"][0]["keyid"] = ""
    return json.dumps(value).encode()


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundle(data)
    return caught.value.reason


def test_a_bundle_as_large_as_a_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dsse.make_bundle(PAYLOAD, signature=b"signature", key_hint=HINT)
    monkeypatch.setattr(dsse, "MAX_BUNDLE_BYTES", len(made))
    assert dsse.make_bundle(PAYLOAD, signature=b"signature", key_hint=HINT) == made
    assert dsse.parse_bundle(made).payload == PAYLOAD
    monkeypatch.setattr(dsse, "MAX_BUNDLE_BYTES", len(made) - 1)
    assert refusal(made) == "bundle-size"
    with pytest.raises(FormatError) as caught:
        dsse.make_bundle(PAYLOAD, signature=b"signature", key_hint=HINT)
    assert caught.value.reason == "bundle-size"


def test_as_many_lines_as_there_may_be() -> None:
    lines = b"\n" * (dsse.MAX_LINES - 1)
    assert dsse.parse_bundles("a.intoto.jsonl", lines) == ()
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundles("a.intoto.jsonl", lines + b"\n")
    assert caught.value.reason == "bundle-lines"


def test_a_line_keeps_its_bytes() -> None:
    line = bundle()
    (result,) = dsse.parse_bundles("a.intoto.jsonl", b"  " + line + b" \n")
    assert isinstance(result.outcome, Envelope)
    assert result.outcome.raw == line


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, True), (8, True), (9, False)])
def test_how_many_certificates(count: int, taken: bool) -> None:
    data = bundle(x509CertificateChain={"certificates": [{"rawBytes": "AAAA"}] * count})
    if taken:
        assert len(dsse.parse_bundle(data).material.certificates) == count
    else:
        assert refusal(data) == "bundle-certificates"


@pytest.mark.parametrize(("count", "taken"), [(4, True), (5, False)])
def test_how_many_timestamps(count: int, taken: bool) -> None:
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * count}
    data = bundle(publicKey={"hint": HINT}, timestampVerificationData=stamps)
    if taken:
        assert len(dsse.parse_bundle(data).material.timestamps) == count
    else:
        assert refusal(data) == "bundle-timestamps"


def test_how_many_signatures_there_were_is_said() -> None:
    value = json.loads(bundle())
    value["dsseEnvelope"]["signatures"] *= 2
    with pytest.raises(FormatError, match=r"got 2$"):
        dsse.parse_bundle(json.dumps(value).encode())


def test_a_key_file_as_large_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = KeySigner.load(generate(None), None)
    monkeypatch.setattr(key, "_MAX_PEM_BYTES", len(signer.public_pem))
    assert KeyVerifier.load(signer.public_pem).key_id == signer.key_id
    monkeypatch.setattr(key, "_MAX_PEM_BYTES", len(signer.public_pem) - 1)
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load(signer.public_pem)
    assert caught.value.reason == "key-size"


def test_another_key_is_told_by_its_curve_or_type() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    others: dict[str, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey] = {
        "curve secp256k1": ec.generate_private_key(ec.SECP256K1()).public_key(),
        "Ed25519PublicKey": ed25519.Ed25519PrivateKey.generate().public_key(),
    }
    for got, public in others.items():
        with pytest.raises(FormatError, match=f"got {got}$"):
            KeyVerifier.load(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_an_encrypted_key_is_pem_of_64_columns() -> None:
    _, *lines, last, end = generate(b"secret").decode().splitlines()
    assert {len(line) for line in lines} == {64}
    assert 0 < len(last) <= 64
    assert end == "-----END ENCRYPTED PRIVATE KEY-----"
