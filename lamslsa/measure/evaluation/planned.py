"""Plans of evaluations: the statement that is signed before, out of the job file, and how an evaluation names it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from lamslsa import _codec, predicates, statement
from lamslsa.errors import FormatError
from lamslsa.measure.declarations import DatasetJob
from lamslsa.measure.interface import MeasurerName, Plan
from lamslsa.predicates import EvaluationPlan
from lamslsa.predicates._common import ArtifactReference, DatasetReference, Digest
from lamslsa.predicates.evaluation_plan import PREDICATE_TYPE

__all__ = ["plan_digest", "plan_payload"]


@runtime_checkable
class _Foreseen(Protocol):
    """A plan that knows its configuration before it measures, as all of ours do that evaluate."""

    @property
    def measurer(self) -> MeasurerName: ...

    @property
    def dataset(self) -> DatasetJob: ...

    def configuration(self) -> dict[str, Any]: ...


def plan_payload(
    plan: Plan,
    *,
    dataset_sha256: str,
    model: statement.Subject | None = None,
    hypothesis: str | None = None,
    thresholds: str | None = None,
) -> bytes:
    """The unsigned statement that says what is going to be evaluated.

    Args:
        plan: of the evaluation, as the job file declares it.
        dataset_sha256: manifest digest of the data, hexadecimal.
        model: the only model that the plan is about; None for any.
        hypothesis: what is expected, for people.
        thresholds: what will be good enough, for people.

    Raises:
        FormatError: the measurer is one that does not tell its configuration beforehand, or a text is empty or long.
    """
    found = _foreseen(plan)
    configuration = found.configuration()
    predicate = EvaluationPlan(
        kind="dataset",
        dataset=DatasetReference(
            name=found.dataset.name,
            digest=Digest(sha256=dataset_sha256),
            schema_digest=Digest(sha256=found.dataset.schema.sha256),
        ),
        measurer=found.measurer,
        configuration=configuration,
        configuration_digest=Digest(sha256=predicates.configuration_digest(configuration)),
        model=None if model is None else ArtifactReference(name=model.name, digest=Digest(sha256=model.sha256)),
        hypothesis=hypothesis,
        thresholds=thresholds,
    )
    subject = statement.Subject(name=found.dataset.name, sha256=dataset_sha256)
    payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
    predicates.parse(statement.parse(payload))
    return payload


def plan_digest(payload: bytes, plan: Plan) -> str:
    """The digest by which an evaluation names its plan, out of the plan's statement.

    Whose signature is on it, and since when, the policy asks. That the plan is of this evaluation is asked here too, as
    far as it is known before anything is read, for the sake of who would find out hours later.

    Raises:
        FormatError: it holds no plan, or that of another evaluation.
    """
    stated = predicates.parse(statement.parse(payload))
    if not isinstance(stated, EvaluationPlan):
        raise FormatError(
            "expected the plan of an evaluation, got another statement",
            reason="plan-kind",
            hint="make one with: lamslsa plan",
        )
    found = _foreseen(plan)
    wanted = (str(found.measurer), predicates.configuration_digest(found.configuration()), found.dataset.schema.sha256)
    got = (str(stated.measurer), stated.configuration_digest.sha256, stated.dataset.schema_digest.sha256)
    for word, one, other in zip(("measurer", "configuration", "schema"), wanted, got, strict=True):
        if one != other:
            raise FormatError(
                f"expected a plan of this evaluation, with {word} {one}, got one with {other[:80]!a}",
                reason="plan-job",
                hint="evaluate with the job file that the plan was made of",
            )
    return _codec.sha256_hex(payload)


def _foreseen(plan: Plan) -> _Foreseen:
    if not isinstance(plan, _Foreseen):
        raise FormatError(
            f"expected a measurer that tells its configuration beforehand, got {plan.measurer}",
            reason="plan-unforeseen",
            hint="plan an evaluation by a measurer of lamslsa",
        )
    return plan
