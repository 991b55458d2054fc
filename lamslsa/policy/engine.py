"""The decision: one policy, one model, what was verified about it, and the Appraisal that comes of that.

Rules:
- A rule is satisfied when some qualifying attestation satisfies it. One provenance of the model, and one schema for
  each dataset, must satisfy all rules together: a model trained one way is not accepted for what another way showed.
- Monotonic: leaving attestations out can only refuse. Their order decides nothing. Conflicts are warnings. What a
  policy asks for beyond that core (``deny``, ``every``, ``latest``, ``conflicts: refuse``) only ever refuses more.
- Nothing is accepted on the strength of an absence: a rule that rests on the training is not evaluated while no
  provenance qualifies, and what is not evaluated does not accept.
- No clock and no I/O: times are arguments. What has become known since is judged as of `TrustMaterial.now`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError
from lamslsa.lineage import Ingredient
from lamslsa.policy import _metrics, _overlaps, _training, _words
from lamslsa.policy._bases import Accepted, base_rules, bases_of, extended_rules, unknown_bases
from lamslsa.policy._candidates import Finding, Miss, conclude
from lamslsa.policy._columns import View
from lamslsa.policy._comparison import differences
from lamslsa.policy._conflicts import conflict_finding, provenance_conflicts
from lamslsa.policy._context import Context
from lamslsa.policy._deny import deny_rule
from lamslsa.policy._descent import Descent
from lamslsa.policy._explained import considered
from lamslsa.policy._ingredients import ingredient_rules, unknown_ingredients
from lamslsa.policy._measured import TRAIN
from lamslsa.policy._nearest import Nearest, nearest
from lamslsa.policy._nesting import Opened, Verdicts, appraise_within, with_bases
from lamslsa.policy._plans import carried_out
from lamslsa.policy._signatures import signature_rules
from lamslsa.policy.appraisal import Appraisal
from lamslsa.policy.cel.findings import Expressions
from lamslsa.policy.model import CelRule, DatasetTerms, MetricRule, OverlapRule, Policy
from lamslsa.verification import Verification

__all__ = ["appraise"]

_Key = tuple[str, str | None, Hashable, bool]
"""Rule, schema of its dataset, how the training data were read, and whether its dataset is training data."""


def appraise(
    policy: Policy,
    *,
    model: Manifest,
    model_name: str,
    verification: Verification,
    at: dt.datetime,
    within: Mapping[str, Verification] | None = None,
    explain: frozenset[str] = frozenset(),
) -> Appraisal:
    """Decide whether a policy accepts a model.

    1. The policy is in force, and what is appraised is a model.
    2. Appraise what this rests on: base models under their own policies, the model under those that this one extends.
       Find every way in which the model came to be that qualifies: a training, or transforms of one.
    3. For each of them, appraise training, lineage, ingredients and rules; without any, what can be said without one.
    4. Take the one under which the fewest rules refuse: if some way satisfies all rules, that one.

    Args:
        policy: what decides.
        model: the manifest of the files at hand; attestations of another one are about another model.
        model_name: what to call the model; a label.
        verification: what `lamslsa.verification.verify_bundles` made with this policy's `Policy.trust_material`.
        at: the time as of which verification judged certificates.
        within: the same under each policy of `Policy.within`, by its closure; one that is not here is a refusal.
        explain: names of rules whose candidates are kept, in `Appraisal.considered`.

    Raises:
        PolicyError: the policy has expired, or has not begun.
        FormatError: the manifest is that of a dataset.
        ValueError: what was verified was verified under another policy, or as of another time: a bug of the caller.
    """
    if not policy.gave(verification.trust) or verification.trust.at != at:
        raise ValueError("expected a verification under this policy's trust material at this time, got another")
    policy.refuse_out_of_force(at, verification.trust.now)  # (1)
    if model.kind != "model":
        raise FormatError(f"expected a model, got a {model.kind}", reason="artifact-kind")
    return appraise_within(
        policy,
        model=model,
        model_name=model_name,
        verification=verification,
        within=within or {},
        decide=partial(_decide, explain=explain),
    ).appraisal


def _decide(opened: Opened, verdicts: Verdicts, *, explain: frozenset[str]) -> Accepted:
    """One policy over one model, once everything that it rests on has been appraised."""
    context, policy, verification = opened.context, opened.context.policy, opened.context.verification
    ways = tuple(with_bases(opened, verdicts))
    require = _Require(context=context, expressions=Expressions(context, ways, model_name=opened.name), explain=explain)
    options = [(chosen, _findings(context, require, chosen, verdicts)) for chosen in (ways or (None,))]  # (3)
    best, findings = min(options, key=lambda option: _unsatisfied(option[1]))  # (4)
    provenances, values = provenance_conflicts(context), require.conflicts(findings)
    findings = (*findings, *deny_rule(context, known=bool(ways)))
    findings = (*findings, conflict_finding(provenances, values)) if policy.refuse_conflicts else findings
    qualifying = {item.statement.sha256: item for finding in findings for item in finding.relied}
    unknown = () if best is None else unknown_bases(context, best)
    appraisal = Appraisal(
        model_name=opened.name,
        model=context.sha256,
        policy_name=policy.name,
        policy_sha256=policy.sha256,
        policy_closure=policy.closure,
        at=verification.trust.at,
        now=verification.trust.now,
        rules=tuple(finding.result for finding in findings),
        attestations=tuple(sorted(verification.attestations, key=lambda item: item.statement.sha256)),
        qualifying=tuple(item for _, item in sorted(qualifying.items())),
        set_aside=verification.set_aside,
        warnings=(
            *opened.denied,
            *(() if policy.refuse_conflicts else (*provenances, *values)),
            *_unsafe(policy),
            *unknown,
        ),
        bases=tuple(item.appraisal for _, item in sorted(verdicts.bases.items()) if isinstance(item, Accepted)),
        extended=tuple(item.appraisal for item in verdicts.extended if isinstance(item, Accepted)),
        by_signature_alone=context.qualifier.by_signature_alone(qualifying.values()),
        considered={
            finding.result.name: considered(context, finding, best)
            for finding in findings
            if finding.result.name in explain
        },
        plans=tuple(sorted(verification.plans, key=lambda item: item.statement.sha256)),
        planned=carried_out(context, findings),
    )
    return Accepted(appraisal=appraisal, seen=_seen(options) if appraisal.accepted else ())


def _seen(options: Iterable[tuple[Descent | None, Sequence[Finding]]]) -> tuple[frozenset[str], ...]:
    """What the model may have seen, under each option that satisfies all rules; sets that include another left out."""
    found = {
        chosen.seen
        for chosen, findings in options
        if chosen is not None and all(finding.result.outcome == "satisfied" for finding in findings)
    }
    least = [seen for seen in found if not any(other < seen for other in found)]
    return tuple(sorted(least, key=sorted))


def _findings(context: Context, require: _Require, chosen: Descent | None, verdicts: Verdicts) -> tuple[Finding, ...]:
    """Every rule, under one provenance."""
    bases = () if chosen is None else bases_of(context, chosen)
    return (
        *_training.training_rules(context, chosen),
        *(unknown_ingredients(context) if chosen is None else ingredient_rules(context, chosen)),
        *base_rules(context, bases, verdicts.bases),
        *signature_rules(context, bases),
        *require.findings(chosen),
        *extended_rules(context.policy, verdicts.extended),
    )


def _unsatisfied(findings: Iterable[Finding]) -> tuple[int, int]:
    """Fewest rules refused first, then fewest not satisfied; `min` takes the first of equals, and they come sorted."""
    outcomes = [finding.result.outcome for finding in findings]
    return outcomes.count("refused"), len(outcomes) - outcomes.count("satisfied")


@dataclass(frozen=True, kw_only=True)
class _Require:
    """The rules of ``require``; what does not depend on the provenance is found out once."""

    context: Context
    expressions: Expressions
    explain: frozenset[str]
    _metrics: dict[tuple[str, str | None, frozenset[str] | None], Nearest] = field(default_factory=dict)
    _found: dict[_Key, Finding] = field(default_factory=dict)

    def findings(self, chosen: Descent | None) -> tuple[Finding, ...]:
        """Every rule in the policy's order, each dataset read under the one schema that refuses the fewest rules."""
        by_dataset: dict[DatasetTerms, list[MetricRule | OverlapRule]] = {}
        found: dict[str, Finding] = {}
        for rule in self.context.policy.require:
            if isinstance(rule, CelRule):
                found[rule.name] = self.expressions.find(rule, chosen)
            else:
                by_dataset.setdefault(rule.dataset, []).append(rule)
        for dataset, rules in by_dataset.items():
            readings: Sequence[str | None] = sorted(self.context.sheets(dataset).schemas) or (None,)
            options = [[self._finding(rule, schema, chosen) for rule in rules] for schema in readings]
            best = min(options, key=_unsatisfied)
            found.update(zip((rule.name for rule in rules), best, strict=True))
        return tuple(found[rule.name] for rule in self.context.policy.require)

    def conflicts(self, findings: Iterable[Finding]) -> tuple[str, ...]:
        """Satisfied metric rules that another qualifying evaluation misses, or whose other model has several values."""
        satisfied = {finding.result.name for finding in findings if finding.result.outcome == "satisfied"}
        missed = {
            words for (name, *_), found in self._metrics.items() if name in satisfied for words in _missed(name, found)
        }
        rules = [
            rule for rule in self.context.policy.require if isinstance(rule, MetricRule) and rule.name in satisfied
        ]
        differing = {words for rule in rules for words in differences(self.context, rule)}
        return tuple(sorted(missed | differing))

    def _finding(self, rule: MetricRule | OverlapRule, schema: str | None, chosen: Descent | None) -> Finding:
        """One rule under one reading of its dataset."""
        used = {} if chosen is None else chosen.trained_on
        match rule:
            case MetricRule():
                on_training_data = chosen is not None and rule.dataset.sha256 in chosen.seen
                read_as = None if chosen is None else _read_as(rule, used)
                key: _Key = (rule.name, schema, read_as, on_training_data)
                if key not in self._found:
                    self._found[key] = self._metric(rule, schema, read_as=read_as, trained=on_training_data)
            case OverlapRule():
                one, views = _overlaps.read_as(self.context, rule, chosen)
                key = (rule.name, schema, (one, views, chosen is None), False)
                if key not in self._found:
                    finding = self._overlap(rule, schema, one, views)
                    self._found[key] = finding if chosen is not None else _without_training(finding)
        return self._found[key]

    def _metric(
        self, rule: MetricRule, schema: str | None, *, read_as: frozenset[str] | None, trained: bool
    ) -> Finding:
        found = nearest(self.context, rule, schema, read_as, every=rule.name in self.explain)
        self._metrics[rule.name, schema, read_as], candidates = found, found.candidates
        if trained:
            miss = Miss(
                reason="evaluated-on-training-data",
                message=f"expected an evaluation on data that training did not see, got {rule.dataset}",
                mend="evaluate on another dataset, and name that one in the policy",
            )
            candidates = tuple(replace(item, misses=(*item.misses, miss)) for item in candidates)
        near = self.context.instead_of_evaluation
        text = f"expected an evaluation of {_words.short(self.context.model.sha256)}, got none"
        absent = Miss(
            reason="evaluation-missing" if near is None else "model-other",
            message=f"{text}{self.context.set_aside_words()}" if near is None else f"{text}: {near[1]}",
            mend=f"have {rule.witness.signed_by} evaluate this model on {rule.dataset.name} and publish the result",
            authentic=False,
        )
        finding = conclude(
            _metrics.metric_head(rule),
            candidates,
            absent=absent,
            near=None if near is None else near[0],
            qualifier=self.context.qualifier,
        )
        return finding if read_as is not None else _without_training(finding)

    def _overlap(
        self, rule: OverlapRule, schema: str | None, read_as: str | None, views: frozenset[View] | None
    ) -> Finding:
        absent = Miss(
            reason="datasheet-missing",
            message=f"expected a datasheet of {rule.dataset}, got none{self.context.set_aside_words()}",
            mend=f"have {rule.witness.signed_by} attest dataset {rule.dataset.name} compared with {rule.training.name}",
            authentic=False,
        )
        return conclude(
            _overlaps.overlap_head(rule),
            _overlaps.overlap_candidates(self.context, rule, schema, read_as, views),
            absent=absent,
            near=None,
            qualifier=self.context.qualifier,
        )


def _missed(name: str, found: Nearest) -> Iterator[str]:
    """That other qualifying evaluations miss a rule: the first of them, and how many more there are."""
    for item in found.contradicting:
        digest = item.attestation.statement.sha256
        yield (
            f"{name}: satisfied, and missed by another qualifying evaluation, sha256:{digest}: "
            f"{item.observed or 'no value'}"
        )
    more = found.contradictions - len(found.contradicting)
    if more:
        yield f"{name}: satisfied, and missed by {more} further qualifying evaluations"


def _read_as(rule: MetricRule, used: Mapping[str, tuple[Ingredient, ...]]) -> frozenset[str]:
    """The schemas under which the model's steps read what the rule names as its training data."""
    reference = rule.references.get(TRAIN)
    readings = () if reference is None else used.get(reference.sha256, ())
    return frozenset(item.schema for item in readings if item.schema is not None)


def _without_training(finding: Finding) -> Finding:
    """A rule while nobody knows what the model was trained on, nor what of it: the rule's dataset may be that."""
    if finding.result.outcome != "satisfied":
        return finding
    return replace(
        finding,
        result=replace(
            finding.result,
            outcome="not-evaluated",
            reason="training-unknown",
            message="expected to know which datasets the model was trained on, got no qualifying provenance",
            mend="mend the rule training first",
        ),
        relied=(),
    )


def _unsafe(policy: Policy) -> tuple[str, ...]:
    """What platforms that rules name give up."""
    platforms = [policy.platforms[name] for name in sorted({witness.platform for witness in policy.witnesses})]
    return (
        *(
            f"platform {terms.name} is no TEE: what was made there is the word of whoever signed it, and no more"
            for terms in platforms
            if terms.unsafe_no_evidence
        ),
        *(
            f"platform {terms.name} accepts any measurement: nothing says which code measured"
            for terms in platforms
            if terms.unsafe_any_measurement
        ),
        *(
            f"platform {terms.name} asks nothing of the firmware of SEV-SNP on {product}: every minimum is 0"
            for terms in platforms
            for product, minimums in sorted(terms.snp_minimum_svns.items())
            if not any(minimums.values())
        ),
        *(
            f"platform {terms.name} is not judged as of now: what was revoked since goes unnoticed"
            for terms in platforms
            if terms.unsafe_as_of_only
        ),
        *(
            f"platform {terms.name} accepts GPUs whose measurements were compared with nothing"
            for terms in platforms
            if terms.gpu is not None and terms.gpu.unsafe_not_compared
        ),
    )
