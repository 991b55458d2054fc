"""What a rule considered, for whoever asks why: every candidate, the nearest first, with all that it lacks."""

from __future__ import annotations

from lamslsa.policy._candidates import Candidate, Finding, Head, Seen
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy._training import training_candidates
from lamslsa.policy.appraisal import Considered, Lack, RuleResult

__all__ = ["considered"]


def considered(context: Context, finding: Finding, chosen: Descent | None) -> tuple[Considered, ...]:
    """Every attestation that the rule looked at, those that are equally near by their digests.

    A training is looked at beside all other provenance of what it made, whichever way the appraisal took.
    """
    result, head = finding.result, finding.head
    if head is None or not finding.candidates:
        return _of_result(result)
    best = min(finding.candidates, key=Candidate.distance)
    candidates = [*finding.candidates, *_other_ways(context, finding, chosen)]
    satisfied = result.outcome == "satisfied"
    return tuple(
        _candidate(context, head, item, counted=satisfied and item is best)
        for item in sorted(candidates, key=lambda item: (not (satisfied and item is best), item.distance()))
    )


def _other_ways(context: Context, finding: Finding, chosen: Descent | None) -> tuple[Candidate, ...]:
    if finding.result.kind != "training" or chosen is None:
        return ()
    taken = {item.attestation.statement.sha256 for item in finding.candidates}
    products = {build.product for build in chosen.builds if build.attestation.statement.sha256 in taken}
    others = [
        build
        for product in sorted(products)
        for build in context.lineage.builds_of(product)
        if build.attestation.statement.sha256 not in taken
    ]
    return training_candidates(context, others)


def _candidate(context: Context, head: Head, item: Candidate, *, counted: bool) -> Considered:
    backing = context.qualifier.backing(item.attestation, head.witness)
    return Considered(
        attestation=item.attestation,
        counted=counted,
        lacks=tuple(Lack(reason=miss.reason, message=miss.message, mend=miss.mend) for miss in item.misses),
        observed=item.observed,
        platform=head.witness.platform if backing is not None and not backing.platform else None,
        tee=Seen.of(head, backing, context.qualifier).tee,
    )


def _of_result(result: RuleResult) -> tuple[Considered, ...]:
    """A rule that weighs no candidates may show an attestation all the same."""
    if result.attestation is None:
        return ()
    lacks = () if result.reason is None else (Lack(reason=result.reason, message=result.message, mend=result.mend),)
    return (
        Considered(
            attestation=result.attestation,
            counted=result.outcome == "satisfied",
            lacks=lacks,
            observed=result.observed,
            platform=result.platform,
            tee=result.tee,
        ),
    )
