"""From an appraisal to the view of a card."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from lamslsa import predicates
from lamslsa.cards import _text
from lamslsa.cards._ancestry import Ancestry
from lamslsa.cards._datasets import dataset_section
from lamslsa.cards._evaluations import evaluation_section
from lamslsa.cards._graph import graph
from lamslsa.cards._models import alerts, inference_section, properties_section
from lamslsa.cards._source import Origins, listing
from lamslsa.cards._statements import roles_of, statement_row, subject
from lamslsa.cards._trainings import training_section
from lamslsa.cards.parts import Reference, Standing
from lamslsa.cards.view import (
    Alert,
    Card,
    Dataset,
    Evaluation,
    Evidence,
    Inference,
    Miss,
    Properties,
    Rule,
    SetAsideBundle,
    Training,
    Verdict,
)
from lamslsa.lineage import Build
from lamslsa.policy.appraisal import Appraisal, Outcome, RuleResult
from lamslsa.verification import VerifiedAttestation, VerifiedEvidence

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
    said = []
    if any(quotes):
        values = "these values" if all(quotes) and not appraisal.without_tee else "values whose TEE reads SIMULATED"
        said.append(f"Simulated TEE: no hardware vouches for {values}.")
    if appraisal.without_tee:
        said.append("No TEE: where it reads none, the signer's word alone counts.")
    return " ".join(said)


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


def _evidence_standing(attestation: VerifiedAttestation, origins: Origins) -> Standing:
    """Verified where the policy relied on the statement and its quotes agree: else it is unknown which one counted.

    Where the statement counts without a TEE none of them did.
    """
    if attestation.statement.sha256 in origins.bare:
        return "unverified"
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


def _by_role(each: Dataset) -> tuple[bool, bool, bool]:
    """Verified ones first, then those that this model used, training data before the others."""
    return each.source.standing != "verified", not each.role, "training" not in each.role


def _made(build: Build, appraisal: Appraisal, origins: Origins) -> Training:
    """The section of a training, a transform or a preprocessing."""
    product, about = subject(build.attestation), ""
    if product.digest != appraisal.model:
        about = "dataset" if build.product.kind == "dataset" else "parent of this model"
    return training_section(build.provenance, product, about, origins.source(build.attestation))


def build(appraisal: Appraisal) -> Card:
    """Build the view of an appraisal; the same appraisal gives an equal view."""
    origins = Origins.of(appraisal)
    ancestry = Ancestry.of(appraisal, origins)
    attestations = origins.verified_first(appraisal.attestations)
    about_model = [
        one
        for one in attestations
        if not isinstance(one.predicate, predicates.Dataset) and subject(one).digest == appraisal.model
    ]
    roles = roles_of(about_model, ancestry, origins)
    seen = roles_of(about_model, ancestry, origins, seen_only=True)
    evaluations: list[Evaluation] = []
    inferences: list[Inference] = []
    properties: list[Properties] = []
    found: list[Alert] = []
    for one in about_model:
        source = origins.source(one)
        match one.predicate:
            case predicates.Evaluation() as evaluation:
                planned = appraisal.planned.get(one.statement.sha256)
                evaluations.append(evaluation_section(evaluation, source, seen, planned))
            case predicates.Inference() as inference:
                inferences.append(inference_section(inference, source))
            case predicates.Model() as model:
                properties.append(properties_section(model, source))
                found += alerts(model, source)
            case predicates.Dataset() | predicates.Provenance() | predicates.VerificationSummary():
                pass
    datasets = [
        dataset_section(one.predicate, subject(one), roles.get(subject(one).digest, ""), origins.source(one))
        for one in attestations
        if isinstance(one.predicate, predicates.Dataset)
    ]
    at = _time(appraisal.at)
    return Card(
        model=Reference(name=appraisal.model_name, digest=appraisal.model),
        policy=Reference(name=appraisal.policy_name, digest=appraisal.policy_sha256),
        policy_closure=appraisal.policy_closure,
        at=at,
        command=f"lamslsa verify MODEL --policy POLICY --at {at}",
        verdict=_verdict(appraisal),
        simulation=_simulation(appraisal),
        alerts=tuple(dict.fromkeys(found)),
        rules=tuple(_rule(rule, origins) for rule in appraisal.rules),
        misses=_misses(appraisal.rules),
        graph=graph(appraisal, origins, ancestry, about_model),
        properties=listing(properties, limit=5),
        evaluations=listing(evaluations, limit=20),
        inferences=listing(inferences, limit=20),
        datasets=listing(sorted(datasets, key=_by_role), limit=20),
        preparations=listing(
            (_made(each, appraisal, origins) for builds in ancestry.preparations.values() for each in builds), limit=20
        ),
        trainings=listing(
            (_made(each, appraisal, origins) for builds in ancestry.generations for each in builds), limit=20
        ),
        evidence=listing(_evidence(appraisal.attestations, origins)),
        statements=listing(statement_row(one, appraisal, ancestry, roles, origins) for one in attestations),
        set_aside=listing(
            SetAsideBundle(
                source=one.source, reason=one.reason, message=f"{one.message} ({one.hint})" if one.hint else one.message
            )
            for one in appraisal.set_aside
        ),
        warnings=listing(appraisal.warnings),
    )
