"""What a job does not declare cannot be measured, and nor can more than there is room for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.attest import Planned, attest
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.measure import Context, Given, Job, load_job
from lamslsa.measure.inference import batch
from lamslsa.measure.interface import Stage
from lamslsa.testing import table

MakeJob = Callable[..., Job]
Read = Callable[..., VerifiedArtifact]
INFERENCE = (
    "inference: {measurer: inference/1, dataset: people-test, disclose: {inputs: true, outputs: true}, seed: null}\n"
)


@pytest.mark.parametrize(
    ("stage", "name", "reason"),
    [("transform", "t", "job-transform"), ("inference", None, "job-inference"), ("model", None, "job-model")],
)
def test_stages_that_a_job_does_not_have(job: Job, stage: Stage, name: str | None, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        job.plans(stage, name)
    assert caught.value.reason == reason


def test_more_answers_than_a_tree_holds(
    make_job: MakeJob,
    read: Read,
    model_files: dict[str, bytes],
    test_set: VerifiedArtifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_job(("training: {", INFERENCE + "training: {")).require_inference()
    given = {
        "model": Given(artifact=read(model_files, "model"), name="m"),
        "dataset": Given(artifact=test_set, name="people-test"),
    }
    monkeypatch.setattr(batch, "MAX_LEAVES", 307)
    plan.measure(given, Context())
    monkeypatch.setattr(batch, "MAX_LEAVES", 306)
    with pytest.raises(FormatError) as caught:
        plan.measure(given, Context())
    assert caught.value.reason == "inference-size"


class _Unasked:
    """A TEE that is not to be asked."""

    tee = "simulated"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        raise AssertionError(nonce)

    def quote(self, report_data: bytes) -> Evidence:
        raise AssertionError(report_data)


def test_two_plans_of_one_run_do_not_write_over_each_other(tmp_path: Path) -> None:
    job = load_job(table.JOB.encode(), "job.yaml")
    (tmp_path / "rows").write_text(table.ROWS)
    planned = [Planned(plan=job.require_training(), paths={"train": tmp_path / "rows"})] * 2
    with pytest.raises(FormatError) as caught:
        attest(planned, attester=_Unasked(), nonce=Nonce.random())
    assert caught.value.reason == "attest-output"
