from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure.training.own import load_own_training, measure_own_training

JOB = """
apiVersion: lamslsa.dev/own-training/v1
kind: OwnTraining
model: mine
dataset: theirs
configuration: {rate: 0.5, layers: [1, 2]}
"""


def _train(tmp_path: Path, source: str) -> Any:
    code = tmp_path / "code"
    code.mkdir(exist_ok=True)
    (code / "train.py").write_text(source, encoding="utf-8")
    data = tmp_path / "data.csv"
    data.write_bytes(b"1,2\n")
    with read_verified(data, "dataset") as artifact:
        return measure_own_training(artifact, code=code, job=load_own_training(JOB.encode(), source="job.yaml"))


def test_a_job() -> None:
    job = load_own_training(JOB.encode(), source="job.yaml")
    assert (job.model, job.dataset, dict(job.configuration)) == ("mine", "theirs", {"rate": 0.5, "layers": [1, 2]})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("v1", "v2", "yaml-choice"),
        ("OwnTraining", "Job", "yaml-choice"),
        ("model: mine\n", "", "yaml-missing-key"),
        ("dataset: theirs", "more: 1\ndataset: theirs", "yaml-unknown-key"),
        ("{rate: 0.5, layers: [1, 2]}", "[]", "yaml-type"),
        ("mine", '"' + "x" * 129 + '"', "job-name"),
        ("theirs", '"a\\tb"', "job-name"),
    ],
)
def test_another_job_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(FormatError) as error:
        load_own_training(JOB.replace(old, new, 1).encode(), source="job.yaml")
    assert error.value.reason == reason


@pytest.mark.slow
def test_the_statement_says_what_the_code_was(tmp_path: Path) -> None:
    outcome = _train(
        tmp_path, "def train(files, configuration):\n    return {'w': files['data.csv'] * configuration['layers'][1]}\n"
    )
    (trained,) = outcome.outputs.values()
    assert trained.files == {"w": b"1,2\n1,2\n"}
    assert b'"training-code"' in outcome.statements[0].data
    before = outcome.statements[0].data
    again = _train(
        tmp_path,
        "def train(files, configuration):\n    return {'w': files['data.csv'] * configuration['layers'][1]} \n",
    )
    assert again.outputs["mine"].manifest == trained.manifest
    assert again.statements[0].data != before, "other code, other statement"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "own-training-failed"),
        ("def train(files): return {}", "own-training-failed"),
        ("raise OSError('x')", "own-training-failed"),
        ("def train(", "own-training-failed"),
        ("def train(files, configuration): return {}", "own-training-result"),
        ("def train(files, configuration): return None", "own-training-result"),
        ("def train(files, configuration): return {'w': 'text'}", "own-training-result"),
        ("def train(files, configuration): return {1: b''}", "own-training-result"),
    ],
)
def test_code_that_gives_no_model_is_refused(tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(FormatError) as error:
        _train(tmp_path, source)
    assert error.value.reason == reason


def test_a_model_stays_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as error:
        _train(tmp_path, "def train(files, configuration): return {'../w': b''}")
    assert error.value.reason == "path-relative"
