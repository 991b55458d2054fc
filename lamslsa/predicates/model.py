"""Predicate ``https://lamslsa.dev/model/v1``: properties of a model by itself.

Normative text: predicates/model/v1/README.md.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from lamslsa.predicates._common import Count, Digest, Environment, Measurer, WireModel

__all__ = [
    "PREDICATE_TYPE",
    "Architecture",
    "Finding",
    "InspectedFile",
    "Model",
    "Severity",
    "Statistics",
    "Tensor",
    "Weights",
]

PREDICATE_TYPE: Final = "https://lamslsa.dev/model/v1"

Severity = Literal["code", "unknown", "notice"]


class InspectedFile(WireModel, frozen=True, kw_only=True):
    """One file of the subject; ``format`` is what its bytes are, whatever it is called, or ``unknown``."""

    path: str
    digest: Digest
    size: Count
    format: str


class Finding(WireModel, frozen=True, kw_only=True):
    """Why a file is not plain data.

    Attributes:
        path: in the subject; ``archive!member`` for what lies in an archive.
        severity: ``code`` can run when a usual loader reads the file, ``unknown`` could not be looked into, ``notice``
            is data that a loader interprets.
        detail: what was found, at most 500 characters.
    """

    path: str
    kind: str
    severity: Severity
    detail: str


class Statistics(WireModel, frozen=True, kw_only=True):
    """Of the values of one tensor or of all: exact sums, rounded once at the end.

    Attributes:
        zeros: how many values are zero.
        non_finite: how many are infinite or not numbers; the others make up minimum, maximum, mean and deviation.
        deviation: of the population.
        undefined: why there are no values, where there are none.
    """

    elements: Count
    zeros: Count
    non_finite: Count
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    undefined: str | None = None


class Tensor(WireModel, frozen=True, kw_only=True):
    """One tensor."""

    name: str
    file: str
    dtype: str
    shape: tuple[Count, ...]
    bytes: Count
    statistics: Statistics


class Weights(WireModel, frozen=True, kw_only=True):
    """All tensors of the files in safe formats.

    Attributes:
        elements: numbers in all tensors.
        trainable: how many of them training changes; absent where the architecture is not one of ours.
        dtypes: type to number of elements.
        statistics: over all tensors of floating-point type.
    """

    tensors: Count
    elements: Count
    bytes: Count
    dtypes: dict[str, Count]
    statistics: Statistics
    trainable: Count | None = None


class Architecture(WireModel, frozen=True, kw_only=True):
    """What the model is built like, without anything that it learned.

    Attributes:
        name: ``<name>/<version>`` of an architecture of ours, or what the description calls it.
        source: the file that describes it; absent where none does.
        digest: SHA-256 over the RFC 8785 form of description and tensors, as the specification defines it.
    """

    digest: Digest
    name: str | None = None
    source: str | None = None


class Model(WireModel, frozen=True, kw_only=True):
    """Properties of the subject.

    Attributes:
        configuration_digest: SHA-256 over the RFC 8785 form of ``configuration``.
        severities: each severity to the number of findings of it; 0 where there is none.
        tensors: each tensor by itself, where the configuration asks for that.
    """

    kind: Literal["model"]
    measurer: Measurer
    configuration: dict[str, Any]
    configuration_digest: Digest
    files: tuple[InspectedFile, ...]
    findings: tuple[Finding, ...]
    severities: dict[Severity, Count]
    weights: Weights
    architecture: Architecture
    environment: Environment
    tensors: tuple[Tensor, ...] = ()
