"""Whether one provenance counts, by itself: its witness, its builder, and that the policy allows what it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lamslsa.lineage import Build
from lamslsa.policy import _words
from lamslsa.policy._candidates import Candidate, Miss
from lamslsa.policy._context import Context
from lamslsa.policy.model import PreparationTerms, TransformTerms, Witness
from lamslsa.predicates.provenance import BUILDER_PREFIX, OWN_TRAINING_BUILD_TYPE, TRAINING_BUILD_TYPE

__all__ = ["nearest_terms", "own_misses", "preparation_misses", "witness_of"]


def own_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    """Why the provenance of a model does not count, whatever lies below it; each is looked at once."""
    key = ("build", build.attestation.statement.sha256)
    if key not in context.memo:
        context.memo[key] = _find_misses(context, build)
    misses: tuple[Miss, ...] = context.memo[key]
    return misses


def preparation_misses(context: Context, terms: PreparationTerms, build: Build) -> tuple[Miss, ...]:
    """Why the provenance of a dataset does not count, whatever it read."""
    key = ("preparation", build.attestation.statement.sha256, terms)
    if key not in context.memo:
        context.memo[key] = (*_step_misses(context, build, terms.witness), *_allowed_misses(terms.allow, build))
    misses: tuple[Miss, ...] = context.memo[key]
    return misses


def witness_of(context: Context, build: Build) -> Witness:
    """Whose word a step of a model's descent is."""
    terms = nearest_terms(context, build)[0] if build.is_transform else None
    return context.policy.training.witness if terms is None else terms.witness


def nearest_terms(context: Context, build: Build) -> tuple[TransformTerms | None, tuple[Miss, ...]]:
    """The terms that a transform meets, or comes nearest to, and what it lacks of them."""
    options = [
        (terms, (*_step_misses(context, build, terms.witness), *_allowed_misses(terms.allow, build)))
        for terms in context.policy.transforms
    ]
    if options:
        return min(options, key=lambda option: Candidate(attestation=build.attestation, misses=option[1]).distance())
    return None, (
        Miss(
            reason="transform-not-allowed",
            message=f"expected a model as it was trained, got one made by {_code(build)}",
            mend="after review name whose transforms may be accepted: transforms: {signedBy, platform, allow}",
        ),
    )


def _find_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    if build.is_transform:
        return nearest_terms(context, build)[1]
    code = tuple(_code_misses(context.policy.training.own_code, build))
    return (*_step_misses(context, build, context.policy.training.witness), *code)


def _allowed_misses(allow: Sequence[str], build: Build) -> Iterator[Miss]:
    """That a build is none of the transforms that may have made its product."""
    code = build.provenance.build_definition.external_parameters.code
    if str(code) not in allow:
        yield Miss(
            reason="transform-other",
            message=f"expected one of the transforms {', '.join(allow)}, got {_code(build)}",
            mend="allow the transform in the policy after review",
        )


def _step_misses(context: Context, build: Build, witness: Witness) -> tuple[Miss, ...]:
    """Why a provenance does not count, whatever it is of: its witness, what contradicts itself, its builder."""
    misses = list(context.qualifier.misses(build.attestation, witness))
    if build.fault is not None:
        misses.append(
            Miss(
                reason=build.fault.reason,
                message=build.fault.message,
                mend=build.fault.hint or "attest the training again",
                authentic=False,
            )
        )
    builder = build.provenance.run_details.builder.id
    if not (builder.startswith(BUILDER_PREFIX) and len(builder) > len(BUILDER_PREFIX)):
        misses.append(
            Miss(
                reason="builder-other",
                message=f"expected a builder {BUILDER_PREFIX}<release>, got {_words.quoted(builder)}",
                mend="train with lamslsa attest training",
            )
        )
    return tuple(misses)


def _code(build: Build) -> str:
    return _words.quoted(str(build.provenance.build_definition.external_parameters.code))


def _code_misses(own_code: str | None, build: Build) -> Iterator[Miss]:
    """Declarative training, or the one training code of a user's own that the policy names: never the other one."""
    definition = build.provenance.build_definition
    if own_code is None:
        if definition.build_type != TRAINING_BUILD_TYPE:
            yield Miss(
                reason="build-type-other",
                message=f"expected declarative training, got code of the user's own ({definition.build_type})",
                mend="train with lamslsa attest training, or after review pin the code: training: {ownCode: sha256:…}",
            )
        return
    codes = [item.digest.sha256 for item in definition.resolved_dependencies if item.annotations.own_code]
    if definition.build_type != OWN_TRAINING_BUILD_TYPE or codes != [own_code]:
        got = ", ".join(map(_words.short, codes)) or f"none ({definition.build_type})"
        yield Miss(
            reason="training-code-other",
            message=f"expected training by the code {_words.short(own_code)}, got {got}",
            mend="train with the code that the policy names, or name the other code after review",
        )
