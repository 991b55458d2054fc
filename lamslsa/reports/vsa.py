"""An appraisal as SLSA Verification Summary Attestation: the payload of a statement about the model.

Normative text: predicates/verification-summary/v1/README.md. No SLSA level is claimed, since none was verified.
"""

from __future__ import annotations

from lamslsa import statement
from lamslsa.policy.appraisal import Appraisal
from lamslsa.predicates import VerificationSummary, to_wire
from lamslsa.predicates._common import Digest
from lamslsa.predicates.verification_summary import (
    FAILED,
    INGREDIENTS,
    INGREDIENTS_SIMULATED,
    INGREDIENTS_WITHOUT_TEE,
    MAX_INPUTS,
    PREDICATE_TYPE,
    InputAttestation,
    SummarisedPolicy,
    VerifiedLevel,
    Verifier,
)
from lamslsa.reports._names import named
from lamslsa.reports._nested import decisive
from lamslsa.reports._statements import label, second, subject
from lamslsa.reports.interface import About

__all__ = ["render"]


def render(appraisal: Appraisal, about: About) -> bytes:
    """The payload; it has to be signed to mean something."""
    summary = VerificationSummary(
        verifier=Verifier(id=about.verifier, version={"lamslsa": about.version}),
        time_verified=second(appraisal.now),
        resource_uri=named(about.model, appraisal.model),
        policy=SummarisedPolicy(
            uri=named(about.policy, appraisal.policy_closure),
            digest=Digest(sha256=appraisal.policy_closure),
            name=label(appraisal.policy_name)[:256],
        ),
        input_attestations=_inputs(appraisal),
        verification_result="PASSED" if appraisal.accepted else "FAILED",
        verified_levels=(_level(appraisal),),
    )
    return statement.make([subject(appraisal)], PREDICATE_TYPE, to_wire(summary))


def _level(appraisal: Appraisal) -> VerifiedLevel:
    if not appraisal.accepted:
        return FAILED
    if appraisal.without_tee:
        return INGREDIENTS_WITHOUT_TEE
    return INGREDIENTS_SIMULATED if any(rule.simulated for rule in appraisal.rules) else INGREDIENTS


def _inputs(appraisal: Appraisal) -> tuple[InputAttestation, ...]:
    """Every statement that the verdict rests on; none where they cannot all be named, as the specification asks.

    An acceptance rests on what some rule relied on, here and in the verdicts within, a refusal on everything that was
    there. Signatures of files are no statements of ours, and an appraisal does not keep them.
    """
    parts = [appraisal, *(found.appraisal for found in decisive(appraisal))]
    if any(rule.kind == "signature" for part in parts for rule in part.rules):
        return ()
    items = [item for part in parts for item in (part.qualifying if appraisal.accepted else part.attestations)]
    digests = {item.statement.sha256 for item in items}
    digests |= {evidence.statement for item in items for evidence in item.evidence}
    plans = [item.plan for part in parts for item in part.planned.values()]
    plans += [] if appraisal.accepted else [item for part in parts for item in part.plans]
    digests |= {item.statement.sha256 for item in plans}
    if len(digests) > MAX_INPUTS:
        return ()
    return tuple(InputAttestation(digest=Digest(sha256=digest)) for digest in sorted(digests))
