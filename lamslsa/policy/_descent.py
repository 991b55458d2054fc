"""How a model came to be: from trainings, through transforms, to the model, every step by whom the policy names.

Rules:
- A provenance counts when it has its witness, comes from an enclave of ours and does not contradict itself: a training
  under the terms of ``training``, a transform under one of those of ``transforms``, without which no transform counts.
- Each parent of a transform needs a descent of its own. What any step could read counts as seen by the model.
- A model may descend in several ways; one of them must satisfy all rules. At most 64 that differ in what rules look at
  are kept for each model on the way, the ones with the fewest faults: that can only refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from lamslsa.lineage import Artifact, Build, Ingredient
from lamslsa.policy import _columns, _words
from lamslsa.policy._candidates import Candidate, Miss
from lamslsa.policy._columns import View
from lamslsa.policy._context import Context
from lamslsa.policy._parameters import composition_misses, is_private, parameter_misses
from lamslsa.policy.model import OverlapRule, TransformTerms, Witness
from lamslsa.predicates.provenance import BUILDER_PREFIX, OWN_TRAINING_BUILD_TYPE, TRAINING_BUILD_TYPE

__all__ = ["Descent", "build_misses", "descents"]

_MAX_DEPTH: Final = 32
_MAX_DESCENTS: Final = 64
_MAX_TRIED: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """One way in which a model came to be.

    Attributes:
        trainings: at least one; several where parents were merged.
        transforms: from the model downwards.
    """

    trainings: tuple[Build, ...]
    transforms: tuple[Build, ...]

    @property
    def builds(self) -> tuple[Build, ...]:
        """Every step, the last one first."""
        return (*self.transforms, *self.trainings)

    @property
    def datasets(self) -> tuple[Ingredient, ...]:
        """Every dataset that some step read, once for each schema that it was read under."""
        found = {(item.artifact.sha256, item.schema): item for build in self.builds for item in build.datasets}
        return tuple(item for _, item in sorted(found.items(), key=lambda entry: (entry[0][0], entry[0][1] or "")))

    @property
    def bases(self) -> tuple[Ingredient, ...]:
        """The base models of trainings: models that nothing here leads up to."""
        return tuple(item for build in self.trainings for item in build.bases)

    @property
    def trained_on(self) -> Mapping[str, tuple[Ingredient, ...]]:
        """The datasets by manifest digest."""
        by_digest: dict[str, tuple[Ingredient, ...]] = {}
        for item in self.datasets:
            by_digest[item.artifact.sha256] = (*by_digest.get(item.artifact.sha256, ()), item)
        return by_digest

    def views(self, sha256: str) -> frozenset[View]:
        """What trainings saw of a dataset, by its manifest digest."""
        return _columns.views(self.trainings, sha256)


def descents(context: Context) -> tuple[Descent, ...]:
    """Every way in which the model that is appraised may have come to be, as far as that counts and can decide."""
    return _Ways(context).of(context.model, _MAX_DEPTH)


class _Ways:
    """The descents of models, each found out once.

    Descents that read the same datasets under the same schemas, and the same columns of those that an overlap is about,
    with equally good parameters, come out of every rule alike: of those the first is kept, by the digests of their
    statements. Where privacy is asked about, they also have to be of the same trainings, since those are counted. What
    the policy does not list, or a parameter that it does not allow, refuses whatever else holds: such descents come
    last, for what can be said about them.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._compared = sorted(
            {rule.training.sha256 for rule in context.policy.require if isinstance(rule, OverlapRule)}
        )
        self._private = any(map(is_private, context.policy.training.parameters))
        self._listed = {terms.sha256 for terms in context.policy.ingredients.datasets}
        self._memo = context.memo

    def of(self, model: Artifact, depth: int) -> tuple[Descent, ...]:
        key = ("descents", model, depth)
        if key not in self._memo:
            found: dict[object, tuple[int, Descent]] = {}
            for descent in islice(self._each(model, depth), _MAX_TRIED):
                faults = self._faults(descent)
                story = tuple((item.artifact.sha256, item.schema) for item in descent.datasets)
                views = tuple(descent.views(sha256) for sha256 in self._compared)
                counted = {build.attestation.statement.sha256 for build in descent.trainings} if self._private else ()
                bases = tuple(item.artifact for item in descent.bases)
                found.setdefault((faults, story, views, frozenset(counted), bases), (faults, descent))
            ranked = sorted(found.values(), key=lambda entry: entry[0])
            self._memo[key] = tuple(descent for _, descent in ranked[:_MAX_DESCENTS])
        ways: tuple[Descent, ...] = self._memo[key]
        return ways

    def _each(self, model: Artifact, depth: int) -> Iterator[Descent]:
        for build in self._context.lineage.builds_of(model):
            if _own_misses(self._context, build):
                continue
            if not build.is_transform:
                yield Descent(trainings=(build,), transforms=())
            elif depth > 0:
                parents = [self.of(base.artifact, depth - 1) for base in build.bases]
                for combination in islice(product(*parents), _MAX_DESCENTS):
                    yield Descent(
                        trainings=_unique(training for descent in combination for training in descent.trainings),
                        transforms=_unique((build, *(step for descent in combination for step in descent.transforms))),
                    )

    def _faults(self, descent: Descent) -> int:
        terms = self._context.policy.training.parameters
        parameters = sum(1 for build in descent.trainings for _ in parameter_misses(terms, build))
        parameters += sum(1 for _ in composition_misses(terms, descent.trainings))
        unlisted = sum(1 for item in descent.datasets if item.artifact.sha256 not in self._listed)
        return parameters + unlisted + len(descent.bases)


def _unique(builds: Iterator[Build] | tuple[Build, ...]) -> tuple[Build, ...]:
    return tuple({build.attestation.statement.sha256: build for build in builds}.values())


def build_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    """Why a provenance does not lead anywhere; empty where it does."""
    misses = _own_misses(context, build)
    if misses or not build.is_transform:
        return misses
    ways = _Ways(context)
    return tuple(
        Miss(
            reason="parent-unknown",
            message=f"expected a qualifying provenance of the parent {_words.quoted(base.name)} "
            f"({_words.short(base.artifact.sha256)}), got none",
            mend="publish the attestation of the parent's training beside the model",
            authentic=False,
        )
        for base in build.bases
        if not ways.of(base.artifact, _MAX_DEPTH - 1)
    )


def _own_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    """Why a provenance does not count, whatever lies below it."""
    key = ("build", build.attestation.statement.sha256)
    if key not in context.memo:
        context.memo[key] = _find_misses(context, build)
    misses: tuple[Miss, ...] = context.memo[key]
    return misses


def _find_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    if not build.is_transform:
        code = tuple(_code_misses(context.policy.training.own_code, build))
        return (*step_misses(context, build, context.policy.training.witness), *code)
    return nearest_terms(context, build)[1]


def nearest_terms(context: Context, build: Build) -> tuple[TransformTerms | None, tuple[Miss, ...]]:
    """The terms that a transform meets, or comes nearest to, and what it lacks of them."""
    options = [
        (terms, (*step_misses(context, build, terms.witness), *allowed_misses(terms.allow, build)))
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


def allowed_misses(allow: Sequence[str], build: Build) -> Iterator[Miss]:
    """That a build is none of the transforms that may have made its product."""
    code = build.provenance.build_definition.external_parameters.code
    if str(code) not in allow:
        yield Miss(
            reason="transform-other",
            message=f"expected one of the transforms {', '.join(allow)}, got {_code(build)}",
            mend="allow the transform in the policy after review",
        )


def step_misses(context: Context, build: Build, witness: Witness) -> tuple[Miss, ...]:
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
