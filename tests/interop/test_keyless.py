"""Keyless bundles: sigstore-js accepts ours, logged in Rekor v1 or v2, and refuses what is not what it seems."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.testing.sigstore import SUBJECT, LocalSigstore, Rekor
from tests.interop.keyless import altered, signed, statement
from tests.interop.sigstore_js import SigstoreJs

IDENTITY = f"^{re.escape(SUBJECT)}$"

pytestmark = pytest.mark.parametrize("rekor", [1, 2])


@pytest.fixture
def js(local_sigstore: LocalSigstore, tmp_path: Path) -> SigstoreJs:
    return SigstoreJs(home=tmp_path, trusted_root=local_sigstore.trusted_root(), logged=1, timestamps=1)


def test_sigstore_js_accepts_our_bundle(local_sigstore: LocalSigstore, js: SigstoreJs, rekor: Rekor) -> None:
    bundle = signed(local_sigstore, statement(), token=local_sigstore.token(), rekor=rekor)
    kind = json.loads(bundle)["verificationMaterial"]["tlogEntries"][0]["kindVersion"]
    assert kind == (
        {"kind": "dsse", "version": "0.0.1"} if rekor == 1 else {"kind": "hashedrekord", "version": "0.0.2"}
    )
    assert js.verify(bundle, identity=IDENTITY, issuer=local_sigstore.issuer) == [""]


def test_sigstore_js_accepts_a_person_and_a_job(local_sigstore: LocalSigstore, js: SigstoreJs, rekor: Rekor) -> None:
    from lamslsa.testing.sigstore import github_claims

    person = signed(local_sigstore, statement(), token=local_sigstore.token(email="someone@example.test"), rekor=rekor)
    job = signed(local_sigstore, statement(), token=local_sigstore.token(claims=github_claims()), rekor=rekor)
    issuer = local_sigstore.issuer
    assert js.verify(person, identity=r"^someone@example\.test$", issuer=issuer) == [""]
    assert js.verify(job, identity=r"^https://github\.com/acme/model/", issuer=issuer) == [""]


def test_sigstore_js_refuses_another_identity(local_sigstore: LocalSigstore, js: SigstoreJs, rekor: Rekor) -> None:
    bundle = signed(local_sigstore, statement(), token=local_sigstore.token(), rekor=rekor)
    (somebody,) = js.verify(bundle, identity="^mallory@example\\.test$", issuer=local_sigstore.issuer)
    (elsewhere,) = js.verify(bundle, identity=IDENTITY, issuer="https://accounts.example.test")
    assert somebody.startswith("UNTRUSTED_SIGNER_ERROR: certificate identity error")
    assert elsewhere.startswith("UNTRUSTED_SIGNER_ERROR: invalid certificate extension")


def test_sigstore_js_refuses_what_was_altered(local_sigstore: LocalSigstore, js: SigstoreJs, rekor: Rekor) -> None:
    token = local_sigstore.token()
    bundle = signed(local_sigstore, statement(), token=token, rekor=rekor)
    another = json.loads(signed(local_sigstore, statement("cd" * 32), token=token, rekor=rekor))

    def payload(value: Any) -> None:
        value["dsseEnvelope"]["payload"] = base64.b64encode(statement("cd" * 32)).decode()

    def envelope(value: Any) -> None:
        value["dsseEnvelope"] = another["dsseEnvelope"]

    def entry(value: Any) -> None:
        value["verificationMaterial"]["tlogEntries"] = another["verificationMaterial"]["tlogEntries"]

    def no_entry(value: Any) -> None:
        value["verificationMaterial"]["tlogEntries"] = []

    def no_time(value: Any) -> None:
        value["verificationMaterial"].pop("timestampVerificationData")
        value["verificationMaterial"]["tlogEntries"][0].pop("inclusionPromise", None)

    changes: list[Callable[[Any], None]] = [payload, envelope, entry, no_entry, no_time]
    outcomes = js.verify(*(altered(bundle, change) for change in changes))
    assert all(outcomes), outcomes
    codes = [outcome.split(":")[0] for outcome in outcomes]
    assert codes[2:] == ["TLOG_BODY_ERROR", "TLOG_ERROR", "TIMESTAMP_ERROR"]


def test_sigstore_js_refuses_the_bundle_of_another_sigstore(
    local_sigstore: LocalSigstore, tmp_path: Path, rekor: Rekor
) -> None:
    bundle = signed(local_sigstore, statement(), token=local_sigstore.token(), rekor=rekor)
    with LocalSigstore() as other:
        js = SigstoreJs(home=tmp_path, trusted_root=other.trusted_root(), logged=1, timestamps=1)
        (outcome,) = js.verify(bundle)
    assert outcome
