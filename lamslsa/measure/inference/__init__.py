"""Inferences: what a model answered."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.inference import batch
from lamslsa.measure.interface import BuiltIn, Measurer, named

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (BuiltIn(named(batch.NAME), "inference", batch.declare),)
