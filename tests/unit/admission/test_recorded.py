"""What was recorded from an API server: that it stands as the steps say, and how such a server asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamslsa.admission.http import _head
from tests.unit.admission.test_review import NAMES, VECTORS
from tests.vectors.admission.record import matches
from tests.vectors.admission.steps import STEPS, Step

RECORDED = [name for name in NAMES if name.startswith("recorded-")]
HEADS = sorted(VECTORS.glob("*-head.txt"))


def step_of(name: str) -> tuple[tuple[int, int], Step]:
    """The version of a recording, and the step that it came of."""
    _, told, rest = name.split("-", 2)
    major, minor = told.split(".")
    version = int(major), int(minor)
    (step,) = [each for each in STEPS if each.name == rest and each.since <= version < each.until]
    return version, step


def test_there_are_recordings() -> None:
    assert len(RECORDED) >= 20
    assert HEADS


@pytest.mark.parametrize("name", RECORDED)
def test_each_stands_as_its_step_says(name: str) -> None:
    _, step = step_of(name)
    folder = VECTORS / name
    assert json.loads((folder / "expected.json").read_text(encoding="utf-8")) == step.expected
    assert matches(step, json.loads((folder / "review.json").read_text(encoding="utf-8")))


def test_every_step_of_a_version_is_recorded() -> None:
    for version in {step_of(name)[0] for name in RECORDED}:
        wanted = {step.name for step in STEPS if step.name and step.since <= version < step.until}
        assert {f"recorded-{version[0]}.{version[1]}-{name}" for name in wanted} <= set(RECORDED)


@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.stem)
def test_the_head_of_its_requests_is_read(path: Path) -> None:
    request, length = _head(path.read_bytes())
    assert (request.method, request.path, request.query) == ("POST", "/admit", "timeout=10s")
    assert not request.close
    assert length > 0
