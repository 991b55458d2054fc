"""Properties of a model by itself."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.interface import BuiltIn, Measurer, named
from lamslsa.measure.model import properties

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (BuiltIn(named(properties.NAME), "model", properties.declare),)
