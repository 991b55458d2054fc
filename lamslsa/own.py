"""For a user's own training loop: where its inputs are, where its model goes, and which batches it saw.

    from lamslsa import own

    with open(own.inputs()["train"].path, "rb") as file: …     # verified bytes in memory, never the host's file
    for batch in batches: own.batch(batch.tobytes())            # optional: a hash chain over what was trained on
    own.progress(epoch, epochs)                                 # optional: whoever waits sees how far it is
    (own.model_dir() / "model.safetensors").write_bytes(…)      # every file in there is the model

It works in a process that `lamslsa attest training --own` or the enclave build ``train-own`` started, and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

__all__ = ["Batches", "Data", "Session", "batch", "configuration", "inputs", "model_dir", "progress", "session"]

_BATCH: Final = b"https://lamslsa.dev/own-training/batch/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A verified input.

    Attributes:
        files: path in the artifact to a path of this process that leads to its verified bytes.
    """

    files: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path of the only file.

        Raises:
            ValueError: there are several.
        """
        if len(self.files) != 1:
            raise ValueError(f"expected an input of one file, got {len(self.files)}: see files")
        return next(iter(self.files.values()))

    def __fspath__(self) -> str:
        return self.path


@dataclass(slots=True)
class Batches:
    """A hash chain over batches: SHA-256 over a label, the chain before and the SHA-256 of the batch."""

    count: int = 0
    chain: bytes = bytes(32)

    def add(self, data: bytes | memoryview) -> None:
        """Take the bytes of a batch."""
        self.count += 1
        self.chain = hashlib.sha256(_BATCH + self.chain + hashlib.sha256(data).digest()).digest()


def _unheard(done: int, total: int) -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of a user's loop.

    Attributes:
        tell: hears how much is done, and of how much.
    """

    inputs: Mapping[str, Data]
    configuration: Mapping[str, Any]
    model_dir: Path
    batches: Batches = field(default_factory=Batches)
    tell: Callable[[int, int], None] = _unheard


_sessions: Final[list[Session]] = []


@contextmanager
def session(current: Session) -> Iterator[None]:
    """Have the functions of this module speak of this run, to the end of the block."""
    _sessions.append(current)
    try:
        yield
    finally:
        _sessions.remove(current)


def inputs() -> Mapping[str, Data]:
    """The inputs by role."""
    return MappingProxyType(dict(_current().inputs))


def configuration() -> Mapping[str, Any]:
    """What the job file has under ``configuration``; it stands in the statement."""
    return MappingProxyType(dict(_current().configuration))


def model_dir() -> Path:
    """An empty folder; what lies in it when the loop ends is the model."""
    return _current().model_dir


def batch(data: bytes | memoryview) -> None:
    """Record that the loop trains on these bytes next."""
    _current().batches.add(data)


def progress(done: int, total: int) -> None:
    """Show whoever waits how far the loop is; it stands in no statement, and the host sees it.

    Args:
        done: how many steps, epochs or the like are behind it.
        total: how many there are.

    Raises:
        ValueError: not 0 <= done <= total, or there are none.
    """
    if not 0 <= done <= total or total == 0:
        raise ValueError(f"expected 0 <= done <= total and a total above 0, got {done} of {total}")
    _current().tell(done, total)


def _current() -> Session:
    if not _sessions:
        raise RuntimeError("expected a training that lamslsa attest training --own started, got another process")
    return _sessions[-1]
