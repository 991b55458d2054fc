"""kill -9 at each stage of writing: an output is complete or absent, and what was interrupted can be repeated."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import hash_artifact
from lamslsa.evidence.run import read_run
from lamslsa.publish import evidence_statement
from lamslsa.sign import Envelope, parse_bundle
from lamslsa.statement import parse
from tests.forking import Forked
from tests.killing import die_at


def _run(stage: str, *words: str | Path, platform: Path | None = None) -> int | None:
    environment = {**os.environ, **({"LAMSLSA_SIMULATED_PLATFORM": str(platform)} if platform else {})}
    process = Forked([str(word) for word in words], environment, before=partial(die_at, stage))
    process.ended()
    return process.returncode


@pytest.mark.parametrize(
    ("stage", "complete"),
    [("fsync:1", False), ("fsync:4", False), ("fsync:5", False), ("rename:1", False), ("fsync:6", True)],
)
def test_attest_leaves_a_complete_run_or_none(chain: Any, tmp_path: Path, stage: str, complete: bool) -> None:
    out = tmp_path / "run"
    words = ("attest", "dataset", chain.train, "--name", "census-train", "--config", chain.job, "--tee", "simulated")
    assert _run(stage, *words, "--out", out, platform=chain.platform) == -signal.SIGKILL
    assert out.exists() is complete
    if not complete:
        assert _run("fsync:99", *words, "--out", out, platform=chain.platform) == 0
    evidence_statement(read_run(out))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "model_is_there"),
    [("fsync:3", False), ("fsync:6", False), ("rename:1", False), ("rename:2", True)],
)
def test_training_leaves_no_run_without_its_model(chain: Any, tmp_path: Path, stage: str, model_is_there: bool) -> None:
    text = chain.job.read_text(encoding="utf-8")
    job = tmp_path / "job.yaml"
    job.write_text(text.replace("[128, 256, 512, 256]", "[4]").replace("epochs: 6", "epochs: 1"), encoding="utf-8")
    model, out = tmp_path / "model", tmp_path / "run"
    words = ("attest", "training", "--dataset", f"train={chain.test}", "--config", job, "--tee", "simulated")
    text = job.read_text(encoding="utf-8")
    job.write_text(
        text.replace("  dataset: census-train\n  hidden", "  dataset: census-test\n  hidden"), encoding="utf-8"
    )
    outputs = ("--model-out", model, "--out", out)
    assert _run(stage, *words, *outputs, platform=chain.platform) == -signal.SIGKILL
    assert not out.exists()
    assert model.exists() is model_is_there
    if model_is_there:
        (half,) = tmp_path.glob(".run.*.partial")
        provenance = (half / "01-provenance.json").read_bytes()
        assert parse(provenance).subjects[0].sha256 == hash_artifact(model, "model").sha256, "complete, to the byte"


@pytest.mark.parametrize(
    ("stage", "bundles"), [("fsync:1", 0), ("link:1", 0), ("fsync:2", 1), ("fsync:3", 1), ("link:2", 1), ("fsync:4", 2)]
)
def test_publish_leaves_whole_bundles_and_is_completed_by_repeating(
    chain: Any, tmp_path: Path, stage: str, bundles: int
) -> None:
    store = tmp_path / "store"
    words = ("publish", chain.runs / "evaluation", "--key", chain.folder / "auditor.key", "--to", store)
    assert _run(stage, *words) == -signal.SIGKILL
    left = sorted(store.glob("*.sigstore.json"))
    assert len(left) == bundles
    before = {path: path.read_bytes() for path in left}
    assert _run("fsync:99", *words) == 0
    after = {path: path.read_bytes() for path in store.glob("*.sigstore.json")}
    assert before.items() <= after.items(), "nothing is signed twice"
    assert len(after) == 2
    assert all(isinstance(parse_bundle(data), Envelope) for data in after.values())
