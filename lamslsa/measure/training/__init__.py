"""Trainers: verified bytes to a model and its provenance."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.interface import BuiltIn, Measurer, named
from lamslsa.measure.training import tabular

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (BuiltIn(named(tabular.NAME), "training", tabular.declare),)
