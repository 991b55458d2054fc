"""The expressions of ``require``: what each came to under each way in which the model may have come to be.

Rules:
- Nothing is evaluated over nothing: an expression that no attestation with its witness is there for is refused.
- One worker evaluates all of an appraisal; what several descents or rules have in common is evaluated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from lamslsa.policy._candidates import Candidate, Finding, Head, Miss, conclude, not_evaluated
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy.cel.view import Seen, look
from lamslsa.policy.cel.worker import Check, Outcome, View, evaluate
from lamslsa.policy.model import CelRule

__all__ = ["Expressions"]


class Expressions:
    """Every rule of expression under every descent, by the rule's name and the descent's place.

    Raises:
        UnavailableError: cel-expr-python is not installed, and some expression has something to see.
    """

    def __init__(self, context: Context, ways: Sequence[Descent], *, model_name: str) -> None:
        self._context = context
        self._rules = [rule for rule in context.policy.require if isinstance(rule, CelRule)]
        self._places = {id(way): place for place, way in enumerate(ways)}
        seen = {
            (rule.name, place): look(context, rule, way, model_name=model_name)
            for rule in self._rules
            for place, way in enumerate(ways)
        }
        outcomes = self._evaluate(seen)
        self._findings = {
            (rule.name, place): self._finding(rule, seen[rule.name, place], outcomes.get((rule.name, place)))
            for rule in self._rules
            for place in range(len(ways))
        }

    def find(self, rule: CelRule, chosen: Descent | None) -> Finding:
        """What a rule came to under a descent."""
        if chosen is None:
            return not_evaluated(
                _head(rule),
                message="expected to know how the model came to be, got no qualifying provenance",
                mend="mend the rule training first",
            )
        return self._findings[rule.name, self._places[id(chosen)]]

    def _evaluate(self, seen: Mapping[tuple[str, int], Seen]) -> dict[tuple[str, int], Outcome]:
        rules = {rule.name: rule for rule in self._rules}
        views: dict[bytes, tuple[int, View]] = {}
        checks: dict[tuple[str, int], Check] = {}
        places: dict[tuple[str, int], tuple[str, int]] = {}
        for key, item in seen.items():
            if item.attestations:
                form = msgspec.msgpack.encode(item.view)
                index, _ = views.setdefault(form, (len(views), item.view))
                rule = rules[key[0]]
                places[key] = (rule.name, index)
                checks.setdefault(
                    places[key], Check(text=rule.expression, view=index, parameters=dict(rule.parameters))
                )
        if not checks:
            return {}
        done = evaluate(
            [view for _, view in views.values()], list(checks.values()), now=self._context.verification.trust.now
        )
        by_check = dict(zip(checks, done, strict=True))
        return {key: by_check[place] for key, place in places.items()}

    def _finding(self, rule: CelRule, seen: Seen, outcome: Outcome | None) -> Finding:
        if outcome is None:
            return self._nothing(rule, seen)
        count = len(seen.attestations)
        candidate = Candidate(
            attestation=seen.attestations[0],
            misses=_misses(outcome),
            observed=f"{outcome.verdict if outcome.verdict != 'limits' else 'stopped'}, "
            f"over {count} attestation{'' if count == 1 else 's'}",
            relied=(*seen.attestations[1:], *seen.relied),
        )
        unused = Miss(reason="expression-nothing", message="", mend="")
        return conclude(_head(rule), [candidate], absent=unused, near=None, qualifier=self._context.qualifier)

    def _nothing(self, rule: CelRule, seen: Seen) -> Finding:
        """Nothing has the witness; what lacks least of it says what is missing."""
        nearest = min(
            (
                Candidate(attestation=item, misses=self._context.qualifier.misses(item, rule.witness))
                for item in seen.near
            ),
            key=Candidate.distance,
            default=None,
        )
        got = "none" if nearest is None else f"one of which: {'; '.join(miss.message for miss in nearest.misses)}"
        absent = Miss(
            reason="expression-nothing",
            message=f"expected an attestation {rule.witness} that the expression may look at, got {got}",
            mend=f"have {rule.witness.signed_by} attest what the expression is about, on {rule.witness.platform}",
            authentic=nearest is not None and nearest.authentic,
        )
        near = None if nearest is None else nearest.attestation
        return conclude(_head(rule), [], absent=absent, near=near, qualifier=self._context.qualifier)


def _head(rule: CelRule) -> Head:
    text = " ".join(rule.expression.split())
    return Head(
        name=rule.name,
        kind="expression",
        subject=text if len(text) <= 120 else f"{text[:119]}…",
        threshold="true",
        witness=rule.witness,
    )


def _misses(outcome: Outcome) -> tuple[Miss, ...]:
    match outcome.verdict:
        case "true":
            return ()
        case "false":
            miss = Miss(
                reason="cel-false",
                message="expected the expression to be true, got false",
                mend="see what the expression asks for, or change it in the policy",
            )
        case "error":
            miss = Miss(
                reason="cel-error",
                message=f"expected the expression to be true, got an error: {outcome.message!r}",
                mend="ask with has() for what may be absent, and see that everything it asks for was attested",
            )
        case "limits":
            miss = Miss(
                reason="cel-limits",
                message=f"expected an answer within the limits of expressions, got none: {outcome.message}",
                mend="a shorter expression, or fewer nested ones",
            )
        case _:
            assert_never(outcome.verdict)
    return (miss,)
