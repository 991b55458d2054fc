"""Predicate ``https://lamslsa.dev/evaluation/v1``: measured metrics of a model on a dataset.

Normative text: predicates/evaluation/v1/README.md.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec

from lamslsa import _codec
from lamslsa.predicates._common import (
    Count,
    DatasetReference,
    Digest,
    Environment,
    File,
    Kind,
    Measurer,
    Name,
    WireModel,
)

__all__ = [
    "DEFAULT_CONFIGURATIONS",
    "PREDICATE_TYPE",
    "Evaluation",
    "Interval",
    "Metric",
    "ModelDescription",
    "PlanReference",
    "Reference",
    "Seed",
    "derive_seed",
]

PREDICATE_TYPE: Final = "https://lamslsa.dev/evaluation/v1"

DEFAULT_CONFIGURATIONS: Final = MappingProxyType(
    {
        "tabular-evaluation/1": MappingProxyType(
            {
                "rows": "all",
                "threshold": 0.5,
                "confidenceLevel": 0.95,
                "resamples": 1000,
                "calibrationBins": 15,
            }
        ),
        "classification/1": MappingProxyType(
            {"rows": "all", "confidenceLevel": 0.95, "resamples": 1000, "calibrationBins": 15}
        ),
        "regression/1": MappingProxyType({"rows": "all", "confidenceLevel": 0.95, "resamples": 1000}),
        "group-fairness/1": MappingProxyType(
            {"rows": "all", "confidenceLevel": 0.95, "resamples": 1000, "threshold": 0.5, "minimumGroupSize": 30}
        ),
        "counterfactual-fairness/1": MappingProxyType(
            {"rows": "all", "confidenceLevel": 0.95, "resamples": 1000, "threshold": 0.5, "coChanges": ()}
        ),
        "baseline-comparison/1": MappingProxyType(
            {"rows": "all", "confidenceLevel": 0.95, "resamples": 1000, "threshold": 0.5}
        ),
        "pgd/1": MappingProxyType(
            {
                "rows": "all",
                "confidenceLevel": 0.95,
                "norm": "Linf",
                "epsilons": (0.03, 0.1, 0.3),
                "loss": "margin",
                "steps": 20,
                "stepSize": 0.125,
                "restarts": 2,
                "features": "all",
            }
        ),
        "membership-inference/1": MappingProxyType(
            {"rows": "all", "confidenceLevel": 0.95, "resamples": 1000, "falsePositiveRates": (0.001, 0.01)}
        ),
        "corruptions/1": MappingProxyType(
            {
                "rows": "all",
                "confidenceLevel": 0.95,
                "resamples": 1000,
                "corruptions": "all",
                "severities": (1, 2, 3, 4, 5),
                "columns": "all",
            }
        ),
        "lira/1": MappingProxyType(
            {
                "rows": "all",
                "confidenceLevel": 0.95,
                "resamples": 1000,
                "falsePositiveRates": (0.001, 0.01),
                "variant": "offline",
                "variance": "global",
                "shadows": 16,
                "shadow": {
                    "trainer": "tabular-mlp/1",
                    "epochs": 10,
                    "batchSize": 256,
                    "optimizer": "adam",
                    "learningRate": 0.001,
                    "weightDecay": 0,
                    "beta1": 0.9,
                    "beta2": 0.999,
                    "epsilon": 1e-8,
                    "schedule": "constant",
                    "augmentation": "none",
                },
            }
        ),
        "autoattack/1": MappingProxyType(
            {
                "rows": "all",
                "confidenceLevel": 0.95,
                "version": "standard",
                "norm": "Linf",
                "epsilons": (0.03, 0.1, 0.3),
                "iterations": 100,
                "queries": 5000,
            }
        ),
    }
)
"""The default configuration of each measurer: every row, 95 % interval. A policy that is silent means these."""


def derive_seed(*, model: str, dataset: str, configuration: str) -> str:
    """The seed of an evaluation: SHA-256(model ‖ dataset ‖ configuration), each a raw digest; all in hexadecimal."""
    return _codec.sha256_hex(b"".join(bytes.fromhex(part) for part in (model, dataset, configuration)))


class Interval(WireModel, frozen=True, kw_only=True):
    """A confidence interval around ``Metric.value``."""

    level: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    lower: float
    upper: float
    method: Literal["wilson", "percentile-bootstrap", "hull-bootstrap"]
    resamples: Count | None = None


class Metric(WireModel, frozen=True, kw_only=True):
    """One measured value.

    Attributes:
        value: finite; absent where the metric is undefined, and then ``undefined`` says why.
        samples: rows that the value was computed over.
        groups: columns whose groups are compared (demographic parity, equalised odds), in the order declared.
        parameters: what tells metrics of one name apart: a false positive rate, the size of a perturbation, a class.
        slice: the rows that the value is about, column to group; absent means all rows.
    """

    name: str
    samples: Count
    value: float | None = None
    interval: Interval | None = None
    undefined: str | None = None
    groups: tuple[str, ...] = ()
    slice: dict[str, str] | None = None
    parameters: dict[str, str | int | float | bool] | None = None


class Seed(WireModel, frozen=True, kw_only=True):
    """The seed of all randomness, derived and not chosen: SHA-256(model ‖ dataset ‖ configuration), each 32 bytes."""

    derivation: Literal["sha256(model||dataset||configuration)"]
    value: Digest


class Reference(WireModel, frozen=True, kw_only=True):
    """A further input of an evaluation: a baseline model, the data that the model was trained on.

    Attributes:
        role: what it was used as.
        schema_digest: how a dataset was read.
    """

    role: str
    kind: Kind
    name: Name
    digest: Digest
    schema_digest: Digest | None = None


class PlanReference(WireModel, frozen=True, kw_only=True):
    """The plan that an evaluation carries out, by the SHA-256 of its statement's payload."""

    digest: Digest


class ModelDescription(WireModel, frozen=True, kw_only=True):
    """What was loaded: the architecture by name and version, and the files it came from."""

    architecture: str
    files: tuple[File, ...]


class Evaluation(WireModel, frozen=True, kw_only=True):
    """Metrics of the subject (a model) on one dataset.

    Attributes:
        configuration: the measurer's parameters; `DEFAULT_CONFIGURATIONS` has the defaults.
        configuration_digest: SHA-256 over the RFC 8785 form of ``configuration``.
        groups: the groupings that were asked for; they choose which metrics exist, never the value of one.
        references: what else was read.
        plan: what was signed before, about this very evaluation.
    """

    kind: Literal["model"]
    measurer: Measurer
    model: ModelDescription
    dataset: DatasetReference
    configuration: dict[str, Any]
    configuration_digest: Digest
    groups: tuple[tuple[str, ...], ...]
    seed: Seed
    metrics: tuple[Metric, ...]
    environment: Environment
    references: tuple[Reference, ...] = ()
    plan: PlanReference | None = None
