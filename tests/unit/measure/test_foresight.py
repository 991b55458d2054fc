"""What plans say of themselves before they are run is what comes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lamslsa.attest import Planned, read_inputs
from lamslsa.measure import Context, Outcome, Plan, foresight, load_job
from lamslsa.testing.table import JOB, ROWS

WITHHELD = JOB.replace("overlap: []}", "overlap: [], properties: {withhold: [duplicates, distributions]}}") + (
    "inference: {measurer: inference/1, dataset: train, disclose: {inputs: false, outputs: false}, seed: null}\n"
    "transforms:\n  parts: {transform: preprocess/1, dataset: train, nullToken: null, label: null,\n"
    "    steps: [{step: split, into: {a: 50, b: 50}, seed: 1, together: [], stratify: []}], outputs: {a: x, b: y}}\n"
    "  small: {transform: quantize-int8/1, model: small, granularity: tensor,\n"
    "    difference: {dataset: train, confidenceLevel: 0.95}}\n"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def run(plan: Plan, **paths: Path) -> Outcome:
    with read_inputs(Planned(plan=plan, paths=paths), Context()) as given:
        return plan.measure(given, Context())


def test_what_is_told_is_what_comes_of_it(data: Path, tmp_path: Path) -> None:
    job = load_job(WITHHELD.encode(), "job.yaml")
    inference, training = job.inference, job.require_training()
    assert inference is not None
    trained = run(training, train=data)
    trained.outputs["people-mlp"].write(tmp_path / "model")
    model = tmp_path / "model"
    outcomes = [
        (training, trained),
        (job.sheet("train"), run(job.sheet("train"), dataset=data)),
        (inference, run(inference, model=model, dataset=data)),
        (job.require_transform("parts"), run(job.require_transform("parts"), dataset=data)),
        (job.require_transform("small"), run(job.require_transform("small"), parent=model, difference=data)),
    ]
    told = [(set(foresight.makes(plan) or ()), foresight.makes_private(plan)) for plan, _ in outcomes]
    assert told == [(set(outcome.outputs), bool(outcome.private)) for _, outcome in outcomes]
    assert told == [({"people-mlp"}, False), (set(), True), (set(), True), ({"x", "y"}, False), ({"small"}, False)]
    open_ = load_job(JOB.encode(), "job.yaml").sheet("train")
    assert not foresight.makes_private(open_)
    assert not run(open_, dataset=data).private


def test_a_plan_that_says_nothing_is_asked_nothing() -> None:
    silent = cast("Plan", SimpleNamespace())
    assert (foresight.makes(silent), foresight.makes_private(silent), foresight.estimate(silent, {})) == (
        None,
        False,
        None,
    )


def changed(*changes: tuple[str, str]) -> Any:
    text = JOB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_job(text.encode(), "job.yaml")


def seconds(plan: Plan, size: int) -> float:
    found = foresight.estimate(plan, {item.role: size for item in plan.inputs})
    assert found is not None
    return found


def test_times_grow_with_the_work() -> None:
    size = 15_000_000
    counted = seconds(changed().sheet("train"), size)
    assert counted == pytest.approx(1)
    once = seconds(changed().require_training(), size)
    ten = seconds(changed(("epochs: 1", "epochs: 10")).require_training(), size)
    assert ten - counted == pytest.approx(10 * (once - counted))
    wide = seconds(changed(("hidden: [4]", "hidden: [4000, 4000]")).require_training(), size)
    assert wide > 10 * once


NEAR = (
    "{column: sex, normalization: [casefold], unit: letters, size: 2, permutations: 16, bands: 8, rows: 2,"
    " threshold: 0.5}"
)
PARQUET = (
    ('format: csv\n    delimiter: ","\n    header: false\n    trim: true', "format: parquet"),
    ("skipLines: 0, ", ""),
)


@pytest.mark.parametrize(
    "changes", [PARQUET, [("overlap: []}", f"overlap: [], properties: {{nearDuplicates: [{NEAR}]}}}}")]]
)
def test_a_time_that_nobody_knows_is_not_told(changes: list[tuple[str, str]]) -> None:
    job = changed(*changes)
    assert foresight.estimate(job.sheet("train"), {"dataset": 1}) is None


def test_private_training_takes_nobody_knows_how_long() -> None:
    training = changed().require_training()
    settings = replace(training.settings, privacy=object())
    assert foresight.estimate(replace(training, settings=settings), {"train": 1}) is None
