"""SLSA provenance v1 with our buildTypes: how a model came to be. Normative text: predicates/training/v1/README.md.

Spec: https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from lamslsa.predicates._common import Digest, Environment, Kind, Measurer, WireModel

__all__ = [
    "BUILDER_PREFIX",
    "OWN_TRAINING_BUILD_TYPE",
    "PREDICATE_TYPE",
    "TRAINING_BUILD_TYPE",
    "TRANSFORM_BUILD_TYPE",
    "BuildDefinition",
    "Builder",
    "Byproduct",
    "Dependency",
    "DependencyAnnotations",
    "ExternalParameters",
    "InternalParameters",
    "Provenance",
    "RunDetails",
]

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
TRAINING_BUILD_TYPE: Final = "https://lamslsa.dev/training/v1"
TRANSFORM_BUILD_TYPE: Final = "https://lamslsa.dev/transform/v1"
OWN_TRAINING_BUILD_TYPE: Final = "https://lamslsa.dev/own-training/v1"
BUILDER_PREFIX: Final = "https://lamslsa.dev/enclave/"


class DependencyAnnotations(WireModel, frozen=True, kw_only=True):
    """What an ingredient is.

    Attributes:
        schema_digest: how a dataset was read.
        own_code: a user's own training code, which was run in the process that vouches.
    """

    kind: Literal["dataset", "model", "code", "package"]
    schema_digest: Digest | None = None
    role: str | None = None
    installation: Literal["wheel", "editable"] | None = None
    own_code: Literal[True] | None = None


class Dependency(WireModel, frozen=True, kw_only=True):
    """An ingredient: dataset and model by manifest digest, code by the digest of its files, package by its RECORD."""

    name: str
    digest: Digest
    annotations: DependencyAnnotations
    uri: str | None = None


class ExternalParameters(WireModel, frozen=True, kw_only=True):
    """What was asked for: of a training its ``trainer``, of a transform its ``transform``, never both.

    Attributes:
        trainer: the training code, by name and version.
        transform: the transforming code, by name and version.
        configuration: every parameter, none implied.
        datasets: role (``train``) to the name of a dataset among the resolved dependencies.
        models: role (``parent``) to the name of a model among the resolved dependencies.
        produces: the kind of the subject.
    """

    configuration: dict[str, Any]
    datasets: dict[str, str]
    trainer: Measurer | None = None
    transform: Measurer | None = None
    models: dict[str, str] = msgspec.field(default_factory=dict)
    produces: Kind = "model"

    @property
    def code(self) -> Measurer:
        """The trainer or the transform."""
        found = self.trainer or self.transform
        if found is None:
            raise ValueError("expected a trainer or a transform, got neither")
        return found


class InternalParameters(WireModel, frozen=True, kw_only=True):
    """Decided by the enclave and the machine, not by the user."""

    environment: Environment


class BuildDefinition(WireModel, frozen=True, kw_only=True):
    """SLSA buildDefinition, with our parameters typed."""

    build_type: Literal[
        "https://lamslsa.dev/training/v1", "https://lamslsa.dev/own-training/v1", "https://lamslsa.dev/transform/v1"
    ]
    external_parameters: ExternalParameters
    internal_parameters: InternalParameters
    resolved_dependencies: tuple[Dependency, ...]

    def __post_init__(self) -> None:
        """What a build of this type has to say; msgspec turns the refusal into a validation error."""
        external, is_transform = self.external_parameters, self.build_type == TRANSFORM_BUILD_TYPE
        if (external.transform is not None) != is_transform or (external.trainer is None) != is_transform:
            raise ValueError("expected a trainer of a training and a transform of a transform, got another")
        if external.produces == "dataset" and not is_transform:
            raise ValueError("expected a training to produce a model, got a dataset")


class Builder(WireModel, frozen=True, kw_only=True):
    """``https://lamslsa.dev/enclave/<release>``."""

    id: str


class Byproduct(WireModel, frozen=True, kw_only=True):
    """A file of the model with its digest (``annotations.kind`` is ``file``), or the loss per epoch as content."""

    name: str
    digest: Digest | None = None
    content: str | None = None
    media_type: str | None = None
    annotations: dict[str, Any] | None = None


class RunDetails(WireModel, frozen=True, kw_only=True):
    """SLSA runDetails."""

    builder: Builder
    byproducts: tuple[Byproduct, ...] = ()


class Provenance(WireModel, frozen=True, kw_only=True):
    """How the subject (a model) was made."""

    build_definition: BuildDefinition
    run_details: RunDetails
