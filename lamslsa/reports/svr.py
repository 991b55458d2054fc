"""An accepted appraisal as in-toto Simple Verification Result v0.2: the payload of a statement about the model.

It lists what holds, so there is none of a refusal. A property is scoped by prefix, and a rule's name means something
beside the policy's digest only, which ``verifier.policies`` holds.

Spec: https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md
"""

from __future__ import annotations

from typing import Final

from lamslsa import statement
from lamslsa.errors import PolicyError
from lamslsa.policy.appraisal import Appraisal
from lamslsa.reports._names import named
from lamslsa.reports._statements import label, second, subject
from lamslsa.reports.interface import About

__all__ = ["ACCEPTED", "ACCEPTED_SIMULATED", "ACCEPTED_WITHOUT_TEE", "PREDICATE_TYPE", "RULE", "render"]

PREDICATE_TYPE: Final = "https://in-toto.io/attestation/svr/v0.2"
ACCEPTED: Final = "LAMSLSA_POLICY_ACCEPTED"
ACCEPTED_SIMULATED: Final = "LAMSLSA_POLICY_ACCEPTED_SIMULATED"
ACCEPTED_WITHOUT_TEE: Final = "LAMSLSA_POLICY_ACCEPTED_WITHOUT_TEE"
RULE: Final = "LAMSLSA_RULE:"


def render(appraisal: Appraisal, about: About) -> bytes:
    """The payload; it has to be signed to mean something.

    Raises:
        PolicyError: the appraisal refuses.
    """
    if not appraisal.accepted:
        raise PolicyError(
            "expected an accepted appraisal for a Simple Verification Result, got a refused one",
            reason="svr-refused",
            hint="a verification summary (vsa) says that a model failed",
        )
    policy = {
        "uri": named(about.policy, appraisal.policy_closure),
        "name": label(appraisal.policy_name),
        "digest": {"sha256": appraisal.policy_closure},
    }
    predicate = {
        "verifier": {"id": about.verifier, "policies": [policy]},
        "timeCreated": second(appraisal.now),
        "properties": [
            _accepted(appraisal),
            *(f"{RULE}{label(rule.name)}" for rule in appraisal.rules),
        ],
    }
    return statement.make([subject(appraisal)], PREDICATE_TYPE, predicate)


def _accepted(appraisal: Appraisal) -> str:
    if appraisal.without_tee:
        return ACCEPTED_WITHOUT_TEE
    return ACCEPTED_SIMULATED if any(rule.simulated for rule in appraisal.rules) else ACCEPTED
