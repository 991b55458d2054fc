"""SLSA provenance v1 with our buildTypes: how a model came to be. Normative text: predicates/training/v1/README.md.

Spec: https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

from typing import Any, Final, Literal

from lamslsa.predicates._common import Digest, Environment, Measurer, WireModel

__all__ = [
    "BUILDER_PREFIX",
    "OWN_TRAINING_BUILD_TYPE",
    "PREDICATE_TYPE",
    "TRAINING_BUILD_TYPE",
    "BuildDefinition",
    "Builder",
    "Byproduct",
    "Dependency",
    "DependencyAnnotations",
    "InternalParameters",
    "Provenance",
    "RunDetails",
    "TrainingParameters",
]

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
TRAINING_BUILD_TYPE: Final = "https://lamslsa.dev/training/v1"
OWN_TRAINING_BUILD_TYPE: Final = "https://lamslsa.dev/own-training/v1"
BUILDER_PREFIX: Final = "https://lamslsa.dev/enclave/"


class DependencyAnnotations(WireModel, frozen=True, kw_only=True):
    """What an ingredient is; ``schema_digest`` says how a dataset was read."""

    kind: Literal["dataset", "model", "code", "package"]
    schema_digest: Digest | None = None
    role: str | None = None
    installation: Literal["wheel", "editable"] | None = None


class Dependency(WireModel, frozen=True, kw_only=True):
    """An ingredient: dataset and model by manifest digest, code by the digest of its files, package by its RECORD."""

    name: str
    digest: Digest
    annotations: DependencyAnnotations
    uri: str | None = None


class TrainingParameters(WireModel, frozen=True, kw_only=True):
    """External parameters of ``https://lamslsa.dev/training/v1``.

    Attributes:
        trainer: the built-in training code, by name and version.
        configuration: every hyperparameter, none implied.
        datasets: role (``train``) to the name of a dataset among the resolved dependencies.
    """

    trainer: Measurer
    configuration: dict[str, Any]
    datasets: dict[str, str]


class InternalParameters(WireModel, frozen=True, kw_only=True):
    """Decided by the enclave and the machine, not by the user."""

    environment: Environment


class BuildDefinition(WireModel, frozen=True, kw_only=True):
    """SLSA buildDefinition, with our parameters typed."""

    build_type: Literal["https://lamslsa.dev/training/v1", "https://lamslsa.dev/own-training/v1"]
    external_parameters: TrainingParameters
    internal_parameters: InternalParameters
    resolved_dependencies: tuple[Dependency, ...]


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
