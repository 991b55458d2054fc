"""A user's own loop says how far it is, and whoever waits hears it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa import own
from lamslsa.artifact import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure import Context
from lamslsa.measure.interface import Given, Outcome
from lamslsa.measure.training.own import load_own_training

JOB = b"""
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
datasets: {train: theirs}
models: {}
configuration: {}
"""
MODEL = "from lamslsa import own\n(own.model_dir() / 'w').write_bytes(b'w')\n"


def train(folder: Path, lines: str, heard: list[tuple[str, int, int]]) -> Outcome:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "train.py").write_text(MODEL + lines, encoding="utf-8")
    (folder / "data.csv").write_bytes(b"1,2\n")
    plan = load_own_training(JOB, source="job.yaml", code=folder / "code")
    context = Context(progress=lambda stage, done, total: heard.append((stage, done, total)))
    with read_verified(folder / "data.csv", "dataset") as artifact:
        return plan.measure({"train": Given(artifact=artifact, name="theirs")}, context)


def test_a_loop_says_how_far_it_is(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    train(tmp_path, "for epoch in range(3): own.progress(epoch + 1, 3)\n", heard)
    assert heard == [
        ("training with your own code", 0, 1),
        *(("steps of your own code", done, 3) for done in (1, 2, 3)),
        ("training with your own code", 1, 1),
    ]


def test_a_loop_may_say_nothing(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    train(tmp_path, "", heard)
    assert [stage for stage, _, _ in heard] == ["training with your own code"] * 2


@pytest.mark.parametrize("call", ["own.progress(-1, 3)", "own.progress(4, 3)", "own.progress(0, 0)"])
def test_what_is_no_progress_is_refused(tmp_path: Path, call: str) -> None:
    heard: list[tuple[str, int, int]] = []
    with pytest.raises(FormatError) as error:
        train(tmp_path, call, heard)
    assert error.value.reason == "own-training-failed"
    assert "done <= total" in str(error.value)
    assert all(stage == "training with your own code" for stage, _, _ in heard)


def test_there_is_no_progress_outside_of_a_training() -> None:
    with pytest.raises(RuntimeError):
        own.progress(1, 2)
