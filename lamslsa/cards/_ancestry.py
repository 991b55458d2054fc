"""Which provenance leads to a model: its own, that of its parents, and that of the datasets which these read.

An artifact is followed once, and not beyond a few generations: a cycle that somebody states comes to an end, and what
lies beyond is counted by whoever draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa.cards._source import Origins
from lamslsa.lineage import Artifact, Build, Ingredient, Lineage
from lamslsa.policy.appraisal import Appraisal

__all__ = ["Ancestry", "origin"]

_GENERATIONS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestry:
    """The builds behind a model, verified ones first.

    Attributes:
        generations: the builds of the model, then those of its parents, and so on.
        preparations: how datasets were made of others, by the digest of what came out.
        beyond: statements about parents that are too far away.
    """

    generations: tuple[tuple[Build, ...], ...]
    preparations: dict[str, tuple[Build, ...]] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()

    @classmethod
    def of(cls, appraisal: Appraisal, origins: Origins) -> Ancestry:
        """Follow the parents as far as the attestations lead."""
        lineage = Lineage.of(appraisal.attestations)
        place = {
            one.statement.sha256: index for index, one in enumerate(origins.verified_first(appraisal.attestations))
        }

        def builds_of(artifacts: Sequence[Artifact]) -> tuple[Build, ...]:
            found = [build for artifact in artifacts for build in lineage.builds_of(artifact)]
            return tuple(sorted(found, key=lambda build: place[build.attestation.statement.sha256]))

        wanted = [Artifact(kind="model", sha256=appraisal.model)]
        seen = set(wanted)
        generations: list[tuple[Build, ...]] = []
        while wanted and len(generations) <= _GENERATIONS:
            generations.append(builds_of(wanted))
            parents = [item.artifact for build in generations[-1] for item in build.bases]
            wanted = [artifact for artifact in dict.fromkeys(parents) if artifact not in seen]
            seen.update(wanted)
        preparations: dict[str, tuple[Build, ...]] = {}
        for build in builds_of(list(dict.fromkeys(each.product for each in lineage.builds))):
            if build.product.kind == "dataset":
                known = preparations.get(build.product.sha256, ())
                preparations[build.product.sha256] = (*known, build)
        return cls(
            generations=tuple(generations),
            preparations=preparations,
            beyond=tuple(build.attestation.statement.sha256 for build in builds_of(wanted)),
        )

    @property
    def parents(self) -> frozenset[str]:
        """The digests of the models that this one was made of, and of those that these were made of."""
        return frozenset(item.artifact.sha256 for builds in self.generations for each in builds for item in each.bases)

    def of_model(self, sha256: str) -> tuple[Build, ...]:
        """The builds of a model that the ancestry leads through."""
        return tuple(each for builds in self.generations for each in builds if each.product.sha256 == sha256)


def origin(ancestry: Ancestry, sha256: str) -> tuple[Ingredient, ...]:
    """What a dataset was made of, as far as anybody says."""
    return tuple(item for build in ancestry.preparations.get(sha256, ()) for item in build.datasets)
