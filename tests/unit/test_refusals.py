"""docs/refusals.md is what docs/refusals.py writes, and no refusal of an evidence verifier is missing from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refusals", ROOT / "docs" / "refusals.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


refusals = _load()


def test_the_table_is_generated() -> None:
    assert refusals.TABLE.read_text(encoding="utf-8") == refusals.text(), "run python docs/refusals.py"


@pytest.mark.parametrize("area", refusals.AREAS)
def test_every_reason_in_the_code_is_shown_by_a_vector_or_a_test(area: str) -> None:
    shown = {reason for _, reason in refusals.refused(area)}
    shown |= {reason for reason, tests in refusals.shown_elsewhere(area).items() if tests}
    assert refusals.raised(area) - {"json-syntax"} <= shown, "of strict JSON, see tests/unit/test_codec.py"


@pytest.mark.parametrize("area", refusals.AREAS)
def test_every_vector_that_refuses_says_so_by_name(area: str) -> None:
    for kind, reason in refusals.refused(area):
        assert kind in ("FormatError", "VerificationError"), reason
