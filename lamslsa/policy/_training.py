"""The rules about the steps that lead up to a model: trainings with their parameters, and transforms.

Which provenance counts, `lamslsa.policy._descent` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lamslsa.lineage import Build
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Finding, Head, Miss, conclude, numbered
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent, build_misses
from lamslsa.policy._parameters import composition_misses, observed, parameter_misses
from lamslsa.policy._steps import nearest_terms, own_misses
from lamslsa.policy.model import Policy, TransformTerms

__all__ = ["training_candidates", "training_rules"]


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
        yield _training_rule(context, (build,), numbered(training_head(context.policy), number), together)
    for number, build in enumerate(chosen.transforms):
        terms, _ = nearest_terms(context, build)
        if terms is not None:
            yield _transform_rule(context, build, numbered(_transform_head(terms), number))


def training_candidates(
    context: Context, items: Sequence[Build], together: tuple[Miss, ...] = ()
) -> tuple[Candidate, ...]:
    """Provenances as candidates of the rule ``training``; ``together`` is what the chosen trainings lack in sum."""
    return tuple(
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
    )


def _training_rule(context: Context, items: Sequence[Build], head: Head, together: tuple[Miss, ...] = ()) -> Finding:
    candidates = training_candidates(context, items, together)
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
        misses=own_misses(context, build),
        observed=f"{build.provenance.build_definition.external_parameters.code} of {parents}",
    )
    return conclude(head, (candidate,), absent=_NEVER, near=None, qualifier=context.qualifier)


_NEVER: Final = Miss(reason="ingredient-missing", message="expected an ingredient, got none", mend="", authentic=False)
