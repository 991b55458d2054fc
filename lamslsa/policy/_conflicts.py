"""What authentic attestations say against each other: a warning, or a refusal under ``conflicts: refuse``.

A refusal of this kind stands outside the monotonic core: whoever leaves out one of the two stories is not found out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from lamslsa import _codec
from lamslsa.lineage import Build
from lamslsa.policy._candidates import Finding
from lamslsa.policy._context import Context
from lamslsa.policy._reach import reached
from lamslsa.policy.appraisal import RuleResult
from lamslsa.predicates import to_wire

__all__ = ["conflict_finding", "provenance_conflicts"]


def provenance_conflicts(context: Context) -> tuple[str, ...]:
    """Qualifying provenances of one artifact that tell different stories."""
    told: list[str] = []
    differing = sorted(
        f"sha256:{build.attestation.statement.sha256}"
        for builds in reached(context).values()
        if len({_story(build) for build in builds}) > 1
        for build in builds
    )
    if differing:
        told.append(f"several qualifying trainings claim this model and differ: {', '.join(differing)}")
    return tuple(told)


def _story(build: Build) -> Hashable:
    definition = build.provenance.build_definition
    return (
        definition.build_type,
        tuple(sorted((item.artifact, item.schema or "") for item in build.datasets)),
        tuple(sorted(item.artifact for item in build.bases)),
        _codec.dumps(to_wire(definition.external_parameters)),
    )


def conflict_finding(provenances: Sequence[str], values: Sequence[str]) -> Finding:
    """The rule ``conflicts``: qualifying attestations agree.

    Args:
        provenances: what `provenance_conflicts` found.
        values: the same of evaluations.
    """
    result = RuleResult(
        name="conflicts",
        kind="conflicts",
        subject="what qualifying attestations say",
        outcome="satisfied",
        threshold="no conflict",
        observed="none",
        authentic=True,
    )
    if not (provenances or values):
        return Finding(result=result)
    return Finding(
        result=RuleResult(
            name=result.name,
            kind=result.kind,
            subject=result.subject,
            outcome="refused",
            threshold=result.threshold,
            observed=f"{len(provenances) + len(values)}",
            reason="conflicting-provenance" if provenances else "conflicting-evaluation",
            message=f"expected no conflict, got: {'; also '.join((*provenances, *values))}",
            mend="find out which one is true and deny the other in the policy, or leave conflicts a warning",
            authentic=True,
        )
    )
