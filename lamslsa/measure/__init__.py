"""Measurers: code that computes properties of datasets, trainings and models from verified bytes.

>>> sorted(MEASURERS)
['tabular-dataset/1', 'tabular-evaluation/1']
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.measure.dataset.tabular import TabularDataset, measure_dataset
from lamslsa.measure.evaluation.tabular import TabularEvaluation, measure_evaluation
from lamslsa.measure.interface import Measured, Measurer, Progress
from lamslsa.measure.job import Job, load_job
from lamslsa.measure.training.tabular import Trained, measure_training

__all__ = [
    "MEASURERS",
    "Job",
    "Measured",
    "Measurer",
    "Progress",
    "Trained",
    "load_job",
    "measure_dataset",
    "measure_evaluation",
    "measure_training",
    "measurer",
]

_ALL: Final[tuple[Measurer, ...]] = (TabularDataset(), TabularEvaluation())

MEASURERS: Final[Mapping[str, Measurer]] = MappingProxyType({f"{item.name}/{item.version}": item for item in _ALL})
"""Every measurer of this release, by ``<name>/<version>``."""


def measurer(identifier: str) -> Measurer:
    """The measurer ``<name>/<version>``.

    Raises:
        FormatError: this release has no such measurer.
    """
    if identifier not in MEASURERS:
        raise FormatError(f"expected one of {', '.join(MEASURERS)}, got {identifier[:80]!a}", reason="measurer-unknown")
    return MEASURERS[identifier]
