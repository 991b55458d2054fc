"""Transforms: artifacts in, artifact out, with provenance."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.interface import Measurer

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = ()
