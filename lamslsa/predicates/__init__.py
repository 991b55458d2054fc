"""Typed models of every predicate, and the one place that maps a predicate type to its model.

>>> sorted(SUPPORTED)[0]
'https://lamslsa.dev/dataset/v1'
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.predicates import (
    dataset,
    evaluation,
    evaluation_plan,
    inference,
    model,
    model_signature,
    provenance,
    reference_values,
    tee_evidence,
    verification_summary,
)
from lamslsa.predicates._common import configuration_digest, convert, to_wire
from lamslsa.predicates.dataset import Dataset
from lamslsa.predicates.evaluation import Evaluation
from lamslsa.predicates.evaluation_plan import EvaluationPlan
from lamslsa.predicates.inference import Inference
from lamslsa.predicates.model import Model
from lamslsa.predicates.model_signature import ModelSignature
from lamslsa.predicates.provenance import Provenance
from lamslsa.predicates.reference_values import ReferenceValues
from lamslsa.predicates.tee_evidence import TeeEvidence
from lamslsa.predicates.verification_summary import VerificationSummary
from lamslsa.statement import Statement

__all__ = [
    "SUPPORTED",
    "Dataset",
    "Evaluation",
    "EvaluationPlan",
    "Inference",
    "Model",
    "ModelSignature",
    "Predicate",
    "Provenance",
    "ReferenceValues",
    "TeeEvidence",
    "VerificationSummary",
    "configuration_digest",
    "parse",
    "to_wire",
]

Predicate = (
    Dataset
    | Evaluation
    | EvaluationPlan
    | Inference
    | Model
    | ModelSignature
    | Provenance
    | ReferenceValues
    | TeeEvidence
    | VerificationSummary
)

SUPPORTED: Final[Mapping[str, type[Predicate]]] = MappingProxyType(
    {
        dataset.PREDICATE_TYPE: Dataset,
        evaluation.PREDICATE_TYPE: Evaluation,
        evaluation_plan.PREDICATE_TYPE: EvaluationPlan,
        inference.PREDICATE_TYPE: Inference,
        model.PREDICATE_TYPE: Model,
        model_signature.PREDICATE_TYPE: ModelSignature,
        provenance.PREDICATE_TYPE: Provenance,
        reference_values.PREDICATE_TYPE: ReferenceValues,
        tee_evidence.PREDICATE_TYPE: TeeEvidence,
        verification_summary.PREDICATE_TYPE: VerificationSummary,
    }
)


def parse(statement: Statement) -> Predicate:
    """The typed predicate of a statement.

    Every statement but evidence has exactly one subject: a second one would carry a property over to another artifact.

    Raises:
        FormatError: unknown predicate type or version, a field that breaks its model, or more than one subject.
    """
    kind = SUPPORTED.get(statement.predicate_type)
    if kind is None:
        raise FormatError(
            f"expected a known predicate type, got {statement.predicate_type[:120]!r}", reason="predicate-type"
        )
    if kind is not TeeEvidence and len(statement.subjects) != 1:
        raise FormatError(
            f"expected exactly one subject, got {len(statement.subjects)}", reason="statement-one-subject"
        )
    return convert(statement.predicate, kind, what=f"predicate {statement.predicate_type}")
