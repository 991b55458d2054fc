"""The rules that look at one provenance: training, lineage, and each ingredient.

Rules:
- A provenance counts when it has its witness, comes from an enclave of ours and does not contradict itself. Its
  parameters, and the ingredients it names, are then rules about it.
- The ingredients list is complete: a dataset that it does not list is a refusal, and so is any base model.
- Each dataset that was used needs a datasheet of its own under the very schema under which training read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.lineage import Artifact, Ingredient, Training
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Finding, Head, Miss, conclude, not_evaluated
from lamslsa.policy._context import Context
from lamslsa.policy.model import DatasetTerms, ParameterTerms, Policy
from lamslsa.predicates.provenance import BUILDER_PREFIX, TRAINING_BUILD_TYPE

__all__ = ["ingredient_rules", "lineage_rule", "qualifying_trainings", "training_rule", "unknown_training"]

_UNKNOWN: Final = "expected a qualifying provenance that names the datasets of this model, got none"
_MEND_UNKNOWN: Final = "mend the rule training first"


def qualifying_trainings(context: Context) -> tuple[Training, ...]:
    """Every provenance of the model that may speak for its ingredients."""
    return tuple(item for item in context.lineage.trainings_of(context.model) if not _misses(context, item))


def _misses(context: Context, item: Training) -> tuple[Miss, ...]:
    misses = list(context.qualifier.misses(item.attestation, context.policy.training.witness))
    if item.fault is not None:
        misses.append(
            Miss(
                reason=item.fault.reason,
                message=item.fault.message,
                mend=item.fault.hint or "attest the training again",
                authentic=False,
            )
        )
    build_type = item.provenance.build_definition.build_type
    if build_type != TRAINING_BUILD_TYPE:
        misses.append(
            Miss(
                reason="build-type-other",
                message=f"expected declarative training, got code of the user's own ({build_type})",
                mend="train with lamslsa attest training: no policy of this version trusts training code of others",
            )
        )
    builder = item.provenance.run_details.builder.id
    if not (builder.startswith(BUILDER_PREFIX) and len(builder) > len(BUILDER_PREFIX)):
        misses.append(
            Miss(
                reason="builder-other",
                message=f"expected a builder {BUILDER_PREFIX}<release>, got {_words.quoted(builder)}",
                mend="train with lamslsa attest training",
            )
        )
    return tuple(misses)


def training_head(policy: Policy) -> Head:
    """What is asked of the training."""
    limits = [_words.parameter_limits(terms) for terms in policy.training.parameters]
    return Head(
        name="training",
        kind="training",
        subject="training",
        threshold=", ".join(["provenance", *limits]),
        witness=policy.training.witness,
    )


def training_rule(context: Context, chosen: Training | None) -> Finding:
    """Whether the chosen provenance meets the terms; without one, what came nearest."""
    items = context.lineage.trainings_of(context.model) if chosen is None else (chosen,)
    candidates = [
        Candidate(
            attestation=item.attestation,
            misses=(*_misses(context, item), *_parameter_misses(context.policy.training.parameters, item)),
            observed=_observed(context.policy, item),
        )
        for item in items
    ]
    near = context.instead_of_provenance
    text = f"expected provenance of {_words.short(context.model.sha256)}, got none"
    absent = Miss(
        reason="training-missing" if near is None else "model-other",
        message=f"{text}{context.set_aside_words()}" if near is None else f"{text}: {near[1]}",
        mend="attest the training and publish it beside the model"
        if near is None
        else "put back the files that were attested, or attest this model",
        authentic=False,
    )
    return conclude(
        training_head(context.policy),
        candidates,
        absent=absent,
        near=None if near is None else near[0],
        qualifier=context.qualifier,
    )


def _observed(policy: Policy, item: Training) -> str:
    configuration = item.provenance.build_definition.external_parameters.configuration
    values = [
        f"{terms.name}={_shown(configuration[terms.name])}"
        for terms in policy.training.parameters
        if terms.name in configuration
    ]
    return ", ".join([str(item.provenance.build_definition.external_parameters.code), *values])


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _parameter_misses(terms: tuple[ParameterTerms, ...], item: Training) -> Iterator[Miss]:
    configuration = item.provenance.build_definition.external_parameters.configuration
    for term in terms:
        miss = _parameter_miss(term, configuration)
        if miss is not None:
            reason, got = miss
            yield Miss(
                reason=reason,
                message=f"expected {_words.parameter_limits(term)} in training, got {got}",
                mend="train with a parameter that the policy allows",
            )


def _parameter_miss(terms: ParameterTerms, configuration: Mapping[str, Any]) -> tuple[str, str] | None:
    if terms.name not in configuration:
        return "parameter-absent", "none"
    value = configuration[terms.name]
    if terms.equals is not None:
        try:
            equal = _codec.canonical_with_fractions(value) == terms.equals
        except FormatError:
            equal = False
        return None if equal else ("parameter-other", _shown(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "parameter-not-a-number", _shown(value)
    if (terms.minimum is None or value >= terms.minimum) and (terms.maximum is None or value <= terms.maximum):
        return None
    return "parameter-out-of-range", _shown(value)


def _lineage_head(policy: Policy) -> Head:
    return Head(
        name="lineage",
        kind="lineage",
        subject="ingredients of the model",
        threshold="only listed ingredients",
        witness=policy.training.witness,
    )


def lineage_rule(context: Context, chosen: Training) -> Finding:
    """Whether the policy lists every ingredient of the chosen provenance."""
    listed = {terms.sha256: terms for terms in context.policy.ingredients}
    misses = [_unlisted(context.policy, item) for item in chosen.datasets if item.artifact.sha256 not in listed]
    misses += [
        Miss(
            reason="ingredient-base-model",
            message=f"expected no base model, got {_words.quoted(item.name)} ({_words.short(item.artifact.sha256)})",
            mend="train without a base model: a policy of this version cannot list one",
        )
        for item in chosen.bases
    ]
    names = [
        listed[item.artifact.sha256].name if item.artifact.sha256 in listed else _words.quoted(item.name)
        for item in (*chosen.datasets, *chosen.bases)
    ]
    candidate = Candidate(attestation=chosen.attestation, misses=tuple(misses), observed=", ".join(sorted(names)))
    return conclude(_lineage_head(context.policy), (candidate,), absent=_NEVER, near=None, qualifier=context.qualifier)


def _unlisted(policy: Policy, item: Ingredient) -> Miss:
    terms = policy.ingredients[0].datasheet
    # the name comes from the provenance: as JSON it is one YAML scalar, whatever stands in it
    line = (
        f"- {{name: {json.dumps(item.name[:64])}, digest: sha256:{item.artifact.sha256}, "
        f"datasheet: {{signedBy: {terms.signed_by}, platform: {terms.platform}}}}}"
    )
    return Miss(
        reason="ingredient-not-listed",
        message=f"expected only listed datasets in training, got {_words.quoted(item.name)} "
        f"({_words.short(item.artifact.sha256)})",
        mend=f"train without it, or after review add to ingredients.datasets: {line}",
    )


_NEVER: Final = Miss(reason="ingredient-missing", message="expected an ingredient, got none", mend="", authentic=False)


def _ingredient_head(terms: DatasetTerms) -> Head:
    return Head(
        name=f"ingredient: {terms.name}",
        kind="ingredient",
        subject=f"datasheet of {terms.name}",
        threshold="datasheet of the dataset as it was read",
        witness=terms.datasheet,
    )


def ingredient_rules(context: Context, chosen: Training) -> Iterator[Finding]:
    """One rule for each listed dataset that the chosen provenance used."""
    used = chosen.trained_on
    for terms in context.policy.ingredients:
        if terms.sha256 in used:
            yield _ingredient_rule(context, terms, used[terms.sha256])


def _ingredient_rule(context: Context, terms: DatasetTerms, used: Ingredient) -> Finding:
    candidates: list[Candidate] = []
    for sheet in context.lineage.datasheets_of(Artifact(kind="dataset", sha256=terms.sha256)):
        misses = list(context.sheet_misses(terms, sheet))
        schema = sheet.sheet.schema_digest.sha256
        if used.schema is None:
            misses.append(
                Miss(
                    reason="schema-absent",
                    message=f"expected the schema under which training read {terms}, got none in the provenance",
                    mend="attest the training again",
                )
            )
        elif used.schema != schema:
            misses.append(
                Miss(
                    reason="schema-other",
                    message=f"expected {terms} read in training under schema {_words.short(schema)}, as its datasheet "
                    f"says, got schema {_words.short(used.schema)}",
                    mend="train with the schema of the datasheet",
                )
            )
        candidates.append(
            Candidate(attestation=sheet.attestation, misses=tuple(misses), observed=f"{sheet.sheet.rows} rows")
        )
    absent = Miss(
        reason="datasheet-missing",
        message=f"expected a datasheet of {terms}, got none{context.set_aside_words()}",
        mend=f"have {terms.datasheet.signed_by} attest dataset {terms.name} and publish it beside the model",
        authentic=False,
    )
    return conclude(_ingredient_head(terms), candidates, absent=absent, near=None, qualifier=context.qualifier)


def unknown_training(context: Context) -> Iterator[Finding]:
    """The rules about a provenance when none qualifies: not evaluated, since nobody knows what the model is made of."""
    yield not_evaluated(_lineage_head(context.policy), message=_UNKNOWN, mend=_MEND_UNKNOWN)
    for terms in context.policy.ingredients:
        yield not_evaluated(_ingredient_head(terms), message=_UNKNOWN, mend=_MEND_UNKNOWN)
