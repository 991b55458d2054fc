"""Appraisals made of plain values: nothing is verified here, so every field can be what a test wants."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from lamslsa import predicates, statement, verification
from lamslsa.evidence.verify import VerifiedEvidence
from lamslsa.policy import Appraisal, RuleResult
from lamslsa.sign.interface import Signature, TrustedTime, Witnessed
from lamslsa.testing import chain
from lamslsa.verification import SetAside, VerifiedAttestation, VerifiedSignature

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC)
HOSTILE = 'a|b`c` <script>x</script> [y](javascript:1) ]]> & "q" {0} \x00\x1b[31m\u202e\ufffe @user #1 https://evil.example\nx'


def _evaluation() -> VerifiedAttestation:
    entry = chain.entries(root="9" * 64)["evaluation"]
    parsed = statement.parse(entry.payload)
    predicate = predicates.parse(parsed)
    assert isinstance(predicate, predicates.Evaluation)
    return VerifiedAttestation(
        statement=parsed,
        predicate=predicate,
        signatures=(
            VerifiedSignature(
                identity="auditor",
                signature=Signature(
                    signer="key AAAA", witnessed=Witnessed(times=(TrustedTime(at=NOW, source="timestamp"),))
                ),
                source="01-evaluation.sigstore.json",
            ),
        ),
        evidence=tuple(
            VerifiedEvidence(
                claims=claims,
                statement="5" * 64,
                covers=(parsed.sha256,),
                as_of=NOW,
                standing=entry.standing,
                standing_message="" if entry.standing else "no endorsements at hand",
                freshness=entry.freshness,
            )
            for claims in entry.claims
        ),
        seal=verification._SEAL,
    )


EVALUATION = _evaluation()
SATISFIED = RuleResult(
    name="accurate",
    kind="metric",
    subject="accuracy",
    outcome="satisfied",
    observed="0.8549 (0.8494–0.8602), n 16,281",
    value=0.8494,
    threshold="accuracy ≥ 0.84",
    attestation=EVALUATION,
    signer="auditor",
    platform="rehearsal",
    tee="sgx, SIMULATED",
    simulated=True,
    authentic=True,
)
REFUSED = RuleResult(
    name="fair",
    kind="metric",
    subject="demographic_parity_difference by sex",
    outcome="refused",
    threshold="demographic_parity_difference ≤ 0.2",
    observed="0.31",
    value=0.31,
    attestation=EVALUATION,
    signer="auditor",
    platform="rehearsal",
    tee="sgx, SIMULATED",
    simulated=True,
    reason="threshold-missed",
    message="expected demographic_parity_difference of at most 0.2, got 0.31",
    mend="train a model that is fairer, or ask whoever keeps the policy",
    authentic=True,
)
NOT_EVALUATED = RuleResult(
    name="no leakage", kind="overlap", subject="overlap", outcome="not-evaluated", threshold="≤ 26 rows"
)


def appraisal(*rules: RuleResult, **fields: Any) -> Appraisal:
    """An appraisal with these rules."""
    values: dict[str, Any] = {
        "model_name": "census-mlp",
        "model": "1" * 64,
        "policy_name": "census-income",
        "policy_sha256": "2" * 64,
        "policy_closure": "3" * 64,
        "at": NOW,
        "now": NOW,
        "rules": rules,
        "attestations": (EVALUATION,),
        "qualifying": (EVALUATION,),
        "set_aside": (),
    }
    return Appraisal(**(values | fields))


@pytest.fixture
def accepted() -> Appraisal:
    return appraisal(SATISFIED, dataclasses.replace(SATISFIED, name="training", kind="training", subject="training"))


@pytest.fixture
def refused() -> Appraisal:
    return appraisal(
        SATISFIED,
        NOT_EVALUATED,
        REFUSED,
        qualifying=(),
        set_aside=(
            SetAside(
                source="bad.sigstore.json", reason="signature-key", message="expected a key, got none", hint="sign"
            ),
        ),
        warnings=("two provenances tell different stories",),
    )


@pytest.fixture
def hostile() -> Appraisal:
    """Every text that somebody else may have written is hostile."""
    rule = dataclasses.replace(
        REFUSED, name=HOSTILE, subject=HOSTILE, observed=HOSTILE, threshold=HOSTILE, signer=HOSTILE, tee=HOSTILE,
        message=HOSTILE, mend=HOSTILE,
    )  # fmt: skip
    aside = SetAside(source=HOSTILE, reason="signature-key", message=HOSTILE, hint=HOSTILE)
    rules = (rule, dataclasses.replace(rule, outcome="satisfied", reason=None, message="", mend=""))
    return appraisal(*rules, model_name=HOSTILE, policy_name=HOSTILE, set_aside=(aside,), warnings=(HOSTILE,))


@pytest.fixture
def empty() -> Appraisal:
    return appraisal()
