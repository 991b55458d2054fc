"""An appraisal for the terminal and for programs: rows of plain words, and one JSON document.

The document's fields are stable: exitCode, accepted, rules with reason and mend. Text from attestations is passed on as
it is; whoever prints it makes it safe.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.verify import VerifiedAttestation, VerifiedEvidence, VerifiedSignature

__all__ = ["COLUMNS", "document", "rows", "verdict"]

COLUMNS: Final = ("", "rule", "observed", "threshold", "signed by", "TEE")
_MARKS: Final = {"satisfied": "ok", "refused": "REFUSED", "not-evaluated": "-"}


def rows(appraisal: Appraisal) -> list[list[str]]:
    """One row a rule, in the order of `COLUMNS`."""
    return [
        [
            _MARKS[rule.outcome],
            rule.name,
            rule.observed or "-",
            rule.threshold,
            rule.signer or "-",
            rule.tee or "-",
        ]
        for rule in appraisal.rules
    ]


def verdict(appraisal: Appraisal) -> str:
    """One line: the decision, and how many rules it rests on."""
    satisfied = sum(rule.outcome == "satisfied" for rule in appraisal.rules)
    word = "ACCEPTED" if appraisal.accepted else "REFUSED"
    code = "" if appraisal.accepted else f" (exit code {appraisal.exit_code})"
    return f"{word} under {appraisal.policy_name}: {satisfied} of {len(appraisal.rules)} rules satisfied{code}"


def document(appraisal: Appraisal) -> dict[str, Any]:
    """The whole appraisal as plain JSON values."""
    return {
        "accepted": appraisal.accepted,
        "exitCode": appraisal.exit_code,
        "model": {"name": appraisal.model_name, "digest": f"sha256:{appraisal.model}"},
        "policy": {
            "name": appraisal.policy_name,
            "sha256": appraisal.policy_sha256,
            "closure": appraisal.policy_closure,
        },
        "at": _time(appraisal.at),
        "now": _time(appraisal.now),
        "rules": [_rule(rule) for rule in appraisal.rules],
        "attestations": [_attestation(item, appraisal) for item in appraisal.attestations],
        "setAside": [
            {"source": item.source, "reason": item.reason, "message": item.message, "hint": item.hint}
            for item in appraisal.set_aside
        ],
        "warnings": list(appraisal.warnings),
    }


def _rule(rule: RuleResult) -> dict[str, Any]:
    return {
        "name": rule.name,
        "kind": rule.kind,
        "subject": rule.subject,
        "outcome": rule.outcome,
        "observed": rule.observed,
        "value": rule.value,
        "threshold": rule.threshold,
        "attestation": None if rule.attestation is None else f"sha256:{rule.attestation.statement.sha256}",
        "signer": rule.signer,
        "platform": rule.platform,
        "tee": rule.tee,
        "simulated": rule.simulated,
        "reason": rule.reason,
        "message": rule.message,
        "mend": rule.mend,
        "authentic": rule.authentic,
    }


def _attestation(item: VerifiedAttestation, appraisal: Appraisal) -> dict[str, Any]:
    return {
        "digest": f"sha256:{item.statement.sha256}",
        "predicateType": item.statement.predicate_type,
        "subject": {"name": item.statement.subjects[0].name, "digest": f"sha256:{item.statement.subjects[0].sha256}"},
        "signers": sorted(item.signers),
        "signatures": [_signature(signed) for signed in item.signatures],
        "qualifying": any(other.statement.sha256 == item.statement.sha256 for other in appraisal.qualifying),
        "evidence": [_evidence(evidence) for evidence in item.evidence],
        "sources": list(item.sources),
    }


def _signature(signed: VerifiedSignature) -> dict[str, Any]:
    witnessed = signed.signature.witnessed
    return {
        "identity": signed.identity,
        "signer": signed.signature.signer,
        "trustedTimes": [{"at": _time(time.at), "source": time.source} for time in witnessed.times],
        "logged": witnessed.logged,
        "source": signed.source,
    }


def _evidence(evidence: VerifiedEvidence) -> dict[str, Any]:
    claims, standing, since = evidence.claims, evidence.standing, evidence.freshness.not_before
    return {
        "statement": f"sha256:{evidence.statement}",
        "asOf": _time(evidence.as_of),
        "tee": claims.tee,
        "simulated": claims.simulated,
        "root": claims.root,
        "measurement": claims.measurement_digest,
        "tcbStatus": claims.tcb_status,
        "advisories": list(claims.advisories),
        "platformId": claims.platform_id,
        "devices": [
            {
                "kind": device.kind,
                "simulated": device.simulated,
                "deviceId": device.device_id,
                "architecture": device.architecture,
                "driver": device.driver_version,
                "vbios": device.vbios_version,
                "goldenValues": device.golden_values,
            }
            for device in claims.devices
        ],
        "standing": {"message": evidence.standing_message}
        if standing is None
        else {"revoked": standing.revoked, "advisories": list(standing.advisories)},
        "notBefore": None if since is None else _time(since),
    }


def _time(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
