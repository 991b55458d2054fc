"""Signed policies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from lamslsa import statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.policy import Policy
from lamslsa.policy.signature import payload_of, verify_signature
from lamslsa.sign import KeySigner, KeyVerifier, generate


@pytest.fixture
def policy(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def test_a_policy_is_signed_with_its_files(policy: Policy, signer: KeySigner) -> None:
    bundle = signer.sign(payload_of(policy))
    found = verify_signature(policy, bundle, KeyVerifier.load(signer.public_pem))
    assert found.signer == signer.identity


@pytest.mark.parametrize(
    "what", ["sha256 of the file", "closure", "somebody else", "another type", "two policies", "no statement"]
)
def test_another_signature_is_refused(policy: Policy, signer: KeySigner, what: str) -> None:
    payload, judged, verifier = payload_of(policy), policy, KeyVerifier.load(signer.public_pem)
    subject = statement.Subject(name=policy.name, sha256=policy.closure)
    reason = "policy-signature-other"
    match what:
        case "sha256 of the file":  # a key beside the policy may be another one
            payload = statement.make(
                [statement.Subject(name=policy.name, sha256=policy.sha256)],
                "https://lamslsa.dev/policy/v1",
                {"policy": {"digest": {"sha256": policy.sha256}}},
            )
        case "closure":
            judged = dataclasses.replace(policy, closure="ab" * 32)
        case "somebody else":
            verifier, reason = KeyVerifier.load(KeySigner.load(generate(None), None).public_pem), "signature-key"
        case "another type":
            payload = statement.make([subject], "https://example.com/p/v1", {"a": 1})
        case "two policies":
            payload = statement.make([subject, subject], "https://lamslsa.dev/policy/v1", {"a": 1})
        case _:
            payload, reason = b"{}", "policy-signature"
    with pytest.raises(LamslsaError) as caught:
        verify_signature(judged, signer.sign(payload), verifier)
    assert caught.value.reason == reason


def test_what_is_no_bundle_is_refused(policy: Policy, signer: KeySigner) -> None:
    with pytest.raises(FormatError):
        verify_signature(policy, b"{}", KeyVerifier.load(signer.public_pem))
