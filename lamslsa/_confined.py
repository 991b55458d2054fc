"""Work in a process of its own, under limits: what it asks for in time and memory costs that process alone.

Rules:
- One request in, bounded answers out, over a pipe. A worker that dies, is stopped or says too much has answered as far
  as it got, and `Answers.stopped` says why; whoever asked takes no answer for a refusal.
- The worker is forked where this process has one thread, since a fork copies locks that other threads hold. Otherwise,
  and on macOS, it is a Python started anew, which takes up to a second more. What it is asked lies in memory on Linux:
  a container with a read-only root has no place for a file.
- Memory is limited relative to the size that the worker begins with. macOS has no such limit: there it is
  bounded by time alone.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

__all__ = ["Answers", "Limits", "run"]

Work = Callable[[bytes], Iterator[bytes]]

_LENGTH: Final = struct.Struct(">I")
_START: Final = (
    "import json, sys; path, module, name, limits = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from lamslsa._confined import _serve; _serve(module, name, limits)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a worker may use.

    Attributes:
        memory_bytes: of address space, beyond what it begins with.
        cpu_seconds: whole seconds of processor time.
        wall_seconds: by the clock.
        answer_bytes: of all answers together.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    answer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a worker said.

    Attributes:
        stopped: why it said no more; None where it came to its own end.
    """

    answers: tuple[bytes, ...]
    stopped: str | None


def run(work: Work, request: bytes, limits: Limits) -> Answers:
    """Have a function at the top of a module answer a request in a process of its own.

    Raises:
        OSError: no process can be started.
    """
    if _may_fork():
        return _forked(work, request, limits)
    return _started(work, request, limits)


def _may_fork() -> bool:
    if platform.system() != "Linux":
        return False
    return len(list(Path("/proc/self/task").iterdir())) == 1


def _forked(work: Work, request: bytes, limits: Limits) -> Answers:
    receiving, sending = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(receiving)
        os.close(sending)
        raise
    if child == 0:
        code = 1
        try:
            os.close(receiving)
            _answer(work, request, limits, sending)
            code = 0
        finally:
            os._exit(code)  # neither handlers nor buffers of the parent's are the worker's to run
    os.close(sending)
    with os.fdopen(receiving, "rb", buffering=0) as pipe:
        try:
            data, late = _read(pipe, limits)
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)  # it has said everything, or is to say no more
            _, status = os.waitpid(child, 0)
    return _told(data, late or _ended(os.waitstatus_to_exitcode(status)))


def _started(work: Work, request: bytes, limits: Limits) -> Answers:
    wanted = [limits.memory_bytes, limits.cpu_seconds, limits.wall_seconds, limits.answer_bytes]
    path = [entry or str(Path.cwd()) for entry in sys.path]
    argument = json.dumps([path, work.__module__, work.__name__, wanted])
    with _unnamed() as stdin:
        stdin.write(request)
        stdin.seek(0)
        process = subprocess.Popen(
            [sys.executable or "", "-I", "-S", "-c", _START, argument],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        with process:
            try:
                data, late = _read(process.stdout, limits)  # type: ignore[arg-type]  # it is a pipe
            finally:
                process.kill()
            return _told(data, late or _ended(process.wait()))


def _unnamed() -> IO[bytes]:
    """A new file without a name; in memory where the system has such files.

    Raises:
        OSError: there is no place for one.
    """
    if platform.system() == "Linux":
        return os.fdopen(os.memfd_create("lamslsa-request"), "w+b")
    return tempfile.TemporaryFile()


def _serve(module: str, name: str, wanted: list[float]) -> None:
    """What a worker that was started anew does."""
    memory, cpu, wall, answer = wanted
    limits = Limits(memory_bytes=int(memory), cpu_seconds=int(cpu), wall_seconds=wall, answer_bytes=int(answer))
    work: Work = getattr(importlib.import_module(module), name)
    _answer(work, sys.stdin.buffer.read(), limits, sys.stdout.fileno())


def _answer(work: Work, request: bytes, limits: Limits, sending: int) -> None:
    """In the worker: give up what is not needed, answer, and say so at the end."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if platform.system() == "Linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        size = pages * resource.getpagesize() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    for answer in work(request):
        _write(sending, answer)
    _write(sending, b"")


def _write(sending: int, answer: bytes) -> None:
    data = _LENGTH.pack(len(answer)) + answer
    while data:
        data = data[os.write(sending, data) :]


def _read(pipe: BinaryIO, limits: Limits) -> tuple[bytes, str | None]:
    """Everything up to the end of the pipe, and which limit cut it short."""
    until = time.monotonic() + limits.wall_seconds
    data = bytearray()
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while True:
        if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
            return bytes(data), f"it took more than {limits.wall_seconds:g} s"
        part = os.read(pipe.fileno(), 65536)
        if not part:
            return bytes(data), None
        data += part
        if len(data) > limits.answer_bytes:
            return bytes(data[: limits.answer_bytes]), f"it said more than {limits.answer_bytes} bytes"


def _ended(code: int) -> str:
    """How a worker that did not say that it is done came to its end."""
    if code in (-signal.SIGKILL, -signal.SIGXCPU):
        return "it was killed, as it is for using too much processor time"
    if code == -signal.SIGABRT or code > 0:
        return "it gave up, as it does without enough memory"
    return f"it ended with {code}"


def _told(data: bytes, stopped: str) -> Answers:
    """Whole answers; an empty one is the end, and nothing counts that is cut off."""
    answers: list[bytes] = []
    at = 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length == 0:
            return Answers(answers=tuple(answers), stopped=None)
        if at + length > len(data):
            break
        answers.append(data[at : at + length])
        at += length
    return Answers(answers=tuple(answers), stopped=stopped)
