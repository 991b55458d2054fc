"""Bundles of managed keys: sigstore-js accepts ours and refuses those that somebody altered."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.sign.key import KeySigner, generate
from tests.interop.keyless import altered, statement
from tests.interop.sigstore_js import SigstoreJs

STATEMENT = statement("ab" * 32)
OTHER = statement("cd" * 32)


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def test_sigstore_js_accepts_our_bundle(signer: KeySigner, tmp_path: Path) -> None:
    js = SigstoreJs(home=tmp_path, keys=[signer.public_pem])
    assert js.verify(signer.sign(STATEMENT)) == [""]


def test_sigstore_js_refuses_what_was_altered(signer: KeySigner, tmp_path: Path) -> None:
    def payload(bundle: Any) -> None:
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(OTHER).decode()

    def payload_type(bundle: Any) -> None:
        bundle["dsseEnvelope"]["payloadType"] = "application/json"

    def another_signature(bundle: Any) -> None:
        bundle["dsseEnvelope"]["signatures"] = json.loads(signer.sign(OTHER))["dsseEnvelope"]["signatures"]

    bundle = signer.sign(STATEMENT)
    js = SigstoreJs(home=tmp_path, keys=[signer.public_pem])
    outcomes = js.verify(*(altered(bundle, alter) for alter in (payload, payload_type, another_signature)))
    assert [outcome.split(":")[0] for outcome in outcomes] == ["SIGNATURE_ERROR"] * 3


def test_sigstore_js_refuses_another_key(signer: KeySigner, tmp_path: Path) -> None:
    """Both when it does not know the key's hint, and when another key goes by it."""

    def hint(bundle: Any) -> None:
        bundle["verificationMaterial"]["publicKey"]["hint"] = signer.key_id

    bundle = KeySigner.load(generate(None), None).sign(STATEMENT)
    js = SigstoreJs(home=tmp_path, keys=[signer.public_pem])
    unknown, borrowed = js.verify(bundle, altered(bundle, hint))
    assert unknown.startswith("PUBLIC_KEY_ERROR")
    assert borrowed.startswith("SIGNATURE_ERROR")


def test_sigstore_js_misses_the_log_entry_that_it_was_told_to_want(signer: KeySigner, tmp_path: Path) -> None:
    js = SigstoreJs(home=tmp_path, keys=[signer.public_pem], logged=1)
    (outcome,) = js.verify(signer.sign(STATEMENT))
    assert outcome.startswith("TLOG_ERROR")
