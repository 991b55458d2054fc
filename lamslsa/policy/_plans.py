"""``plan``: an evaluation that carries out a plan which somebody had signed, in trusted time, before it was made.

Rules:
- The evaluation names the plan by the digest of its statement, so the quoted run knew the plan.
- The plan is of this dataset and schema, measurer and configuration, and of this model where it names one.
- Its signature needs a trusted time that counts as one for evidence (`Policy.dates`): whoever may still choose a key
  could make an old timestamp fit a new plan.
- A plan that was first seen after the evaluation is late. Times are upper bounds, and whoever publishes may leave a
  timestamp out: that the evaluation was not made before the plan is shown only as far as its times are there.

Source: predicates/evaluation-plan/v1/README.md, "How it is verified".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping

from lamslsa.evidence.appraise import Refusal
from lamslsa.lineage import Measurement
from lamslsa.policy import _words
from lamslsa.policy._candidates import Finding, Miss
from lamslsa.policy._context import Context
from lamslsa.policy._signers import dated, refusals_of_signature
from lamslsa.policy.appraisal import Planned
from lamslsa.policy.model import MetricRule
from lamslsa.verification import VerifiedPlan

__all__ = ["carried_out", "plan_misses"]


def plan_misses(context: Context, rule: MetricRule, item: Measurement) -> Iterator[Miss]:
    """What an evaluation lacks of the plan that the rule asks for; nothing where it asks for none."""
    name = rule.plan_signed_by
    if name is None:
        return
    mend = f"have {name} sign a plan with a timestamp, and evaluate with --plan"
    if item.evaluation.plan is None:
        yield Miss(
            reason="plan-missing", message=f"expected an evaluation by a plan of {name}, got one by none", mend=mend
        )
        return
    digest = item.evaluation.plan.digest.sha256
    plan = _plans(context).get(digest)
    if plan is None:
        yield Miss(
            reason="plan-missing",
            message=f"expected the plan {_words.short(digest)} that the evaluation names, "
            f"got none{context.set_aside_words()}",
            mend="keep the signed plan beside the model: lamslsa attach",
            authentic=False,
        )
        return
    differences = tuple(_differences(context, plan, item))
    if differences:
        yield Miss(
            reason="plan-other",
            message=f"expected a plan of this evaluation, got one that has {' and '.join(differences)}",
            mend="evaluate as it was planned",
        )
    refusals = _refusals_of_signer(context, plan, name)
    for refusal in refusals:
        yield Miss(reason=refusal.reason, message=f"{refusal.message}, on the plan", mend=refusal.mend)
    if not refusals:
        yield from _time_misses(context, rule, plan, item, name)


def carried_out(context: Context, findings: Iterable[Finding]) -> dict[str, Planned]:
    """The plans that counted for satisfied rules, by the digest of the evaluation's statement."""
    found: dict[str, Planned] = {}
    rules = {rule.name: rule for rule in context.policy.require if isinstance(rule, MetricRule)}
    for finding in findings:
        rule = rules.get(finding.result.name) if finding.result.kind == "metric" else None
        if rule is None or rule.plan_signed_by is None or finding.result.outcome != "satisfied":
            continue
        relied = {item.statement.sha256 for item in finding.relied}
        for item in context.lineage.measurements_of(context.model):
            own = item.attestation.statement.sha256
            if own not in relied or item.evaluation.plan is None or any(plan_misses(context, rule, item)):
                continue
            plan = _plans(context)[item.evaluation.plan.digest.sha256]
            at = dated(context.policy, plan.signatures, rule.plan_signed_by)
            if at is not None and (own not in found or at < found[own].at):
                found[own] = Planned(plan=plan, at=at)
    return found


def _plans(context: Context) -> Mapping[str, VerifiedPlan]:
    if "plans" not in context.memo:
        context.memo["plans"] = {item.statement.sha256: item for item in context.verification.plans}
    found: Mapping[str, VerifiedPlan] = context.memo["plans"]
    return found


def _differences(context: Context, plan: VerifiedPlan, item: Measurement) -> Iterator[str]:
    """What in the plan is not as in the evaluation, in words."""
    planned, made = plan.predicate, item.evaluation
    (subject,) = plan.statement.subjects
    if {subject.sha256, planned.dataset.digest.sha256} != {made.dataset.digest.sha256}:
        yield f"dataset {_words.short(planned.dataset.digest.sha256)}"
    if planned.dataset.schema_digest != made.dataset.schema_digest:
        yield f"schema {_words.short(planned.dataset.schema_digest.sha256)}"
    if str(planned.measurer) != str(made.measurer):
        yield f"measurer {_words.quoted(str(planned.measurer))}"
    if planned.configuration_digest != made.configuration_digest:
        yield f"configuration {_words.short(planned.configuration_digest.sha256)}"
    elif context.configuration_digest(planned.configuration) != planned.configuration_digest.sha256:
        yield "a configuration whose digest is not its own"
    if planned.model is not None and planned.model.digest.sha256 != item.model.sha256:
        yield f"model {_words.short(planned.model.digest.sha256)}"


def _refusals_of_signer(context: Context, plan: VerifiedPlan, name: str) -> tuple[Refusal, ...]:
    """Why no signature on the plan is one of this identity that counts; of several, the one that lacks least."""
    options = [
        refusals_of_signature(context.policy, signed, plan.signatures)
        for signed in plan.signatures
        if signed.identity == name
    ]
    if options:
        return min(options, key=len)
    signers = ", ".join(sorted({signed.identity for signed in plan.signatures}))
    return (
        Refusal(
            reason="signer-other",
            message=f"expected a signature of {name}, got one of {signers}",
            mend=f"have {name} sign the plan before the evaluation",
        ),
    )


def _time_misses(
    context: Context, rule: MetricRule, plan: VerifiedPlan, item: Measurement, name: str
) -> Iterator[Miss]:
    planned = dated(context.policy, plan.signatures, name)
    if planned is None:
        yield Miss(
            reason="plan-untimed",
            message=f"expected a trusted time on the plan that {name} signed, got none",
            mend=f"have {name} sign it with a timestamp before the evaluation; a key needs validFrom in the policy",
        )
        return
    made = _seen(context, rule, item)
    if made is not None and planned > made:
        yield Miss(
            reason="plan-late",
            message=f"expected a plan from before the evaluation, which was seen at {made.isoformat()}, "
            f"got one that was first seen at {planned.isoformat()}",
            mend="evaluate again, by the plan",
        )


def _seen(context: Context, rule: MetricRule, item: Measurement) -> dt.datetime | None:
    """By when the evaluation existed: the earliest trusted time of its signer, or of whoever signed its evidence."""
    own = dated(context.policy, item.attestation.signatures, rule.witness.signed_by)
    times = [] if own is None else [own]
    times += [evidence.as_of for evidence in item.attestation.evidence if evidence.dated_by is not None]
    return min(times, default=None)
