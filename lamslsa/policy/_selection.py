"""``every`` and ``latest``: which of the evaluations that qualify decide a metric rule.

Rules:
- Both stand outside the monotonic core: an evaluation that is left out can turn a refusal into an acceptance. They say
  something only where whoever evaluates publishes everything, and hold nobody back who may withhold.
- An evaluation counts here when it has the rule's witness, dataset, references, measurer and configuration, and says
  something of the metric, under any reading that a qualifying datasheet allows: a second reading is no way around it.
  One that does not have the metric at all, because it was asked for other groups, says nothing of it.
- Its time is the earliest trusted time of a signature of the rule's signer that counts. A trusted time is an upper
  bound: whoever takes the timestamp off an old signature and has it stamped again makes it late. What is not dated
  does not count at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from lamslsa.policy._candidates import Candidate, Miss
from lamslsa.policy._context import Context
from lamslsa.policy._measured import Measured
from lamslsa.policy._signers import dated
from lamslsa.policy.model import MetricRule

__all__ = ["selected"]

_Row = tuple[Measured, Candidate]


def selected(context: Context, rule: MetricRule, rows: Sequence[_Row]) -> tuple[Candidate, ...]:
    """The candidates that decide: of ``latest``, older ones are refused; where one misses, none satisfies the rule."""
    if rule.latest:
        rows = _latest(context, rule, rows)
    if rule.latest or rule.every:
        deciding = [row for row in rows if _counts(row[0]) and not _is_past(row[1])]
        if any(set(candidate.misses) - set(found.misses) for found, candidate in deciding):
            rows = [row for row in rows if row[1].misses]
    return tuple(candidate for _, candidate in rows)


def _counts(found: Measured) -> bool:
    return found.qualifies and bool(found.entries)


def _is_past(candidate: Candidate) -> bool:
    return any(miss.reason in {"latest-untimed", "latest-superseded"} for miss in candidate.misses)


def _latest(context: Context, rule: MetricRule, rows: Sequence[_Row]) -> list[_Row]:
    name = rule.witness.signed_by
    times = [dated(context.policy, found.item.attestation.signatures, name) for found, _ in rows]
    newest = max((at for (found, _), at in zip(rows, times, strict=True) if at and _counts(found)), default=None)
    return [
        (found, candidate if not _counts(found) else _timed(candidate, at, newest, name))
        for (found, candidate), at in zip(rows, times, strict=True)
    ]


def _timed(candidate: Candidate, at: dt.datetime | None, newest: dt.datetime | None, name: str) -> Candidate:
    if at is None:
        miss = Miss(
            reason="latest-untimed",
            message=f"expected a trusted time on the signature of {name}, since the latest evaluation counts, got none",
            mend=f"have {name} publish with --require-timestamp; a key needs validFrom in the policy as well",
        )
    elif newest is not None and at < newest:
        miss = Miss(
            reason="latest-superseded",
            message=f"expected the latest evaluation, of {newest.isoformat()}, got one of {at.isoformat()}",
            mend="look at the evaluation that was made since",
        )
    else:
        return candidate
    return replace(candidate, misses=(*candidate.misses, miss))
