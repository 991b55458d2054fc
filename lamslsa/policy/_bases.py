"""The rules about base models: listed by digest, accepted by a policy of their own, or by a verifier's summary.

Rules:
- A digest alone says which bytes the base model has, and nothing of how they came to be.
- Where a policy, a summary or both are named, one of them has to accept the base model. A summary counts by its signer,
  the verifier that it names, the digest of the policy, its result, and its time: the verifier's word, which a trusted
  time of the signature has to bear out, so that neither an old summary nor one from the future passes as fresh.
- What a policy found the base model trained on counts as seen in training. Of a base model that is accepted otherwise
  nobody knows what it has seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.evidence.appraise import Refusal
from lamslsa.lineage import Artifact
from lamslsa.policy import _words
from lamslsa.policy._candidates import Finding, Miss
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy._licenses import license_misses
from lamslsa.policy._signers import refusals_of_signature
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.policy.model import CelRule, ModelTerms, Policy, SummaryTerms
from lamslsa.predicates import VerificationSummary
from lamslsa.verification import VerifiedAttestation, VerifiedSignature

__all__ = ["Accepted", "Verdict", "base_rules", "bases_of", "extended_rules", "seen_by", "unknown_bases"]

_CLOCKS: Final = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What an appraisal under another policy came to.

    Attributes:
        seen: the datasets that the model may have seen, by manifest digest: one set for each way in which it may have
            come to be that satisfies the policy, without those that include another; empty where it was refused.
    """

    appraisal: Appraisal
    seen: tuple[frozenset[str], ...] = ()


Verdict = Accepted | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """One of the ways in which a base model may be acceptable."""

    misses: tuple[Miss, ...] = ()
    observed: str
    attestation: VerifiedAttestation | None = None
    signer: str | None = None
    simulated: bool | None = None
    without_tee: bool = False


def bases_of(context: Context, chosen: Descent) -> tuple[ModelTerms, ...]:
    """The terms of every listed base model of a descent."""
    used = {item.artifact.sha256 for item in chosen.bases}
    return tuple(terms for terms in context.policy.ingredients.models if terms.sha256 in used)


def base_rules(context: Context, bases: Sequence[ModelTerms], verdicts: Mapping[str, Verdict]) -> Iterator[Finding]:
    """One rule for each base model; ``verdicts`` are those of their own policies, by manifest digest."""
    for terms in bases:
        yield _base_rule(context, terms, verdicts.get(terms.sha256))


def seen_by(context: Context, terms: ModelTerms, verdict: Verdict | None) -> tuple[frozenset[str], ...]:
    """What a base model has seen, each way in which it is acceptable; nothing where nobody says."""
    if terms.policy is None or any(not option.misses for option in _summaries(context, terms)):
        return (frozenset(),)
    return (verdict.seen if isinstance(verdict, Accepted) else ()) or (frozenset(),)


def unknown_bases(context: Context, chosen: Descent) -> Iterator[str]:
    """Warnings: data that rules evaluate on, and that some provenance of a base model names without being asked for."""
    asked = {rule.dataset.sha256: rule.dataset for rule in context.policy.require if not isinstance(rule, CelRule)}
    for terms in bases_of(context, chosen):
        builds = context.lineage.builds_of(Artifact(kind="model", sha256=terms.sha256))
        named = {
            item.artifact.sha256
            for build in builds
            if not context.qualifier.misses(build.attestation, context.policy.training.witness)
            for item in build.datasets
        }
        for sha256 in sorted((named & asked.keys()) - chosen.inherited):
            yield (
                f"base model {terms} was trained on {asked[sha256]}, by a provenance that the policy does not ask for, "
                "and a rule evaluates on it"
            )


def extended_rules(policy: Policy, verdicts: Sequence[Verdict]) -> Iterator[Finding]:
    """One rule for each policy that a policy extends: it has to accept the model too."""
    for extended, verdict in zip(policy.extends, verdicts, strict=True):
        option = _by_policy(extended.name, verdict)
        miss = option.misses[0] if option.misses else None
        yield Finding(
            result=RuleResult(
                name=f"extends: {extended.name}",
                kind="policy",
                subject=f"policy {extended.name}",
                outcome="satisfied" if miss is None else "refused",
                threshold="accepted",
                observed=option.observed,
                simulated=option.simulated,
                without_tee=option.without_tee,
                reason=None if miss is None else miss.reason,
                message="" if miss is None else miss.message,
                mend="" if miss is None else miss.mend,
                authentic=miss is None or miss.authentic,
            )
        )


def _base_rule(context: Context, terms: ModelTerms, verdict: Verdict | None) -> Finding:
    options = [*([] if terms.policy is None else [_by_policy(terms.policy.name, verdict)]), *_summaries(context, terms)]
    if not options:
        options = [_absent_summary(context, terms)] if terms.summary else [_Option(observed="listed by digest")]
    best = min(options, key=_distance)
    licenses = tuple(
        license_misses(
            named=terms.license,
            declared=None,
            allowed=context.policy.ingredients.licenses,
            of=str(terms),
            key="ingredients.models",
        )
    )
    misses = (*best.misses, *licenses)
    main = max(misses, key=lambda miss: miss.weight, default=None)
    ordered = [] if main is None else [main, *(miss for miss in misses if miss is not main)]
    return Finding(
        result=RuleResult(
            name=f"base model: {terms.name}",
            kind="ingredient",
            subject=f"base model {terms}",
            outcome="satisfied" if main is None else "refused",
            threshold=_asked(terms),
            observed=best.observed,
            attestation=best.attestation,
            signer=best.signer,
            simulated=best.simulated,
            without_tee=best.without_tee,
            reason=None if main is None else main.reason,
            message="; also ".join(miss.message for miss in ordered),
            mend="; ".join(dict.fromkeys(miss.mend for miss in ordered)),
            authentic=all(miss.authentic for miss in misses),
        ),
        relied=() if best.attestation is None else (best.attestation,),
    )


def _asked(terms: ModelTerms) -> str:
    ways = [] if terms.policy is None else [f"accepted by policy {terms.policy.name}"]
    ways += [] if terms.summary is None else [f"summary of {terms.summary.verifier}"]
    return " or ".join(ways) or "listed"


def _distance(option: _Option) -> tuple[bool, int, str]:
    authentic = all(miss.authentic for miss in option.misses)
    digest = "" if option.attestation is None else option.attestation.statement.sha256
    return not authentic, sum(miss.weight for miss in option.misses), digest


def _by_policy(name: str, verdict: Verdict | None) -> _Option:
    if isinstance(verdict, Accepted):
        return _by_appraisal(verdict.appraisal)
    refusal = verdict or Refusal(
        reason="policy-unverified",
        message=f"expected the attestations verified under policy {name}, got no such verification",
        mend="verify the bundles under every policy within this one: Policy.within",
    )
    miss = Miss(reason=refusal.reason, message=refusal.message, mend=refusal.mend, authentic=False)
    return _Option(observed="not appraised", misses=(miss,))


def _by_appraisal(appraisal: Appraisal) -> _Option:
    simulated = any(rule.simulated for rule in appraisal.rules)
    if appraisal.accepted:
        return _Option(
            observed=f"accepted by policy {appraisal.policy_name}",
            simulated=simulated,
            without_tee=appraisal.without_tee,
        )
    refused = [rule for rule in appraisal.rules if rule.outcome == "refused"]
    first = next((rule for rule in refused if not rule.authentic), refused[0] if refused else appraisal.rules[0])
    miss = Miss(
        reason="policy-refused",
        message=f"expected a model that policy {appraisal.policy_name} accepts, got {len(refused)} rules refused, "
        f"one of which is {first.name} ({first.reason}): {first.message}",
        mend=first.mend or "appraise the model under that policy by itself",
        authentic=appraisal.exit_code != 4,
    )
    return _Option(observed=f"refused by policy {appraisal.policy_name}", misses=(miss,), simulated=simulated)


def _summaries(context: Context, terms: ModelTerms) -> list[_Option]:
    """Every summary of a base model, with what it lacks; empty where none is asked for."""
    wanted = terms.summary
    if wanted is None:
        return []
    return [
        _summary(context, wanted, item, item.predicate)
        for item in _by_subject(context).get(terms.sha256, ())
        if isinstance(item.predicate, VerificationSummary)
    ]


def _by_subject(context: Context) -> Mapping[str, tuple[VerifiedAttestation, ...]]:
    """The summaries by the model that they are about."""
    if "summaries" not in context.memo:
        found: dict[str, list[VerifiedAttestation]] = {}
        for item in context.verification.attestations:
            if isinstance(item.predicate, VerificationSummary):
                found.setdefault(item.statement.subjects[0].sha256, []).append(item)
        context.memo["summaries"] = {sha256: tuple(items) for sha256, items in found.items()}
    summaries: Mapping[str, tuple[VerifiedAttestation, ...]] = context.memo["summaries"]
    return summaries


def _summary(
    context: Context, wanted: SummaryTerms, item: VerifiedAttestation, summary: VerificationSummary
) -> _Option:
    by_signature = [
        (*_signature_misses(context, signed, item), *_time_misses(context, wanted, signed, summary))
        for signed in item.signatures
        if signed.identity == wanted.signed_by
    ]
    other = Miss(
        reason="signer-other",
        message=f"expected a summary signed by {wanted.signed_by}, got one of {', '.join(sorted(item.signers))}",
        mend=f"ask {wanted.signed_by} for its summary",
    )
    signed_misses = min(by_signature, key=lambda misses: sum(miss.weight for miss in misses), default=(other,))
    return _Option(
        misses=(*signed_misses, *_content_misses(wanted, summary)),
        observed=f"{summary.verification_result} by {summary.verifier.id}",
        attestation=item,
        signer=", ".join(sorted(item.signers)),
        simulated=summary.simulated,
        without_tee=summary.without_tee,
    )


def _signature_misses(context: Context, signed: VerifiedSignature, item: VerifiedAttestation) -> Iterator[Miss]:
    for refusal in refusals_of_signature(context.policy, signed, item.signatures):
        yield Miss(reason=refusal.reason, message=refusal.message, mend=refusal.mend)


def _time_misses(
    context: Context, wanted: SummaryTerms, signed: VerifiedSignature, summary: VerificationSummary
) -> Iterator[Miss]:
    """The verifier says when, a trusted time bears it out: alone, a timestamp could be put on an old summary."""
    now, made = context.verification.trust.now, summary.verified_at
    mend = f"ask {wanted.signed_by} for a new summary, with a timestamp"
    times = [time.at for time in signed.signature.witnessed.times]
    if not times:
        yield Miss(
            reason="summary-undated",
            message="expected a summary whose signature has a trusted time, got one without",
            mend=mend,
        )
        return
    if made > min(times) + _CLOCKS or max(made, min(times)) > now + _CLOCKS:
        yield Miss(
            reason="age-future",
            message=f"expected a summary made before its signature of {min(times).isoformat()} and before now, "
            f"got one made at {made.isoformat()}",
            mend=mend,
        )
    if now - made > wanted.max_age:
        yield Miss(
            reason="age-exceeded",
            message=f"expected a summary of at most {_words.age(wanted.max_age)}, "
            f"got one that is {_words.age(now - made)} old",
            mend=mend,
        )


def _content_misses(wanted: SummaryTerms, summary: VerificationSummary) -> Iterator[Miss]:
    if not summary.passed:
        yield Miss(
            reason="summary-failed",
            message=f"expected a base model that passed, got one that failed at {summary.verifier.id}",
            mend="take a base model that its verifier accepts",
        )
    if summary.verifier.id != wanted.verifier:
        yield Miss(
            reason="summary-verifier",
            message=f"expected a summary of verifier {wanted.verifier}, "
            f"got one of {_words.quoted(summary.verifier.id)}",
            mend=f"ask {wanted.verifier} for a summary",
        )
    if summary.policy.digest.sha256 not in wanted.policies:
        policies = ", ".join(map(_words.short, wanted.policies[:5]))
        yield Miss(
            reason="summary-policy",
            message=f"expected a summary under one of the policies {policies}, "
            f"got one under {_words.short(summary.policy.digest.sha256)}",
            mend="ask for a summary under a policy that is named here, or name the other one after review",
        )


def _absent_summary(context: Context, terms: ModelTerms) -> _Option:
    signer = terms.summary.signed_by if terms.summary else ""
    miss = Miss(
        reason="summary-missing",
        message=f"expected a verification summary of {terms} by {signer}, got none{context.set_aside_words()}",
        mend=f"publish the summary of {signer} beside the model",
        authentic=False,
    )
    return _Option(observed="none", misses=(miss,))
