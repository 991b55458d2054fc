"""An appraisal as EAT Attestation Result (EAR), an unprotected claims set in JSON.

It is not signed: a signature as JWS would need keys that sign other things than statements. Whoever needs a signed
verdict takes a verification summary. The trustworthiness vector (AR4SI) claims what was judged and nothing more: the
data behind the model, and the hardware where a TEE vouches for something that a rule relied on.

Spec: https://datatracker.ietf.org/doc/html/draft-ietf-rats-ear-04 and draft-ietf-rats-ar4si
"""

from __future__ import annotations

import json
from typing import Any, Final

from lamslsa.policy.appraisal import Appraisal
from lamslsa.reports._names import named, ni
from lamslsa.reports.interface import About

__all__ = ["MODEL_PROFILE", "PROFILE", "render"]

PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
MODEL_PROFILE: Final = "tag:lamslsa.dev,2026:appraisal#v1"
_DEVELOPER: Final = "https://lamslsa.dev"
# The first value of each tier, AR4SI section 2.3.2.
_AFFIRMING, _WARNING, _CONTRAINDICATED = 2, 32, 96
_STATUS: Final = {_AFFIRMING: "affirming", _WARNING: "warning", _CONTRAINDICATED: "contraindicated"}


def render(appraisal: Appraisal, about: About) -> bytes:
    """The claims set, in ASCII."""
    vector, digest = _vector(appraisal), appraisal.policy_closure
    model = {
        "eat_profile": MODEL_PROFILE,
        "ear_status": _STATUS[max(vector.values())],
        "ear_trustworthiness_vector": vector,
        "ear_appraisal_policy_ids": list(dict.fromkeys((named(about.policy, digest), ni(digest)))),
        "ear_verifier_claims": _claims(appraisal, about),
    }
    claims = {
        "eat_profile": PROFILE,
        "iat": int(appraisal.now.timestamp()),
        "ear_verifier_id": {"developer": _DEVELOPER, "build": f"lamslsa {about.version}"},
        "submods": {"model": model},
    }
    return (json.dumps(claims, indent=2, allow_nan=False) + "\n").encode()


def _vector(appraisal: Appraisal) -> dict[str, int]:
    if not appraisal.accepted:
        return {"sourced-data": _CONTRAINDICATED}
    vector = {"sourced-data": _AFFIRMING}
    judged = [rule.simulated for rule in appraisal.rules if rule.simulated is not None]
    if appraisal.without_tee:
        vector["hardware"] = _WARNING
    elif judged:
        vector["hardware"] = _WARNING if any(judged) else _AFFIRMING
    return vector


def _claims(appraisal: Appraisal, about: About) -> dict[str, Any]:
    """What the verifier adds: which model, under which policy, and what each rule came to."""
    return {
        "model": f"sha256:{appraisal.model}",
        "policy": f"sha256:{appraisal.policy_closure}",
        "verifier": about.verifier,
        "exitCode": appraisal.exit_code,
        "rules": [
            {"name": rule.name, "outcome": rule.outcome, **({"reason": rule.reason} if rule.reason else {})}
            for rule in appraisal.rules
        ],
    }
