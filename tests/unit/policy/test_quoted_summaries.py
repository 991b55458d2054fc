"""A quote over a verification summary makes no measurement of it: no code vouches for what a verifier says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import pytest

from lamslsa import predicates, statement, verification
from lamslsa.evidence.appraise import AcceptedCode, Vouches
from lamslsa.policy import Policy
from lamslsa.policy._witness import refusals_of_platform
from lamslsa.predicates import VerificationSummary, evaluation, verification_summary
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import VerifiedAttestation

SUMMARY = {
    "verifier": {"id": "https://deployer.example/verifier"},
    "timeVerified": "2026-11-22T12:00:00Z",
    "resourceUri": "ni:///sha-256;abc",
    "policy": {"uri": "ni:///sha-256;abc", "digest": {"sha256": "1" * 64}},
    "verificationResult": "PASSED",
    "verifiedLevels": ["LAMSLSA_INGREDIENTS"],
}
Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]


@pytest.fixture
def measured(entries: dict[str, Entry], sealed: Sealed) -> VerifiedAttestation:
    (found,) = sealed([entries["evaluation"]])
    return found


@pytest.fixture
def quoted(measured: VerifiedAttestation) -> VerifiedAttestation:
    """A summary under the very quote of an evaluation."""
    subject = statement.Subject(name="census-mlp", sha256=chain.model().sha256)
    parsed = statement.parse(statement.make([subject], verification_summary.PREDICATE_TYPE, SUMMARY))
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, VerificationSummary)
    return VerifiedAttestation(
        statement=parsed,
        predicate=predicate,
        signatures=measured.signatures,
        evidence=measured.evidence,
        seal=verification._SEAL,
    )


def test_code_that_may_vouch_for_evaluations_does_not_for_summaries(
    load: Callable[[str], Policy], policy_text: str, measured: VerifiedAttestation, quoted: VerifiedAttestation
) -> None:
    (quote,) = measured.evidence
    assert isinstance(measured.predicate, predicates.Evaluation)
    vouches = Vouches(
        predicate_types=frozenset({evaluation.PREDICATE_TYPE}), measurers=frozenset({str(measured.predicate.measurer)})
    )
    code = AcceptedCode(measurement=quote.claims.measurement_digest, vouches=vouches)
    policy = load(policy_text)
    terms = dataclasses.replace(policy.platforms["rehearsal"], code=(code,), unsafe_any_measurement=False)
    now = quote.as_of
    assert refusals_of_platform(measured, quote, terms, now=now) == ()
    (refusal,) = refusals_of_platform(quoted, quote, terms, now=now)
    assert refusal.reason == "platform-vouches"
