"""What is published about the models of the rehearsals, and what each case changes about it; a module per policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from scenes import census_income, confidential_data, eu_ai_act_annex_iv, hub_model, quantized_release
from scenes._parts import Rehearsal, Said, Scene

__all__ = ["REHEARSALS", "Rehearsal", "Said", "Scene"]

REHEARSALS: Final[Mapping[str, Callable[[], Rehearsal]]] = {
    "census-income": census_income.rehearsal,
    "confidential-data": confidential_data.rehearsal,
    "eu-ai-act-annex-iv": eu_ai_act_annex_iv.rehearsal,
    "hub-model": hub_model.rehearsal,
    "quantized-release": quantized_release.rehearsal,
}
