"""Bundles of managed keys: sigstore-js accepts ours and refuses those that somebody altered."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.sign.key import KeySigner, generate
from lamslsa.testing.sigstore import LocalSigstore, Rekor
from tests.interop.keyless import altered, statement, witnessed
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


@pytest.mark.parametrize("rekor", [1, 2])
def test_sigstore_js_accepts_timestamp_and_log_entry(
    local_sigstore: LocalSigstore, signer: KeySigner, tmp_path: Path, rekor: Rekor
) -> None:
    root = local_sigstore.trusted_root()
    js = SigstoreJs(home=tmp_path, trusted_root=root, keys=[signer.public_pem], logged=1, timestamps=1)
    assert js.verify(witnessed(local_sigstore, STATEMENT, signer=signer, rekor=rekor)) == [""]
    (unlogged,) = js.verify(witnessed(local_sigstore, STATEMENT, signer=signer, rekor=rekor, log=False))
    assert unlogged.startswith("TLOG_ERROR")


@pytest.mark.parametrize("rekor", [1, 2])
def test_sigstore_js_refuses_witnesses_of_another_signature(
    local_sigstore: LocalSigstore, signer: KeySigner, tmp_path: Path, rekor: Rekor
) -> None:
    """So it has verified those that it accepts, rather than passed over them."""
    ours, others = (
        json.loads(witnessed(local_sigstore, payload, signer=signer, rekor=rekor)) for payload in (STATEMENT, OTHER)
    )
    changed = []
    for part in ("tlogEntries", "timestampVerificationData"):
        material = {**ours["verificationMaterial"], part: others["verificationMaterial"][part]}
        changed.append(json.dumps({**ours, "verificationMaterial": material}).encode())
    root = local_sigstore.trusted_root()
    js = SigstoreJs(home=tmp_path, trusted_root=root, keys=[signer.public_pem], logged=1, timestamps=1)
    entry, timestamp = js.verify(*changed)
    assert entry.startswith("TLOG_BODY_ERROR")
    assert timestamp.startswith("TIMESTAMP_ERROR")
