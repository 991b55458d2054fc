"""An appraisal as SARIF 2.1.0: a result for every rule that is refused or was not evaluated, and none for the others.

The rules of the tool are our reasons, the place is the policy file, and the rule of the policy is the logical location.
Text may hold links and placeholders in SARIF (3.11.5, 3.11.6), so brackets and braces from attestations are escaped.

Spec: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from lamslsa._codec import sha256_hex
from lamslsa._plain import plain
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.reports._names import location
from lamslsa.reports.document import utc
from lamslsa.reports.interface import About
from lamslsa.reports.text import verdict

__all__ = ["SCHEMA", "render"]

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_NO_RULES: Final = "no-rules"
_HOME: Final = "https://lamslsa.dev/"
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "[": "\\[", "]": "\\]", "{": "{{", "}": "}}"})


def render(appraisal: Appraisal, about: About) -> bytes:
    """The log file, in ASCII."""
    found = [_Found.of(rule) for rule in appraisal.rules if rule.outcome != "satisfied"]
    if not appraisal.rules:
        found = [_Found(reason=_NO_RULES, name="appraisal", text="no rule was evaluated", kind="appraisal")]
    reasons = sorted({each.reason for each in found})
    run = {
        "tool": {
            "driver": {
                "name": "lamslsa",
                "version": about.version,
                "informationUri": _HOME,
                "rules": [{"id": reason, "shortDescription": {"text": reason.replace("-", " ")}} for reason in reasons],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": appraisal.exit_code,
                "endTimeUtc": utc(appraisal.now),
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": _text(warning)}} for warning in appraisal.warnings
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [each.result(reasons.index(each.reason), appraisal, about) for each in found],
        "properties": {
            "accepted": appraisal.accepted,
            "verdict": plain(verdict(appraisal)),
            "model": f"sha256:{appraisal.model}",
            "policy": f"sha256:{appraisal.policy_closure}",
            "simulated": any(rule.simulated for rule in appraisal.rules),
            "withoutTee": appraisal.without_tee,
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(log, indent=2, allow_nan=False) + "\n").encode()


def _text(text: str) -> str:
    return plain(text).translate(_ESCAPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What stands against the model by one rule.

    Attributes:
        kind: of the rule, as the policy engine calls it.
    """

    reason: str
    name: str
    text: str
    kind: str

    @classmethod
    def of(cls, rule: RuleResult) -> _Found:
        said = f"{rule.name}: {rule.message or 'not evaluated'}"
        return cls(
            reason=rule.reason or rule.outcome,
            name=rule.name,
            text=f"{said}. To mend it: {rule.mend}" if rule.mend else said,
            kind=rule.kind,
        )

    def result(self, index: int, appraisal: Appraisal, about: About) -> dict[str, Any]:
        identity = json.dumps([appraisal.policy_name, self.name, self.reason])
        return {
            "ruleId": self.reason,
            "ruleIndex": index,
            "kind": "fail",
            "level": "error",
            "message": {"text": _text(self.text)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": location(about.policy or "policy.yaml")},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": [{"name": plain(self.name), "kind": self.kind}],
                }
            ],
            "partialFingerprints": {"lamslsaRule/v1": sha256_hex(identity.encode())},
        }
