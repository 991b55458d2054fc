"""Plans of a job file run on verified artifacts or attested on paths, in one call each: for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.attest import Planned, attest
from lamslsa.evidence import Attester
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run
from lamslsa.measure import Context, Given, Job, Output, Plan, Progress
from lamslsa.measure.dataset.tabular import COMPARED
from lamslsa.measure.evaluation.tabular import TabularEvaluation
from lamslsa.measure.interface import refuse_roles, silent
from lamslsa.measure.training.tabular import TabularTraining

__all__ = [
    "Trained",
    "attest_dataset",
    "attest_evaluation",
    "attest_training",
    "measure_dataset",
    "measure_evaluation",
    "measure_training",
    "run_plan",
    "tabular_evaluation",
    "tabular_training",
]


class Trained:
    """The one artifact that a plan made, and the statement about it."""

    def __init__(self, output: Output, payload: bytes) -> None:
        self.files = output.files
        self.manifest = output.manifest
        self.payload = payload
        self.write = output.write


def tabular_training(job: Job) -> TabularTraining:
    """The training of the job, if it is a tabular one."""
    plan = job.require_training()
    if not isinstance(plan, TabularTraining):
        raise TypeError("expected a tabular training")
    return plan


def tabular_evaluation(job: Job) -> TabularEvaluation:
    """The only evaluation of the job, if it is a tabular one."""
    (plan,) = job.require_evaluations().values()
    if not isinstance(plan, TabularEvaluation):
        raise TypeError("expected a tabular evaluation")
    return plan


def run_plan(
    plan: Plan, inputs: Mapping[str, VerifiedArtifact], *, name: str = "", progress: Progress = silent
) -> tuple[bytes, Mapping[str, Output]]:
    """The only statement of a plan, and its outputs; an input that the plan does not name is called ``name``."""
    refuse_roles(plan, inputs)
    names = {item.role: item.name or name for item in plan.inputs}
    given = {role: Given(artifact=artifact, name=names[role]) for role, artifact in inputs.items()}
    outcome = plan.measure(given, Context(progress=progress))
    (payload,) = outcome.statements
    return payload.data, outcome.outputs


def measure_dataset(
    artifact: VerifiedArtifact,
    *,
    name: str,
    job: Job,
    others: Mapping[str, VerifiedArtifact] | None = None,
    progress: Progress = silent,
) -> bytes:
    """The datasheet of a dataset of the job."""
    compared = {f"{COMPARED}{other}": its for other, its in (others or {}).items()}
    return run_plan(job.sheet(name), {"dataset": artifact, **compared}, progress=progress)[0]


def measure_training(artifact: VerifiedArtifact, *, job: Job, progress: Progress = silent) -> Trained:
    """The training of the job."""
    payload, outputs = run_plan(job.require_training(), {"train": artifact}, progress=progress)
    (output,) = outputs.values()
    return Trained(output, payload)


def measure_evaluation(
    model: VerifiedArtifact, dataset: VerifiedArtifact, *, name: str, job: Job, progress: Progress = silent
) -> bytes:
    """The only evaluation of the job."""
    (plan,) = job.require_evaluations().values()
    return run_plan(plan, {"model": model, "dataset": dataset}, name=name, progress=progress)[0]


def attest_dataset(
    path: Path, *, name: str, job: Job, others: Mapping[str, Path], attester: Attester, progress: Progress, nonce: Nonce
) -> Run:
    """The datasheet of a dataset of the job, attested."""
    compared = {f"{COMPARED}{other}": where for other, where in others.items()}
    planned = Planned(plan=job.sheet(name), paths={"dataset": path, **compared})
    return attest([planned], attester=attester, nonce=nonce, context=Context(progress=progress))[0]


def attest_training(
    path: Path, *, job: Job, attester: Attester, progress: Progress, nonce: Nonce
) -> tuple[Run, Output]:
    """The training of the job, attested."""
    planned = Planned(plan=job.require_training(), paths={"train": path})
    run, made = attest([planned], attester=attester, nonce=nonce, context=Context(progress=progress))
    (output,) = made.outputs.values()
    return run, output


def attest_evaluation(
    model: Path, *, dataset: Path, job: Job, attester: Attester, progress: Progress, nonce: Nonce
) -> Run:
    """Every evaluation of the job, attested."""
    planned = [
        Planned(plan=plan, paths={"model": model, "dataset": dataset}) for plan in job.require_evaluations().values()
    ]
    return attest(planned, attester=attester, nonce=nonce, context=Context(progress=progress))[0]
