"""How a model came to be: from trainings, through transforms, to the model, every step by whom the policy names.

Rules:
- A provenance counts when it has its witness, comes from an enclave of ours and does not contradict itself: a training
  under the terms of ``training``, a transform under one of those of ``transforms``, without which no transform counts.
- Each parent of a transform needs a descent of its own, or is a listed base model; one training at least is in it. What
  any step could read counts as seen by the model, and so does what a listed dataset was prepared from, where that is
  asked for.
- A model may descend in several ways; one of them must satisfy all rules. At most 64 that differ in what rules look at
  are kept for each model on the way, the ones with the fewest faults: that can only refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Final

from lamslsa.lineage import Artifact, Build, Ingredient
from lamslsa.policy import _columns, _words
from lamslsa.policy._candidates import Miss
from lamslsa.policy._columns import View
from lamslsa.policy._context import Context
from lamslsa.policy._packages import unlisted
from lamslsa.policy._parameters import composition_misses, is_private, parameter_misses
from lamslsa.policy._preparations import preparations
from lamslsa.policy._steps import own_misses
from lamslsa.policy.model import CelRule, OverlapRule

__all__ = ["Descent", "build_misses", "descents"]

_MAX_DEPTH: Final = 32
_MAX_DESCENTS: Final = 64
_MAX_TRIED: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """One way in which a model came to be.

    Attributes:
        trainings: several where parents were merged; none only of a listed parent that nothing here leads up to.
        transforms: from the model downwards.
        parents: of transforms, that stand among the listed base models.
        preparations: of datasets that have to be prepared, and of what those were made of.
        inherited: manifest digests of datasets that base models were trained on, as far as their appraisals know.
    """

    trainings: tuple[Build, ...]
    transforms: tuple[Build, ...]
    parents: tuple[Ingredient, ...] = ()
    preparations: tuple[Build, ...] = ()
    inherited: frozenset[str] = frozenset()

    @property
    def builds(self) -> tuple[Build, ...]:
        """Every step, the last one first."""
        return (*self.transforms, *self.trainings, *self.preparations)

    @property
    def datasets(self) -> tuple[Ingredient, ...]:
        """Every dataset that some step read, once for each schema that it was read under."""
        found = {(item.artifact.sha256, item.schema): item for build in self.builds for item in build.datasets}
        return tuple(item for _, item in sorted(found.items(), key=lambda entry: (entry[0][0], entry[0][1] or "")))

    @property
    def bases(self) -> tuple[Ingredient, ...]:
        """The base models, each once: what trainings started from, and listed parents of transforms."""
        found = {
            item.artifact: item for item in (*(item for build in self.trainings for item in build.bases), *self.parents)
        }
        return tuple(item for _, item in sorted(found.items()))

    @property
    def trained_on(self) -> Mapping[str, tuple[Ingredient, ...]]:
        """The datasets by manifest digest."""
        by_digest: dict[str, tuple[Ingredient, ...]] = {}
        for item in self.datasets:
            by_digest[item.artifact.sha256] = (*by_digest.get(item.artifact.sha256, ()), item)
        return by_digest

    @property
    def seen(self) -> frozenset[str]:
        """Manifest digests of the datasets that any step read, or a base model as far as that is known."""
        return self.inherited | {item.artifact.sha256 for build in self.builds for item in build.datasets}

    def inheriting(self, datasets: frozenset[str]) -> Descent:
        """The same with what its base models have seen."""
        return self if datasets == self.inherited else replace(self, inherited=datasets)

    def views(self, sha256: str) -> frozenset[View]:
        """What trainings saw of a dataset, by its manifest digest."""
        return _columns.views(self.trainings, sha256)


def descents(context: Context) -> tuple[Descent, ...]:
    """Every way in which the model that is appraised may have come to be, as far as that counts and can decide."""
    ways = _Ways(context)
    trained = (way for way in ways.of(context.model, _MAX_DEPTH) if way.trainings)
    return ways.best(ways.prepared(trained))


class _Ways:
    """The descents of models, each found out once.

    Descents that read the same datasets under the same schemas, and the same columns of those that an overlap is about,
    with equally good parameters, come out of every rule alike: of those the first is kept, by the digests of their
    statements. Where privacy is asked about, they also have to be of the same trainings, since those are counted; where
    an expression may ask about anything, of the same steps. What the policy does not list, or a parameter that it does
    not allow, refuses whatever else holds: such descents come last, for what can be said about them.
    """

    def __init__(self, context: Context) -> None:
        policy = context.policy
        self._context = context
        self._compared = sorted({rule.training.sha256 for rule in policy.require if isinstance(rule, OverlapRule)})
        self._private = any(map(is_private, policy.training.parameters))
        self._expressed = any(isinstance(rule, CelRule) for rule in policy.require)
        self._listed = {terms.sha256 for terms in policy.ingredients.datasets}
        self._models = {terms.sha256 for terms in policy.ingredients.models}
        self._to_prepare = {terms.sha256 for terms in policy.ingredients.datasets if terms.preparation is not None}

    def of(self, model: Artifact, depth: int, parent: Ingredient | None = None) -> tuple[Descent, ...]:
        """The descents of a model; a listed ``parent`` of a transform may also be where a descent ends."""
        key = ("descents", model, depth)
        memo = self._context.memo
        if key not in memo:
            memo[key] = self.best(self._each(model, depth))
        ways: tuple[Descent, ...] = memo[key]
        ends = parent is not None and model.sha256 in self._models
        return (*ways, Descent(trainings=(), transforms=(), parents=(parent,))) if parent and ends else ways

    def best(self, ways: Iterable[Descent]) -> tuple[Descent, ...]:
        """Of those that come out of every rule alike the first one, those with the fewest faults first."""
        found: dict[object, tuple[int, Descent]] = {}
        for descent in islice(ways, _MAX_TRIED):
            faults = self._faults(descent)
            story = tuple((item.artifact.sha256, item.schema) for item in descent.datasets)
            views = tuple(descent.views(sha256) for sha256 in self._compared)
            told_apart = descent.builds if self._expressed else descent.trainings if self._private else ()
            counted = {build.attestation.statement.sha256 for build in told_apart}
            bases = tuple(item.artifact for item in descent.bases)
            alike = (faults, story, views, frozenset(counted), bases, bool(descent.trainings))
            found.setdefault(alike, (faults, descent))
        ranked = sorted(found.values(), key=lambda entry: entry[0])
        return tuple(descent for _, descent in ranked[:_MAX_DESCENTS])

    def prepared(self, ways: Iterable[Descent]) -> Iterator[Descent]:
        """Each descent with every way in which the datasets that it read were prepared."""
        for way in ways:
            for steps in preparations(self._context, way.trained_on):
                yield replace(way, preparations=steps)

    def _each(self, model: Artifact, depth: int) -> Iterator[Descent]:
        for build in self._context.lineage.builds_of(model):
            if own_misses(self._context, build):
                continue
            if not build.is_transform:
                yield Descent(trainings=(build,), transforms=())
            elif depth > 0:
                below = [self.of(base.artifact, depth - 1, base) for base in build.bases]
                for combination in islice(product(*below), _MAX_DESCENTS):
                    yield Descent(
                        trainings=_unique(training for descent in combination for training in descent.trainings),
                        transforms=_unique((build, *(step for descent in combination for step in descent.transforms))),
                        parents=tuple(parent for descent in combination for parent in descent.parents),
                    )

    def _faults(self, descent: Descent) -> int:
        policy = self._context.policy
        terms = policy.training.parameters
        parameters = sum(1 for build in descent.trainings for _ in parameter_misses(terms, build))
        parameters += sum(1 for _ in composition_misses(terms, descent.trainings))
        read = {item.artifact.sha256 for item in descent.datasets}
        unlisted = len(read - self._listed) + sum(item.artifact.sha256 not in self._models for item in descent.bases)
        prepared = {build.product.sha256 for build in descent.preparations}
        return (
            parameters
            + unlisted
            + len((read & self._to_prepare) - prepared)
            + sum(self._unlisted_code(build) for build in descent.builds)
        )

    def _unlisted_code(self, build: Build) -> int:
        memo, key = self._context.memo, ("code", build.attestation.statement.sha256)
        if key not in memo:
            policy = self._context.policy
            memo[key] = unlisted(policy.ingredients, policy.training, build)
        count: int = memo[key]
        return count


def _unique(builds: Iterator[Build] | tuple[Build, ...]) -> tuple[Build, ...]:
    return tuple({build.attestation.statement.sha256: build for build in builds}.values())


def build_misses(context: Context, build: Build) -> tuple[Miss, ...]:
    """Why a provenance does not lead anywhere; empty where it does."""
    misses = own_misses(context, build)
    if misses or not build.is_transform:
        return misses
    ways = _Ways(context)
    unknown = [base for base in build.bases if not ways.of(base.artifact, _MAX_DEPTH - 1, base)]
    if not unknown and not any(way.trainings for way in ways.of(build.product, _MAX_DEPTH)):
        unknown = list(build.bases)  # base models on every side: nothing that this policy could call a training
    return tuple(
        Miss(
            reason="parent-unknown",
            message=f"expected a qualifying provenance of the parent {_words.quoted(base.name)} "
            f"({_words.short(base.artifact.sha256)}), got none",
            mend="publish the attestation of the parent's training beside the model",
            authentic=False,
        )
        for base in unknown
    )
