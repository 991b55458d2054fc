"""``--device cuda`` as a user meets it, on a pretended GPU (`tests.unit.measure.pretend_device`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.testing.table import JOB, ROWS
from tests.unit.measure.pretend_device import NAME, pretend_device

Cli = Callable[..., tuple[int, Any, str]]
INPUT = ("--dataset", "train=people.csv", "--config", "job.yaml")


def test_trained_there_and_reproduced_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    (tmp_path / "people.csv").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(JOB)
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    with pretend_device() as device:
        where = ("--model-out", "m", "--out", "run", "--tee", "simulated", "--device", "cuda")
        code, _, said = cli("attest", "training", *INPUT, *where)
        assert (code, bool(device.calls)) == (0, True), said
        device.calls.clear()
        code, document, said = cli("reproduce", "run", *INPUT)
        assert (code, document["same"], document["differences"]) == (0, True, []), said
        assert device.calls, "on the device that the statement names"
    predicate = json.loads(Path("run/01-provenance.json").read_bytes())["predicate"]
    environment = predicate["buildDefinition"]["internalParameters"]["environment"]
    assert (environment["machine"]["device"], environment["machine"]["deviceName"]) == ("cuda", NAME)
    assert environment["variables"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
