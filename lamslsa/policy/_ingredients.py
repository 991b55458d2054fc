"""The rules that hold what a model was made of against the ingredients list.

Rules:
- The list is complete: a dataset or base model that it does not name is a refusal, and so are code and packages where
  the policy lists any. Each refusal says which line would list it.
- Each dataset that some step read needs a datasheet of its own under the very schema under which it was read; that same
  datasheet declares the licence, unless the policy names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from lamslsa.lineage import Artifact, Build, Ingredient
from lamslsa.policy import _packages, _words
from lamslsa.policy._candidates import Candidate, Finding, Head, Miss, conclude, not_evaluated, numbered
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent
from lamslsa.policy._licenses import license_misses
from lamslsa.policy._preparations import is_whole
from lamslsa.policy._steps import preparation_misses
from lamslsa.policy.model import DatasetTerms, Policy, PreparationTerms
from lamslsa.predicates.provenance import Dependency

__all__ = ["ingredient_rules", "unknown_ingredients"]

_UNKNOWN: Final = "expected a qualifying provenance that names the datasets of this model, got none"
_MEND_UNKNOWN: Final = "mend the rule training first"
_NEVER: Final = Miss(reason="ingredient-missing", message="expected an ingredient, got none", mend="", authentic=False)


def ingredient_rules(context: Context, chosen: Descent) -> Iterator[Finding]:
    """What the list says of everything that the chosen descent is made of; base models have rules of their own."""
    policy = context.policy
    yield _lineage_rule(context, chosen)
    used = chosen.trained_on
    for terms in policy.ingredients.datasets:
        for number, item in enumerate(used.get(terms.sha256, ())):
            yield _dataset_rule(context, terms, item, numbered(_dataset_head(terms), number))
        if terms.preparation is not None and terms.sha256 in used:
            yield _preparation_rule(context, terms, terms.preparation, chosen)
    if policy.ingredients.code is not None:
        unlisted = _packages.unlisted_code(policy.ingredients, policy.training, chosen.builds)
        yield _list_rule(context, chosen, "code", _packages.code_misses(unlisted), unlisted)
    if policy.ingredients.packages is not None:
        unlisted = _packages.unlisted_packages(policy.ingredients, chosen.builds)
        yield _list_rule(context, chosen, "packages", _packages.package_misses(policy.ingredients, unlisted), unlisted)


def unknown_ingredients(context: Context) -> Iterator[Finding]:
    """The rules about a provenance when none qualifies: not evaluated, since nobody knows what the model is made of."""
    ingredients = context.policy.ingredients
    heads = [_lineage_head(context.policy)]
    for terms in ingredients.datasets:
        heads += [_dataset_head(terms)]
        heads += [] if terms.preparation is None else [_preparation_head(terms, terms.preparation)]
    heads += [] if ingredients.code is None else [_list_head(context.policy, "code")]
    heads += [] if ingredients.packages is None else [_list_head(context.policy, "packages")]
    for head in heads:
        yield not_evaluated(head, message=_UNKNOWN, mend=_MEND_UNKNOWN)


def _lineage_head(policy: Policy) -> Head:
    return Head(
        name="lineage",
        kind="lineage",
        subject="ingredients of the model",
        threshold="only listed ingredients",
        witness=policy.training.witness,
    )


def _lineage_rule(context: Context, chosen: Descent) -> Finding:
    """Whether the policy lists every dataset and base model."""
    datasets = {terms.sha256: terms.name for terms in context.policy.ingredients.datasets}
    models = {terms.sha256: terms.name for terms in context.policy.ingredients.models}
    misses = [_unlisted(context.policy, item) for item in chosen.datasets if item.artifact.sha256 not in datasets]
    misses += [_unlisted_base(item) for item in chosen.bases if item.artifact.sha256 not in models]
    names = {
        (datasets if item.artifact.kind == "dataset" else models).get(item.artifact.sha256, _words.quoted(item.name))
        for item in (*chosen.datasets, *chosen.bases)
    }
    candidate = Candidate(
        attestation=chosen.builds[0].attestation, misses=tuple(misses), observed=", ".join(sorted(names))
    )
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
        mend=f"train without it, or after review add to ingredients.datasets:\n{line}",
    )


def _unlisted_base(item: Ingredient) -> Miss:
    line = f"- {{name: {json.dumps(item.name[:64])}, digest: sha256:{item.artifact.sha256}}}"
    return Miss(
        reason="ingredient-base-model",
        message=f"expected only listed base models, got {_words.quoted(item.name)} "
        f"({_words.short(item.artifact.sha256)})",
        mend=f"train without it, or after review add to ingredients.models:\n{line}",
    )


def _dataset_head(terms: DatasetTerms) -> Head:
    return Head(
        name=f"ingredient: {terms.name}",
        kind="ingredient",
        subject=f"datasheet of {terms.name}",
        threshold="datasheet of the dataset as it was read",
        witness=terms.datasheet,
    )


def _dataset_rule(context: Context, terms: DatasetTerms, used: Ingredient, head: Head) -> Finding:
    candidates: list[Candidate] = []
    for sheet in context.lineage.datasheets_of(Artifact(kind="dataset", sha256=terms.sha256)):
        declared = None if sheet.sheet.declared is None else sheet.sheet.declared.license
        misses = (
            *context.sheet_misses(terms, sheet),
            *_schema_misses(context.policy, terms, used, sheet.sheet.schema_digest.sha256),
            *license_misses(
                named=terms.license,
                declared=declared,
                allowed=context.policy.ingredients.licenses,
                of=str(terms),
                key="ingredients.datasets",
            ),
        )
        candidates.append(Candidate(attestation=sheet.attestation, misses=misses, observed=f"{sheet.sheet.rows} rows"))
    absent = Miss(
        reason="datasheet-missing",
        message=f"expected a datasheet of {terms}, got none{context.set_aside_words()}",
        mend=f"have {terms.datasheet.signed_by} attest dataset {terms.name} and publish it beside the model",
        authentic=False,
    )
    return conclude(head, candidates, absent=absent, near=None, qualifier=context.qualifier)


def _schema_misses(policy: Policy, terms: DatasetTerms, used: Ingredient, schema: str) -> Iterator[Miss]:
    if used.schema is None and policy.training.own_code is not None:
        return  # how the bytes become rows is up to the code, and that is pinned
    if used.schema is None:
        yield Miss(
            reason="schema-absent",
            message=f"expected the schema under which training read {terms}, got none in the provenance",
            mend="attest the training again",
        )
    elif used.schema != schema:
        yield Miss(
            reason="schema-other",
            message=f"expected {terms} read in training under schema {_words.short(schema)}, as its datasheet "
            f"says, got schema {_words.short(used.schema)}",
            mend="train with the schema of the datasheet",
        )


def _preparation_head(terms: DatasetTerms, preparation: PreparationTerms) -> Head:
    return Head(
        name=f"preparation: {terms.name}",
        kind="ingredient",
        subject=f"preparation of {terms.name}",
        threshold=f"one of {', '.join(preparation.allow)}",
        witness=preparation.witness,
    )


def _preparation_rule(context: Context, terms: DatasetTerms, preparation: PreparationTerms, chosen: Descent) -> Finding:
    """Whether a dataset was made as its terms say; what it read is for the rules about those datasets."""
    missing = Miss(
        reason="preparation-missing",
        message=f"expected a provenance of {terms} that leads to where its data came from, got none"
        f"{context.set_aside_words()}",
        mend=f"have {preparation.witness.signed_by} attest the transform that makes {terms.name}, and publish it "
        "beside the model",
        authentic=False,
    )
    product = Artifact(kind="dataset", sha256=terms.sha256)
    followed = [build for build in chosen.preparations if build.product == product]
    whole = bool(followed) and is_whole(context, terms.sha256)
    candidates = [
        Candidate(
            attestation=build.attestation,
            # one that lacks nothing and leads nowhere is deeper than is looked at, goes round, or lacks a step
            misses=preparation_misses(context, preparation, build) or (() if whole else (missing,)),
            observed=_made(build),
        )
        for build in followed or context.lineage.builds_of(product)
    ]
    return conclude(
        _preparation_head(terms, preparation), candidates, absent=missing, near=None, qualifier=context.qualifier
    )


def _made(build: Build) -> str:
    code = build.provenance.build_definition.external_parameters.code
    return f"{code} of {_words.names(item.name for item in build.datasets)}"


def _list_head(policy: Policy, key: str) -> Head:
    return Head(
        name=key,
        kind="ingredient",
        subject=f"{key} of every step",
        threshold=f"only listed {key}",
        witness=policy.training.witness,
    )


def _list_rule(
    context: Context, chosen: Descent, key: str, misses: tuple[Miss, ...], unlisted: tuple[Dependency, ...]
) -> Finding:
    """Whether code or packages of every step are listed; what is shown is the step that has one that is not."""
    culprits = {id(item) for item in unlisted}
    steps = (*chosen.trainings, *chosen.transforms, *chosen.preparations)
    shown = next(
        (
            build
            for build in steps
            if any(id(item) in culprits for item in build.provenance.build_definition.resolved_dependencies)
        ),
        steps[0],
    )
    candidate = Candidate(
        attestation=shown.attestation, misses=misses, observed=f"{len(unlisted)} not listed" if unlisted else "listed"
    )
    head = _list_head(context.policy, key)
    return conclude(head, (candidate,), absent=_NEVER, near=None, qualifier=context.qualifier)
