"""Commands in processes forked from one that has imported what they need: the same as started anew, but at once.

Half the time of an example is the import of torch and of the libraries of metrics, in each of its commands. The server
(multiprocessing's forkserver) imports them once and computes nothing, so its children begin as fresh processes do.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

import pytest

_IMPORTED: Final = (
    "lamslsa._cli.main",
    "lamslsa._cli.verify",
    "duckdb",
    "torch",
    "safetensors.torch",
    "torchmetrics.functional",
    "fairlearn.metrics",
    "scipy.stats",
    "sklearn.linear_model",
    "onnxruntime",
)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def _command(
    words: Sequence[str], environment: dict[str, str], out: str, err: str, before: Callable[[], None] | None
) -> None:
    from lamslsa._cli.main import main

    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, number)
        os.close(target)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    if before is not None:
        before()
    code = main(words)
    sys.stdout.flush()
    sys.exit(code)


class Forked:
    """A command that runs; what `subprocess.Popen` has of it. Its process may do something else ``before`` it."""

    def __init__(
        self, words: Sequence[str], environment: dict[str, str], *, before: Callable[[], None] | None = None
    ) -> None:
        self.args = list(words)
        self.returncode: int | None = None
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = Path(self._folder.name) / "out", Path(self._folder.name) / "err"
        self._process = _context().Process(
            target=_command, args=(self.args, environment, str(self._out), str(self._err), before)
        )
        self._process.start()

    def communicate(self) -> tuple[str, None]:
        """Wait for it; what it said on stderr passes through."""
        out, err = self.ended()
        sys.stderr.write(err)
        return out, None

    def ended(self) -> tuple[str, str]:
        """What it said on stdout and stderr, once it has ended; one that takes five minutes never does."""
        self._process.join(timeout=300)
        self.returncode = self._process.exitcode
        assert self.returncode is not None, f"expected an end of {self.args}"
        out, err = self._out.read_text(encoding="utf-8"), self._err.read_text(encoding="utf-8")
        self._folder.cleanup()
        return out, err


@contextmanager
def forked(walk: Any) -> Iterator[None]:
    """Within the block, every `Walk` of this module forks its commands."""

    def start(self: Any, *arguments: str | Path, show: bool = True) -> Forked:
        words = [str(argument) for argument in arguments]
        if show:
            walk.say("  $ lamslsa " + " ".join(walk.short(word) for word in words))
        return Forked(words, {**os.environ, "LAMSLSA_SIMULATED_PLATFORM": str(self.platform)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk.Walk, "start", start)
        yield
