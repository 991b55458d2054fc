"""The statement of an evaluation, and the seed of all randomness in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamslsa import predicates, statement
from lamslsa.measure.declarations import DatasetJob, Groups
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, MeasurerName, Outcome, Payload
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.predicates._common import DatasetReference, Digest, File
from lamslsa.predicates.evaluation import (
    PREDICATE_TYPE,
    Evaluation,
    Metric,
    ModelDescription,
    PlanReference,
    Reference,
    Seed,
    derive_seed,
)

__all__ = ["evaluation_seed", "evaluation_statement"]


def evaluation_seed(model: Given, dataset: Given, configuration: Mapping[str, Any]) -> bytes:
    """The seed: 32 bytes that nobody chooses (`lamslsa.predicates.evaluation.derive_seed`)."""
    return bytes.fromhex(
        derive_seed(
            model=model.artifact.manifest.sha256,
            dataset=dataset.artifact.manifest.sha256,
            configuration=predicates.configuration_digest(dict(configuration)),
        )
    )


def evaluation_statement(
    *,
    measurer: MeasurerName,
    model: Given,
    loaded: Sequence[LoadedModel],
    dataset: DatasetJob,
    data: Given,
    configuration: Mapping[str, Any],
    groups: Groups,
    metrics: Sequence[Metric],
    packages: Sequence[str],
    context: Context,
    references: Sequence[Reference] = (),
    also_read: Sequence[DatasetJob] = (),
) -> Outcome:
    """One statement about a model.

    Args:
        measurer: whose code measured.
        model: the subject.
        loaded: every model that was asked, the subject first.
        dataset: what the job says of the data.
        data: the data.
        configuration: the measurer's parameters; whatever can change a value and is not an input.
        groups: the groupings that were asked for.
        metrics: in a fixed order.
        packages: the distributions that the measurer imports; those that its models and data need are added.
        context: where tensors lived, and the plan that is carried out.
        references: further inputs, by role: a baseline, training data.
        also_read: what the job says of further data.
    """
    resolved = dict(configuration)
    needed = {
        *packages,
        *(package for one in loaded for package in one.packages),
        *(package for one in (dataset, *also_read) for package in one.schema.packages),
    }
    # an ONNX model answers on the CPU, wherever other tensors would live
    device = context.device if any(one.network is not None for one in loaded) else "cpu"
    predicate = Evaluation(
        kind="model",
        measurer=measurer,
        model=ModelDescription(
            architecture=loaded[0].architecture,
            files=tuple(
                File(path=entry.path, digest=Digest(sha256=entry.sha256), size=entry.size)
                for entry in model.artifact.manifest.files
            ),
        ),
        dataset=DatasetReference(
            name=dataset.name,
            digest=Digest(sha256=data.artifact.manifest.sha256),
            schema_digest=Digest(sha256=dataset.schema.sha256),
        ),
        configuration=resolved,
        configuration_digest=Digest(sha256=predicates.configuration_digest(resolved)),
        groups=groups,
        seed=Seed(
            derivation="sha256(model||dataset||configuration)",
            value=Digest(sha256=evaluation_seed(model, data, resolved).hex()),
        ),
        metrics=tuple(metrics),
        environment=environment(sorted(needed), device=device),
        references=tuple(references),
        plan=None if context.plan is None else PlanReference(digest=Digest(sha256=context.plan)),
    )
    subject = statement.Subject(name=model.name, sha256=model.artifact.manifest.sha256)
    payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
    return Outcome(statements=[Payload(label="evaluation", data=payload)])
