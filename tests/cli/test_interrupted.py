"""kill -9 at any moment: an output folder is complete or absent, and a store holds whole bundles only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lamslsa.evidence.run import read_run
from lamslsa.publish import evidence_statement
from lamslsa.sign import Envelope, parse_bundle

KILLS = 12


def _words(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "lamslsa", *map(str, words)]


def _killed_at_many_moments(command: Sequence[str], duration: float, environment: dict[str, str]) -> Iterator[int]:
    """Run the command again and again, killed later each time; the last times it is about to end, or has ended."""
    for attempt in range(KILLS):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=duration * (0.35 + 0.75 * attempt / KILLS))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        yield attempt


def _timed(command: Sequence[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return time.monotonic() - began


@pytest.mark.slow
def test_attest_leaves_a_complete_run_or_none(chain: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "LAMSLSA_SIMULATED_PLATFORM": str(chain.platform)}
    common = ("attest", "dataset", chain.test, "--name", "census-test", "--config", chain.job, "--tee", "simulated")
    arguments = _words(*common, "--dataset", f"census-train={chain.train}", "--out")
    duration = _timed([*arguments, str(tmp_path / "uninterrupted")], environment)
    out = tmp_path / "out"
    complete = 0
    for _ in _killed_at_many_moments([*arguments, str(out)], duration, environment):
        if out.exists():
            evidence_statement(read_run(out))
            out.rename(tmp_path / f"complete-{complete}")
            complete += 1
    assert complete < KILLS, "the kills came too late to mean anything"


@pytest.mark.slow
def test_publish_leaves_whole_bundles_and_can_be_repeated(chain: Any, tmp_path: Path) -> None:
    environment = dict(os.environ)
    store = tmp_path / "store"
    command = _words("publish", chain.runs / "evaluation", "--key", chain.folder / "auditor.key", "--to", store)
    duration = _timed([*command[:-1], str(tmp_path / "uninterrupted")], environment)
    for _ in _killed_at_many_moments(command, duration, environment):
        for bundle in store.glob("*.sigstore.json"):
            assert isinstance(parse_bundle(bundle.read_bytes()), Envelope)
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert len(list(store.glob("*.sigstore.json"))) == 2, "a statement and its evidence, neither signed twice"


def test_training_leaves_no_partial_model(chain: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "LAMSLSA_SIMULATED_PLATFORM": str(chain.platform)}
    model, out = tmp_path / "model", tmp_path / "run"
    common = ("attest", "training", "--dataset", f"train={chain.train}", "--config", chain.job, "--tee", "simulated")
    command = _words(*common, "--model-out", model, "--out", out)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.kill()
    process.wait()
    assert not model.exists()
    assert not out.exists()
