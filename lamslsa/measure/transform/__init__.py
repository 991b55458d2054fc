"""Transforms: artifacts in, artifact out, with provenance."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.interface import BuiltIn, Measurer, named
from lamslsa.measure.transform import average, convert, preprocess, prune, quantize

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (
    BuiltIn(name=named(preprocess.NAME), stage="transform", declare=preprocess.declare),
    *(
        BuiltIn(name=named(module.NAME), stage="transform", declare=module.declare)
        for module in (average, convert, prune, quantize)
    ),
)
