"""A measurer that tells its configuration only when it measures cannot be planned."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lamslsa.errors import FormatError
from lamslsa.measure.evaluation.planned import plan_payload
from lamslsa.measure.interface import named


def test_a_measurer_that_tells_nothing_beforehand() -> None:
    plan: Any = SimpleNamespace(measurer=named("tabular-evaluation/1"), dataset=None)
    with pytest.raises(FormatError) as caught:
        plan_payload(plan, dataset_sha256="0" * 64)
    assert caught.value.reason == "plan-unforeseen"
