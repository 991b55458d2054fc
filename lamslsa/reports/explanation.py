"""Why a rule came out as it did: every attestation that it considered, and why each did or did not count.

Rules:
- Nothing is left out in silence: what the rule did not look at is counted by kind, and so is what is not authentic.
- The nearest comes first. Base models and extended policies have appraisals of their own, which are told after it.
- Within ``lamslsa.dev/explanation/v1`` fields are added and none is taken away or changes its meaning.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from lamslsa._plain import hanging, plain
from lamslsa.graphs.build import described
from lamslsa.policy.appraisal import Appraisal, Considered, RuleResult
from lamslsa.reports.document import utc
from lamslsa.reports.interface import About
from lamslsa.reports.text import SHOWN, SIMULATED, verdict
from lamslsa.verification import VerifiedAttestation, VerifiedSignature

__all__ = ["API_VERSION", "appraisals", "explain", "rule_names"]

API_VERSION: Final = "lamslsa.dev/explanation/v1"
_RED, _GREEN, _YELLOW = 31, 32, 33
_COLOURS: Final = {"satisfied": _GREEN, "refused": _RED, "not-evaluated": _YELLOW}


def appraisals(appraisal: Appraisal) -> Iterator[Appraisal]:
    """The appraisal, and then those that it rests on."""
    waiting = deque([appraisal])
    while waiting:
        each = waiting.popleft()
        yield each
        waiting.extend((*each.extended, *each.bases))


def rule_names(appraisal: Appraisal, *, like: str = "") -> list[str]:
    """The names of all rules, those that are nearest to a word first."""
    names = dict.fromkeys(rule.name for each in appraisals(appraisal) for rule in each.rules)

    def distance(name: str) -> float:
        return -SequenceMatcher(a=like.casefold()[:200], b=name.casefold()[:200], autojunk=False).ratio()

    return sorted(names, key=distance) if like else list(names)


def explain(appraisal: Appraisal, names: Sequence[str], about: About, *, as_json: bool) -> bytes:
    """Explain rules, in the order of their names.

    Args:
        appraisal: made with ``explain`` of these names.
        names: of rules.
        about: what the user named, and whether text may be coloured.
        as_json: a document in place of text.
    """
    if as_json:
        return (json.dumps(_document(appraisal, names), indent=2, allow_nan=False) + "\n").encode()
    return ("\n".join(_text(appraisal, names, about)) + "\n").encode(errors="backslashreplace")


def _explained(appraisal: Appraisal, names: Sequence[str]) -> Iterator[tuple[Appraisal, RuleResult]]:
    for name in names:
        for each in appraisals(appraisal):
            for rule in each.rules:
                if rule.name == name:
                    yield each, rule


def _others(appraisal: Appraisal, rule: RuleResult) -> dict[str, int]:
    """What the rule did not look at, in words."""
    seen = {item.attestation.statement.sha256 for item in appraisal.considered.get(rule.name, ())}
    found = Counter(
        _kind(item, appraisal, rule) for item in appraisal.attestations if item.statement.sha256 not in seen
    )
    return dict(sorted(found.items()))


def _kind(item: VerifiedAttestation, appraisal: Appraisal, rule: RuleResult) -> str:
    kind, _, of = described(item.predicate)
    if of == "dataset":
        return kind
    if item.statement.subjects[0].sha256 != appraisal.model:
        return f"{kind} of another model"
    if (kind, rule.kind) == ("evaluation", "metric"):
        return f"{kind} of this model that cannot decide alone (every, latest)"
    return f"{kind} of this model"


def _text(appraisal: Appraisal, names: Sequence[str], about: About) -> Iterator[str]:
    yield f"model   {plain(appraisal.model_name)}  sha256:{appraisal.model}"
    yield f"policy  {plain(appraisal.policy_name)}  sha256:{appraisal.policy_sha256}"
    for each, rule in _explained(appraisal, names):
        yield ""
        yield from _rule(each, rule, about, nested=each is not appraisal)
    yield ""
    yield from _set_aside(appraisal)
    yield from (f"warning: {plain(warning)}" for warning in appraisal.warnings)
    if any(rule.simulated for rule in appraisal.rules):
        yield _styled(SIMULATED, _YELLOW, about)
    yield _styled(plain(verdict(appraisal)), _GREEN if appraisal.accepted else _RED, about)


def _set_aside(appraisal: Appraisal) -> Iterator[str]:
    if appraisal.set_aside:
        yield f"{len(appraisal.set_aside):,} not authentic, and so considered by no rule:"
    for item in appraisal.set_aside[:SHOWN]:
        yield f"   {plain(item.source)} [{item.reason}]: {plain(item.message)}"
    if len(appraisal.set_aside) > SHOWN:
        yield f"   {len(appraisal.set_aside) - SHOWN:,} more; --format json lists them"


def _rule(appraisal: Appraisal, rule: RuleResult, about: About, *, nested: bool) -> Iterator[str]:
    under = f", under policy {plain(appraisal.policy_name)} over {plain(appraisal.model_name)}" if nested else ""
    why = "" if rule.reason is None else f" [{rule.reason}]"
    yield f"rule {plain(rule.name)}{under}: {_styled(f'{rule.outcome}{why}', _COLOURS[rule.outcome], about)}"
    yield f"   asks for  {plain(rule.subject)}: {plain(rule.threshold)}"
    items = appraisal.considered.get(rule.name, ())
    if rule.message and not any(item.lacks for item in items[:SHOWN]):
        yield f"   because   {plain(rule.message)}"
        yield f"   mend      {hanging(rule.mend, 13)}"
    yield f"   considered {_count(len(items), 'attestation')}{', the nearest first' if len(items) > 1 else ''}"
    for number, item in enumerate(items[:SHOWN], start=1):
        yield from _considered(number, item, rule, about)
    if len(items) > SHOWN:
        yield f"   {len(items) - SHOWN:,} more; --format json lists them"
    others = _others(appraisal, rule)
    if others:
        told = ", ".join(f"{words}: {count:,}" for words, count in others.items())
        yield f"   not weighed, being of other kinds or about other artifacts: {sum(others.values()):,} ({told})"


def _count(number: int, words: str) -> str:
    return f"{number:,} {words}{'' if number == 1 else 's'}"


def _considered(number: int, item: Considered, rule: RuleResult, about: About) -> Iterator[str]:
    attestation = item.attestation
    kind, code, _ = described(attestation.predicate)
    yield f"   {number:>2}  {kind} by {plain(code)}  sha256:{attestation.statement.sha256}"
    yield f"       signed by  {plain('; '.join(_signed(attestation.signatures))) or 'nobody'}"
    yield f"       TEE        {plain(item.tee or 'none')}{_platform(item)}"
    yield f"       observed   {plain(item.observed or '-')}"
    if item.counted:
        yield f"       {_styled('COUNTED', _GREEN, about)}    it satisfies the rule"
    elif not item.lacks:
        yield f"       {_styled('not used', _YELLOW, about)}   {_unused(rule)}"
    for lack in item.lacks:
        yield f"       {_styled('lacks', _RED, about)}      [{lack.reason}] {plain(lack.message)}"
        if lack.mend:
            yield f"       mend       {hanging(lack.mend, 18)}"


def _platform(item: Considered) -> str:
    return "" if item.platform is None else f", platform {plain(item.platform)}"


def _unused(rule: RuleResult) -> str:
    if rule.outcome == "satisfied":
        return "it lacks nothing; one is enough, and another was counted"
    return f"it lacks nothing by itself, and the rule is {rule.outcome} [{rule.reason}]"


def _signed(signatures: Collection[VerifiedSignature]) -> list[str]:
    found = []
    for each in signatures:
        times = ", ".join(f"{utc(time.at)} by {time.source}" for time in each.signature.witnessed.times)
        found.append(f"{each.identity} ({times or 'no trusted time'})")
    return list(dict.fromkeys(found))


def _document(appraisal: Appraisal, names: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Explanation",
        "accepted": appraisal.accepted,
        "exitCode": appraisal.exit_code,
        "model": {"name": appraisal.model_name, "digest": f"sha256:{appraisal.model}"},
        "policy": _policy(appraisal),
        "rules": [_rule_document(each, rule) for each, rule in _explained(appraisal, names)],
        "setAside": [
            {"source": item.source, "reason": item.reason, "message": item.message, "hint": item.hint}
            for item in appraisal.set_aside
        ],
        "warnings": list(appraisal.warnings),
    }


def _policy(appraisal: Appraisal) -> dict[str, str]:
    return {
        "name": appraisal.policy_name,
        "sha256": appraisal.policy_sha256,
        "closure": appraisal.policy_closure,
    }


def _rule_document(appraisal: Appraisal, rule: RuleResult) -> dict[str, Any]:
    return {
        "policy": _policy(appraisal),
        "model": f"sha256:{appraisal.model}",
        "name": rule.name,
        "kind": rule.kind,
        "outcome": rule.outcome,
        "subject": rule.subject,
        "threshold": rule.threshold,
        "reason": rule.reason,
        "message": rule.message,
        "mend": rule.mend,
        "considered": [_considered_document(item) for item in appraisal.considered.get(rule.name, ())],
        "others": _others(appraisal, rule),
    }


def _considered_document(item: Considered) -> dict[str, Any]:
    kind, code, _ = described(item.attestation.predicate)
    return {
        "attestation": f"sha256:{item.attestation.statement.sha256}",
        "kind": kind,
        "code": code,
        "signatures": [
            {
                "identity": each.identity,
                "trustedTimes": [
                    {"at": utc(time.at), "source": time.source} for time in each.signature.witnessed.times
                ],
            }
            for each in item.attestation.signatures
        ],
        "platform": item.platform,
        "tee": item.tee,
        "observed": item.observed,
        "counted": item.counted,
        "lacks": [{"reason": lack.reason, "message": lack.message, "mend": lack.mend} for lack in item.lacks],
    }


def _styled(text: str, colour: int, about: About) -> str:
    return f"\x1b[{colour}m\x1b[1m{text}\x1b[0m" if about.colour else text
