"""Trainers: verified bytes to a model and its provenance."""

from __future__ import annotations

from typing import Final

from lamslsa.measure.interface import BuiltIn, Measurer, named
from lamslsa.measure.training import images, sklearn_trainers, tabular, text

__all__ = ["MEASURERS"]

MEASURERS: Final[tuple[Measurer, ...]] = (
    BuiltIn(named(tabular.NAME), "training", tabular.declare),
    BuiltIn(named(images.CNN), "training", images.declare_cnn),
    BuiltIn(named(images.VGG), "training", images.declare_vgg),
    BuiltIn(named(text.NAME), "training", text.declare),
    BuiltIn(named(sklearn_trainers.LOGISTIC), "training", sklearn_trainers.declare_logistic),
    BuiltIn(named(sklearn_trainers.BOOSTING), "training", sklearn_trainers.declare_boosting),
)
