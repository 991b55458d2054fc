"""How datasets were made out of other datasets, where the policy asks for that.

Rules:
- A preparation is a transform that makes a dataset, with the witness and by the code that the dataset's terms name.
- What it read are ingredients in turn: they have to be listed, and prepared where their own terms ask for it.
- Data made of themselves come from nowhere: a way counts as whole when every step back ends at data that need not be
  prepared. Others are followed only where there is no whole one, for what can be said about them (`is_whole`).
- A dataset may have been prepared in several ways; at most 64 are kept of each, the ones with the fewest unlisted
  datasets, and at most 32 steps are followed: that can only refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from lamslsa.lineage import Artifact, Build
from lamslsa.policy._context import Context
from lamslsa.policy._steps import preparation_misses
from lamslsa.policy.model import PreparationTerms

__all__ = ["is_whole", "preparations"]

_MAX_DEPTH: Final = 32
_MAX_WAYS: Final = 64
_MAX_TRIED: Final = 1024

Way = tuple[Build, ...]


def preparations(context: Context, datasets: Iterable[str]) -> Iterator[Way]:
    """Every way in which these datasets, by manifest digest, were prepared; what has none is left out of all."""
    return _Preparations(context).together(datasets, _MAX_DEPTH)


def is_whole(context: Context, sha256: str) -> bool:
    """Whether a dataset that has to be prepared was, back to data that need not be."""
    return _Preparations(context).of(sha256, _MAX_DEPTH).whole


@dataclass(frozen=True, slots=True)
class _Found:
    ways: tuple[Way, ...] = ()
    whole: bool = False


class _Preparations:
    """The preparations of datasets, each found out once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._terms: dict[str, PreparationTerms] = {
            terms.sha256: terms.preparation
            for terms in context.policy.ingredients.datasets
            if terms.preparation is not None
        }
        self._listed = {terms.sha256 for terms in context.policy.ingredients.datasets}

    def together(self, datasets: Iterable[str], depth: int) -> Iterator[Way]:
        each = [self.of(sha256, depth).ways or ((),) for sha256 in sorted(set(datasets)) if sha256 in self._terms]
        for ways in islice(product(*each), _MAX_WAYS):
            yield tuple({build.attestation.statement.sha256: build for way in ways for build in way}.values())

    def of(self, sha256: str, depth: int) -> _Found:
        """The ways in which one dataset was prepared: whole ones, and without any of them the others."""
        key = ("preparations", sha256, depth)
        if key not in self._context.memo:
            builds = self._builds(sha256) if depth else ()
            whole = [build for build in builds if self._is_whole(build, depth - 1)]
            self._context.memo[key] = _Found(self._best(whole or builds, depth - 1), bool(whole))
        found: _Found = self._context.memo[key]
        return found

    def _builds(self, sha256: str) -> Sequence[Build]:
        builds = self._context.lineage.builds_of(Artifact(kind="dataset", sha256=sha256))
        return [build for build in builds if not preparation_misses(self._context, self._terms[sha256], build)]

    def _is_whole(self, build: Build, depth: int) -> bool:
        sources = (item.artifact.sha256 for item in build.datasets)
        return all(self.of(sha256, depth).whole for sha256 in sources if sha256 in self._terms)

    def _best(self, builds: Iterable[Build], depth: int) -> tuple[Way, ...]:
        found: dict[object, Way] = {}
        for way in islice(self._each(builds, depth), _MAX_TRIED):
            read = frozenset((item.artifact.sha256, item.schema) for build in way for item in build.datasets)
            found.setdefault((read, frozenset(build.product.sha256 for build in way)), way)
        return tuple(sorted(found.values(), key=self._unlisted)[:_MAX_WAYS])

    def _each(self, builds: Iterable[Build], depth: int) -> Iterator[Way]:
        for build in builds:
            for below in self.together((item.artifact.sha256 for item in build.datasets), depth):
                yield (build, *(step for step in below if step is not build))

    def _unlisted(self, way: Way) -> int:
        return len({item.artifact.sha256 for build in way for item in build.datasets} - self._listed)
