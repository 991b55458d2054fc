"""From an appraisal to the view of a card."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._graph import graph
from lamslsa.cards._sections import dataset_section, evaluation_section, training_section
from lamslsa.cards._source import Origins, listing
from lamslsa.cards.view import (
    Card,
    Dataset,
    Evaluation,
    Evidence,
    Miss,
    Reference,
    Rule,
    SetAsideBundle,
    Standing,
    StatementRow,
    Training,
    Verdict,
)
from lamslsa.policy.appraisal import Appraisal, Outcome, RuleResult
from lamslsa.verify import VerifiedAttestation, VerifiedEvidence

__all__ = ["build"]

_NONE: Final = "none"
_EXIT_CODES: Final = {
    4: "a required rule has no authentic candidate",
    5: "authentic candidates exist, and the policy refuses them",
}


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _verdict(appraisal: Appraisal) -> Verdict:
    rules = appraisal.rules
    satisfied = sum(rule.outcome == "satisfied" for rule in rules)
    if appraisal.accepted:
        summary = "The only rule is satisfied." if len(rules) == 1 else f"All {len(rules)} rules are satisfied."
        return Verdict(accepted=True, exit_code=0, headline="Accepted", summary=summary, refused=())
    why = _EXIT_CODES[appraisal.exit_code]
    summary = f"{satisfied} of {len(rules)} rules satisfied; exit code {appraisal.exit_code}: {why}."
    return Verdict(
        accepted=False,
        exit_code=appraisal.exit_code,
        headline="Refused",
        summary=summary,
        refused=tuple(rule.name for rule in rules if rule.outcome != "satisfied"),
    )


def _simulation(appraisal: Appraisal) -> str:
    quotes = [one.claims.simulated for attestation in appraisal.attestations for one in attestation.evidence]
    quotes += [rule.simulated for rule in appraisal.rules if rule.simulated is not None]
    if not any(quotes):
        return ""
    values = "these values" if all(quotes) else "values whose TEE reads SIMULATED"
    return f"Simulated TEE: no hardware vouches for {values}."


def _rule(rule: RuleResult, origins: Origins) -> Rule:
    nearest = rule.attestation
    return Rule(
        name=rule.name,
        outcome=rule.outcome,
        subject=rule.subject,
        observed=rule.observed or _NONE,
        unverified=nearest is not None and origins.standing(nearest) != "verified",
        threshold=rule.threshold,
        signer=rule.signer or _NONE,
        tee=rule.tee or _NONE,
    )


def _misses(rules: Sequence[RuleResult]) -> tuple[Miss, ...]:
    together: dict[tuple[Outcome, str, str, str], list[str]] = {}
    for rule in rules:
        if rule.outcome != "satisfied":
            together.setdefault((rule.outcome, rule.reason or "", rule.message, rule.mend), []).append(rule.name)
    return tuple(
        Miss(rules=tuple(names), outcome=outcome, reason=reason, message=message, mend=mend)
        for (outcome, reason, message, mend), names in together.items()
    )


def _roles(about_model: Sequence[VerifiedAttestation], origins: Origins) -> dict[str, str]:
    """What this model used each dataset for, by digest; a use that only an unverified statement claims says so."""
    uses: dict[str, dict[str, Standing]] = {}
    for attestation in about_model:
        match attestation.predicate:
            case predicates.Provenance() as provenance:
                dependencies = provenance.build_definition.resolved_dependencies
                used = [("training", each.digest.sha256) for each in dependencies if each.annotations.kind == "dataset"]
            case predicates.Evaluation() as evaluation:
                used = [("test", evaluation.dataset.digest.sha256)]
            case predicates.Inference() as inference:
                used = [("inference", inference.dataset.digest.sha256)]
            case predicates.Dataset():
                used = []
        for use, digest in used:
            uses.setdefault(digest, {}).setdefault(use, origins.standing(attestation))
    return {
        digest: " and ".join(
            f"{use} data" if standing == "verified" else f"{use} data (not verified)"
            for use, standing in sorted(claimed.items(), reverse=True)
        )
        for digest, claimed in uses.items()
    }


def _subject(attestation: VerifiedAttestation) -> Reference:
    subject = attestation.statement.subjects[0]
    return Reference(name=subject.name, digest=subject.sha256)


def _statement(
    attestation: VerifiedAttestation, appraisal: Appraisal, roles: Mapping[str, str], origins: Origins
) -> StatementRow:
    subject = _subject(attestation)
    match attestation.predicate:
        case predicates.Dataset():
            kind, about = "datasheet", roles.get(subject.digest, "not linked to this model")
        case predicates.Evaluation():
            kind, about = "evaluation", _model_words(subject, appraisal)
        case predicates.Inference() as inference:
            count = inference.records.size
            kind, about = (
                ("inference" if count == 1 else f"{_text.count(count)} inferences"),
                _model_words(subject, appraisal),
            )
        case predicates.Model():
            kind, about = "properties", _model_words(subject, appraisal)
        case predicates.Provenance():
            is_training = attestation.predicate.build_definition.external_parameters.transform is None
            kind, about = ("training" if is_training else "transform"), _model_words(subject, appraisal)
    return StatementRow(source=origins.source(attestation), kind=kind, subject=subject, about=about)


def _model_words(subject: Reference, appraisal: Appraisal) -> str:
    return "this model" if subject.digest == appraisal.model else "another model"


def _evidence_standing(attestation: VerifiedAttestation, origins: Origins) -> Standing:
    """Verified where the policy relied on the statement and its quotes agree: else it is unknown which one counted."""
    kinds = {
        (one.claims.tee, one.claims.simulated, one.claims.measurement_digest, one.claims.tcb_status)
        for one in attestation.evidence
    }
    return origins.standing(attestation) if len(kinds) == 1 else "unverified"


def _evidence(attestations: Sequence[VerifiedAttestation], origins: Origins) -> Iterator[Evidence]:
    found: dict[str, tuple[VerifiedEvidence, Standing]] = {}
    for attestation in origins.verified_first(attestations):
        for one in attestation.evidence:
            found.setdefault(one.statement, (one, _evidence_standing(attestation, origins)))
    for one, standing in found.values():
        claims = one.claims
        flags = ["debug" if claims.debug else "", *claims.advisories]
        yield Evidence(
            standing=standing,
            tee=f"{claims.tee}, SIMULATED" if claims.simulated else claims.tee,
            simulated=claims.simulated,
            measurement=claims.measurement_digest,
            tcb=", ".join(filter(None, (claims.tcb_status, *flags))),
            root=claims.root,
            covers=_text.count(len(one.covers)),
            statement=one.statement,
        )


def build(appraisal: Appraisal) -> Card:
    """Build the view of an appraisal; the same appraisal gives an equal view."""
    origins = Origins.of(appraisal)
    attestations = origins.verified_first(appraisal.attestations)
    about_model = [
        one
        for one in attestations
        if not isinstance(one.predicate, predicates.Dataset) and _subject(one).digest == appraisal.model
    ]
    roles = _roles(about_model, origins)
    evaluations: list[Evaluation] = []
    trainings: list[Training] = []
    for one in about_model:
        match one.predicate:
            case predicates.Evaluation() as evaluation:
                evaluations.append(evaluation_section(evaluation, origins.source(one)))
            case predicates.Provenance() as provenance:
                trainings.append(training_section(provenance, origins.source(one)))
            case predicates.Dataset() | predicates.Inference() | predicates.Model():
                pass
    datasets: list[Dataset] = [
        dataset_section(one.predicate, _subject(one), roles.get(_subject(one).digest, ""), origins.source(one))
        for one in attestations
        if isinstance(one.predicate, predicates.Dataset)
    ]
    datasets.sort(key=lambda each: (each.source.standing != "verified", not each.role, "training" not in each.role))
    at = _time(appraisal.at)
    return Card(
        model=Reference(name=appraisal.model_name, digest=appraisal.model),
        policy=Reference(name=appraisal.policy_name, digest=appraisal.policy_sha256),
        policy_closure=appraisal.policy_closure,
        at=at,
        command=f"lamslsa verify MODEL --policy POLICY --at {at}",
        verdict=_verdict(appraisal),
        simulation=_simulation(appraisal),
        rules=tuple(_rule(rule, origins) for rule in appraisal.rules),
        misses=_misses(appraisal.rules),
        graph=graph(appraisal, origins, about_model),
        evaluations=listing(evaluations, limit=20),
        datasets=listing(datasets, limit=20),
        trainings=listing(trainings, limit=20),
        evidence=listing(_evidence(appraisal.attestations, origins)),
        statements=listing(_statement(one, appraisal, roles, origins) for one in attestations),
        set_aside=listing(
            SetAsideBundle(
                source=one.source, reason=one.reason, message=f"{one.message} ({one.hint})" if one.hint else one.message
            )
            for one in appraisal.set_aside
        ),
        warnings=listing(appraisal.warnings),
    )
