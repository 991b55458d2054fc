"""The rules that look at how a model came to be: training, transforms, lineage, and each ingredient.

Rules:
- Which provenance counts, `lamslsa.policy._descent` says. Its parameters, and the ingredients it names, are then rules
  about it.
- The ingredients list is complete: a dataset that it does not list is a refusal, and so is any base model.
- Each dataset that was used needs a datasheet of its own under the very schema under which training read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from lamslsa.lineage import Artifact, Build, Ingredient
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Finding, Head, Miss, conclude, not_evaluated
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent, build_misses, nearest_terms
from lamslsa.policy._parameters import composition_misses, observed, parameter_misses
from lamslsa.policy.model import DatasetTerms, Policy, TransformTerms

__all__ = ["ingredient_rules", "lineage_rule", "training_rules", "unknown_training"]

_UNKNOWN: Final = "expected a qualifying provenance that names the datasets of this model, got none"
_MEND_UNKNOWN: Final = "mend the rule training first"


def training_head(policy: Policy) -> Head:
    """What is asked of the training."""
    limits = [_words.parameter_limits(terms) for terms in policy.training.parameters]
    own = policy.training.own_code
    code = [] if own is None else [f"code {_words.short(own)}"]
    return Head(
        name="training",
        kind="training",
        subject="training",
        threshold=", ".join(["provenance", *code, *limits]),
        witness=policy.training.witness,
    )


def training_rules(context: Context, chosen: Descent | None) -> Iterator[Finding]:
    """Whether each step of the descent meets its terms; without a descent, what came nearest to one."""
    if chosen is None:
        yield _training_rule(context, context.lineage.builds_of(context.model), training_head(context.policy))
        return
    together = tuple(composition_misses(context.policy.training.parameters, chosen.trainings))
    for number, build in enumerate(chosen.trainings):
        yield _training_rule(context, (build,), _numbered(training_head(context.policy), number), together)
    for number, build in enumerate(chosen.transforms):
        terms, _ = nearest_terms(context, build)
        if terms is not None:
            yield _transform_rule(context, build, _numbered(_transform_head(terms), number))


def _numbered(head: Head, number: int) -> Head:
    return head if number == 0 else replace(head, name=f"{head.name} {number + 1}")


def _training_rule(context: Context, items: Sequence[Build], head: Head, together: tuple[Miss, ...] = ()) -> Finding:
    candidates = [
        Candidate(
            attestation=item.attestation,
            misses=(
                *build_misses(context, item),
                *(() if item.is_transform else parameter_misses(context.policy.training.parameters, item)),
                *together,
            ),
            observed=observed(context.policy, item),
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
        head, candidates, absent=absent, near=None if near is None else near[0], qualifier=context.qualifier
    )


def _transform_head(terms: TransformTerms) -> Head:
    return Head(
        name="transform",
        kind="transform",
        subject="transform",
        threshold=f"one of {', '.join(terms.allow)}",
        witness=terms.witness,
    )


def _transform_rule(context: Context, build: Build, head: Head) -> Finding:
    parents = ", ".join(f"{_words.quoted(base.name)} ({_words.short(base.artifact.sha256)})" for base in build.bases)
    candidate = Candidate(
        attestation=build.attestation,
        misses=build_misses(context, build),
        observed=f"{build.provenance.build_definition.external_parameters.code} of {parents}",
    )
    return conclude(head, (candidate,), absent=_NEVER, near=None, qualifier=context.qualifier)


def _lineage_head(policy: Policy) -> Head:
    return Head(
        name="lineage",
        kind="lineage",
        subject="ingredients of the model",
        threshold="only listed ingredients",
        witness=policy.training.witness,
    )


def lineage_rule(context: Context, chosen: Descent) -> Finding:
    """Whether the policy lists every ingredient of the chosen provenance."""
    listed = {terms.sha256: terms for terms in context.policy.ingredients.datasets}
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
    last = chosen.builds[0].attestation
    candidate = Candidate(attestation=last, misses=tuple(misses), observed=", ".join(sorted(set(names))))
    return conclude(_lineage_head(context.policy), (candidate,), absent=_NEVER, near=None, qualifier=context.qualifier)


def _unlisted(policy: Policy, item: Ingredient) -> Miss:
    terms = policy.ingredients.datasets[0].datasheet
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


def ingredient_rules(context: Context, chosen: Descent) -> Iterator[Finding]:
    """One rule for each listed dataset that the chosen provenance used."""
    used = chosen.trained_on
    for terms in context.policy.ingredients.datasets:
        for number, item in enumerate(used.get(terms.sha256, ())):
            yield _ingredient_rule(context, terms, item, _numbered(_ingredient_head(terms), number))


def _ingredient_rule(context: Context, terms: DatasetTerms, used: Ingredient, head: Head) -> Finding:
    candidates: list[Candidate] = []
    for sheet in context.lineage.datasheets_of(Artifact(kind="dataset", sha256=terms.sha256)):
        misses = list(context.sheet_misses(terms, sheet))
        schema = sheet.sheet.schema_digest.sha256
        if used.schema is None and context.policy.training.own_code is not None:
            pass  # how the bytes become rows is up to the code, and that is pinned
        elif used.schema is None:
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
    return conclude(head, candidates, absent=absent, near=None, qualifier=context.qualifier)


def unknown_training(context: Context) -> Iterator[Finding]:
    """The rules about a provenance when none qualifies: not evaluated, since nobody knows what the model is made of."""
    yield not_evaluated(_lineage_head(context.policy), message=_UNKNOWN, mend=_MEND_UNKNOWN)
    for terms in context.policy.ingredients.datasets:
        yield not_evaluated(_ingredient_head(terms), message=_UNKNOWN, mend=_MEND_UNKNOWN)
