"""Plans of evaluations: authentic by their signature alone, and no attestation of anything measured."""

from __future__ import annotations

import json
from pathlib import Path

from lamslsa._codec import sha256_hex
from lamslsa.predicates import EvaluationPlan
from lamslsa.sign import KeySigner, generate
from lamslsa.verification import verify_bundles
from tests.unit.verification.test_bundles import bundle, trust

EXAMPLE = Path(__file__).parents[3] / "predicates" / "evaluation-plan" / "v1" / "examples" / "evaluation-plan.json"


def test_a_plan_with_all_who_signed_it() -> None:
    auditor, owner, stranger = (KeySigner.load(generate(None), None) for _ in range(3))
    payload = EXAMPLE.read_bytes()
    other = json.dumps(json.loads(payload)).encode()
    bundles = [
        bundle("b", payload, owner),
        bundle("a", payload, auditor),
        bundle("c", other, stranger),
        bundle("d", other, owner),
    ]
    outcome = verify_bundles(bundles, trust(auditor=auditor.verifier(), owner=owner.verifier()))
    assert outcome.attestations == ()
    assert [item.statement.sha256 for item in outcome.plans] == sorted([sha256_hex(payload), sha256_hex(other)])
    signers = {item.statement.sha256: [one.identity for one in item.signatures] for item in outcome.plans}
    assert signers == {sha256_hex(payload): ["auditor", "owner"], sha256_hex(other): ["owner"]}
    assert all(isinstance(item.predicate, EvaluationPlan) for item in outcome.plans)
    assert [aside.source for aside in outcome.set_aside] == ["c.sigstore.json"]
