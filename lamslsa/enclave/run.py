"""On the host: one job in, the files of a run out, under gramine-sgx or gramine-direct.

    lamslsa attest … --tee sgx              gramine-sgx: the processor vouches
    lamslsa attest … --tee gramine-direct   the same program without SGX: simulated evidence, asked for by name

Rules:
- The job runs in a folder of its own, which nobody else can enter and which is gone afterwards. Inputs are linked into
  it: the enclave reads the bytes once, whatever the links come to point at.
- What comes back is untrusted: it is read under caps, the quote must be over the statements, the nonce the one asked
  for, each artifact one that a statement is about. It gets its name only then, complete or not at all.
- What the enclave says on its way is shown line by line, shortened; whoever prints it escapes it.
- An interruption, a timeout or an error ends every process that was started.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from lamslsa import _codec, statement
from lamslsa._files import open_regular, refuse_existing, sync_folder, write_file
from lamslsa.artifact import hash_artifact, materialize
from lamslsa.artifact.manifest import EXCLUDED_ROOTS
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES
from lamslsa.enclave.build import find_build, read_final
from lamslsa.enclave.job import BEACON, CHECKPOINTS, CONFIG, ERROR, JOB, OUT, OUTPUTS, PLATFORM, RUN, SPOOL, Job, Kind
from lamslsa.enclave.made import MadeIndex, read_made
from lamslsa.enclave.programs import find_program
from lamslsa.errors import FormatError, LamslsaError, PolicyError, UnavailableError, VerificationError
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run, read_run
from lamslsa.measure.interface import Device
from lamslsa.publish import evidence_statement

__all__ = ["Finished", "Request", "Runner", "run_job"]

Runner = Literal["gramine-sgx", "gramine-direct"]

_ERRORS: Final[Mapping[str, type[LamslsaError]]] = {
    error.__name__: error for error in (FormatError, VerificationError, PolicyError, UnavailableError)
}
_REASON: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_FIRST: Final[Mapping[Kind, str]] = {
    "dataset": "dataset",
    "training": "provenance",
    "transform": "provenance",
    "evaluation": "evaluation",
    "inference": "inference",
    "model": "model",
}
_MAKING: Final = ("training", "transform")
_MAX_LINE_BYTES: Final = 400
_MAX_ERROR_BYTES: Final = 64 * 1024
_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One measurement, as the host asks for it.

    Attributes:
        config: bytes of the job file that declares everything.
        inputs: role, or name in the configuration, to a path on the host.
        name: of the dataset, transform or evaluation in the configuration.
        challenge: nonce that the relying party chose.
        beacon: bytes of which the nonce is to be the digest.
        device: where tensors live.
        checkpoints: folder on the host in which sealed checkpoints are kept.
        memory_limit: the most bytes that an input may have in the memory of the enclave.
        spool: folder on the host for an encrypted copy of what is larger.
        arguments: what a user's own training is started with.
        plan: SHA-256 of the statement of the plan that the evaluation carries out, hexadecimal.
    """

    kind: Kind
    config: bytes
    inputs: Mapping[str, Path]
    name: str | None = None
    challenge: bytes | None = None
    beacon: bytes | None = None
    device: Device = "cpu"
    checkpoints: Path | None = None
    memory_limit: int = DEFAULT_MAX_BYTES
    spool: Path | None = None
    arguments: tuple[str, ...] = ()
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What came out of the enclave and was found to belong together; nothing about the quote is verified yet.

    Attributes:
        outputs: folders of the artifacts that were made, by name; gone with the block of `run_job`.
        private: files for whoever ordered the measurement, by name.
    """

    run: Run
    outputs: Mapping[str, Path] = field(default_factory=dict)
    private: Mapping[str, bytes] = field(default_factory=dict)

    def write_output(self, name: str, folder: Path) -> None:
        """Give an artifact its name.

        Raises:
            FormatError: something of that name exists.
            KeyError: no artifact of that name was made.
        """
        made = self.outputs[name]
        refuse_existing(folder)
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(folder)
        except OSError:  # another file system
            materialize(made, folder)
        sync_folder(folder.absolute().parent)


@contextlib.contextmanager
def run_job(
    request: Request,
    *,
    build_dir: Path,
    runner: Runner,
    simulated_platform: Path | None = None,
    workspace: Path | None = None,
    timeout_s: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Finished]:
    """Run a job in an enclave build, and yield what came of it.

    Args:
        request: what to measure.
        build_dir: folder of the build; signed for ``gramine-sgx``.
        runner: with SGX, or without.
        simulated_platform: folder of the simulated platform; for ``gramine-direct`` and only there.
        workspace: where to put the folder of the job; best where the results are to go.
        timeout_s: how long the enclave may take.
        say: is told each line that the enclave writes; hostile text.

    Raises:
        FormatError: build, job or inputs are not usable, or what came back is not a run.
        VerificationError: what came back does not belong together.
        UnavailableError: Gramine is missing, or the enclave failed or took too long.
        ValueError: a platform for SGX, or none without.
    """
    if (simulated_platform is None) != (runner == "gramine-sgx"):
        raise ValueError("expected a simulated platform for gramine-direct and only there")
    program = find_program(runner)
    which = read_final(build_dir).build if runner == "gramine-sgx" else find_build(build_dir)
    job = _job(request, runner)
    parent = (workspace or Path(tempfile.gettempdir())).absolute()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".enclave-", suffix=".partial", dir=parent) as name:
        root = Path(name)
        _lay_out(root, request, job, simulated_platform)
        code = _execute([program, str(build_dir.resolve() / which)], root, timeout_s, say)
        if code != 0:
            raise _failure(root, runner, code)
        if request.spool is not None and (root / SPOOL).is_symlink():
            (root / SPOOL).unlink()
        yield _finish(root, request)


def _job(request: Request, runner: Runner) -> Job:
    return Job(
        kind=request.kind,
        tee="sgx" if runner == "gramine-sgx" else "simulated",
        name=request.name,
        inputs={role: _base_name(path) for role, path in request.inputs.items()},
        challenge=request.challenge,
        with_beacon=request.beacon is not None,
        device=request.device,
        checkpoints=request.checkpoints is not None,
        memory_limit=request.memory_limit,
        spool=request.spool is not None,
        arguments=request.arguments,
        plan=request.plan,
    )


def _base_name(path: Path) -> str:
    """The name that an input has wherever it is measured: a file's own, a folder's once links are resolved."""
    return path.resolve().name if path.is_dir() else path.name


def _lay_out(root: Path, request: Request, job: Job, platform: Path | None) -> None:
    job.nonce(request.beacon)
    for folder in (JOB.parent, OUT):
        (root / folder).mkdir()
    write_file(root / JOB, job.dumps())
    write_file(root / CONFIG, request.config)
    if request.beacon is not None:
        write_file(root / BEACON, request.beacon)
    for word, place_ in job.places().items():
        place, path = root / place_, request.inputs[word]
        if not path.exists():
            raise FormatError(f"expected a file or folder, got nothing at {str(path)!a}", reason="artifact-missing")
        place.parent.mkdir(parents=True)
        place.symlink_to(path.resolve())
    if request.checkpoints is not None:
        request.checkpoints.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / CHECKPOINTS).symlink_to(request.checkpoints.resolve())
    if request.spool is not None:
        (root / SPOOL).symlink_to(request.spool.resolve())
    if platform is not None:
        _copy_platform(platform, root / PLATFORM)


def _copy_platform(platform: Path, target: Path) -> None:
    """A copy, since whatever runs in there has no business in the original; made and renewed here, where it is kept."""
    import datetime as dt

    from lamslsa.evidence.sealing import simulated_secret
    from lamslsa.evidence.simulated.platform import SimulatedPlatform

    SimulatedPlatform.open_or_create(platform, now=dt.datetime.now(dt.UTC))
    simulated_secret(platform)
    shutil.copytree(platform, target)


def _execute(command: list[str], root: Path, timeout_s: float | None, say: Callable[[str], None]) -> int:
    """Run the enclave in a process group of its own, which is gone when this returns or raises."""
    with subprocess.Popen(
        command,
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        if process.stdout is None:
            raise TypeError("expected a pipe: it was asked for")
        reader = threading.Thread(target=_pass_on, args=(process.stdout, say), daemon=True)
        reader.start()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as err:
            raise UnavailableError(
                f"expected the enclave to end within {timeout_s:g} s, got a longer run", reason="enclave-timeout"
            ) from err
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # it, or what it left behind
            process.wait()
            reader.join(_GRACE_S)
    return code


def _pass_on(stream: IO[bytes], say: Callable[[str], None]) -> None:
    """Lines as they come; a line without an end is passed on in pieces, so nothing piles up."""
    for line in iter(lambda: stream.readline(_MAX_LINE_BYTES), b""):
        say(line.decode("utf-8", "replace").rstrip("\r\n"))


def _failure(root: Path, runner: Runner, code: int) -> LamslsaError:
    """The error that the enclave wrote, if it did; hostile, but it can only name another reason to fail."""
    with contextlib.suppress(FormatError, OSError):
        with open_regular(root / ERROR, what="error") as file:
            document = _codec.loads(file.read(_MAX_ERROR_BYTES + 1), max_bytes=_MAX_ERROR_BYTES)
        match document:
            case {"class": str(name), "reason": str(reason), "message": str(text), "hint": str() | None as hint} if (
                name in _ERRORS and _REASON.fullmatch(reason)
            ):
                return _ERRORS[name](text, reason=reason, hint=hint)
    return UnavailableError(
        f"expected the enclave to do its job under {runner}, got exit code {code}",
        reason="enclave-failed",
        hint="what it wrote before stands above; enclave/README.md names what a machine needs",
    )


def _finish(root: Path, request: Request) -> Finished:
    """Hold what came back against what was asked for.

    1. It holds no links, a run folder under the caps of one, and a list of what else was made.
    2. Its first statement is of the sort that this kind of job makes.
    3. Its nonce is the one asked for.
    4. Its quote is over its statements.
    5. A training or transform made something and nothing else did, and there are the folders listed and no others.
    6. Each artifact is one that a statement is about, and its folder holds nothing else.

    Raises:
        FormatError: (1) does not hold.
        VerificationError: another one does not.
    """
    if any(path.is_symlink() for path in (root / OUT, *(root / OUT).rglob("*"))):  # (1)
        _refuse("files", "a link", "link")
    run = read_run(root / RUN)
    made, private = read_made(root)
    names = [item.name for item in run.statements]
    if not names or names[0] != f"01-{_FIRST[request.kind]}":  # (2)
        _refuse(f"the statement 01-{_FIRST[request.kind]} first", ", ".join(names), "statement")
    asked = _asked(request)
    if asked is not None and run.nonce != asked:  # (3)
        _refuse("the nonce that was asked for", "another", "nonce")
    evidence_statement(run)  # (4)
    folders = {name: MadeIndex.place(root, position) for position, name in enumerate(made.outputs)}
    there = set((root / OUTPUTS).iterdir()) if (root / OUTPUTS).is_dir() else set()
    if bool(folders) != (request.kind in _MAKING) or there != set(folders.values()):  # (5)
        _refuse(f"artifacts from a {' or '.join(_MAKING)}, those listed and no others", "others", "made")
    subjects = {item.sha256 for each in run.statements for item in statement.parse(each.payload).subjects}
    for name, folder in folders.items():  # (6)
        if any((folder / excluded).exists() for excluded in EXCLUDED_ROOTS):
            _refuse("an artifact and nothing beside it", "a folder that is no part of artifacts", "made")
        if hash_artifact(folder, made.outputs[name]).sha256 not in subjects:
            _refuse("artifacts that statements are about", f"another as {name!a}", "made")
    return Finished(run=run, outputs=folders, private=private)


def _asked(request: Request) -> Nonce | None:
    if request.beacon is not None:
        return Nonce.of_beacon(request.beacon)
    return None if request.challenge is None else Nonce.of_challenge(request.challenge)


def _refuse(expected: str, got: str, rule: str) -> None:
    raise VerificationError(f"expected {expected} from the enclave, got {got:.200}", reason=f"enclave-output-{rule}")
