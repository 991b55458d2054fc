"""What a statement says, in a few words, and whose code says so."""

from __future__ import annotations

from typing import assert_never

from lamslsa import predicates
from lamslsa.predicates import Predicate
from lamslsa.predicates._common import Measurer
from lamslsa.predicates.provenance import OWN_TRAINING_BUILD_TYPE, TRAINING_BUILD_TYPE

__all__ = ["foreign_code", "kind_words"]


def kind_words(predicate: Predicate) -> str:
    """The kind of statement, in words."""
    match predicate:
        case predicates.Dataset():
            words = "datasheet of a dataset"
        case predicates.Evaluation():
            words = "evaluation of a model"
        case predicates.EvaluationPlan():
            words = "plan of an evaluation"
        case predicates.Inference():
            count = predicate.records.size
            words = "one inference of a model" if count == 1 else f"{count:,} inferences of a model"
        case predicates.Model():
            words = "properties of a model"
        case predicates.ModelSignature():
            words = "signature of a model"
        case predicates.Provenance():
            words = _provenance(predicate)
        case predicates.ReferenceValues():
            words = "reference values"
        case predicates.TeeEvidence():
            words = "TEE evidence"
        case predicates.VerificationSummary():
            words = f"verification summary of a model: {predicate.verification_result}"
        case _:
            assert_never(predicate)
    return words


def _provenance(provenance: predicates.Provenance) -> str:
    definition = provenance.build_definition
    if definition.build_type == TRAINING_BUILD_TYPE:
        return "training of a model"
    if definition.build_type == OWN_TRAINING_BUILD_TYPE:
        return "training of a model by code of the user's own"
    return f"transform that made a {definition.external_parameters.produces}"


def foreign_code(predicate: Predicate) -> tuple[str, ...]:
    """Sentences about code that is no part of lamslsa and that the statement rests on; none for most statements."""
    found: list[str] = []
    code: Measurer | None = None
    match predicate:
        case predicates.Dataset() | predicates.Evaluation() | predicates.Inference() | predicates.Model():
            code = predicate.measurer
        case predicates.EvaluationPlan():
            pass  # it says nothing that code has found
        case predicates.Provenance():
            definition = predicate.build_definition
            code = definition.external_parameters.code
            if definition.build_type == OWN_TRAINING_BUILD_TYPE:
                own = [each.digest.sha256 for each in definition.resolved_dependencies if each.annotations.own_code]
                found.append(f"the training code, which is the user's own: {', '.join(own[:9]) or 'no digest'}")
        case predicates.ModelSignature() | predicates.ReferenceValues() | predicates.TeeEvidence():
            pass
        case predicates.VerificationSummary():
            pass
        case _:
            assert_never(predicate)
    if code is not None and code.distribution is not None:
        found.append(f"the code that measured, which is a third party's: {code}")
    return tuple(found)
