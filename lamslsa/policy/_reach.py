"""Everything that qualifying provenance says a model was made of, in every way: no descent is left out."""

from __future__ import annotations

from collections.abc import Mapping

from lamslsa.lineage import Artifact, Build
from lamslsa.policy._context import Context
from lamslsa.policy._descent import build_misses
from lamslsa.policy._steps import preparation_misses

__all__ = ["reached"]


def reached(context: Context) -> Mapping[Artifact, tuple[Build, ...]]:
    """Every artifact in the making of the model, itself included, with the qualifying provenances of each."""
    key = "reached"
    if key not in context.memo:
        made: dict[Artifact, list[Build]] = {}
        for build in context.lineage.builds:
            made.setdefault(build.product, []).append(build)
        found: dict[Artifact, tuple[Build, ...]] = {}
        waiting = [context.model]
        while waiting:
            artifact = waiting.pop()
            if artifact not in found:
                builds = tuple(item for item in made.get(artifact, ()) if _counts(context, item))
                found[artifact] = builds
                waiting += [item.artifact for build in builds for item in (*build.datasets, *build.bases)]
        context.memo[key] = found
    result: Mapping[Artifact, tuple[Build, ...]] = context.memo[key]
    return result


def _counts(context: Context, build: Build) -> bool:
    """A model's provenance as descents ask for it; a dataset's where the policy says who may have prepared that one."""
    if build.product.kind == "model":
        return not build_misses(context, build)
    return any(
        not preparation_misses(context, terms.preparation, build)
        for terms in context.policy.datasets
        if terms.sha256 == build.product.sha256 and terms.preparation is not None
    )
