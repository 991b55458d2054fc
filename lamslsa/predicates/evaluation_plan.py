"""Predicate ``https://lamslsa.dev/evaluation-plan/v1``: what is going to be evaluated, stated before it is.

Normative text: predicates/evaluation-plan/v1/README.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from lamslsa.predicates._common import ArtifactReference, DatasetReference, Digest, Measurer, WireModel

__all__ = ["PREDICATE_TYPE", "EvaluationPlan"]

PREDICATE_TYPE: Final = "https://lamslsa.dev/evaluation-plan/v1"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=16384)]


class EvaluationPlan(WireModel, frozen=True, kw_only=True):
    """An evaluation on the subject (a dataset) that is still to be made.

    Attributes:
        kind: of the subject.
        dataset: the subject, and the schema under which it is going to be read.
        model: the only model that the plan is about; any model where it is absent.
        hypothesis, thresholds: for people; nothing compares them.
    """

    kind: Literal["dataset"]
    dataset: DatasetReference
    measurer: Measurer
    configuration: dict[str, Any]
    configuration_digest: Digest
    model: ArtifactReference | None = None
    hypothesis: _Text | None = None
    thresholds: _Text | None = None
