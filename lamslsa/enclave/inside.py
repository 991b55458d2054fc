"""Inside an enclave build: read one job, run one measurement, write what came of it.

This module and what it imports are the trusted computing base. Everything below ``job``, ``data`` and ``out`` belongs
to the host. Each file there is read once, under a cap, and only what was read counts; inputs are read by
`lamslsa.attest`, which measures the bytes that it hashed.

What leaves: ``out/run`` (`lamslsa.evidence.run`) and what was made beside it (`lamslsa.enclave.made`), or else
``out/error.json``. The host gives them their names; here they are written as plain files, since a host's folder can be
asked for little more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa import _codec
from lamslsa._files import write_file
from lamslsa._pace import Pace, memory_in_use
from lamslsa.artifact.memory import SEALED, EnclaveMemory, Memory
from lamslsa.artifact.spool import Spool
from lamslsa.attest import Made, attest, place, sealed_checkpoints
from lamslsa.enclave.job import (
    BEACON,
    CHECKPOINTS,
    CODE,
    CONFIG,
    ERROR,
    GUESTS,
    JOB,
    OUT,
    PLATFORM,
    RUN,
    SCRATCH,
    SPOOL,
    Job,
)
from lamslsa.enclave.made import write_made
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Nonce
from lamslsa.evidence.run import Run, write_run
from lamslsa.measure import Context, load_job, load_own_training
from lamslsa.measure.interface import Checkpoints, Plan
from lamslsa.measure.plugins import find_only
from lamslsa.measure.registry import BUILT_IN
from lamslsa.measure.training.own_code import code_manifest

__all__ = ["MEASURE", "MEASURE_WITH", "TRAIN_OWN", "Build", "Measure", "Outcome", "main"]

_MAX_JOB_BYTES: Final = 64 * 1024
_MAX_CONFIG_BYTES: Final = 1024 * 1024
_INTERVAL_S: Final = 1.0

Outcome = tuple[Run, Made]
"""A run, and what was made beside its statements."""

Measure = Callable[[Path, Job, bytes, Attester, Nonce], Outcome]
"""Root of the file system, job, configuration, attester and nonce, to what came of the measurement."""


def _nothing(root: Path) -> bytes:
    del root
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What an enclave build does.

    Attributes:
        measure: what a job is done by.
        beside: digest of the code that shares the process; a simulated platform measures it with ours, as the
            processor does.
    """

    measure: Measure
    beside: Callable[[Path], bytes] = _nothing


def main(root: Path, build: Build | None = None) -> int:
    """Do the job that lies below ``root``.

    Args:
        root: the file system; another than ``/`` only where there is no enclave around.
        build: which build this is; `MEASURE` by default.

    Returns:
        The exit code of `lamslsa.errors`; whatever is not 0 left no run.
    """
    try:
        run, made = _do(root, build or MEASURE)
        write_made(root, made.outputs, made.private)
        _write(root / RUN, _files(run, root / SCRATCH))
    except LamslsaError as err:
        return _report(root, err)
    except OSError as err:
        return _report(root, _file_error(err))
    return 0


def _do(root: Path, build: Build) -> Outcome:
    job = Job.parse(_read(root / JOB, _MAX_JOB_BYTES))
    config = _read(root / CONFIG, _MAX_CONFIG_BYTES)
    nonce = job.nonce(_read(root / BEACON, MAX_BEACON_BYTES) if job.with_beacon else None)
    gpu = "nvidia" if job.gpu else None
    beside = build.beside(root) if job.tee == "simulated" else b""
    attester = attester_for(job.tee, simulated_platform=root / PLATFORM, gpu=gpu, beside=beside)
    return build.measure(root, job, config, attester, nonce)


def _measure(root: Path, job: Job, config: bytes, attester: Attester, nonce: Nonce) -> Outcome:
    """Run the measurement that a job names."""
    _refuse_arguments(job)
    plans = load_job(config, source=CONFIG.name).plans(job.kind, job.name)
    return _attested(root, job, plans.values(), attester, nonce)


def _measure_with(root: Path, job: Job, config: bytes, attester: Attester, nonce: Nonce) -> Outcome:
    """Run a third party's measurement; one of ours has no business here."""
    _refuse_arguments(job)
    third = find_only()
    catalogue = BUILT_IN.with_more(third.load(BUILT_IN.reserved()))
    plans = load_job(config, source=CONFIG.name, catalogue=catalogue).plans(job.kind, job.name)
    third.refuse_others(plans.values())
    return _attested(root, job, plans.values(), attester, nonce, beside=third.digest)


def _train_own(root: Path, job: Job, config: bytes, attester: Attester, nonce: Nonce) -> Outcome:
    """Run the user's training code; a job of any other kind has no business here."""
    if job.kind != "training":
        raise FormatError(
            f"expected a training in the build for a user's training code, got the kind {job.kind}",
            reason="enclave-job",
            hint="take the build measure",
        )
    plan = load_own_training(config, source=CONFIG.name, code=root / CODE, arguments=job.arguments)
    return _attested(root, job, [plan], attester, nonce, beside=_code(root))


def _attested(
    root: Path, job: Job, plans: Iterable[Plan], attester: Attester, nonce: Nonce, *, beside: bytes = b""
) -> Outcome:
    context = Context(
        progress=_Lines(),
        device=job.device,
        memory=_memory(root, job),
        memory_limit=job.memory_limit,
        spool=_spool(root, job),
        checkpoints=_checkpoints(root, job, beside),
        plan=job.plan,
    )
    planned = place(plans, {word: root / where for word, where in job.places().items()})
    return attest(planned, attester=attester, nonce=nonce, context=context)


def _refuse_arguments(job: Job) -> None:
    if job.arguments:
        raise FormatError(
            "expected arguments with a user's own training only, got some",
            reason="enclave-job",
            hint="take the build train-own",
        )


def _code(root: Path) -> bytes:
    return bytes.fromhex(code_manifest(root / CODE).sha256)


MEASURE: Final = Build(measure=_measure)
MEASURE_WITH: Final = Build(measure=_measure_with, beside=lambda _: find_only().digest)
TRAIN_OWN: Final = Build(measure=_train_own, beside=_code)


def _memory(root: Path, job: Job) -> Memory:
    """Under Gramine the enclave's own tmpfs; a confidential guest has its kernel's memory files."""
    return SEALED if job.tee in GUESTS else EnclaveMemory(root / SCRATCH)


def _spool(root: Path, job: Job) -> Spool | None:
    """Under Gramine the folder that the host names, in a confidential guest the disk that it formatted itself."""
    if not job.spool:
        return None
    return Spool(root / (OUT if job.tee in GUESTS else SPOOL))


def _checkpoints(root: Path, job: Job, beside: bytes) -> Checkpoints | None:
    if not job.checkpoints:
        return None
    return sealed_checkpoints(root / CHECKPOINTS, tee=job.tee, simulated_platform=root / PLATFORM, beside=beside)


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
        self._stage = ""
        self._pace = Pace(0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._pace = stage, Pace(now)
        if now >= self._next or done >= total:
            self._next = now + _INTERVAL_S
            words = self._pace.words(done=done, total=total, unit="", now=now, memory=memory_in_use())
            sys.stderr.write(f"{stage}: {words}\n")
            sys.stderr.flush()
