"""An appraisal as JUnit XML: one test suite for each policy, one test case for each rule.

A refused rule is a failure, with its reason as type and what would mend it. A rule that was not evaluated is an error,
since viewers count what is skipped as good. An appraisal without rules has one failing case: an empty suite would
pass. A base model that its own policy refuses, and that a summary made acceptable, has no suite: it would fail an
acceptance.

Form: https://github.com/testmoapp/junitxml, which describes what its many readers agree on.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Final

from lamslsa._plain import plain
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.reports._nested import decisive, words
from lamslsa.reports.document import utc
from lamslsa.reports.interface import About
from lamslsa.reports.text import verdict

__all__ = ["render"]

_TOOL: Final = "lamslsa"
_COUNTS: Final = ("tests", "failures", "errors", "skipped")


def _clean(text: str) -> str:
    """Text without characters that XML 1.0 has no spelling for, nor any that could mislead a reader."""
    return plain(text)


def render(appraisal: Appraisal, about: About) -> bytes:
    """The document, in UTF-8."""
    suites = ET.Element("testsuites", {"name": _TOOL})
    own = _suite(suites, appraisal, appraisal.policy_name)
    own.insert(0, _properties(appraisal, about))
    ET.SubElement(own, "system-out").text = "\n".join(_notes(appraisal))
    for found in decisive(appraisal):
        _suite(suites, found.appraisal, f"{words(found)}: {found.appraisal.policy_name}")
    for name in _COUNTS:
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    ET.indent(suites)
    written: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _suite(suites: ET.Element, appraisal: Appraisal, name: str) -> ET.Element:
    empty = not appraisal.rules
    counts = {
        "tests": len(appraisal.rules) or 1,
        "failures": sum(rule.outcome == "refused" for rule in appraisal.rules) + empty,
        "errors": sum(rule.outcome == "not-evaluated" for rule in appraisal.rules),
        "skipped": 0,
    }
    written = {word: str(counts[word]) for word in _COUNTS}
    said = {"name": _clean(name), **written, "time": "0", "timestamp": utc(appraisal.now)}
    suite = ET.SubElement(suites, "testsuite", said)
    for rule in appraisal.rules:
        _case(suite, rule, appraisal)
    if empty:
        case = ET.SubElement(suite, "testcase", {"name": "appraisal", "classname": _TOOL, "time": "0"})
        ET.SubElement(case, "failure", {"type": "no-rules", "message": "no rule was evaluated"})
    return suite


def _properties(appraisal: Appraisal, about: About) -> ET.Element:
    said = {
        "accepted": str(appraisal.accepted).lower(),
        "exitCode": str(appraisal.exit_code),
        "model": f"sha256:{appraisal.model}",
        "modelName": _clean(appraisal.model_name),
        "policy": f"sha256:{appraisal.policy_closure}",
        "policyFile": f"sha256:{appraisal.policy_sha256}",
        "simulated": str(any(rule.simulated for rule in appraisal.rules)).lower(),
        "withoutTee": str(appraisal.without_tee).lower(),
        "version": about.version,
    }
    properties = ET.Element("properties")
    for name, value in said.items():
        ET.SubElement(properties, "property", {"name": name, "value": value})
    return properties


def _case(suite: ET.Element, rule: RuleResult, appraisal: Appraisal) -> None:
    where = f"{_clean(appraisal.policy_name)}.{rule.kind}"
    case = ET.SubElement(suite, "testcase", {"name": _clean(rule.name), "classname": where, "time": "0"})
    if rule.outcome == "satisfied":
        ET.SubElement(case, "system-out").text = "\n".join(_details(rule))
        return
    tag = "failure" if rule.outcome == "refused" else "error"
    message = rule.message or "not evaluated"
    found = ET.SubElement(case, tag, {"type": rule.reason or rule.outcome, "message": _clean(message)})
    found.text = "\n".join([_clean(message), *([f"mend: {_clean(rule.mend)}"] if rule.mend else []), *_details(rule)])


def _details(rule: RuleResult) -> list[str]:
    said = {
        "subject": rule.subject,
        "observed": rule.observed,
        "threshold": rule.threshold,
        "signed by": rule.signer,
        "TEE": rule.tee,
        "attestation": None if rule.attestation is None else f"sha256:{rule.attestation.statement.sha256}",
    }
    return [f"{name}: {_clean(value)}" for name, value in said.items() if value]


def _notes(appraisal: Appraisal) -> list[str]:
    return [
        _clean(verdict(appraisal)),
        *(f"warning: {_clean(warning)}" for warning in appraisal.warnings),
        *(f"set aside: {_clean(item.source)} [{item.reason}]: {_clean(item.message)}" for item in appraisal.set_aside),
    ]
