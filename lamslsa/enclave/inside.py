"""Inside an enclave build: read one job, run one measurement, write what came of it.

This module and what it imports are the trusted computing base. Everything below ``job``, ``data`` and ``out`` belongs
to the host. Each file there is read once, under a cap, and only what was read counts; inputs are read by
`lamslsa.attest`, which measures the bytes that it hashed.

What leaves: ``out/run`` (`lamslsa.evidence.run`), ``out/model`` after a training, or else ``out/error.json``. The host
gives them their names; here they are written as plain files, since a host's folder can be asked for little more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lamslsa import _codec
from lamslsa._files import write_file
from lamslsa.artifact.memory import SEALED, EnclaveMemory, Memory
from lamslsa.attest import Made, Planned, attest, attest_own_training
from lamslsa.enclave.job import BEACON, CODE, CONFIG, ERROR, GUESTS, JOB, MODEL, PLATFORM, RUN, SCRATCH, Job
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Nonce
from lamslsa.evidence.run import Run, write_run
from lamslsa.measure import Context, load_job, load_own_training
from lamslsa.measure import Job as MeasurementJob
from lamslsa.measure.dataset.tabular import COMPARED

__all__ = ["Measure", "Outcome", "main", "measure", "train_own"]

_MAX_JOB_BYTES: Final = 64 * 1024
_MAX_CONFIG_BYTES: Final = 1024 * 1024
_INTERVAL_S: Final = 1.0

Outcome = tuple[Run, Mapping[str, bytes] | None]
"""A run, and the files of the model that it is about where it made one."""

Measure = Callable[[Path, Job, bytes, Attester, Nonce], Outcome]
"""Root of the file system, job, configuration, attester and nonce, to what came of the measurement."""


def main(root: Path, measure_: Measure | None = None) -> int:
    """Do the job that lies below ``root``.

    Args:
        root: the file system; another than ``/`` only where there is no enclave around.
        measure_: what the job is done by; `measure` by default.

    Returns:
        The exit code of `lamslsa.errors`; whatever is not 0 left no run.
    """
    try:
        run, model = _do(root, measure_ or measure)
        if model is not None:
            _write(root / MODEL, model)
        _write(root / RUN, _files(run, root / SCRATCH))
    except LamslsaError as err:
        return _report(root, err)
    except OSError as err:
        return _report(root, _file_error(err))
    return 0


def _do(root: Path, measure_: Measure) -> Outcome:
    job = Job.parse(_read(root / JOB, _MAX_JOB_BYTES))
    config = _read(root / CONFIG, _MAX_CONFIG_BYTES)
    nonce = job.nonce(_read(root / BEACON, MAX_BEACON_BYTES) if job.with_beacon else None)
    gpu = "nvidia" if job.gpu else None
    return measure_(root, job, config, attester_for(job.tee, simulated_platform=root / PLATFORM, gpu=gpu), nonce)


def measure(root: Path, job: Job, config: bytes, attester: Attester, nonce: Nonce) -> Outcome:
    """Run the measurement that a job names.

    Raises:
        FormatError: configuration or inputs are not usable.
        UnavailableError: the TEE does not answer.
    """
    context = Context(progress=_Lines(), memory=_memory(root, job))
    planned = _planned(root, job, load_job(config, source=CONFIG.name))
    run, made = attest(planned, attester=attester, nonce=nonce, context=context)
    return run, _only_model(made)


def _planned(root: Path, job: Job, declared: MeasurementJob) -> list[Planned]:
    paths = {role: root / job.place(role) for role in job.inputs}
    match job.kind:
        case "dataset":
            others = {f"{COMPARED}{name}": root / place for name, place in job.other_places().items()}
            return [Planned(plan=declared.sheet(job.name or ""), paths={**paths, **others})]
        case "training":
            return [Planned(plan=declared.require_training(), paths={"train": paths["dataset"]})]
        case "evaluation":
            return [Planned(plan=plan, paths=paths) for plan in declared.require_evaluations().values()]


def _only_model(made: Made) -> Mapping[str, bytes] | None:
    return next((output.files for output in made.outputs.values()), None)


def train_own(root: Path, job: Job, config: bytes, attester: Attester, nonce: Nonce) -> Outcome:
    """Run the user's training code; a job of any other kind has no business here.

    Raises:
        FormatError: another kind of job, or configuration, inputs or code are not usable.
        UnavailableError: the TEE does not answer.
    """
    if job.kind != "training":
        raise FormatError(
            f"expected a training in the build for a user's training code, got the kind {job.kind}",
            reason="enclave-job",
            hint="take the build measure",
        )
    run, made = attest_own_training(
        root / job.place("dataset"),
        code=root / CODE,
        job=load_own_training(config, source=CONFIG.name),
        attester=attester,
        progress=_Lines(),
        nonce=nonce,
        memory=_memory(root, job),
    )
    return run, _only_model(made)


def _memory(root: Path, job: Job) -> Memory:
    """Under Gramine the enclave's own tmpfs; a confidential guest has its kernel's memory files."""
    return SEALED if job.tee in GUESTS else EnclaveMemory(root / SCRATCH)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"expected at most {limit} bytes in {path.name}, got more", reason="enclave-job-size")
    return data


def _files(run: Run, scratch: Path) -> dict[str, bytes]:
    """The files of a run folder, made in the enclave's own memory."""
    folder = scratch / RUN.name
    write_run(run, folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / name, data)


def _file_error(err: OSError) -> LamslsaError:
    where = f" {err.filename}" if err.filename else ""
    return UnavailableError(
        f"expected to read or write{where} in the enclave, got: {err.strerror or err}", reason="enclave-file"
    )


def _report(root: Path, err: LamslsaError) -> int:
    """Tell the host; that it can be told nothing is no reason for another exit code."""
    text = {"class": type(err).__name__, "reason": err.reason, "message": str(err), "hint": err.hint}
    try:
        write_file(root / ERROR, _codec.dumps(text))
    except (LamslsaError, OSError):
        sys.stderr.write(f"error[{err.reason}]\n")
    return err.exit_code


class _Lines:
    """Progress on stderr, one line a second and one when a stage ends."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next or done >= total:
            self._next = now + _INTERVAL_S
            sys.stderr.write(f"{stage}: {done}/{total}\n")
            sys.stderr.flush()
